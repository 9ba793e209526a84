"""The engines of a sweep, by name. Each is imported when it is chosen."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from harness.base.errors import UserError, did_you_mean
from harness.fleet.engine import Engine


class _Entry(NamedTuple):
    module: str
    needs: str | None
    """The package that it needs; None for none beyond Dartsboard's own."""


ENGINES = {
    "local": _Entry("harness.fleet.engines.local", None),
    "ray": _Entry("harness.fleet.engines.ray", "ray"),
    "slurm": _Entry("harness.fleet.engines.slurm", "submitit"),
}


def create_engine(name: str, folder: Path, options: dict[str, str]) -> Engine:
    """Return the engine with this name, for the project in a folder.

    Raises:
        UserError: there is no such engine or option, or its package is not installed.
    """
    check_engine(name)
    engine: Engine = import_module(ENGINES[name].module).create(folder, options)
    return engine


def check_engine(name: str) -> None:
    """Check that there is an engine with this name, and what it needs.

    Raises:
        UserError: there is none, or its package is not installed.
    """
    if name not in ENGINES:
        raise UserError(f"--engine {name}: {did_you_mean(name, ENGINES)}")
    needs = ENGINES[name].needs
    if needs is not None and find_spec(needs) is None:
        raise UserError(f"--engine {name} needs the package {needs}: pip install {needs}")
