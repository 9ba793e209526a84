"""Checkpoints of other programs, and what only looks like one."""

import hashlib
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.board.runner import run_search
from harness.board.status import remove, unwanted
from harness.records import checkpoint
from harness.records.checkpoint import CHECKPOINTS, Checkpoints, Progress, unfinished
from harness.search.loop import Search
from harness.settings.protocol import load_board
from tests.faults.searching import assert_same, result

PROGRESS = Progress(search={"epoch": 1}, epochs=[{"epoch": 1}], alpha=[], one_shot=[])


def two_epochs() -> Checkpoints:
    """Stop a search after two of its three epochs."""

    def stop(row: dict[str, Any], epochs: int) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_search(load_board(), "darts", 0, stop)
    (found,) = unfinished()
    return found


def test_one_of_another_layout_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Checkpoints("darts", 0, "f" * 64, tmp_path)
    held.save(PROGRESS)
    assert held.newest() == PROGRESS
    monkeypatch.setattr(checkpoint, "LAYOUT_VERSION", checkpoint.LAYOUT_VERSION + 1)
    assert Checkpoints("darts", 0, "f" * 64, tmp_path).newest() is None


@pytest.mark.parametrize("content", [{"a": 1}, [1], {"run": None}, "text", torch.zeros(2)])
def test_a_file_of_another_program_under_a_fitting_name_is_set_aside(tmp_path: Path, content: Any) -> None:
    held = Checkpoints("darts", 0, "f" * 64, tmp_path)
    held.save(PROGRESS)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    for raw in (buffer.getvalue(), b"none of torch.save"):
        (held.folder / f"epoch-000009.{hashlib.sha256(raw).hexdigest()}.pt").write_bytes(raw)
    assert held.newest() == PROGRESS


def test_names_that_are_none_are_passed_over(tmp_path: Path) -> None:
    held = Checkpoints("darts", 0, "f" * 64, tmp_path)
    held.save(PROGRESS)
    for name in ("epoch-x.pt", "epoch-000009.pt", f"epoch-9.{'0' * 64}.pt"):
        (held.folder / name).write_text("x")
    (held.folder / f"epoch-000008.{'0' * 64}.pt").mkdir()
    assert held.newest() == PROGRESS
    held.save(PROGRESS)


def test_an_owner_that_leads_elsewhere_is_none(project: Path) -> None:
    """What it names may be removed by `dartsboard prune`."""
    owner = two_epochs().folder / "run.json"
    content = json.loads(owner.read_text())
    for key in ("fingerprint", "variant", "seed"):
        for value in ("", "../..", "..", None, ["x"]):
            owner.write_text(json.dumps(content | {key: value}))
            assert not unfinished(), (key, value)
    for text in ("[]", "null", "5", "[" * 100_000, '{"variant"'):
        owner.write_text(text)
        assert not unfinished()
    owner.write_text(json.dumps(content | {"fingerprint": ".."}))
    remove(unwanted(load_board()))
    assert owner.exists()


def test_a_state_that_does_not_fit_begins_anew_and_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_search(load_board(), "darts", 0)
    undisturbed = result()
    (Path("runs/darts/seed-0") / "record.json").unlink()
    two_epochs()
    load = Search.load_state

    def other(self: Search, state: dict[str, Any]) -> None:
        load(self, {**state, "weight_optimizer": {}})

    monkeypatch.setattr(Search, "load_state", other)
    record = run_search(load_board(), "darts", 0)
    assert record.notes == ["began anew: its checkpoint does not fit (KeyError: 'settings')"]
    assert not list(CHECKPOINTS.glob("*"))
    found = result()
    found[0]["notes"] = []
    assert_same(found, undisturbed)


def test_a_fresh_one_is_not_followed_by_the_next_epochs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_search(load_board(), "darts", 0)
    undisturbed = result()
    (Path("runs/darts/seed-0") / "record.json").unlink()
    monkeypatch.setattr(checkpoint, "FRESH_SECONDS", math.inf)
    searched = Search.run_epoch

    def failing(self: Search) -> dict[str, Any]:
        if self.epoch == 2:
            raise RuntimeError("in the third epoch")
        return searched(self)

    with monkeypatch.context() as patched:
        patched.setattr(Search, "run_epoch", failing)
        assert run_search(load_board(), "darts", 0).status == "failed"
    (found,) = unfinished()
    assert found.epochs == 1
    run_search(load_board(), "darts", 0)
    assert_same(result(), undisturbed)


def test_who_ends_a_search_between_two_epochs_loses_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FRESH_SECONDS", math.inf)
    assert two_epochs().epochs == 2


def test_another_worker_on_the_same_run_may_remove_old_ones_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Checkpoints("darts", 0, "f" * 64, tmp_path)
    held.save(PROGRESS)
    gone = [*held._paths(), *(held.folder / f"epoch-{number:06d}.{'0' * 64}.pt" for number in (3, 2, 0))]
    monkeypatch.setattr(held, "_paths", lambda: gone)  # as seen a moment ago
    held.save(PROGRESS)
    assert held.newest() == PROGRESS


def test_one_is_fresh_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    held = Checkpoints("darts", 0, "f" * 64, tmp_path)
    assert held.due
    held.save(PROGRESS)
    for seconds, due in ((0.0, False), (0.9, False), (1.1, True)):
        monkeypatch.setattr(time, "monotonic", lambda seconds=seconds: now + seconds)
        assert held.due == due
