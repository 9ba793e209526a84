from pathlib import Path

import pandas as pd
import pytest

from benchmarks import unchanged_pipeline
from benchmarks.unchanged_pipeline import COMMANDS, main
from harness.base.errors import UserError
from tests.benchmarks.pages import quick_page


@pytest.mark.slow
def test_a_finished_board_has_nothing_to_do_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = unchanged_pipeline.measure

    def measure_twice(folder: Path, rounds: int) -> dict[str, list[float]]:
        found = measure(folder, rounds)
        runs = pd.read_parquet(folder / "results/runs.parquet")
        assert set(zip(runs["variant"], runs["seed"], strict=True)) == {("v00", 0), ("v00", 1), ("v01", 0), ("v01", 1)}
        assert set(runs["status"]) == {"done"}
        (folder / "runs/v01/seed-1/record.json").write_text("{}")
        monkeypatch.setattr(unchanged_pipeline, "COMMANDS", {"dvc status": COMMANDS["dvc status"]})
        with pytest.raises(UserError, match=r"(?s)dvc status found something to do: .*search@v01-1"):
            measure(folder, 1)
        return found

    monkeypatch.setattr(unchanged_pipeline, "measure", measure_twice)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    _, table = quick_page(main, tmp_path)
    assert list(table["command"]) == list(COMMANDS)
    assert set(table["runs"]) == {4}
    assert list(table["ms a run"]) == pytest.approx(list(250 * table["seconds"]), rel=1e-4)
    assert not list(tmp_path.glob("board-*"))
