"""Imported by the process that workers are forked from: what each of them would otherwise load and read anew."""

from contextlib import suppress

import harness.search.loop  # noqa: F401
from harness.base.errors import UserError
from harness.board import runner
from harness.search import registry

with suppress(UserError):  # a run tells it better
    for name in registry.methods():
        runner.method_code_hash(name)
registry.methods.cache_clear()  # a worker may see packages that this process does not
