import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks.overhead import _times, main, share_table


@pytest.mark.parametrize(("every", "times"), [(None, 0), (1, 50), (2, 25), (7, 8), (50, 1), (60, 1)])
def test_what_is_measured_every_so_often_is_measured_after_the_last_epoch_too(every: int | None, times: int) -> None:
    assert _times(every, 50) == times


def test_shares_and_what_is_neither_steps_nor_derivation() -> None:
    table = share_table("tiny", {"steps": 6.0, "Hessian": 1.0, "MLflow": 1.0, "derivation": 2.0}).set_index("part")
    assert table["% of all"].to_dict() == {
        **{"steps": 60.0, "Hessian": 10.0, "MLflow": 10.0, "derivation": 20.0},
        "all but steps and derivation": 20.0,
    }


@pytest.mark.slow
def test_a_tiny_size_works(tmp_path) -> None:
    result = CliRunner().invoke(main, ["--quick", "--output", str(tmp_path / "page.md")])
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "page.csv").set_index(["protocol", "part"])["seconds"]
    for protocol in ("quick", "nas-bench-201"):
        parts = ("steps", "Hessian", "one-shot accuracies", "checkpoints", "record", "MLflow")
        assert all(table[protocol, part] > 0 for part in parts)
    parts = ("steps", "diagnostics", "MLflow", "derivation", "start, checkpoints, records, idle processors")
    assert all(table["quick, whole board", part] > 0 for part in parts)
