"""What a cell costs on a device: columns of a table that somebody measured, such as HW-NAS-Bench's (Li et al. 2021).

A cost is no accuracy, but it comes the same way: a file of others with a row a cell, described in params.yaml.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype

from harness.base.errors import UserError, quoted
from harness.base.files import file_checksum, named_path
from harness.settings.tables import CostSettings
from harness.space.cell import CELL_COUNT, Cell
from harness.truth.table_reading import column_numbers, read_table, table_cells

MOST_TABLES = 50
"""That a file may hold one below the other, such as one a data set; `costs.rows` chooses among them."""


def read_costs(settings: CostSettings) -> pd.DataFrame:
    """Return the costs of all cells: index official index, a column a column of the settings; NaN: not measured.

    Raises:
        UserError: the file is missing or damaged, lacks a column or a cell, or has a cell twice.
    """
    path = named_path(settings.path)
    file_checksum(path)  # says what is wrong where it is no file
    wanted = list(dict.fromkeys([*settings.rows, *settings.columns]))
    table = read_table(path, settings.cell_column, wanted, MOST_TABLES, texts=settings.rows.keys())
    table = _chosen_rows(table, settings, path)
    cells = pd.Series(table_cells(table[settings.cell_column], path), dtype="int64")
    _check_cells(cells, settings, path)
    costs = pd.DataFrame({name: _costs(table, name, settings, path) for name in settings.columns})
    return costs.set_axis(pd.Index(cells, name="cell_index")).sort_index()


def cost_columns(costs: pd.DataFrame, cells: pd.Series) -> pd.DataFrame:
    """Return the columns `cost/NAME` for official indices; NaN where there is no cell, or no measurement."""
    known = cells.notna().to_numpy()
    found = pd.DataFrame(np.nan, index=cells.index, columns=[f"cost/{name}" for name in costs])
    found.loc[known, :] = costs.loc[cells[known].astype("int64")].to_numpy()
    return found


def describe_costs(settings: CostSettings) -> dict[str, dict[str, str]]:
    """Return label and unit of each column `cost/NAME`; the one that the report shows comes first."""
    order = sorted(settings.columns.items(), key=lambda item: item[0] != settings.chosen)
    return {f"cost/{name}": {"label": column.label, "unit": column.unit} for name, column in order}


def costs_of(settings: CostSettings, cell: Cell) -> dict[str, dict[str, Any]]:
    """Return what one cell costs, ready for JSON: label, value (None: not measured) and unit of each column."""
    values = read_costs(settings).loc[cell.index].to_dict()
    return {
        name: {"label": column.label, "value": None if np.isnan(values[name]) else values[name], "unit": column.unit}
        for name, column in settings.columns.items()
    }


def _chosen_rows(table: pd.DataFrame, settings: CostSettings, path: Path) -> pd.DataFrame:
    """Return the rows that `costs.rows` chooses; the index stays that of the file, for messages that name a row."""
    for name, value in settings.rows.items():
        held = _texts(table[name])
        if not (held == str(value)).any():
            values = ", ".join(text or "nothing" for text in held.unique()[:10])
            raise UserError(f"{path} has no row with {quoted(value)} in the column {quoted(name)}, but: {values}")
        table = table[(held == str(value)).to_numpy()]
    return table


def _texts(values: pd.Series) -> pd.Series:
    """Return what fields hold as text without the spaces around it; an empty field is an empty one."""
    if is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # whole numbers, which a gap among them made others
    return values.astype(object).where(values.notna(), "").map(str).str.strip()


def _check_cells(cells: pd.Series, settings: CostSettings, path: Path) -> None:
    repeated = cells[cells.duplicated()]
    if len(repeated):
        hint = "choose its rows with costs.rows" if not settings.rows else f"with costs.rows {settings.rows}"
        raise UserError(f"{path}: cell {repeated.iloc[0]} stands twice, expected one row a cell: {hint}")
    missing = sorted(set(range(CELL_COUNT)) - set(cells))
    if missing:
        raise UserError(
            f"{path} lacks {len(missing):,} of the {CELL_COUNT:,} cells, the first is {missing[0]}: complete it; "
            "of a cell that was not measured the field stays empty"
        )


def _costs(table: pd.DataFrame, name: str, settings: CostSettings, path: Path) -> pd.Series:
    where = f"{path}, column {quoted(name)}"
    costs = column_numbers(table[name], where, "a cost").astype("float64")
    if settings.columns[name].unknown is not None:
        costs = costs.mask(costs == settings.columns[name].unknown)
    wrong = costs[(costs < 0) | np.isinf(costs)]
    if len(wrong):
        raise UserError(
            f"{where}, row {wrong.index[0] + 1}: the cost is {wrong.iloc[0]:g}, expected 0 or more; if that stands for "
            f"`not measured`, say so with costs.columns.{name}.unknown"
        )
    if costs.isna().all():
        raise UserError(f"{where} holds no cost")
    return costs
