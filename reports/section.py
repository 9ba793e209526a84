"""What a section of the report consists of. Each module that reports on something returns one; the page renders it."""

from dataclasses import dataclass, field

from reports.drawing.picture import Picture
from reports.tables.table import Table


@dataclass(frozen=True)
class Text:
    """A paragraph of plain text; it is escaped when it is rendered."""

    text: str
    note: bool = False
    """Small print."""
    alarm: bool = False
    """Something that a reader must not miss."""


@dataclass(frozen=True)
class Figures:
    """One picture, or several of which the page shows one at a time, such as one a truth column."""

    pictures: list[tuple[str, Picture]]
    """(label of the tab, picture); a single picture has no tab."""
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """One statement or thing in a few words; empty parts are left out."""

    title: str
    value: str = ""
    """What stands in large letters."""
    lines: tuple[str, ...] = ()
    alarm: bool = False
    """Bad news."""
    drawing: str = ""
    """An SVG element made by this project; it is not escaped."""


@dataclass(frozen=True)
class Cards:
    """Cards side by side, as many in a row as fit."""

    cards: list[Card]


@dataclass(frozen=True)
class Folded:
    """Content that the page shows on demand only."""

    summary: str
    blocks: "list[Text | Figures | Table | Cards]"


Block = Text | Figures | Table | Cards | Folded


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    key: str
    """Anchor on the page: lower-case letters and hyphens."""
    title: str
    short_title: str
    """Name in the page's bar."""
    blocks: list[Block] = field(default_factory=list)
