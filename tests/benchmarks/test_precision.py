"""What bfloat16 changes: two published boards seed by seed."""

import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.precision import ALL, QUANTITIES, main, outcomes, sentences, side_by_side
from harness.publishing.folder import read_published
from harness.statistics.step_down import step_down_sign_flips
from reports.publish import publish
from tests.benchmarks.pages import quick_page
from tests.conftest import tiny_params
from tests.published import finish_board


@pytest.fixture(scope="module")
def boards(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny board in float32 and one in bfloat16; the second takes over what all cells are, which takes long."""
    made: list[Path] = []
    for precision in ("float32", "bfloat16"):
        folder = tmp_path_factory.mktemp(precision)
        shutil.copytree(prepared, folder, dirs_exist_ok=True)
        with chdir(folder), pytest.MonkeyPatch.context() as patch:
            patch.setattr("reports.drawing.picture._drawn", lambda picture: ("<svg></svg>", b""))
            if made:
                space = pd.read_parquet(made[0] / "results" / "space.parquet")
                patch.setattr("harness.board.lookup._space", lambda columns, operations, space=space: space)
            protocols = tiny_params()["protocols"]
            for protocol in protocols.values():
                protocol["precision"] = precision
            finish_board(variants={"darts": {}}, baselines={}, reference="darts", protocols=protocols)
            made.append((folder / publish("tiny")).resolve())
    return made[0], made[1]


@pytest.fixture(autouse=True)
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards are read without processes of their own."""
    monkeypatch.setattr("harness.publishing.folder.read_limited", lambda read, files: map(read, files))


def table_of(method: str, shift: float, quantity: str = "truth") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Eight seeds of which the second board is higher by the shift, and by a little that differs."""
    index = pd.MultiIndex.from_product([[method], range(8)], names=["variant", "seed"])
    first = pd.DataFrame({name: np.arange(8.0) for name in QUANTITIES}, index=index).assign(cell="a")
    return first, first.assign(**{quantity: first[quantity] + shift + 0.01 * np.arange(8)})


def test_the_page_compares_what_the_boards_say(boards: tuple[Path, Path], tmp_path: Path) -> None:
    page, table = quick_page(main, tmp_path, *map(str, boards))
    assert list(table["what"]) == list(QUANTITIES.values())
    first, second = (outcomes(read_published(board).load()) for board in boards)
    row = table[table["what"] == QUANTITIES["skip_mass"]].iloc[0]
    differences = (second["skip_mass"] - first["skip_mass"]).to_numpy()
    assert row["difference"] == pytest.approx(differences.mean(), rel=1e-4)
    assert row["float32"] == pytest.approx(first["skip_mass"].mean(), rel=1e-4)
    assert row["its sd"] == pytest.approx(second["skip_mass"].std(), rel=1e-4)
    assert 0 < abs(differences).max() < 0.1
    assert "Too few pairs for any test (2 at most): 6 are needed." in page
    equal = int((first["cell"] == second["cell"]).sum())
    assert f"The same cell is returned in both by {equal} of 2." in page
    assert "- bfloat16 made at " in page


def test_a_search_without_a_collapse_counts_as_later_than_any(boards: tuple[Path, Path]) -> None:
    results = read_published(boards[0]).load()
    ended = results.collapse[results.collapse["criterion"] == "skip"]
    assert not ended["collapsed"].any()
    assert outcomes(results)["collapse"].tolist() == [epochs + 1 for epochs in ended["epochs"]]


def test_a_shift_of_every_seed_is_told_and_none_is_not() -> None:
    first, second = table_of("darts", shift=1.0)
    table = side_by_side(first, second).set_index("what")
    row = table.loc[QUANTITIES["truth"]]
    assert (row["pairs"], row["difference"]) == (8, pytest.approx(1.035))
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["p"] == pytest.approx(2 / 2**8)  # the smallest there is, among four quantities of which three are equal
    assert table.loc[QUANTITIES["collapse"], "p"] == 1
    assert sentences(table.reset_index(), first, second).startswith(
        "Told from chance (p below 0.05): darts, true accuracy of the returned cell, %: +1.0"
    )
    assert "No difference is told from chance" in sentences(side_by_side(first, first), first, first)


def test_p_values_hold_for_all_methods_together() -> None:
    generator = np.random.default_rng(0)
    tables = []
    for _ in range(2):
        index = pd.MultiIndex.from_product([["darts", "drnas"], range(8)], names=["variant", "seed"])
        tables.append(
            pd.DataFrame(generator.normal(size=(16, 4)), index=index, columns=list(QUANTITIES)).assign(cell="")
        )
    apart = (tables[1] - tables[0].drop(columns="cell"))[list(QUANTITIES)]
    together = apart.groupby("seed").mean()
    wide = np.concatenate([*(apart.loc[method].to_numpy() for method in ("darts", "drnas")), together], axis=1)
    table = side_by_side(*tables)
    assert table["p"].tolist() == pytest.approx(step_down_sign_flips(wide).tolist())
    assert list(table["method"].unique()) == ["darts", "drnas", ALL]
    assert table.loc[table["method"] == ALL, "difference"].tolist() == pytest.approx(together.mean().tolist())


def test_a_value_that_one_board_lacks_is_in_no_mean() -> None:
    first, second = table_of("darts", shift=1.0)
    second.loc[("darts", 7), "truth"] = np.nan
    first["skip_mass"] = np.nan
    table = side_by_side(first, second).set_index("what")
    row = table.loc[QUANTITIES["truth"]]
    assert (row["pairs"], row["float32"]) == (7, 3.0)
    assert row["bfloat16"] - row["float32"] == pytest.approx(row["difference"])
    lacking = table.loc[QUANTITIES["skip_mass"]]
    assert (lacking["pairs"], lacking["p"]) == (0, 1)
    assert np.isnan(lacking["difference"])


def test_boards_that_cannot_be_compared_are_told(boards: tuple[Path, Path]) -> None:
    for arguments, said in [
        (
            (boards[1], boards[0]),
            "the boards are in bfloat16 and float32, expected float32 and bfloat16, in this order",
        ),
        ((boards[0], boards[0]), "the boards are in float32 and float32"),
        ((boards[0], boards[0].parent), "is no published board"),
    ]:
        result = CliRunner().invoke(main, list(map(str, arguments)))
        assert result.exit_code == 1
        assert said in " ".join(result.output.split())
