"""The settings of tables that others measured: true accuracies of cells, and what cells cost on a device."""

from pathlib import Path
from typing import Literal

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from harness.base.errors import did_you_mean, quoted
from harness.settings.validation import PARAMS_FILE, Settings, read_yaml, validate

LONGEST_TRAINING = 1_000_000
"""Epochs of the training of a cell."""

SPLITS_OF = {
    "cifar10-valid": ("valid", "test"),
    "cifar10": ("test",),
    "cifar100": ("valid", "test", "valtest"),
    "ImageNet16-120": ("valid", "test", "valtest"),
}
"""The images that the accuracies of each data set were measured on, see docs/truth.md."""


class AccuracyColumn(Settings):
    """What one column of a table of accuracies holds."""

    data_set: Literal["cifar10-valid", "cifar10", "cifar100", "ImageNet16-120"]
    """The benchmark's key: `cifar10-valid` is trained on half of CIFAR-10's training images, `cifar10` on all."""
    split: Literal["valid", "test", "valtest"]
    """The images the accuracy is measured on."""
    epochs: StrictInt | None = Field(ge=1, le=LONGEST_TRAINING)
    """Length of the training; null where the table's origin does not state it."""

    @model_validator(mode="after")
    def _split_exists(self) -> "AccuracyColumn":
        splits = SPLITS_OF[self.data_set]
        if self.split not in splits:
            hint = " (half of its images are for validation in cifar10-valid)" if self.data_set == "cifar10" else ""
            raise ValueError(f"{self.data_set} has no split {self.split!r}, expected {' or '.join(splits)}{hint}")
        return self


class TruthSettings(Settings):
    """Where the true accuracies come from, see docs/truth.md."""

    source: Literal["analog-nasbench", "nas-bench-201", "nats-bench", "table"]
    path: str | None
    """The official file, the NATS-Bench folder or the table; null for the embedded `analog-nasbench`."""
    cell_column: str | None = None
    """For `table`: its column that names the cell, by official index or by string."""
    columns: dict[str, AccuracyColumn] = Field(default_factory=dict)
    """For `table`: which of its columns holds which accuracies."""
    trial_column: str | None = None
    """For `table`: its column that numbers the trainings of a cell, so that a row is one training, or a mean where
    that field is empty; null where every row is the mean of a cell."""
    seed_column: str | None = None
    """For a `table` of trainings: its column of their seeds; a field that is empty or negative: not known."""
    partial: StrictBool = False
    """Accept a source that lacks cells."""

    @model_validator(mode="after")
    def _source_is_described(self) -> "TruthSettings":
        if self.path is None and self.source != "analog-nasbench":
            raise ValueError(f"the source {self.source!r} needs a path")
        if self.source == "table" and (self.cell_column is None or not self.columns):
            raise ValueError("the source 'table' needs the keys cell_column and columns")
        if self.source != "table" and (self.cell_column is not None or self.columns):
            raise ValueError("cell_column and columns belong to the source 'table', and to no other")
        if self.source != "table" and (self.trial_column is not None or self.seed_column is not None):
            raise ValueError("trial_column and seed_column belong to the source 'table', and to no other")
        if self.seed_column is not None and self.trial_column is None:
            raise ValueError("seed_column needs trial_column: only a table with a row a training has their seeds")
        return self

    @model_validator(mode="after")
    def _columns_differ(self) -> "TruthSettings":
        if self.cell_column in self.columns:
            raise ValueError(f"the column {quoted(self.cell_column)} names the cells, so it can hold no accuracies")
        for key in ("trial_column", "seed_column"):
            name = getattr(self, key)
            if name is not None and name in (self.cell_column, *self.columns):
                raise ValueError(f"{key}: the column {quoted(name)} holds the cells or accuracies, expected another")
        held: dict[tuple[str, str, int | None], str] = {}
        for name, column in self.columns.items():
            other = held.setdefault((column.data_set, column.split, column.epochs), name)
            if other != name:
                raise ValueError(f"the columns {quoted(other)} and {quoted(name)} claim to hold the same accuracies")
        return self


class CostColumnSettings(Settings):
    """What one column of a table of costs holds."""

    label: str = Field(min_length=1, max_length=60)
    """What it is called, such as `latency on an edge GPU`."""
    unit: str = Field(min_length=1, max_length=20)
    unknown: float | None = None
    """The number that stands for `not measured`; an empty field always does."""

    @field_validator("label", "unit")
    @classmethod
    def _can_be_read(cls, text: str) -> str:
        if not text.strip() or not text.isprintable():
            raise ValueError("expected letters in one line")
        return text


class CostSettings(Settings):
    """What a cell costs on a device, see docs/truth.md."""

    path: str
    """A CSV or Parquet file with a row a cell."""
    cell_column: str
    """Its column that names the cell, by official index or by string."""
    rows: dict[str, str | StrictInt] = Field(default_factory=dict)
    """Of a file that holds several tables one below the other: only rows with these values in these columns count."""
    columns: dict[str, CostColumnSettings] = Field(min_length=1)
    """Which of its columns are costs."""
    shown: str | None = None
    """The one that the report draws accuracy against; null for the first."""

    @model_validator(mode="after")
    def _columns_fit(self) -> "CostSettings":
        if self.shown is not None and self.shown not in self.columns:
            raise ValueError(
                f"shown: there is no column {quoted(self.shown)}, {did_you_mean(self.shown, self.columns)}"
            )
        for name in (self.cell_column, *self.rows):
            if name in self.columns:
                raise ValueError(f"the column {quoted(name)} tells which row it is, so it can hold no costs")
        held: dict[str, str] = {}
        for name, column in self.columns.items():
            other = held.setdefault(column.label, name)
            if other != name:
                raise ValueError(f"the columns {quoted(other)} and {quoted(name)} have one label, expected two")
        return self

    @property
    def chosen(self) -> str:
        """The column that the report draws accuracy against."""
        return self.shown or next(iter(self.columns))


def load_costs(path: Path = PARAMS_FILE) -> CostSettings | None:
    """Read the key `costs` of params.yaml alone, for whoever needs no more of it.

    Raises:
        UserError: the file is missing or no YAML, or the key holds something else.
    """
    content = read_yaml(path)
    costs = content.get("costs") if isinstance(content, dict) else None
    return None if costs is None else validate(CostSettings, costs, where=f"{path}, costs")
