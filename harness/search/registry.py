"""Finds the methods: files in variants/, and installed packages with the entry point `dartsboard.variants`.

A board that lies outside the project has a folder variants/ of its own, beside the installed one.
"""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from harness.base.errors import UserError, did_you_mean, in_one_line, quoted
from harness.base.interruption import EndingSignalError
from harness.base.output import output_among_errors
from harness.base.source_tree import ENTRY_POINT_GROUP, RUNNING
from harness.networks.supernet import SupernetSpec
from harness.records.record import LONGEST_NAME, METHOD_NAME
from harness.search.baseline import Baseline
from harness.search.variant import Variant
from harness.settings.protocol import Board
from harness.settings.strategy import FAMILIES, Strategy
from harness.settings.validation import Settings, validate
from harness.space.cell import Shape

Method = type[Variant] | type[Baseline]


@cache
def methods() -> dict[str, Method]:
    """Return every registered method by the name that users type.

    Raises:
        UserError: a file or a package cannot be imported, or two methods share a name.
    """
    found: dict[str, Method] = {}
    for module in _modules():
        for method in _methods_in(module):
            if method.name in found and found[method.name] is not method:
                raise UserError(f"two methods are named {method.name!r}: {found[method.name].__module__} and {module}")
            found[method.name] = method
    return dict(sorted(found.items()))


def _modules() -> Iterable[str]:
    names = [f"variants.{name}" for name in _names_of_files()]
    names += [point.value.partition(":")[0] for point in entry_points(group=ENTRY_POINT_GROUP)]
    return dict.fromkeys(names)


def _names_of_files() -> list[str]:
    home, *own = importlib.import_module("variants").__path__
    if Path(home).resolve() != RUNNING / "variants" or any(Path(folder, "__init__.py").exists() for folder in own):
        raise UserError("variants/__init__.py hides the methods of the installed Dartsboard: remove it")
    names = [info.name for info in pkgutil.iter_modules([home])]
    for info in pkgutil.iter_modules(own):
        if info.name in names:
            raise UserError(f"variants/{info.name}.py: Dartsboard has a file of this name, expected another")
        names.append(info.name)
    return names


def _methods_in(module: str) -> list[Method]:
    file = f"the variant file {in_one_line(module)}"
    try:
        with output_among_errors():  # what it prints shall not stand in a command's JSON
            members = inspect.getmembers(importlib.import_module(module), _is_method)
            methods = [method for _, method in members if method.__module__ == module]
            faults = [(in_one_line(method.__name__), fault) for method in methods for fault in _faults(method)]
    except EndingSignalError:
        raise
    except KeyboardInterrupt:
        raise UserError(f"interrupted while {file} was imported") from None
    except BaseException as error:  # a method must not end the program without a word
        raise UserError(f"{file} cannot be imported: {type(error).__name__}: {in_one_line(error)}") from error
    for name, fault in faults:
        raise UserError(f"{in_one_line(module)}: the method {name} {fault}")
    return methods


def _faults(method: Method) -> Iterator[str]:
    """Say what is wrong with what a method tells of itself, which lists, tables and the report show."""
    if not (isinstance(method.name, str) and METHOD_NAME.fullmatch(method.name)):
        yield f"is named {quoted(method.name)}, expected at most {LONGEST_NAME} letters, digits and hyphens"
    told = {"strategy": get_args(Strategy), "family": tuple(FAMILIES)}
    for attribute in ("axis", "citation", *told):
        if not isinstance(getattr(method, attribute, None), str):
            expected = f"one of {', '.join(told[attribute])}" if attribute in told else "a text"
            yield f"does not say its {attribute}, expected {expected}"
            return
    for attribute, known in told.items():
        value = getattr(method, attribute)
        if value not in known:
            yield f"has the {attribute} {quoted(value)}, {did_you_mean(value, known)}"
    if not isinstance(method.departures, tuple) or not all(isinstance(text, str) for text in method.departures):
        yield f"has the departures {quoted(method.departures)}, expected a tuple of texts"
    if not (inspect.isclass(method.Settings) and issubclass(method.Settings, Settings)):
        yield f"has the Settings {quoted(method.Settings)}, expected a class of settings"
    passes = getattr(method, "passes_per_step", 0.0)
    if isinstance(passes, bool) or not isinstance(passes, int | float) or not 0 <= passes < math.inf:
        yield f"has the passes_per_step {quoted(passes)}, expected a number from 0"
    needs = getattr(method, "needs", {})
    if not isinstance(needs, dict) or not all(isinstance(text, str) for text in (*needs, *needs.values())):
        yield f"has the needs {quoted(needs)}, expected a package's name and what pip installs, by texts"


