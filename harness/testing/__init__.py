"""For tests of methods, of this project or of another package: tiny searches, and what every method must keep to."""

from harness.testing.conformance import Conformance
from harness.testing.searches import TINY_PROTOCOL, first_step, tiny_protocol, tiny_search

__all__ = ["TINY_PROTOCOL", "Conformance", "first_step", "tiny_protocol", "tiny_search"]
