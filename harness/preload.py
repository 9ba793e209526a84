"""Imported by the process that workers are forked from: what each of them would otherwise load and read anew."""

from contextlib import suppress

import torch._dynamo  # noqa: F401 (the optimisers import it at their first step)

import harness.search  # noqa: F401
from harness import registry, runner
from harness.errors import UserError

with suppress(UserError):  # a run tells it better
    for name in registry.methods():
        runner.method_code_hash(name)
registry.methods.cache_clear()  # a worker may see packages that this process does not
