import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from harness.base.errors import UserError
from harness.board.run_lock import is_running, run_lock
from harness.board.runner import check_truth, fingerprint, run_baseline, run_search, start_search
from harness.records.checkpoint import CHECKPOINTS, Checkpoints, unfinished
from harness.records.record import TIMING_COLUMNS, read_record, read_table, run_folder
from harness.settings.protocol import load_board
from harness.space.cell import ALL_SKIP, Cell
from harness.truth.table import TRUTH_FILE, Truth, write_truth
from tests.conftest import ROOT, tiny_params, write_params
from variants.darts import Darts


def start(name: str, seed: int) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pipelines.search", name, str(seed)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(name: str, seed: int):
    folder = run_folder(name, seed)
    content = read_record(folder).model_dump(exclude={"seconds", "peak_memory_bytes", "environment"})
    return content, read_table(folder, "epochs").drop(columns=list(TIMING_COLUMNS)), read_table(folder, "alpha")


def assert_same_result(one, other) -> None:
    assert one[0] == other[0]
    pd.testing.assert_frame_equal(one[1], other[1], check_exact=True)
    pd.testing.assert_frame_equal(one[2], other[2], check_exact=True)


def test_a_search_leaves_a_complete_record(project: Path) -> None:
    rows = []
    record = run_search(load_board(), "darts", 0, lambda row, epochs: rows.append((row["epoch"], epochs)))
    assert rows == [(1, 3), (2, 3), (3, 3)]
    assert (record.status, record.epochs, record.cell) == ("done", 3, record.derived["variant"])
    assert record.truth is None  # a search sees none
    epochs, alpha = read_table(run_folder("darts", 0), "epochs"), read_table(run_folder("darts", 0), "alpha")
    assert epochs["epoch"].tolist() == [1, 2, 3]
    assert epochs["cell"].iloc[-1] == record.derived["argmax"] == record.cell
    assert len(alpha) == 3 * 30
    assert alpha.groupby(["epoch", "edge"])["weight"].sum().to_numpy() == pytest.approx(1)
    assert not list(CHECKPOINTS.glob("*"))
    assert sorted(path.name for path in Path("runs/darts").iterdir()) == ["seed-0"]


def test_the_time_of_the_answer_is_time_of_the_run(project: Path, monkeypatch) -> None:
    def slow_answer(variant: Darts, search: Any) -> Cell:
        time.sleep(0.2)
        return ALL_SKIP

    monkeypatch.setattr(Darts, "derive", slow_answer)
    record = run_search(load_board(), "darts", 0)
    epochs = read_table(run_folder("darts", 0), "epochs")["seconds"].sum()
    assert epochs + 0.2 <= record.seconds < epochs + 2


def test_killed_at_any_moment_it_resumes_to_the_identical_record(project: Path) -> None:
    content = tiny_params()
    content["protocols"]["tiny"]["epochs"] = 8
    write_params(project, content)
    run_search(load_board(), "darts", 0)
    undisturbed = result("darts", 0)
    (run_folder("darts", 0) / "record.json").unlink()
    kills = 0
    for delay in (0.05, 0.2, 0.1, 0.3):
        process = start("darts", 0)
        identity = fingerprint(load_board(), "darts", 0)
        before = len(list((CHECKPOINTS / identity).glob("*.pt")))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((CHECKPOINTS / identity).glob("*.pt"))) > before or before == 2:
                break
            time.sleep(0.01)
        time.sleep(delay)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert kills
    run_search(load_board(), "darts", 0)
    assert_same_result(result("darts", 0), undisturbed)


