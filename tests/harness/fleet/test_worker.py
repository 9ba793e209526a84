import json
import shutil
from pathlib import Path

import pytest

from harness.base.errors import UserError
from harness.base.source_tree import TEMPLATE
from harness.board.stage_code import code_version
from harness.fleet import worker
from harness.fleet.engine import Resources, Task
from harness.fleet.outcome import Outcome, Run
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params


def test_a_worker_asks_for_what_was_made_with_its_own_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clone says of the head's release must not bring back what that made."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tiny_params())
    shutil.copy(TEMPLATE / "stages.yaml", tmp_path / "dvc.yaml")
    Path("sources.json").write_text(json.dumps({"code": {"path": None, "sha256": "of the head"}}))
    asked = []

    def restore(*names: str, from_remote: bool) -> list[str]:
        asked.append(json.loads(Path("sources.json").read_text())["code"]["sha256"])
        return []

    monkeypatch.setattr(worker.dvc_stages, "restore", restore)
    worker._fetch_inputs(load_board())
    assert asked == [code_version()]


@pytest.mark.parametrize(("losses", "status"), [(2, "done"), (100, "crashed")])
def test_a_remote_that_is_gone_for_a_moment_costs_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: int, status: str
) -> None:
    """One that stays away from this worker leaves the run to another one, as the death of a worker does."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tiny_params())
    asked: list[str] = []

    def unreachable(what: str, least: int) -> None:
        asked.append(what)
        if asked.count(what) <= least:
            raise UserError("DVC: ConnectError: Network is unreachable")

    def restore(*names: str, from_remote: bool) -> list[str]:
        unreachable("restore", 1)
        return []

    run = Run("darts", 0)
    monkeypatch.setattr(worker, "PAUSES_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(worker.dvc_stages, "restore", restore)
    monkeypatch.setattr(worker.dvc_stages, "push", lambda *stages: unreachable("push", losses))
    monkeypatch.setattr(worker, "_run", lambda *_: [Outcome(run, "done", "a cell", 16.0)])
    (outcome,) = worker.work(tmp_path, Task((run,), Resources(0, 1, 0), 1.0, store="dvc"))
    assert (outcome.status, outcome.seconds) == (status, 16.0)
    assert asked == ["restore", "restore", "push", "push", "push"]
    assert "Network is unreachable" in str(outcome) or status == "done"
