"""Import torchvision, also where its compiled operators do not load.

The torchvision wheel of the package index is built for CUDA. Beside a CPU build of torch its operators stay
undefined, and the import fails on registering shapes for them. The data sets need none of them.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from harness.base.errors import UserError


def load_torchvision() -> ModuleType:
    """Return torchvision; without its compiled operators where they do not load.

    Raises:
        UserError: torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ImportError:
        raise UserError("reading CIFAR needs torchvision, which is not installed: pip install torchvision") from None
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    with _undefined_operators_ignored():
        return importlib.import_module("torchvision")


@contextmanager
def _undefined_operators_ignored() -> Iterator[None]:
    import torch

    register = torch.library.register_fake

    def register_others(operator: Any, *arguments: Any, **options: Any) -> Callable[..., Any]:
        if str(operator).startswith("torchvision::"):
            return lambda function: function
        return register(operator, *arguments, **options)

    torch.library.register_fake = register_others
    try:
        yield
    finally:
        torch.library.register_fake = register
