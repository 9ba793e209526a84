"""Methods that break the contract in one way each: the failure names what the contract wants."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor

from harness.api import (
    Architecture,
    Baseline,
    Cell,
    Continue,
    Moment,
    Phase,
    SearchLength,
    SearchView,
    StepView,
    Variant,
    random_cell,
)
from harness.search import registry
from harness.testing import Conformance, conformance


class Kept(Variant):
    """DARTS under another name."""

    name = "kept"
    citation = "Somebody. Something. 2026."
    axis = "none"
    family = "relaxation"


class NoYear(Kept):
    """Its citation has no year."""

    citation = "Somebody. Something."


class Homeless(Kept):
    """It belongs to no family."""

    family = "others"  # type: ignore[assignment]


class Unexplained(Kept):
    """It has a setting without a text."""

    class Settings(Variant.Settings):
        """One setting."""

        strength: float = Field(default=1.0)


class Fragments(Kept):
    """Its departures are no sentences."""

    departures = ("other epochs",)


class GlobalRandom(Kept):
    """It draws from torch's global stream."""

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return noisy op weights."""
        noise = torch.rand(6, 5) if moment.phase is not Phase.DERIVE else torch.zeros(6, 5)
        return torch.softmax(architecture["alpha"] + noise, dim=-1)


class Forgetful(Kept):
    """It counts its steps and does not say so in its state."""

    def __init__(self, settings: Any, protocol: Any) -> None:
        super().__init__(settings, protocol)
        self.steps = 0

    def after_weight_step(self, step: StepView) -> None:
        """Count."""
        self.steps += 1

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return op weights that grow sharper with the steps."""
        return torch.softmax(architecture["alpha"] * (1 + self.steps), dim=-1)


class StrangeState(Kept):
    """Its state has an object of its own."""

    def state(self) -> dict[str, Any]:
        """Return a range."""
        return {"steps": range(3)}


class Restless(Kept):
    """Its answer is noise."""

    def derive(self, search: SearchView) -> Cell:
        """Return any cell."""
        return random_cell(np.random.default_rng())


class NoCell(Kept):
    """Its answer is a text."""

    def derive(self, search: SearchView) -> Any:
        """Return the cell's name."""
        return str(super().derive(search))


class Cheap(Kept):
    """It declares half of what it costs."""

    passes_per_step = 1.0


class Still(Kept):
    """Its gradient is zero, and without weight decay alpha rests."""

    def alpha_settings(self, settings: Any) -> Any:
        """Return them without weight decay."""
        return settings.model_copy(update={"weight_decay": 0.0})

    def alpha_gradient(self, step: StepView) -> Architecture:
        """Return zero."""
        super().alpha_gradient(step)
        return {"alpha": torch.zeros_like(step.architecture["alpha"])}


class Drowning(Kept):
    """It divides a difference of losses by little, in which bfloat16 leaves nothing but rounding."""

    def alpha_gradient(self, step: StepView) -> Architecture:
        """Return the slopes along alpha's own axes, by differences."""
        alpha = step.architecture["alpha"].detach()
        slopes = torch.zeros_like(alpha)
        for position in np.ndindex(*alpha.shape):
            moved = alpha.clone()
            moved[position] += 1e-2
            with torch.no_grad():
                one, other = (step.valid_loss(step.weights, {"alpha": value}) for value in (moved, alpha))
            slopes[position] = (one - other) / 1e-2
        return {"alpha": slopes}


class Infinite(Kept):
    """Its penalty is no number."""

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return infinity."""
        return architecture["alpha"].sum() * float("inf")


class Spending(Kept):
    """It looks at a batch after each epoch, and declares nothing."""

    def end_of_epoch(self, search: SearchView) -> Continue:
        """Count a pass."""
        search.passes += 1
        return Continue()


class Boasting(Spending):
    """It declares ten times as many."""

    @classmethod
    def further_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return ten an epoch."""
        return 10.0 * length.epochs


class Asking(Kept):
    """It looks at a batch for its answer, and declares nothing."""

    def derive(self, search: SearchView) -> Cell:
        """Count a pass."""
        search.passes += 1
        return super().derive(search)


class Once(Kept):
    """It declares the passes of one step alone."""

    @classmethod
    def search_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return too few."""
        return cls.passes_per_step


class Flat(Kept):
    """Its op weights know nothing of alpha when a cell is read."""

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return detached op weights."""
        weights = super().op_weights(architecture, moment)
        return weights.detach() if moment.phase is Phase.DERIVE else weights


class Unseeded(Baseline):
    """It draws from a stream of its own."""

    name = "unseeded"
    citation = "Somebody. Something. 2026."
    axis = "random"
    family = "multi-trial"
    strategy = "random"

    def propose(self) -> Cell:
        """Return any cell."""
        return random_cell(np.random.default_rng())


