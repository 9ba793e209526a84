import pytest
import torch
from pydantic import ValidationError

from harness.base.errors import UserError
from harness.search.loop import Search
from harness.search.variant import Continue, Phase, Restart
from harness.space.cell import OPERATIONS
from harness.testing import tiny_search
from tests.harness.networks import plain_supernet
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes, row
from variants.darts import Darts
from variants.darts_pt import DartsPt


def brute_force(search: Search, op_weights: torch.Tensor, edge: int) -> dict[int, float]:
    """Accuracies without each operation of an edge, on a supernet in loops whose sum leaves the operation out."""
    found = {}
    weights = {name: value.detach() for name, value in search.supernet.weights.items()}
    for column in range(len(OPERATIONS)):
        p = op_weights.clone()
        p[edge, column] = 0
        right, images = 0, 0
        for inputs, labels in search.data.mixed_batches("valid", search.data.batch_size):
            logits = plain_supernet.supernet(weights, inputs, p, search.supernet.spec.shape.cells_per_stage)
            right, images = right + int((logits.argmax(dim=1) == labels).sum()), images + len(labels)
        found[column] = 100 * right / images
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_each_edge_gets_the_operation_whose_removal_leaves_the_least(seed: int) -> None:
    search = tiny_search(DartsPt, seed=seed, precision="float64", weights__lr=0.2)
    search.run_epoch()
    spread = 0.0
    for _ in range(6):
        with torch.no_grad():
            before = search.variant.op_weights(search.architecture, search.moment(Phase.DERIVE))
        known = dict(search.variant._fixed)
        search.variant._fix_an_edge(search)
        ((edge, column),) = search.variant._fixed.items() - known.items()
        left = brute_force(search, before, edge)
        assert left[column] == pytest.approx(min(left.values()), abs=1e-9)
        spread = max(spread, max(left.values()) - min(left.values()))
    assert spread > 5
    answer = search.variant.derive(search)
    assert answer.codes == tuple(search.variant._fixed[edge] for edge in range(6))


def test_fixed_edges_are_one_hot_and_the_others_those_of_alpha() -> None:
    search = tiny_search(DartsPt)
    search.variant.load_state({"fixed": [[3, 1], [0, 4]]})
    found = search.derived_op_weights()
    plain = torch.softmax(search.architecture["alpha"].detach(), dim=-1).numpy()
    assert found[3].tolist() == [0, 1, 0, 0, 0]
    assert found[0].tolist() == [0, 0, 0, 0, 1]
    assert found[[1, 2, 4, 5]] == pytest.approx(plain[[1, 2, 4, 5]])


def test_edges_are_fixed_at_the_papers_epochs() -> None:
    variant = tiny_search(DartsPt, epochs=125).variant
    fixed = [variant._due(epoch) for epoch in range(126)]
    assert [epoch for epoch in range(1, 126) if fixed[epoch] > fixed[epoch - 1]] == [100, 105, 110, 115, 120, 125]


def test_until_the_first_edge_it_is_darts_and_then_tunes_at_a_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    own, plain = tiny_search(DartsPt), tiny_search(Darts)
    monkeypatch.setattr(plain, "_stage_epochs", 2)
    rows = [[row(search), row(search)] for search in (own, plain)]
    assert rows[0][0] == rows[1][0]
    assert_same(dict(own.supernet.weights), dict(plain.supernet.weights))
    assert len(own.variant._fixed) == 1
    own.run_epoch()
    assert own.weight_optimizer.settings["lr"] <= 0.0025
    assert len(own.variant._fixed) == 6


def test_it_restarts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    search = tiny_search(DartsPt, {"tuning": 0.5}, epochs=10)
    monkeypatch.setattr(
        search.variant, "_fix_an_edge", lambda search: search.variant._fixed.update({len(search.variant._fixed): 0})
    )
    answers = []
    for search.epoch in range(1, 11):
        answers.append(search.variant.end_of_epoch(search))
    assert [type(answer) for answer in answers] == [Continue] * 4 + [Restart] + [Continue] * 5
    assert answers[4] == Restart(0.1, epochs=5)


def test_a_fixed_alpha_never_moves() -> None:
    search = tiny_search(DartsPt, {"train_alpha": False})
    start = search.architecture["alpha"].detach().clone()
    for _ in range(3):
        search.run_epoch()
    assert torch.equal(search.architecture["alpha"], start)
    assert len(search.variant._fixed) == 6


def test_a_resumed_search_is_the_same_search() -> None:
    assert_resumes(DartsPt, tuning=0.6)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="darts-pt needs at least 2 epochs"):
        tiny_search(DartsPt, epochs=1)
    with pytest.raises(ValidationError):
        DartsPt.Settings(tuning=1)
