"""The folder `results/` of the look-up stage as tidy data frames, read and checked, for the report and notebooks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.base.errors import UserError
from harness.base.files import read_json
from harness.base.parquet import read_parquet
from harness.base.versions import check_version
from harness.records.record import EPOCH_COLUMNS, FINISHED
from harness.results.columns import CELL_MEASURES, READABLE_VERSIONS, RESULTS
from harness.space.cell import OPERATIONS, Cell
from harness.truth.columns import NOISE_FLOOR, SPREADS, rank, spread_key

RUN_TEXTS = (
    "variant", "kind", "strategy", "status", "reason", "cell", "canonical", "fingerprint", "device", "processor",
    "deterministic",
)  # fmt: skip
RUN_NUMBERS = (
    "seed", "epochs", "cell_index", *CELL_MEASURES, "seconds", "diagnostics_seconds", "peak_memory_bytes",
    "forward_backward_passes", "threads",
)  # fmt: skip
ALPHA_TEXTS, ALPHA_NUMBERS = ("variant", "cells", "edge", "operation"), ("seed", "epoch", "alpha", "weight")
DERIVED_TEXTS, DERIVED_NUMBERS = ("variant", "kind", "rule", "cell"), ("seed",)
DRAW_TEXTS, DRAW_NUMBERS = ("variant", "kind", "cell"), ("seed", "count")
LANDMARK_TEXTS, LANDMARK_NUMBERS = ("name", "cell"), ("cell_index",)
EPOCH_TEXTS = ("variant", "kind", "cell")
EPOCH_NUMBERS = (
    "seed", *(column for column in EPOCH_COLUMNS if column != "cell"), "cell_index", *CELL_MEASURES, "train_valid_gap",
)  # fmt: skip
COLLAPSE_TEXTS, COLLAPSE_NUMBERS = ("variant", "kind", "criterion"), ("seed", "epoch", "epochs")
ONE_SHOT_TEXTS, ONE_SHOT_NUMBERS = ("variant",), ("seed", "epoch", "cell_index", "accuracy")
RANK_TEXTS = ("variant", "column")
RANK_NUMBERS = ("seed", "epoch", "cells", "kendall", "spearman", "kendall_best_fifth", "precision_at_10")
SPACE_TEXTS, SPACE_NUMBERS = ("cell", "canonical"), ("cell_index", *CELL_MEASURES)
TRAINING_TEXTS, TRAINING_NUMBERS = ("column",), ("cell_index", "trial", "training_seed", "accuracy")


@dataclass(frozen=True)
class TruthColumn:
    """One column of true accuracies, and how all cells of the space are distributed in it. All in percent."""

    key: str
    """Column name, `truth/<data set>/<split>`."""
    label: str
    epochs: int | None
    """Epochs each cell was trained for; None where the source does not say."""
    mean: float
    sd: float
    median: float
    best: float
    best_cell: str
    quantiles: tuple[float, ...]
    """The 0th to 100th percentile over all cells, 101 numbers; empty where the source has none."""

    @property
    def percentile_key(self) -> str:
        """The column that holds the percentile among all cells."""
        return "percentile/" + self.key.removeprefix("truth/")

    @property
    def noise(self) -> float | None:
        """`NOISE_FLOOR` of the column; None where it was not measured."""
        return NOISE_FLOOR.get(self.key)

    @property
    def slug(self) -> str:
        """Form of the name for file names."""
        return self.key.removeprefix("truth/").replace("/", "-")


@dataclass(frozen=True)
class CostColumn:
    """One column of what cells cost on a device."""

    key: str
    """Column name, `cost/NAME`."""
    label: str
    unit: str

    @property
    def heading(self) -> str:
        """Label with its unit."""
        return f"{self.label} ({self.unit})"


@dataclass(frozen=True)
class Results:
    """The results of a board as tidy tables; `RESULT_COLUMNS` has what each column means."""

    runs: pd.DataFrame
    """A row for every run of the board, without a result too."""
    epochs: pd.DataFrame
    """A row for every run and epoch (of a baseline: evaluation): the argmax cell, its truth, and the diagnostics."""
    alpha: pd.DataFrame
    """A row for every search, epoch, edge and operation: alpha and the op weight."""
    derived: pd.DataFrame
    """A row for every run and derivation rule: rule, cell and the truth columns."""
    draws: pd.DataFrame
    """A row for every run and cell drawn from its final op weights: cell, count and the truth columns."""
    collapse: pd.DataFrame
    """A row for every search and criterion of collapse, see harness/space/collapse.py."""
    one_shot: pd.DataFrame
    """A row for every search, measured epoch and cell of the fixed list: one-shot accuracy and the truth columns."""
    rank_correlation: pd.DataFrame
    """A row for every search, measured epoch and truth column, see harness/statistics/rank_correlation.py."""
    space: pd.DataFrame
    """A row for every cell of the space, with its measures and the truth columns."""
    landmarks: pd.DataFrame
    """A row for every cell that takes no search: name, cell and the truth columns."""
    trainings: pd.DataFrame
    """A row for every single training, in each truth column, of the cells that runs ended in and of the landmarks."""
    columns: tuple[TruthColumn, ...]
    """The truth columns; the first is the one the report ranks by."""
    cell_count: int
    truth_source: dict[str, Any]
    missing_columns: tuple[str, ...]
    provenance: dict[str, Any]
    costs: tuple[CostColumn, ...] = ()
    """What cells cost on a device; the first is the one the report draws accuracy against."""

    @property
    def operations(self) -> tuple[str, ...]:
        """What an edge chooses from, in this space."""
        return tuple(self.provenance.get("operations", OPERATIONS))

    @property
    def finished(self) -> pd.DataFrame:
        """The runs that ended with a result."""
        return self.runs[self.runs["status"].isin(FINISHED)]

    @property
    def main(self) -> TruthColumn:
        """The truth column the report ranks by."""
        return self.columns[0]

    @property
    def truth_name(self) -> str:
        """Which table of true accuracies it is, with its version where that is known."""
        source = self.truth_source
        return str(source["table"] or (source["file"] if source["source"] == "table" else source["source"]))


def load_results(folder: Path | str = RESULTS) -> Results:
    """Read the folder that `dvc repro lookup` writes.

    Raises:
        UserError: it was written by another version, or a file or a column is missing or damaged.
    """
    folder = Path(folder)
    truth = _read_json(folder / "truth.json", required=("source", "cells", "columns"))
    provenance = _read_json(folder / "provenance.json", required=())
    # Folders of before the key are of the first version.
    check_version(folder, provenance.get("schema_version", 1), READABLE_VERSIONS, again="run the look-up stage again")
    operations = provenance.get("operations", list(OPERATIONS))
    if not isinstance(operations, list) or not all(operation in OPERATIONS for operation in operations):
        known = ", ".join(OPERATIONS)
        raise UserError(f"{folder / 'provenance.json'} is damaged: operations, expected some of {known}")
    if type(truth["cells"]) is not int or not isinstance(truth["columns"], dict):
        raise UserError(f"{folder / 'truth.json'} is damaged: expected a number of cells, and columns by name")
    missing_columns = truth.get("missing_columns", [])
    if not isinstance(missing_columns, list) or not all(isinstance(label, str) for label in missing_columns):
        raise UserError(f"{folder / 'truth.json'} is damaged: missing_columns, expected a list of labels")
    columns = tuple(_truth_column(folder, key, content) for key, content in truth["columns"].items())
    if not columns:
        raise UserError(f"{folder / 'truth.json'} has no truth column, expected at least one under 'columns'")
    costs = _cost_columns(folder, truth.get("costs", {}))
    keys = tuple(column.key for column in columns)
    priced = tuple(cost.key for cost in costs)
    percentile_keys = tuple(column.percentile_key for column in columns)
    spread_keys = tuple(spread_key(name, key) for name in SPREADS for key in keys)
    run_numbers = (*RUN_NUMBERS, *keys, *percentile_keys, *spread_keys, *priced)
    runs = _read_table(folder / "runs.parquet", RUN_TEXTS, run_numbers)
    if runs.empty:
        raise UserError(f"{folder / 'runs.parquet'} has no run: name variants or baselines and seeds in params.yaml")
    columns = tuple(sorted(columns, key=lambda column: rank(column.key)))
    return Results(
        runs=runs,
        epochs=_read_table(folder / "epochs.parquet", EPOCH_TEXTS, (*EPOCH_NUMBERS, *keys)),
        alpha=_read_table(folder / "alpha.parquet", ALPHA_TEXTS, ALPHA_NUMBERS),
        derived=_read_table(folder / "derived.parquet", DERIVED_TEXTS, (*DERIVED_NUMBERS, *keys, *priced)),
        draws=_read_table(folder / "draws.parquet", DRAW_TEXTS, (*DRAW_NUMBERS, *keys)),
        collapse=_read_table(folder / "collapse.parquet", COLLAPSE_TEXTS, COLLAPSE_NUMBERS),
        one_shot=_read_table(folder / "one_shot.parquet", ONE_SHOT_TEXTS, (*ONE_SHOT_NUMBERS, *keys)),
        rank_correlation=_read_table(folder / "rank_correlation.parquet", RANK_TEXTS, RANK_NUMBERS),
        space=_read_table(folder / "space.parquet", SPACE_TEXTS, (*SPACE_NUMBERS, *keys, *spread_keys, *priced)),
        landmarks=_read_table(folder / "landmarks.parquet", LANDMARK_TEXTS, (*LANDMARK_NUMBERS, *keys, *spread_keys)),
        trainings=_read_table(folder / "trainings.parquet", TRAINING_TEXTS, TRAINING_NUMBERS),
        columns=columns,
        cell_count=truth["cells"],
        truth_source={key: truth.get(key) for key in ("source", "table", "told_by", "file", "sha256", "cells")},
        missing_columns=tuple(missing_columns),
        provenance=provenance,
        costs=costs,
    )


def _truth_column(folder: Path, key: str, content: dict[str, Any]) -> TruthColumn:
    try:
        epochs = content["epochs"]
        return TruthColumn(
            key=key,
            label=str(content["label"]),
            epochs=None if epochs is None else int(epochs),
            mean=float(content["mean"]),
            sd=float(content["sd"]),
            median=float(content["median"]),
            best=float(content["best"]),
            best_cell=str(Cell.from_string(str(content["best_cell"]))),
            quantiles=tuple(float(value) for value in content.get("quantiles") or ()),
        )
    except (KeyError, TypeError, ValueError, OverflowError, UserError) as error:
        raise UserError(f"{folder / 'truth.json'}: columns.{key} is incomplete: {error}") from None


def _cost_columns(folder: Path, content: Any) -> tuple[CostColumn, ...]:
    try:
        return tuple(CostColumn(key, str(cost["label"]), str(cost["unit"])) for key, cost in content.items())
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{folder / 'truth.json'}: costs is damaged, expected label and unit by column") from None


def _read_json(path: Path, required: tuple[str, ...]) -> dict[str, Any]:
    content = read_json(path, again=": run the look-up stage first")
    for key in required:
        if key not in content:
            raise UserError(f"{path} lacks the key {key!r}")
    return content


def _read_table(path: Path, texts: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    table = read_parquet(path, again=": run the look-up stage")
    missing = [column for column in (*texts, *numbers) if column not in table.columns]
    # A board without a search has an empty table of alphas, which may lack its columns.
    if missing and not table.empty:
        raise UserError(f"{path} lacks the column {missing[0]!r}")
    try:
        table = table.reindex(columns=[*table.columns, *missing])
        # A column without any value has no type of its own in a file.
        return table.astype({column: int if column == "seed" and len(table) else float for column in numbers})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} holds text where numbers belong: {error}") from None
