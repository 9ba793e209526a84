"""Sentences whose numbers are entries of a table, so that no number in a text can differ from the report's tables."""

from dataclasses import dataclass, field

import pandas as pd

COLUMNS = ("quantity", "variant", "value", "from")


@dataclass(frozen=True)
class Number:
    """A number in a sentence, and the row of the table of facts that it is."""

    quantity: str
    variant: str
    """The variant it belongs to; empty for the whole board."""
    value: float
    form: str
    """How it is written: a format specification of Python's."""

    def __str__(self) -> str:
        return format(round(self.value) if self.form.endswith("d") else self.value, self.form)


@dataclass(frozen=True)
class Name:
    """A name in a sentence: of a variant, a data set, an operation. Its digits are no numbers."""

    text: str

    def __str__(self) -> str:
        return self.text


Sentence = tuple[str | Number | Name, ...]
"""Parts that are joined without spaces; the digits of a sentence stand in numbers and names alone."""


def text(sentence: Sentence) -> str:
    """Return the sentence as people read it."""
    return "".join(str(part) for part in sentence)


@dataclass
class Facts:
    """The table of facts, which grows as sentences ask for numbers."""

    rows: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)

    def number(self, quantity: str, value: float, origin: str, form: str = ",d", variant: str = "") -> Number:
        """Return a number for a sentence and note it in the table.

        Args:
            quantity: what it is.
            value: the number, not rounded.
            origin: what it is computed from, such as `runs.csv`.
            form: how the sentence writes it.
            variant: the variant it belongs to.

        Raises:
            ValueError: the quantity stands in the table with another value.
        """
        row = (float(value), origin)
        if self.rows.setdefault((quantity, variant), row) != row:
            raise ValueError(f"two facts are named {quantity!r} {variant!r}")
        return Number(quantity, variant, float(value), form)

    def frame(self) -> pd.DataFrame:
        """Return the table: columns `COLUMNS`, in the order in which the sentences asked."""
        rows = [(quantity, variant, *row) for (quantity, variant), row in self.rows.items()]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})
