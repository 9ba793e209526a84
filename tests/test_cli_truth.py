"""`dartsboard truth`: imports and look-ups."""

import json
from pathlib import Path

import pandas as pd
import pytest

from harness.settings.protocol import load_board
from harness.space.cell import CELL_COUNT
from harness.truth.sources import import_truth
from harness.truth.table import TRUTH_FILE
from tests.commands import fails, succeeds


class TestTruth:
    def test_show(self, project: Path) -> None:
        content = json.loads(succeeds("truth", "show", "9930", "--json"))
        assert content["accuracies"][0]["data_set"] == "cifar10"
        assert 93 < content["accuracies"][0]["mean"] < 95
        assert f"mean {content['accuracies'][0]['mean']:.3f}".rstrip("0") in succeeds("truth", "show", "9930")
        assert "is no cell" in fails("truth", "show", "nonsense")

    def test_import_of_a_table_makes_params_name_it(self, project: Path) -> None:
        values = [10.0 if index == 1651 else 50.0 + index % 40 for index in range(CELL_COUNT)]
        pd.DataFrame({"which": range(CELL_COUNT), "score": values}).to_csv("mine.csv", index=False)
        column = "score=cifar10/test/200"
        text = succeeds("truth", "import", "table", "mine.csv", "--cell-column", "which", "--column", column)
        assert "cifar10 test (200 epochs)" in text
        assert "15,625 cells in data/truth.parquet" in text
        settings = load_board().truth
        assert (settings.source, settings.path, settings.cell_column) == ("table", "mine.csv", "which")
        shown = json.loads(succeeds("truth", "show", "7", "--json"))
        assert (shown["accuracies"][0]["mean"], shown["source"]["file"]) == (57.0, "mine.csv")

    def test_a_partial_import_is_repeated_as_one_by_the_pipeline(self, project: Path) -> None:
        Path("few.csv").write_text("cell,score\n7,57\n1651,10\n")
        arguments = (
            "truth",
            "import",
            "table",
            "few.csv",
            "--cell-column",
            "cell",
            "--column",
            "score=cifar10/test/200",
        )
        assert "lacks 15,623 of the 15,625 cells" in fails(*arguments)
        succeeds(*arguments, "--partial")
        assert import_truth(load_board().truth).provenance.cells == 2

    def test_import_to_another_file_leaves_the_project_alone(self, project: Path) -> None:
        params, truth = Path("params.yaml").read_bytes(), TRUTH_FILE.read_bytes()
        succeeds("truth", "import", "analog-nasbench", "--output", "copy.parquet")
        assert Path("copy.parquet").read_bytes() == truth
        assert Path("params.yaml").read_bytes() == params

    def test_import_beside_a_broken_params_file_changes_nothing(self, project: Path) -> None:
        Path("params.yaml").write_text("seeds: 2001-99-99")
        truth = TRUTH_FILE.stat().st_mtime_ns
        assert "params.yaml is no YAML" in fails("truth", "import", "analog-nasbench")
        assert TRUTH_FILE.stat().st_mtime_ns == truth

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["nas-bench-201", "absent.pth"], "absent.pth is missing, expected a file"),
            (["nas-bench-201"], "the source 'nas-bench-201' needs a path"),
            (["nas-bench-201", "text.csv"], "text.csv"),
            (["nats-bench", "text.csv"], "text.csv is a file, expected the NATS-Bench folder"),
            (["table", "text.csv"], "the source 'table' needs the keys cell_column and columns"),
            (
                ["table", "text.csv", "--cell-column", "a", "--column", "b=cifar10/test"],
                "--column 'b=cifar10/test': expected NAME=DATA_SET/SPLIT/EPOCHS",
            ),
            (["table", "text.csv", "--cell-column", "c", "--column", "b=cifar10/test/200"], "has no column 'c'"),
            (["table", "text.csv", "--cell-column", "a", "--column", "b=cifar11/test/200"], "data_set"),
            (
                ["table", "text.csv", "--cell-column", "a", "--column", "b=cifar10/test/200"],
                "row 1: expected a percentage",
            ),
        ],
    )
    def test_a_source_that_will_not_do_is_told_and_nothing_changes(
        self, project: Path, arguments: list[str], sentence: str
    ) -> None:
        Path("text.csv").write_text("a,b\n0,many\n")
        before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        assert sentence in fails("truth", "import", *arguments)
        assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
