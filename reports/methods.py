"""What each method says of itself: its class's first line, its paper, its departures from it, its settings."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from harness.base.errors import UserError
from harness.search import registry
from harness.settings.protocol import Board

Setting = tuple[str, str, str]
"""Key, value and meaning."""


@dataclass(frozen=True)
class Description:
    """A method of the board; texts are empty where it is not installed."""

    name: str
    summary: str
    axis: str
    strategy: str
    citation: str
    departures: tuple[str, ...]
    settings: list[Setting]
    is_installed: bool = True


def describe(board: Board, name: str) -> Description:
    """Return what a method says of itself, and its settings on this board with its defaults.

    A method that is not installed here, or no longer takes these settings, is described by params.yaml alone.
    """
    try:
        method = registry.method(name)
        settings = list(flatten(registry.settings_of(board, name)))
    except UserError:
        given = {**board.variants, **board.baselines}.get(name, {})
        return Description(name, "", "", "", "", (), [(key, plain(value), "") for key, value in given.items()], False)
    documentation = inspect.cleandoc(method.__doc__ or "").partition("\n")[0]
    return Description(
        name=name,
        summary=documentation,
        axis=method.axis,
        strategy=method.strategy,
        citation=method.citation,
        departures=method.departures,
        settings=settings,
    )


def flatten(settings: BaseModel, prefix: str = "") -> Iterator[Setting]:
    """Yield (key, value, what it means) of settings, with the keys of nested ones joined by dots."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(value), " ".join((field.description or "").replace("`", "").split())


def plain(value: Any) -> str:
    """Return a setting as params.yaml writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(item) for item in value) + "]"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    return str(value)
