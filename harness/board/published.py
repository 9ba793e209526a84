"""Published NAS-Bench-201 accuracies, to stand beside ours: facts with their origin, in `published.csv`."""

import csv
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.base.errors import UserError
from harness.settings.validation import validate
from harness.truth.table import REPORT_COLUMNS

PUBLISHED_FILE = Path(__file__).with_name("published.csv")

READ, RECOMPUTED, MEMORY = "read in text", "recomputed from the listed cells", "from memory, not verified"

KEY = ["method", "protocol", "data_set", "split"]


class Row(BaseModel):
    """One published accuracy. An empty field of the file is None: the source does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: str
    """As the source calls it; (a) and (b) are two rows that papers print under one name."""
    variant: str | None
    """The variant or baseline of Dartsboard that is the same method."""
    data_set: str
    split: str
    mean: float = Field(ge=0, le=100)
    """Percent."""
    sd: float | None = Field(ge=0, le=50)
    """Standard deviation in points."""
    ddof: Literal["0", "1"] | None
    """Divisor of the standard deviation: runs - ddof."""
    seeds: int | None = Field(ge=1)
    protocol: str
    """Whose experiment it is."""
    source: str
    """Where the number was found."""
    verified: Literal["read in text", "recomputed from the listed cells", "from memory, not verified"]
    """How the number is known."""
    note: str | None

    @model_validator(mode="after")
    def _column_exists(self) -> "Row":
        if (self.data_set, self.split) not in REPORT_COLUMNS.values():
            columns = ", ".join(f"{data_set} {split}" for data_set, split in REPORT_COLUMNS.values())
            raise ValueError(f"{self.data_set} {self.split} is no column of the papers, expected one of: {columns}")
        if self.ddof is not None and self.sd is None:
            raise ValueError("ddof is given without sd")
        return self


def read_published(path: Path = PUBLISHED_FILE) -> pd.DataFrame:
    """Return the published accuracies, a row per method, protocol, data set and split, in the file's order.

    Columns as the fields of `Row`: mean and sd are floats, ddof and seeds nullable integers, the rest text, where a
    method that Dartsboard lacks has no variant (NA) and an absent note is empty.

    Raises:
        UserError: the file is missing or no UTF-8 text, a line does not fit `Row`, or two lines are the same row.
    """
    names = list(Row.model_fields)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: it belongs to the project") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if not lines or lines[0] != names:
        raise UserError(f"{path}, line 1: expected the columns {','.join(names)}")
    rows = []
    for number, fields in enumerate(lines[1:], start=2):
        where = f"{path}, line {number}"
        if len(fields) != len(names):
            raise UserError(f"{where}: {len(fields)} fields, expected {len(names)}")
        content = {name: field.strip() or None for name, field in zip(names, fields, strict=True)}
        rows.append(validate(Row, content, where).model_dump())
    return _typed(pd.DataFrame(rows, columns=names), path)


def _typed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    repeated = table.index[table.duplicated(KEY)]
    if len(repeated):
        place = int(repeated[0])
        raise UserError(f"{path}, line {place + 2}: {', '.join(table.iloc[place][KEY])} stands twice")
    numbers = {"mean": "float64", "sd": "float64", "seeds": "Int64"}
    texts = dict.fromkeys(table.columns.difference([*numbers, "ddof"]), "str")
    return table.fillna({"note": ""}).astype(texts | numbers).assign(ddof=pd.to_numeric(table["ddof"]).astype("Int64"))


def published_methods() -> set[str]:
    """Return the methods of Dartsboard that accuracies were published of, by the name that users type."""
    return set(read_published()["variant"].dropna())
