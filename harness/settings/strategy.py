"""The kinds of search that tables and the frontier of cost and quality tell apart."""

from typing import Literal

Strategy = Literal["gradient", "reinforcement learning", "evolution", "random"]
"""What moves a method's choice of a cell; zeroth-order estimates of a gradient count as gradient."""
