"""Where a run comes from, as MLflow shows it: its command, its commit, the data behind it, and a note to read."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from harness.records.record import Record
from harness.settings.validation import content_hash
from harness.space.cell import SKIP, Cell
from harness.truth.table import REPORT_COLUMNS

NOTE_TAG = "mlflow.note.content"
"""Tag whose text MLflow shows above all else of a run, as Markdown."""

REPORT = Path("reports/generated/report.html")

DIGEST_LETTERS = 8
"""Of a data set, as in MLflow's own."""

NAME_LETTERS = 500
"""Most that MLflow takes of the name of a data set."""


class Input(NamedTuple):
    """Data that a run was made with or is judged by."""

    name: str
    digest: str
    """Of a table it differs when the content does, of images when the settings of `protocol.data` do."""
    place: str
    """A file or folder, or a name."""
    context: str
    """What it is for: search or truth."""


def data_set(record: Record) -> Input | None:
    """Return the images of a search; null for a baseline, which sees none, and for a record that names none."""
    settings = record.protocol_settings.get("data")
    if record.kind != "search" or not isinstance(settings, dict) or not settings.get("name"):
        return None
    place = settings.get("path") or settings["name"]
    return Input(str(settings["name"])[:NAME_LETTERS], content_hash(settings)[:DIGEST_LETTERS], str(place), "search")


def truth_table(description: dict[str, Any]) -> Input | None:
    """Return the table of true accuracies that results/truth.json describes; null if it lacks a name or a checksum."""
    name, checksum = description.get("table") or description.get("source"), description.get("sha256")
    if not name or not isinstance(checksum, str) or not checksum:
        return None
    return Input(str(name)[:NAME_LETTERS], checksum[:DIGEST_LETTERS], str(description.get("file") or name), "truth")


def dataset_inputs(inputs: tuple[Input, ...]) -> list[Any]:
    """Return inputs as MLflow's client takes them."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(found.name, found.digest, source_type="local", source=json.dumps({"uri": found.place})),
            [InputTag("mlflow.data.context", found.context)],
        )
        for found in inputs
    ]


def source_tags(record: Record) -> dict[str, str]:
    """Return the tags of command and commit: MLflow has columns for them."""
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"dartsboard search {record.variant} --seed {record.seed}",
    }
    commit, changes, _ = (record.environment.git_revision or "").partition("+changes")
    if not commit:
        return tags
    return {**tags, "mlflow.source.git.commit": commit, "mlflow.source.git.dirty": "true" if changes else "false"}


def note(record: Record, cell: Cell | None, final_truth: pd.DataFrame, report: str) -> str:
    """Return the note of a run: its cell, what that is worth, and where the report is.

    Args:
        record: of the run.
        cell: its derived cell.
        final_truth: the row of the looked-up runs with its true accuracies in percent; may be empty.
        report: the report's place, as somebody who reads the note can open it.
    """
    lines = [_result(record, cell)]
    if accuracies := _accuracies(final_truth):
        lines.append(f"True accuracy of the cell: {', '.join(accuracies)}")
    return "\n\n".join([*lines, f"Report of the board: {_code(report)}"])


def _result(record: Record, cell: Cell | None) -> str:
    ended = f"The run is {record.status}: {_code(record.reason)}. " if record.reason else ""
    if cell is None:
        return f"{ended}No cell was derived."
    return f"{ended}Derived cell: {_code(str(cell))} (skip connections: {cell.counts[SKIP]}, depth: {cell.depth})"


def _accuracies(final_truth: pd.DataFrame) -> list[str]:
    if final_truth.empty:
        return []
    row = final_truth.iloc[-1]
    columns = {label: f"truth/{data_set}/{split}" for label, (data_set, split) in REPORT_COLUMNS.items()}
    return [f"{label} {row[key]:.2f} %" for label, key in columns.items() if key in row and pd.notna(row[key])]


def _code(text: str) -> str:
    # In a code span Markdown and HTML are only letters; a backtick would end it.
    return f"`{text.replace('`', chr(39))}`"
