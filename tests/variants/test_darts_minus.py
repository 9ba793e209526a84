import pytest
import torch

from harness.search.variant import Phase
from harness.testing import first_step, tiny_search
from tests.harness.networks import plain_supernet
from tests.variants.searches import moment, start
from variants.darts import Darts
from variants.darts_minus import DartsMinus

SKIP, OTHERS = 1, [0, 2, 3, 4]


def spread_alpha() -> torch.Tensor:
    return torch.linspace(-2, 3, 30, dtype=torch.float64).view(6, 5)


@pytest.mark.parametrize("phase", [Phase.WEIGHTS, Phase.ALPHA])
@pytest.mark.parametrize(("epoch", "step", "beta"), [(0, 0, 1.0), (5, 0, 0.5), (5, 1, 0.45), (9, 1, 0.05)])
def test_beta_is_added_to_skip_and_falls_to_zero(phase, epoch, step, beta) -> None:
    tested = start(DartsMinus, {"epochs": 10})
    assert tested.data.steps_per_epoch == 2
    found = tested.variant.op_weights({"alpha": spread_alpha()}, moment(tested, phase, epoch, step))
    plain = torch.softmax(spread_alpha(), dim=-1)
    assert torch.allclose(found[:, SKIP] - plain[:, SKIP], torch.tensor(beta, dtype=torch.float64))
    assert torch.equal(found[:, OTHERS], plain[:, OTHERS])


def test_cells_are_read_without_the_auxiliary_skip() -> None:
    tested = start(DartsMinus)
    found = tested.variant.op_weights({"alpha": spread_alpha()}, moment(tested, Phase.DERIVE))
    assert torch.equal(found, torch.softmax(spread_alpha(), dim=-1))
    with torch.no_grad():
        tested.architecture["alpha"].copy_(spread_alpha())  # the last operation leads, but not by as much as beta
    assert tested.derive()[0].counts["avg_pool_3x3"] == 6


def test_the_loss_is_that_of_a_path_beside_every_edge(monkeypatch) -> None:
    """Against the network in loops, with beta x added to what each edge gives out."""
    tested = tiny_search(DartsMinus, {"auxiliary_skip": 0.7}, precision="float64", alpha__init_scale=1.0)
    step = first_step(tested)
    found = step.valid_loss(step.weights, step.architecture)
    plain_edge = plain_supernet.edge_output

    def with_path(x, *rest):
        return plain_edge(x, *rest) + 0.7 * x

    monkeypatch.setattr(plain_supernet, "edge_output", with_path)
    images, labels = step.valid_batch
    weights = dict(step.weights)
    logits = plain_supernet.supernet(weights, images, torch.softmax(step.architecture["alpha"], dim=-1), 1)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), abs=1e-7)
    slopes = [torch.autograd.grad(loss, step.architecture["alpha"])[0] for loss in (found, expected)]
    assert torch.allclose(*slopes, rtol=0, atol=1e-7)


def test_without_the_auxiliary_skip_it_is_darts() -> None:
    without, plain = tiny_search(DartsMinus, {"auxiliary_skip": 0.0}), tiny_search(Darts)
    for _ in range(3):
        without.run_epoch()
        plain.run_epoch()
    assert torch.equal(without.architecture["alpha"], plain.architecture["alpha"])