def _is_method(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Variant | Baseline) and "name" in vars(value)


def method(name: str) -> Method:
    """Return one method.

    Raises:
        UserError: there is none of this name.
    """
    known = methods()
    if name not in known:
        raise UserError(f"there is no variant {quoted(name)}, {did_you_mean(name, known)}")
    return known[name]


def variant(name: str) -> type[Variant]:
    """Return one search variant.

    Raises:
        UserError: there is none of this name.
    """
    found = method(name)
    if not issubclass(found, Variant):
        raise UserError(f"{quoted(name)} is a baseline: it stands under baselines in params.yaml, not under variants")
    return found


def baseline(name: str) -> type[Baseline]:
    """Return one baseline.

    Raises:
        UserError: there is none of this name, or a package that it needs is not installed.
    """
    found = method(name)
    if not issubclass(found, Baseline):
        raise UserError(
            f"{quoted(name)} is a search variant: it stands under variants in params.yaml, not under baselines"
        )
    for package, requirement in lacking(found).items():
        raise UserError(f"{name} needs the package {package}: pip install '{requirement}'")
    return found


def lacking(method: type[Baseline]) -> dict[str, str]:
    """Return the packages that a method needs and that are not installed, with what pip installs for each."""
    return {package: requirement for package, requirement in method.needs.items() if find_spec(package) is None}


def settings_of(board: Board, name: str) -> Settings:
    """Return a method's settings on this board, with its defaults where params.yaml is silent.

    Raises:
        UserError: the method is unknown or its settings are invalid.
    """
    found = method(name)
    section = "variants" if issubclass(found, Variant) else "baselines"
    given = getattr(board, section).get(name, {})
    return validate(found.Settings, given, where=f"params.yaml, {section}.{name}")


def made(board: Board, name: str) -> Variant:
    """Return a search variant with its settings on this board, for the chosen protocol.

    Raises:
        UserError: see `variant` and `settings_of`; or the method cannot work under this protocol.
    """
    method, protocol = variant(name), board.chosen
    settings = settings_of(board, name)
    try:
        own = method(settings, protocol)
        # The images say the rest of the shape.
        shape = Shape(protocol.network.channels, protocol.network.cells_per_stage)
        own.supernet_spec(SupernetSpec(shape, operations=protocol.operations))
    except UserError as error:
        raise UserError(f"params.yaml: {name} cannot search under the protocol {board.protocol}: {error}") from None
    return own


def check_board(board: Board) -> None:
    """Check every name and every setting of the board, and each method with its protocol, before anything runs.

    Raises:
        UserError: see `settings_of`, `baseline` and `made`; or the reference is no method.
    """
    if set(board.protocol) & set(".[]"):
        raise UserError(
            f"params.yaml, protocol: DVC finds no name with '.', '[' or ']', as in {quoted(board.protocol)}"
        )
    known = methods()
    if board.reference not in known:
        nearest = did_you_mean(board.reference, known)
        raise UserError(f"params.yaml, reference: there is no variant {quoted(board.reference)}, {nearest}")
    for section, of_kind in (("variants", variant), ("baselines", baseline)):
        for name in getattr(board, section):
            try:
                of_kind(name)
            except UserError as error:
                raise UserError(f"params.yaml, {section}: {error}") from None
    for name in board.variants:
        made(board, name)
    for name in board.baselines:
        settings_of(board, name)
