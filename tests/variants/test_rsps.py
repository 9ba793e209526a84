import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.base.streams import stream
from harness.board.lookup import look_up, read_results
from harness.board.runner import run_search
from harness.networks.supernet import Controls, Supernet
from harness.records.record import read_table, run_folder
from harness.results.columns import RESULTS
from harness.search.loop import Search
from harness.search.variant import Phase
from harness.settings.protocol import load_board
from harness.space.cell import CONV1, CONV3, EDGES, OPERATIONS, RESIDUAL, Cell
from harness.testing import tiny_search
from harness.truth.table import Truth
from tests.conftest import tiny_params, write_params
from variants.rsps import RandomSearchWithSharing, one_hot


def search(**settings: int) -> Search:
    return tiny_search(RandomSearchWithSharing, settings)


def trained_cells(tested: Search, steps: int) -> list[Cell]:
    """The cells of an epoch of many steps, without training on them."""
    return [tested.variant.cell_of_step({}, tested.moment(Phase.WEIGHTS, step)) for step in range(steps)]


def test_the_weights_are_trained_on_uniformly_random_cells() -> None:
    codes = np.array([cell.codes for cell in trained_cells(search(), 3000)])
    for edge in range(6):
        counts = np.bincount(codes[:, edge], minlength=5)
        assert ((counts - 600) ** 2 / 600).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001


def test_a_step_moves_the_chosen_operations_only(monkeypatch) -> None:
    tested = search()
    tested.data.steps_per_epoch = 1
    monkeypatch.setattr(tested.variant, "draw_cells", lambda *arguments: [RESIDUAL])
    before = {name: value.clone() for name, value in tested.supernet.named_parameters()}
    tested.run_epoch()
    moved = {name for name, value in tested.supernet.named_parameters() if not torch.equal(value, before[name])}
    for (source, target), chosen in zip(EDGES, RESIDUAL.operations, strict=True):
        for operation in (CONV1, CONV3):
            touched = any(f".{source}_{target}.{operation}." in name for name in moved)
            assert touched == (operation == chosen), (source, target, operation)


def test_the_cell_of_a_step_is_drawn_once() -> None:
    tested = search()
    first, second = (trained_cells(tested, 40) for _ in range(2))
    assert first != second  # the stream goes on, so asking again later is another draw
    moment = tested.moment(Phase.WEIGHTS, 40)
    assert tested.variant.cell_of_step({}, moment) == tested.variant.cell_of_step({}, moment)


def test_computing_the_chosen_operations_only_changes_no_logits() -> None:
    tested = search()
    images, _ = tested.data.probe_batch("valid", 20)
    moment = tested.moment(Phase.WEIGHTS, 0)
    op_weights = tested.variant.op_weights({}, moment)
    controls = tested.variant.controls({}, moment)
    assert sum(map(sum, controls.active)) == 6
    assert torch.equal(op_weights, tested.one_hot(tested.variant.cell_of_step({}, moment)))
    whole, only = tested.supernet(images, op_weights, Controls()), tested.supernet(images, op_weights, controls)
    assert torch.allclose(whole, only, atol=1e-5)


def test_the_answer_is_the_best_candidate_by_one_shot_accuracy() -> None:
    tested = search(candidates=12, candidate_images=40)
    tested.run_epoch()
    answer, rules = tested.derive()
    candidates = tested.variant.draw_cells({}, stream(0, "variant/candidates", tested.epoch), 12)
    images, labels = tested.data.probe_batch("valid", 40)
    with torch.no_grad():
        right = [int((tested.supernet(images, tested.one_hot(cell)).argmax(1) == labels).sum()) for cell in candidates]
    assert len(set(right)) > 1
    assert answer == candidates[int(np.argmax(right))]
    assert rules == {}
    assert tested.derive()[0] == answer


@pytest.mark.parametrize("tracked", [True, False])
def test_candidates_can_be_scored_in_evaluation_mode(tracked: bool) -> None:
    """As the published code does: all norms that keep running statistics use them, those of the cells if they do."""
    settings = {"candidates": 12, "candidate_images": 40, "running_statistics": True}
    tested = tiny_search(RandomSearchWithSharing, settings, network__batch_statistics=not tracked, weights__lr=0.1)
    for _ in range(2):
        tested.run_epoch()
    before = {name: value.clone() for name, value in tested.supernet.state_dict().items()}
    answer, _ = tested.derive()
    candidates = tested.variant.draw_cells({}, stream(0, "variant/candidates", tested.epoch), 12)
    images, labels = tested.data.probe_batch("valid", 40)

    def right(net: Supernet) -> list[int]:
        with torch.no_grad():
            return [int((net(images, tested.one_hot(cell)).argmax(1) == labels).sum()) for cell in candidates]

    in_evaluation = right(copy.deepcopy(tested.supernet).eval())
    assert in_evaluation != right(copy.deepcopy(tested.supernet))
    assert answer == candidates[int(np.argmax(in_evaluation))]
    assert tested.supernet.training
    assert all(torch.equal(value, before[name]) for name, value in tested.supernet.state_dict().items())


def test_batch_statistics_matter_in_evaluation_mode_alone() -> None:
    """The searches are the same; only scores by running statistics tell them apart."""
    one, other = (
        tiny_search(RandomSearchWithSharing, {}, network__batch_statistics=chosen, precision="float64")
        for chosen in (True, False)
    )
    for tested in (one, other):
        tested.run_epoch()
    batch = [one.data.probe_batch("valid", 40)]
    cells = [Cell.from_index(index) for index in (9930, 1462, 1835, 857, 11000)]
    scores = {
        running: [
            [tested.one_shot_accuracy(tested.one_hot(cell), batch, running_statistics=running) for cell in cells]
            for tested in (one, other)
        ]
        for running in (False, True)
    }
    assert scores[False][0] == scores[False][1]
    assert scores[True][0] != scores[True][1]


def test_its_record_has_no_alpha_and_the_tables_cope(project: Path) -> None:
    write_params(project, tiny_params(variants={"rsps": {"candidates": 3}, "darts": {}}, baselines={}, seeds=[0]))
    board = load_board()
    record = run_search(board, "rsps", 0)
    run_search(board, "darts", 0)
    assert record.derived == {"variant": record.cell}
    folder = run_folder("rsps", 0)
    assert not (folder / "alpha.parquet").exists()
    epochs = read_table(folder, "epochs")
    assert epochs[["cell", "entropy", "margin", "skip_mass", "valid_loss"]].isna().all().all()
    assert epochs["train_loss"].notna().all()
    look_up(board, Truth.read(), RESULTS)
    assert read_results(RESULTS, "runs")["truth/cifar10/test"].notna().all()
    assert set(read_results(RESULTS, "alpha")["variant"]) == {"darts"}


def test_one_hot() -> None:
    cell = Cell.from_index(9930)
    assert torch.equal(one_hot(cell), F.one_hot(torch.tensor(cell.codes), len(OPERATIONS)))
    assert one_hot(cell).sum(dim=1).tolist() == [1] * 6
