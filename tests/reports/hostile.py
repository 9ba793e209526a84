"""Texts that do harm wherever they are not escaped, in every place that a text of somebody else can come from."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from harness.search.variant import Variant
from harness.settings.protocol import Board

PLACES = (
    *(
        "variant",
        "protocol",
        "data path",
        "split file",
        "reason",
        "processor",
        "truth file",
        "truth source",
        "truth table",
    ),
    *("hardware", "version", "revision", "unknown setting", "message of MLflow"),
    *("citation", "axis", "departure", "first line", "setting", "meaning"),
)


def hostile(place: str) -> str:
    """A text that tells its place when it is run, and when it is shown."""
    number = f"alert({PLACES.index(place)})"
    return (
        f"<script>{number}</script>\"><img src=x onerror={number}>'><svg onload={number}> ../ | `c` *b* "
        f"[l](javascript:{number}) </style></title> $x_1$ & \\end{{document}} {{{{ 7 * 191 }}}}"
    )


class Foreign(Variant):
    """A method of somebody else's package, under a name of ours."""

    name = "darts"
    citation = hostile("citation")
    axis = hostile("axis")
    departures = (hostile("departure"),)

    class Settings(Variant.Settings):
        settings_of: int = 0
        text: str = Field(default=hostile("setting"), description=hostile("meaning"))


Foreign.__doc__ = hostile("first line")


def poisoned(board: Board, results: Path) -> Board:
    """Put hostile texts into the results, and return the board with hostile texts in its params."""
    _change(results / "truth.json", {name: hostile(f"truth {name}") for name in ("file", "source", "table")})
    facts = {"hardware": hostile("hardware"), "git_revision": hostile("revision")}
    _change(results / "provenance.json", facts | {"versions": {"torch": hostile("version")}})
    runs = pd.read_parquet(results / "runs.parquet")
    runs.assign(processor=hostile("processor")).to_parquet(results / "runs.parquet")
    content = board.model_dump()
    data = content["protocols"][board.protocol]["data"]
    data |= {"name": "folder", "path": hostile("data path")}
    data["split"] = {"kind": "file", "file": hostile("split file")}
    content["variants"][hostile("variant")] = {"text": hostile("unknown setting")}
    return Board.model_validate(content)


def _change(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