@pytest.mark.parametrize(("precision", "rounded"), [("float32", False), ("tf32", True), ("float64", False)])
def test_only_tf32_rounds_what_tensor_cores_multiply(
    project: Path, monkeypatch: pytest.MonkeyPatch, precision: str, rounded: bool
) -> None:
    content = tiny_params()
    content["protocols"]["tiny"]["precision"] = precision
    write_params(project, content)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", not rounded)  # and put back at the end
    try:
        start_search(Darts(Darts.Settings(), load_board().chosen), load_board().chosen, seed=0)
        assert torch.backends.cudnn.allow_tf32 == rounded
        assert torch.get_float32_matmul_precision() == ("high" if rounded else "highest")
    finally:
        torch.set_float32_matmul_precision("highest")


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(project: Path) -> None:
    board = load_board()
    run_search(board, "darts", 0)
    undisturbed = result("darts", 0)
    (run_folder("darts", 0) / "record.json").unlink()

    def stop_after_two(row, epochs):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_search(board, "darts", 0, stop_after_two)
    (waiting,) = unfinished()
    newest = waiting._paths()[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    progress = Checkpoints("darts", 0, fingerprint(board, "darts", 0)).newest()
    assert progress is not None
    assert len(progress.epochs) == 1
    run_search(board, "darts", 0)
    assert_same_result(result("darts", 0), undisturbed)


def test_a_finished_run_is_not_run_again_and_a_changed_setting_is(project: Path) -> None:
    run_search(load_board(), "darts-2nd", 0)
    stamp = (run_folder("darts-2nd", 0) / "record.json").stat().st_mtime_ns
    run_search(load_board(), "darts-2nd", 0)
    assert (run_folder("darts-2nd", 0) / "record.json").stat().st_mtime_ns == stamp
    write_params(project, tiny_params(variants={"darts-2nd": {"radius": 0.02}}))
    run_search(load_board(), "darts-2nd", 0)
    assert read_record(run_folder("darts-2nd", 0)).settings == {"radius": 0.02}


def test_what_is_not_used_does_not_change_the_fingerprint(project: Path) -> None:
    before = fingerprint(load_board(), "darts", 0)
    content = tiny_params(seeds=[0, 5], variants={"darts": {}})
    content["protocols"]["other"] = {**content["protocols"]["tiny"], "epochs": 99}
    write_params(project, content)
    assert fingerprint(load_board(), "darts", 0) == before
    content["protocols"]["tiny"]["epochs"] = 4
    write_params(project, content)
    assert fingerprint(load_board(), "darts", 0) != before


def test_two_processes_cannot_write_one_run(project: Path) -> None:
    with run_lock("darts", 0):
        assert is_running("darts", 0)
        process = start("darts", 0)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert errors.strip() == f"error: runs/darts/seed-0 is being written by another process (number {os.getpid()})"
    assert not is_running("darts", 0)


def test_the_lock_of_a_dead_process_counts_for_nothing(project: Path) -> None:
    code = "import os; from harness.board.run_lock import run_lock\nwith run_lock('darts', 0): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert not is_running("darts", 0)
    with run_lock("darts", 0):
        pass


def test_a_failure_is_recorded_with_its_place_and_can_be_run_again(project: Path, monkeypatch) -> None:
    def broken(self, step):
        raise RuntimeError("the\nsky fell")

    with monkeypatch.context() as patch:
        patch.setattr(Darts, "alpha_gradient", broken, raising=False)
        record = run_search(load_board(), "darts", 0)
    assert (record.status, record.reason, record.cell) == ("failed", "RuntimeError: the sky fell", None)
    assert "in broken" in (record.traceback or "")
    assert run_search(load_board(), "darts", 0).status == "done"


def test_a_loss_that_is_no_number_is_recorded_as_divergence(project: Path) -> None:
    content = tiny_params()
    content["protocols"]["tiny"]["weights"] |= {"lr": 1e3, "weight_decay": 1e3, "clip": None}
    write_params(project, content)
    record = run_search(load_board(), "darts", 0)
    assert record.status == "diverged"
    assert "epoch" in (record.reason or "")
    assert record.cell is None


def test_no_cuda_device_is_one_sentence(project: Path, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    content = tiny_params()
    content["protocols"]["tiny"]["device"] = "cuda"
    write_params(project, content)
    with pytest.raises(UserError, match="no CUDA device"):
        run_search(load_board(), "darts", 0)


def test_a_baseline_records_the_best_cell_it_saw_and_what_it_saw(project: Path) -> None:
    record = run_baseline(load_board(), "random-search", 0)
    rows = read_table(run_folder("random-search", 0), "epochs")
    assert rows["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert record.cell == rows["cell"].iloc[-1]
    assert record.notes[0].startswith("searched by the truth table's cifar10 test (training length not stated)")
    assert record.truth == "analog-nasbench"
    assert run_baseline(load_board(), "random-search", 1).cell != record.cell


TOO_FEW = "successive-halving needs an accuracy after 2 training lengths, and data.anb has cifar10 test (training"


def test_a_baseline_is_refused_where_the_table_has_too_few_training_lengths(project: Path) -> None:
    board = load_board()
    for refused in (
        lambda: run_baseline(board, "successive-halving", 0),
        lambda: check_truth(["random-search", "successive-halving"]),
    ):
        with pytest.raises(UserError) as caught:
            refused()
        assert TOO_FEW in str(caught.value)
    assert not (project / "runs").exists()
    (project / TRUTH_FILE).unlink()
    check_truth(["random-search"])  # what needs one length only asks for no table before its time


def test_a_baseline_sees_every_length_that_it_asks_for(project: Path) -> None:
    truth = Truth.read(TRUTH_FILE)
    parts = [truth.frame.assign(data_set="cifar10-valid", split="valid", epochs=epochs) for epochs in (12, 200)]
    write_truth(Truth(pd.concat(parts), truth.provenance))
    record = run_baseline(load_board(), "successive-halving", 0)
    assert record.notes[1].startswith("where it asks for a longer training, searched by cifar10-valid valid (200")
    paid = read_table(run_folder("successive-halving", 0), "epochs")["cost_seconds"].diff().dropna()
    assert paid.gt(400).sum() == 24  # of 100 trainings, in brackets of nine short and three long ones


def test_the_record_keeps_the_cells_of_every_rule_and_the_draws(project: Path) -> None:
    record = run_search(load_board(), "darts", 0)
    assert set(record.derived) == {
        "variant",
        "argmax",
        "argmax-without-none",
        "skip-cap-2",
        "gumbel-mode",
        "operation-strength",
        "best-of-draws",
    }
    assert sum(record.draws.values()) == 5
    assert record.draws[record.derived["gumbel-mode"]] == max(record.draws.values())
    assert record.derived["best-of-draws"] in record.draws
    steps = len(read_table(run_folder("darts", 0), "epochs")) * 2
    assert record.forward_backward_passes == 2 * steps  # asking the finished supernet is no cost of the search


def test_without_one_shot_rules_the_supernet_is_not_asked(project: Path) -> None:
    content = tiny_params()
    content["protocols"]["tiny"]["derivation"]["one_shot"] = False
    write_params(project, content)
    assert not {"operation-strength", "best-of-draws"} & set(run_search(load_board(), "darts", 0).derived)
