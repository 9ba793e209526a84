"""The registered methods by family: what each changes, what it should cost, and whether papers have its numbers."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from harness.base.errors import in_one_line
from harness.board.costs import PUBLISHED_LENGTH, relative_cost
from harness.board.published import published_methods
from harness.search import registry
from harness.search.variant import Variant
from harness.settings.strategy import FAMILIES, Family

WIDTH = 100
"""Letters of a line."""
COST = f"passes of a search of {PUBLISHED_LENGTH.epochs} published epochs with default settings, DARTS = 1"
"""What the cost of a method is."""


@dataclass(frozen=True)
class Entry:
    """What lists say of a method."""

    name: str
    family: Family
    axis: str
    passes_per_step: float | None
    """Forward-backward passes; None where no network is trained."""
    cost: float | None
    """See `COST`; None where no network is trained."""
    published: bool
    """Whether accuracies on NAS-Bench-201 are among the published ones, see docs/statistics.md."""
    citation: str


def by_family() -> dict[Family, list[Entry]]:
    """Return all registered methods, families and names in the order of lists; no family is empty.

    Raises:
        UserError: a method cannot be imported or described.
    """
    published = published_methods()
    entries = [_entry(name, method, name in published) for name, method in registry.methods().items()]
    found = {family: [entry for entry in entries if entry.family == family] for family in FAMILIES}
    return {family: members for family, members in found.items() if members}


def _entry(name: str, method: registry.Method, published: bool) -> Entry:
    passes = method.passes_per_step if issubclass(method, Variant) else None
    return Entry(name, method.family, method.axis, passes, relative_cost(method), published, method.citation)


def lines() -> Iterator[str]:
    """Yield the list as people read it, `WIDTH` letters wide as far as names allow."""
    families = by_family()
    width = max(len(entry.name) for members in families.values() for entry in members)
    yield from textwrap.wrap(f"cost: {COST}; rows: whether accuracies on NAS-Bench-201 are published.", WIDTH)
    for family, members in families.items():
        yield ""
        yield f"{family.upper()}: {FAMILIES[family][0].lower()}{FAMILIES[family][1:]}"
        yield f"  {'method':{width}}  {'cost':>5}  rows  what it changes"
        for entry in members:
            begin = f"  {entry.name:{width}}  {cost(entry):>5}  {'yes' if entry.published else '-':4}  "
            indent = " " * len(begin)
            axis = in_one_line(entry.axis) or "-"
            yield from textwrap.wrap(axis, WIDTH, initial_indent=begin, subsequent_indent=indent)


def cost(entry: Entry) -> str:
    """Return the cost of a method with three digits, `-` where it trains no network."""
    return "-" if entry.cost is None else f"{entry.cost:.3g}"
