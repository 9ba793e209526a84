"""What a run costs, and the plan of a board."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.base.errors import UserError, first_of
from harness.board import calibration
from harness.board.costs import PUBLISHED_SECONDS, expected_costs, relative_cost
from harness.board.plan import makespan, plan_boards
from harness.board.runner import run_method
from harness.board.search_size import same_cost, steps_per_epoch
from harness.cli import main
from harness.records import record
from harness.records.record import read_record, read_table, run_folder, write_run
from harness.search import registry
from harness.search.variant import Variant
from harness.settings.protocol import Board, Protocol, load_board
from harness.settings.validation import validate
from harness.testing import TINY_PROTOCOL
from tests.conftest import ROOT


def changed(board: Board, **parts: object) -> Board:
    """The board with a protocol in which parts are replaced."""
    content = {**board.chosen.model_dump(mode="json"), **parts}
    return board.model_copy(update={"protocols": {board.protocol: validate(Protocol, content, "test")}})


def took(method: str, seed: int) -> tuple[float, float]:
    """Seconds of a run: of its steps, and of its diagnostics."""
    folder = run_folder(method, seed)
    return read_record(folder).seconds, float(read_table(folder, "epochs")["diagnostics_seconds"].sum())


def test_what_was_run_is_measured_and_the_rest_scaled(project: Path) -> None:
    board = load_board()
    assert expected_costs(board)["darts"] is None
    for method, seed in (("darts", 0), ("darts", 1), ("random-search", 0)):
        run_method(board, method, seed)

    costs = expected_costs(board)
    own, scaled, baseline = costs["darts"], costs["darts-2nd"], costs["random-search"]
    assert own is not None and scaled is not None and baseline is not None
    steps, diagnostics = ((one + other) / 2 for one, other in zip(took("darts", 0), took("darts", 1), strict=True))
    assert own.seconds == pytest.approx(steps + diagnostics)
    assert own.memory_bytes == max(read_record(run_folder("darts", seed)).peak_memory_bytes for seed in (0, 1))
    assert own.source == "measured: median of 2 runs on cpu"
    assert scaled.seconds == pytest.approx(steps * 5 / 2 + diagnostics)
    assert scaled.source == "scaled by passes from 2 runs of darts on cpu"
    assert [cost.measured for cost in (own, scaled, baseline)] == [True, False, True]

    # Another learning rate, another place of the data: the same cost. More epochs: another one.
    weights = {**TINY_PROTOCOL["weights"], "lr": 0.1}
    assert expected_costs(changed(board, weights=weights))["darts"] == own
    assert expected_costs(changed(board, epochs=4))["darts"] is None

    # A damaged record says nothing, and harms nothing.
    (run_folder("darts", 0) / "record.json").write_text("{")
    left = expected_costs(board)["darts"]
    assert left is not None and left.source == "measured: median of 1 run on cpu"

    (plan,) = plan_boards(board, slots=2, price=3.0)
    assert (plan.runs, plan.done) == (6, 2)
    assert (plan.methods[0].method, plan.methods[0].done) == ("darts", 1)
    assert plan.money == pytest.approx(3.0 * plan.slot_hours)
    assert plan.makespan_hours < plan.slot_hours
    answer = CliRunner().invoke(main, ["plan", "--slots", "2", "--price", "3"])
    assert answer.exit_code == 0
    assert "[1] measured: median of 1 run on cpu" in answer.output
    assert "6 runs, 2 done" in answer.output


def test_a_few_steps_say_what_nothing_else_does(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "ENOUGH_SECONDS", 0.0)
    board = load_board()
    (plan,) = plan_boards(board, slots=1, measure=True)
    cost = plan.methods[0].cost
    assert cost is not None and not cost.measured
    rate = calibration.read_calibration(board.chosen)
    assert rate is not None
    assert cost.seconds == pytest.approx(rate.seconds_a_pass * 3 * 2 * 2)  # epochs, steps, passes
    assert cost.source == "calibrated: 3 steps of darts on cpu, scaled by passes; without diagnostics"
    assert cost.memory_bytes == rate.memory_bytes
    assert not record.RUNS.exists()
    assert json.loads(CliRunner().invoke(main, ["plan", "--json"]).output)[0]["unknown"] == []


def test_the_published_figure_is_marked_as_such() -> None:
    board = load_board(ROOT / "params.yaml").model_copy(update={"protocol": "nas-bench-201"})
    costs = expected_costs(board, ["darts", "darts-2nd"], runs=Path("no-such-folder"))
    first, second = costs["darts"], costs["darts-2nd"]
    assert first is not None and second is not None
    assert first.seconds == pytest.approx(PUBLISHED_SECONDS)
    assert second.seconds == pytest.approx(2.5 * PUBLISHED_SECONDS)
    assert first.source.startswith("published, 10,890 s a seed") and first.device == "GPU"
    assert first.memory_bytes is None


def test_what_a_method_does_between_epochs_is_planned_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    board = load_board(ROOT / "params.yaml").model_copy(update={"protocol": "nas-bench-201"})
    costs = expected_costs(board, ["darts", "darts-es", "darts-pt", "shapley-nas"], runs=Path("no-such-folder"))
    seconds = [cost.seconds / PUBLISHED_SECONDS for cost in costs.values() if cost is not None]
    # 25 Hessians of 60 passes; 30 forward passes over the half; 25 epochs of 10 orders of 25 looks at 16 batches.
    passes = [2.0, 2 + 25 * 60 / (50 * 390), 2 + 30 / 3 / 50, 1 + 25 * 10 * 25 * 16 / 3 / (50 * 390)]
    assert seconds == pytest.approx([count / 2 for count in passes])
    fewer = board.model_copy(update={"variants": {"shapley-nas": {"orders": 5, "images": 64}}})
    cost = expected_costs(fewer, ["shapley-nas"], runs=Path("no-such-folder"))["shapley-nas"]
    assert cost is not None
    assert cost.seconds / PUBLISHED_SECONDS == pytest.approx((1 + 25 * 5 * 25 / 3 / (50 * 390)) / 2)


def test_what_only_an_answer_costs_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    board = load_board(ROOT / "params.yaml").model_copy(update={"protocol": "nas-bench-201"})
    board = board.model_copy(update={"variants": {"zero-cost-pt": {"proposals": 2, "images": 128, "batches": 3}}})
    cost = expected_costs(board, ["zero-cost-pt"], runs=Path("no-such-folder"))["zero-cost-pt"]
    assert cost is not None
    # One epoch; then 30 scores on 128 images and one on three times as many, of each of two cells, forward alone.
    passes = 390 + 2 * (30 * 128 + 3 * 128) / 64 / 3
    assert cost.seconds / PUBLISHED_SECONDS == pytest.approx(passes / (2 * 50 * 390))


def test_another_method_is_scaled_from_the_passes_that_were_counted(project: Path) -> None:
    board = load_board()
    run_method(board, "darts", 0)
    folder = run_folder("darts", 0)
    once, steps, diagnostics = read_record(folder), *took("darts", 0)
    half = once.model_copy(update={"forward_backward_passes": once.forward_backward_passes / 2})
    write_run(folder, half, *(read_table(folder, name) for name in ("epochs", "alpha")))
    cost = expected_costs(board)["darts-2nd"]
    assert cost is not None and cost.seconds == pytest.approx(2 * steps * 5 / 2 + diagnostics)


def test_only_what_was_never_run_is_asked_for_its_cost(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board()
    run_method(board, "darts", 0)
    monkeypatch.setattr(Variant, "search_passes", classmethod(lambda *_: 1 / 0))
    assert expected_costs(board, ["darts", "random-search"])["darts"] is not None
    with pytest.raises(UserError, match="the method darts-2nd cannot tell its cost: division by zero"):
        expected_costs(board, ["darts-2nd"])


def test_the_cost_of_every_method_is_known_before_it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    board = load_board(ROOT / "params.yaml").model_copy(update={"protocol": "nas-bench-201"})
    costs = expected_costs(board, registry.methods(), runs=Path("no-such-folder"))
    assert [name for name, cost in costs.items() if cost is None or not cost.seconds > 0] == []


def test_a_sentence_names_a_few_methods_and_counts_the_rest() -> None:
    assert [first_of("abcd"), first_of("abcdef")] == ["a, b, c, d", "a, b, c, d and 2 more"]


def test_relative_costs_are_those_of_the_published_search() -> None:
    found = {name: relative_cost(method) for name, method in registry.methods().items()}
    assert (found["darts"], found["darts-2nd"], found["random-search"]) == (1, 2.5, None)
    assert found["darts-pt"] == pytest.approx(1.1)


def test_the_steps_of_an_epoch_are_known_before_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    protocols = load_board(ROOT / "params.yaml").protocols
    assert steps_per_epoch(protocols["nas-bench-201"]) == 390
    assert steps_per_epoch(protocols["small-cifar"]) == 46
    assert steps_per_epoch(protocols["quick"]) == 4


def test_a_setting_that_only_one_record_has_is_no_difference() -> None:
    older = {key: value for key, value in TINY_PROTOCOL.items() if key != "deterministic"}
    assert same_cost(older, TINY_PROTOCOL)
    assert not same_cost({**older, "network": {**older["network"], "channels": 5}}, TINY_PROTOCOL)


@pytest.mark.parametrize(
    ("split", "same"),
    [
        ({"kind": "halves"}, True),
        ({"kind": "same"}, False),
        ({"kind": "test-file", "file": "test.json"}, False),
        ({"kind": "file", "file": "split.json"}, False),
    ],
)
def test_a_split_that_gives_the_weights_more_images_costs_more(split: dict[str, str], same: bool) -> None:
    wanted = {**TINY_PROTOCOL, "data": {**TINY_PROTOCOL["data"], "split": split}}
    assert same_cost(TINY_PROTOCOL, wanted) is same
    assert same_cost(wanted, wanted)


def test_the_makespan_takes_the_longest_first() -> None:
    assert makespan([], 3) == 0
    assert makespan([2, 1], 10**30) == 2
    assert makespan([1, 1, 1, 3], 2) == 3
    assert makespan([2, 2, 2], 1) == 6