class Dependent(Baseline):
    """It needs what is not installed."""

    name = "dependent"
    needs: ClassVar[dict[str, str]] = {"no_such_package": "something"}


SUITE = Conformance()

BROKEN: list[tuple[Callable[..., None], registry.Method, str]] = [
    (SUITE.test_it_says_where_it_comes_from, NoYear, "the citation has a year"),
    (SUITE.test_it_says_where_it_comes_from, Homeless, "`family` is one of gradient estimator, .*; not 'others'"),
    (SUITE.test_it_says_where_it_comes_from, Fragments, r"each of the departures is a sentence: \['other epochs'\]"),
    (SUITE.test_every_setting_is_explained_and_has_a_default, Unexplained, r"these have none: \['strength'\]"),
    (
        SUITE.test_the_same_seed_is_the_same_search_whatever_the_global_streams_say,
        GlobalRandom,
        r"the same seed gives the same losses: draw random numbers from moment.stream\(purpose\) only",
    ),
    (SUITE.test_it_resumes_bit_equal_from_every_epoch, Forgetful, "resumed after epoch 1.*`state` returns all that"),
    (SUITE.test_it_resumes_bit_equal_from_every_epoch, StrangeState, "`state` returns tensors, numbers, strings"),
    (SUITE.test_it_answers_with_a_cell_and_always_the_same, Restless, "asked twice, it answers with the same cell"),
    (SUITE.test_it_answers_with_a_cell_and_always_the_same, NoCell, "`derive` and `derived_cells` return cells"),
    (
        SUITE.test_its_first_gradients_in_bfloat16_point_where_those_of_float32_do,
        Drowning,
        "in bfloat16 the gradient of alpha points where",
    ),
    (SUITE.test_its_cost_is_what_it_declares, Cheap, "1.0 are declared, 2 were counted"),
    (SUITE.test_its_cost_is_what_it_declares, Spending, "end_of_epoch.* 0 passes are declared, 3 were counted"),
    (
        SUITE.test_its_cost_is_what_it_declares,
        Boasting,
        "end_of_epoch.* 30 passes are declared, 3 were counted",
    ),
    (SUITE.test_its_cost_is_what_it_declares, Asking, "`derive` costs at most: 0 passes are declared, 1 were counted"),
    (
        SUITE.test_its_cost_is_what_it_declares,
        Once,
        "a whole search costs.* 2 passes are declared, 30 were counted",
    ),
    (SUITE.test_it_moves_alpha_where_it_has_one, Still, "steps of alpha move alpha"),
    (SUITE.test_it_searches_with_finite_numbers, Infinite, "loss and gradient norm are finite"),
    (SUITE.test_every_diagnostic_can_be_measured, Flat, "these are none: .*'hessian_largest'"),
    (SUITE.test_it_is_its_seeds_search_whatever_the_global_streams_say, Unseeded, "from self.random"),
]


@pytest.mark.parametrize(("check", "method", "message"), BROKEN, ids=[method.__name__ for _, method, _ in BROKEN])
def test_what_is_broken_is_named(check: Callable[..., None], method: registry.Method, message: str) -> None:
    with pytest.raises(pytest.fail.Exception, match=f"^{method.name}: the contract wants that .*{message}"):
        check(method)


VARIANT_TESTS = {check.__func__ for check, method, _ in BROKEN if issubclass(method, Variant)}  # type: ignore[attr-defined]


@pytest.mark.parametrize("check", sorted(VARIANT_TESTS, key=lambda one: str(one.__name__)))
def test_the_kept_method_keeps_each_of_them(check: Callable[..., None]) -> None:
    check(SUITE, Kept)


@pytest.mark.parametrize(
    "check",
    [
        SUITE.test_it_is_its_seeds_search_whatever_the_global_streams_say,
        SUITE.test_it_proposes_cells_and_answers_with_the_best_it_saw,
    ],
)
def test_what_needs_a_package_that_is_not_installed_is_skipped(check: Callable[..., None]) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"^dependent needs the package no_such_package: "):
        check(Dependent)


def test_a_package_without_methods_is_told_how_to_register_one() -> None:
    class Absent(Conformance, package="nobody"):
        pass

    with pytest.raises(pytest.fail.Exception, match=r"package 'nobody'.*entry point 'dartsboard\.variants'"):
        Absent.methods()


def test_a_package_is_held_to_its_own_methods_only() -> None:
    class Own(Conformance, package="variants"):
        pass

    assert Own.methods() == registry.methods()
    assert conformance.Conformance.package is None
