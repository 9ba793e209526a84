from pathlib import Path

import pandas as pd
import pytest

from benchmarks import unchanged_pipeline
from benchmarks.unchanged_pipeline import COMMANDS, Extent, main
from harness.base.errors import UserError
from tests.benchmarks.pages import quick_page


@pytest.mark.slow
def test_a_finished_board_has_nothing_to_do_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = unchanged_pipeline.measure

    def measure_twice(folder: Path, rounds: int) -> dict[str, list[float]]:
        found = measure(folder, rounds)
        names = Extent(2, 2).names
        runs = pd.read_parquet(folder / "results/runs.parquet")
        assert set(zip(runs["variant"], runs["seed"], strict=True)) == {
            (name, seed) for name in names for seed in (0, 1)
        }
        assert set(runs["status"]) == {"done"}
        (folder / f"runs/{names[1]}/seed-1/record.json").write_text("{}")
        monkeypatch.setattr(unchanged_pipeline, "COMMANDS", {"dvc status": COMMANDS["dvc status"]})
        with pytest.raises(UserError, match=rf"(?s)dvc status found something to do: .*search@{names[1]}-1"):
            measure(folder, 1)
        return found

    monkeypatch.setattr(unchanged_pipeline, "measure", measure_twice)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    _, table = quick_page(main, tmp_path)
    assert list(table["command"]) == [*COMMANDS, "report"]
    assert set(table["runs"]) == {4}
    commands, report = table.iloc[:-1], table.iloc[-1]
    assert list(commands["ms a run"]) == pytest.approx(list(250 * commands["seconds"]), rel=1e-4)
    assert 50 < report["memory, MiB"] < 2048
    assert report["epochs"] == 5
    assert not list(tmp_path.glob("board-*"))
