import pytest
import torch
import torch.nn.functional as F

from harness.base.named_tensors import gradient
from harness.testing import first_step, tiny_search
from harness.theory.quadratic import Quadratic
from tests.variants.searches import assert_resumes
from variants.idarts import IDarts


class QuadraticStep:
    """The quadratic problem at its inner solution, as a step of a search."""

    def __init__(self, learning_rate: float):
        self.problem = Quadratic(coupling=0.5)
        self.problem.settle()
        self.search = tiny_search(IDarts)
        self.learning_rate = learning_rate
        self.weights, self.architecture = self.problem.weights, self.problem.architecture
        self.train_loss, self.valid_loss = self.problem.train_loss, self.problem.valid_loss

    def estimate(self, terms: int) -> torch.Tensor:
        return tiny_search(IDarts, {"terms": terms}).variant.alpha_gradient(self)["alpha"]


def test_it_tends_to_the_exact_hypergradient_as_terms_grow() -> None:
    step = QuadraticStep(learning_rate=0.2)
    exact = step.problem.exact()
    errors = [float((step.estimate(terms) - exact).norm() / exact.norm()) for terms in (0, 1, 2, 8, 200)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 1e-9
    (first,) = gradient(step.valid_loss(step.weights, step.architecture), step.architecture).values()
    assert float(F.cosine_similarity(step.estimate(2), exact, dim=0)) > float(F.cosine_similarity(first, exact, dim=0))


@pytest.mark.parametrize("terms", [0, 1, 2])
def test_closed_form_of_the_truncated_series(terms) -> None:
    step = QuadraticStep(learning_rate=0.1)
    problem = step.problem
    shrink = torch.eye(8, dtype=torch.float64) - 0.1 * problem.H
    series = sum(torch.linalg.matrix_power(shrink, power) @ problem.valid_slope() for power in range(terms + 1))
    direct = problem.q * problem.alpha + problem.D.T @ problem.solution()
    assert torch.allclose(step.estimate(terms), direct + 0.1 * problem.B.T @ problem.H @ series, atol=1e-12)


@pytest.mark.parametrize(
    ("order", "moving"), [("alpha-then-weights", [0, 4, 8, 12]), ("weights-then-alpha", [3, 7, 11])]
)
def test_alpha_moves_once_in_four_steps_at_four_times_the_rate(order, moving) -> None:
    tested = tiny_search(IDarts, batch_size=8, order=order)
    moved = []
    for number in range(15):
        tested.epoch, index = divmod(number, 5)
        before = tested.architecture["alpha"].detach().clone()
        step = first_step(tested)
        tested.run_step(index, step.train_batch, step.valid_batch)
        change = float((tested.architecture["alpha"].detach() - before).abs().max())
        if change:
            moved.append(number)
            assert change == pytest.approx(4 * 0.05, rel=0.01) or len(moved) > 1  # Adam's first step is its rate
    assert moved == moving
    assert tested.passes == 15 + len(moving) * (2 + 2 * 3)
    assert IDarts.passes_per_step == (4 + 2 + 2 * 3) / 4


def test_it_can_be_asked_for_where_cells_are_recomputed() -> None:
    plain, recomputed = (
        tiny_search(IDarts, precision="float64", network__gradient_checkpointing=one) for one in (False, True)
    )
    for search in (plain, recomputed):
        search.run_epoch()
    assert torch.allclose(plain.architecture["alpha"], recomputed.architecture["alpha"], rtol=0, atol=1e-10)


def test_a_resumed_search_is_the_same_search() -> None:
    assert_resumes(IDarts, steps=3)
