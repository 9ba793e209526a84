"""docs/notebooks.md: its code runs from top to bottom, on the results of a board."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from harness.api import RESULT_COLUMNS, load_results
from harness.base.errors import UserError
from harness.truth.table import TRUTH_FILE, write_truth
from reports.notebook import BY_NAME, pictures
from tests.conftest import ROOT, tiny_params, write_params
from tests.reports.simulate import Simulation, embedded_truth

PAGE = (ROOT / "docs/notebooks.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


SMALL = Simulation(seeds=(0, 1), epochs=4, evaluations=4)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    SMALL.write(folder)
    return folder


@pytest.fixture
def results(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The results of a simulated board below the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(written, tmp_path / "results")
    yield tmp_path / "results"
    plt.close("all")


def test_the_code_of_the_page_runs(results: Path) -> None:
    write_truth(embedded_truth(), TRUTH_FILE)
    write_params(Path(), tiny_params())
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(compile(block, "docs/notebooks.md", "exec"), names)
    assert {path.name for path in Path().glob("*.p[nd]*")} == {"skips.png", "diagnostics.pdf"}
    assert names["shown"]["diagnostics"]._repr_svg_().startswith("<?xml")
    assert names["truth"].accuracy([1835], **names["where"], epochs=names["epochs"]).round(2) == [60.78]
    drawn = {line.get_label(): line for line in names["axes"].get_lines()}
    searches = names["searches"].query("variant == 'drnas'").groupby("epoch")
    assert drawn["drnas"].get_xdata().tolist() == searches["skip_mass"].mean().tolist()


def test_the_figure_of_ones_own_takes_ten_lines() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) == 10


def test_the_page_names_every_table() -> None:
    named = set(re.findall(r"^\|(.*?)\|", PAGE, re.MULTILINE))
    assert {name for row in named for name in re.findall("`([a-z_]+)`", row)} == set(RESULT_COLUMNS)


def test_topics_hold_the_figures_of_the_page(results: Path) -> None:
    loaded, board = load_results("results"), SMALL.board()
    frontier = pictures(loaded, board, topic="frontier")
    assert list(frontier) == ["frontier-charged", "frontier-measured", "anytime-charged", "anytime-measured"]
    assert set(pictures(loaded, board, topic="epochs")).isdisjoint(frontier)
    with pytest.raises(UserError, match="no topic 'epoch', did you mean 'epochs'"):
        pictures(loaded, board, topic="epoch")
    assert set(BY_NAME) >= {"result", "collapse", "ranking", "derivation", "frontier"}


@pytest.mark.parametrize(("version", "said"), [(2, "newer Dartsboard"), ("one", "schema version 'one', expected 1")])
def test_a_folder_of_another_version_is_one_sentence(results: Path, version: object, said: str) -> None:
    path = results / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": version}))
    with pytest.raises(UserError, match=said) as caught:
        load_results(results)
    assert "results" in str(caught.value)
    assert "run the look-up stage again" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("provenance.json", {"operations": None}),
        ("provenance.json", {"operations": ["none", "conv_7x7"]}),
        ("truth.json", {"missing_columns": 5}),
        ("truth.json", {"missing_columns": None}),
    ],
)
def test_a_damaged_description_is_one_sentence(results: Path, name: str, changes: dict[str, Any]) -> None:
    path = results / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(UserError, match=f"{name} is damaged: {next(iter(changes))}, expected"):
        load_results(results)


@pytest.mark.parametrize("changes", [{"epochs": "many"}, {"best_cell": "the best"}, {"epochs": [1]}])
def test_a_damaged_truth_column_is_one_sentence(results: Path, changes: dict[str, Any]) -> None:
    path = results / "truth.json"
    content = json.loads(path.read_text())
    key = next(iter(content["columns"]))
    content["columns"][key] |= changes
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"truth\.json: columns\.{key} is incomplete"):
        load_results(results)


def test_seeds_are_numbers(results: Path) -> None:
    runs = pd.read_parquet(results / "runs.parquet")
    runs.assign(seed="one").to_parquet(results / "runs.parquet")
    with pytest.raises(UserError, match=r"runs\.parquet holds text where numbers belong"):
        load_results(results)


def test_a_damaged_or_missing_table_is_one_sentence(results: Path) -> None:
    content = (results / "alpha.parquet").read_bytes()
    (results / "alpha.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"results/alpha\.parquet is damaged"):
        load_results(results)
    (results / "alpha.parquet").write_bytes(content)
    runs = pd.read_parquet(results / "runs.parquet").drop(columns="status")
    runs.to_parquet(results / "runs.parquet")
    with pytest.raises(UserError, match=r"results/runs\.parquet lacks the column 'status'"):
        load_results(results)
    with pytest.raises(UserError, match=r"nowhere/truth\.json is missing: run the look-up stage first"):
        load_results("nowhere")
