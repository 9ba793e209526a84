"""Costs of cells on a device: read from a table of others, in results/, and in `dartsboard cell`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from harness.base.errors import UserError
from harness.board.lookup import look_up
from harness.board.sources import changed_sources, write_sources
from harness.cli import main
from harness.results.folder import load_results
from harness.settings.protocol import load_board
from harness.settings.tables import CostSettings, load_costs
from harness.settings.validation import validate
from harness.space.cell import ALL_SKIP, CELL_COUNT, Cell
from harness.truth.cell_costs import cost_columns, describe_costs, read_costs
from tests.conftest import tiny_params, write_params
from tests.reports.simulate import embedded_truth

LATENCY = {"label": "latency on a phone", "unit": "ms"}
SETTINGS: dict[str, Any] = {
    "path": "costs.csv",
    "cell_column": "cell",
    "columns": {"energy": {"label": "energy on a phone", "unit": "mJ"}, "latency": {**LATENCY, "unknown": -1}},
    "shown": "latency",
}


def table(**changes: Any) -> pd.DataFrame:
    """Costs that tell their cell, in an order of their own; of cell 7 the latency was not measured."""
    cells = np.arange(CELL_COUNT)[::-1]
    latency = np.where(cells == 7, -1.0, cells / 1000)
    return pd.DataFrame({"cell": cells, "energy": cells * 2.0, "latency": latency, **changes})


def written(content: pd.DataFrame, name: str = "costs.csv") -> None:
    content.to_csv(name, index=False) if name.endswith("csv") else content.to_parquet(name)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**changes: Any) -> CostSettings:
    return validate(CostSettings, {**SETTINGS, **changes}, where="params.yaml, costs")


def refused(content: pd.DataFrame, **changes: Any) -> str:
    written(content)
    with pytest.raises(UserError) as caught:
        read_costs(settings(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["costs.csv", "costs.parquet"])
def test_every_cell_has_its_own_costs(name: str) -> None:
    written(table(), name)
    costs = read_costs(settings(path=name))
    assert costs.index.tolist() == list(range(CELL_COUNT))
    assert costs["energy"].tolist() == (2.0 * np.arange(CELL_COUNT)).tolist()
    assert np.flatnonzero(costs["latency"].isna()).tolist() == [7]
    found = cost_columns(costs, pd.Series([15624.0, np.nan, 7.0], index=[5, 6, 8]))
    assert found.index.tolist() == [5, 6, 8]
    assert found["cost/energy"].fillna(-9).tolist() == [31248.0, -9, 14.0]
    assert found["cost/latency"].fillna(-9).tolist() == [15.624, -9, -9]


def test_cells_may_be_named_by_their_strings() -> None:
    content = table()
    written(content.assign(cell=[str(Cell.from_index(index)) for index in content["cell"]]))
    assert read_costs(settings())["energy"].iloc[1835] == 3670


def test_rows_choose_among_tables_below_each_other() -> None:
    both = pd.concat([table().assign(data_set="cifar10"), table(energy=1.0).assign(data_set="cifar100")])
    assert "cell 15624 stands twice, expected one row a cell: choose its rows with costs.rows" in refused(both)
    assert set(read_costs(settings(rows={"data_set": "cifar100"}))["energy"]) == {1.0}
    said = refused(both, rows={"data_set": "cifar-100"})
    assert "costs.csv has no row with 'cifar-100' in the column 'data_set', but: cifar10, cifar100" in said


@pytest.mark.parametrize("name", ["costs.csv", "costs.parquet"])
def test_a_file_has_not_any_number_of_tables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.truth.cell_costs.MOST_TABLES", 2)
    written(pd.concat([table().assign(data_set=number) for number in range(3)]), name)
    with pytest.raises(UserError, match=f"{name} has more rows than 2 rows of each of the 15,625 cells"):
        read_costs(settings(path=name, rows={"data_set": 1}))


def test_a_message_names_the_row_of_the_file() -> None:
    first, second = table().assign(data_set="cifar10"), table().assign(data_set="cifar100")
    chosen = {"rows": {"data_set": "cifar100"}}
    row = f"row {CELL_COUNT + 1}: "
    wrong = {"energy": -5.0, "cell": 15_625}
    for name, value in wrong.items():
        second_wrong = second.astype({name: object})
        second_wrong.iloc[0, second.columns.get_loc(name)] = value
        assert row in refused(pd.concat([first, second_wrong]), **chosen), name
    assert row in refused(pd.concat([first, second.assign(energy="dear")]), **chosen)


@pytest.mark.parametrize("text", ["01", "true", "NA", "nan", "1", "1.0", ""])
def test_rows_are_chosen_by_what_stands_in_the_file(text: str) -> None:
    other = "" if text else "1"
    both = pd.concat([table().assign(version=text), table(latency=9.0).assign(version=other)])
    written(both)
    assert read_costs(settings(rows={"version": text})).loc[3, "latency"] == 0.003
    said = refused(both, rows={"version": "2"})
    assert said.endswith(f"has no row with '2' in the column 'version', but: {text or 'nothing'}, {other or 'nothing'}")


def test_rows_of_parquet_are_chosen_by_whole_numbers_beside_gaps() -> None:
    both = pd.concat([table().assign(version=1), table(latency=9.0).assign(version=None)], ignore_index=True)
    written(both, "costs.parquet")
    assert read_costs(settings(path="costs.parquet", rows={"version": 1})).loc[3, "latency"] == 0.003
    with pytest.raises(UserError, match="but: 1, nothing"):
        read_costs(settings(path="costs.parquet", rows={"version": 2}))


def test_the_column_of_cells_may_choose_rows_too() -> None:
    assert "lacks 15,624 of the 15,625 cells" in refused(table(), rows={"cell": 5})


def test_what_a_table_must_hold() -> None:
    assert "costs.csv lacks 2 of the 15,625 cells, the first is 3" in refused(table().query("cell not in (3, 9)"))
    twice = pd.concat([table(), table().query("cell == 12")])
    assert "cell 12 stands twice, expected one row a cell" in refused(twice)
    renamed = table().rename(columns={"latency": "latencies"})
    assert "has no column 'latency', did you mean 'latencies'?" in refused(renamed)
    below_zero = refused(table(energy=-5.0))
    assert "column 'energy', row 1: the cost is -5, expected 0 or more" in below_zero
    assert "say so with costs.columns.energy.unknown" in below_zero
    assert "column 'energy', row 1: expected a cost, not 'dear'" in refused(table(energy="dear"))
    assert "column 'energy' holds no cost" in refused(table(energy=np.nan))
    Path("costs.csv").unlink()
    with pytest.raises(UserError, match=r"costs\.csv is missing, expected a file"):
        read_costs(settings())


def test_mistakes_in_the_settings_are_one_sentence() -> None:
    with pytest.raises(UserError, match="shown: there is no column 'latencies', did you mean 'latency'"):
        settings(shown="latencies")
    with pytest.raises(UserError, match="the column 'energy' tells which row it is, so it can hold no costs"):
        settings(cell_column="energy")
    with pytest.raises(UserError, match=r"columns\.energy\.units"):
        settings(columns={"energy": {"label": "energy", "units": "mJ"}})
    for text in (" ", "two\nlines", "\x1b[31m"):
        for key in ("label", "unit"):
            with pytest.raises(UserError, match=rf"columns\.latency\.{key}: expected letters in one line"):
                settings(columns={"latency": {**LATENCY, key: text}})


def test_labels_tell_costs_apart() -> None:
    columns = {name: {"label": "latency", "unit": "ms"} for name in ("phone", "edge")}
    with pytest.raises(UserError, match="the columns 'phone' and 'edge' have one label, expected two"):
        settings(columns=columns, shown=None)


def test_the_shown_column_comes_first() -> None:
    described = describe_costs(settings())
    assert list(described) == ["cost/latency", "cost/energy"]
    assert described["cost/latency"] == LATENCY
    assert list(describe_costs(settings(shown=None))) == ["cost/energy", "cost/latency"]


def test_params_without_costs_are_as_they_were() -> None:
    write_params(Path(), tiny_params())
    assert load_costs() is None
    assert load_board().costs is None


def test_costs_reach_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [ALL_SKIP, Cell.from_index(7)]
    monkeypatch.setattr("harness.board.lookup.all_cells", lambda operations: cells)  # all of them take seconds
    written(table())
    write_params(Path(), tiny_params(costs=SETTINGS))
    look_up(load_board(), embedded_truth(), Path("results"))
    loaded = load_results()
    assert [(cost.key, cost.heading) for cost in loaded.costs] == [
        ("cost/latency", "latency on a phone (ms)"),
        ("cost/energy", "energy on a phone (mJ)"),
    ]
    assert loaded.space["cost/energy"].tolist() == [3670.0, 14.0]
    assert {"cost/energy", "cost/latency"} <= set(loaded.runs) & set(loaded.derived)


def test_a_changed_table_or_setting_makes_the_look_up_stale() -> None:
    written(table())
    write_params(Path(), tiny_params(costs=SETTINGS))
    assert changed_sources(load_board()) == ["costs.path: costs.csv is not what `dvc repro` last worked with"]
    write_sources(load_board())
    assert changed_sources(load_board()) == []
    write_params(Path(), tiny_params(costs={**SETTINGS, "shown": "energy"}))
    told = "costs: what params.yaml says of costs.csv is not what `dvc repro` last worked with"
    assert changed_sources(load_board()) == [told]
    write_sources(load_board())
    written(table(energy=1.0))
    assert len(changed_sources(load_board(), "costs")) == 1
    assert changed_sources(load_board(), "truth") == []
    write_sources(load_board())
    Path("costs.csv").unlink()  # a clone need not have it
    assert changed_sources(load_board()) == []
    write_params(Path(), tiny_params(costs=SETTINGS))
    assert changed_sources(load_board()) == [told]


def test_the_command_shows_what_a_cell_costs() -> None:
    written(table())
    write_params(Path(), tiny_params(costs=SETTINGS))
    shown = CliRunner().invoke(main, ["cell", "7"])
    assert "  energy on a phone: 14 mJ\n  latency on a phone: not measured\n" in shown.output
    content = json.loads(CliRunner().invoke(main, ["cell", "1835", "--json"]).output)
    assert content["costs"]["latency"] == {"label": "latency on a phone", "value": 1.835, "unit": "ms"}


def test_the_command_ends_with_one_sentence_where_the_table_is_wrong() -> None:
    written(table().query("cell != 3"))
    write_params(Path(), tiny_params(costs=SETTINGS))
    answer = CliRunner().invoke(main, ["cell", "7"])
    assert answer.exit_code == 2
    assert "costs.csv lacks 1 of the 15,625 cells, the first is 3" in answer.stderr
    assert answer.stdout == ""


def test_a_cell_is_described_outside_of_any_project() -> None:
    assert "costs" not in json.loads(CliRunner().invoke(main, ["cell", "7", "--json"]).output)


def test_the_published_table_is_read(reference_data: Path) -> None:
    path = str(reference_data / "hw-nas-bench-costs.parquet")
    columns = {"edgegpu_latency": LATENCY, "edgetpu_latency": {"label": "on a TPU", "unit": "ms", "unknown": -1}}
    wanted = {"path": path, "cell_column": "cell_index", "rows": {"data_set": "cifar10"}, "columns": columns}
    costs = read_costs(settings(**wanted, shown=None))
    assert costs["edgegpu_latency"].iloc[0] == pytest.approx(5.807418)
    assert costs["edgegpu_latency"].min() == pytest.approx(0.501385)
    assert costs["edgetpu_latency"].isna().any()
