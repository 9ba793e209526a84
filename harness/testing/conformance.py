"""What every method must keep to, as tests that pytest collects.

    from harness.testing import Conformance
    class TestConformance(Conformance, package="my_package"): ...

in a test file holds every registered method of that package to it; without `package`, every registered method there is.
"""

import copy
import inspect
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pickle import UnpicklingError
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from harness.base.errors import UserError
from harness.records.record import DIAGNOSTIC_COLUMNS, TIMING_COLUMNS
from harness.search import registry
from harness.search.baseline import Baseline, Signal, run_baseline
from harness.search.loop import Search
from harness.search.variant import Decision, SearchLength, SearchView, Variant
from harness.settings.strategy import FAMILIES
from harness.space.cell import CELL_COUNT, NONE, OPERATIONS, Cell, all_cells
from harness.space.one_shot_cells import ONE_SHOT_CELLS
from harness.testing.searches import first_step, tiny_search

BATCH_SIZE = 8
"""Small, for 15 steps in the 3 epochs, so that what acts only every few steps acts here too."""

LONGER = Signal(
    np.random.default_rng(1).uniform(50, 90, (1, CELL_COUNT)), np.full((1, CELL_COUNT), 1600.0), notes=(), epochs=200
)
SIGNAL = Signal(
    np.random.default_rng(0).uniform(10, 50, (1, CELL_COUNT)),
    np.full((1, CELL_COUNT), 100.0),
    notes=(),
    epochs=12,
    longer=(LONGER,),
)
"""Every score after the longer training is above all after the shorter, as an answer is that was trained longer."""

ROUNDING = 0.1
"""Share by which the counted cost of such a short search may differ from the declared one, if it changes on the way."""

LEAST_SHARE = 0.3
"""Of the passes that a method declares by a rule of its own, which says how many they are at most."""

BFLOAT16_WEIGHTS, BFLOAT16_ALPHA = 0.9, 0.6
"""Least cosines between first gradients in bfloat16 and in float32. In so small a network those of the weights have
0.96 and more, those of alpha 0.9; where two gradients are subtracted, 0.75."""

COSTS = {
    "further_passes": "`end_of_epoch` costs, as further_epochs says or a rule of the method's own,",
    "answer_passes": "`derive` costs",
    "search_passes": "a whole search costs",
}
"""The rules of a method's cost, and of what each tells it."""

FEWER = tuple(operation for operation in OPERATIONS if operation != NONE)

STREAMS = "draw random numbers from moment.stream(purpose) only"


class Conformance:
    """Subclass it in a test file. Each failure says what the contract wants, and how a method keeps to it."""

    package: ClassVar[str | None] = None

    def __init_subclass__(cls, package: str | None = None) -> None:
        cls.package = package

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each method that it is about."""
        kinds = {"variant": Variant, "baseline": Baseline, "method": Variant | Baseline}
        for argument, kind in kinds.items():
            if argument in metafunc.fixturenames:
                found = {name: one for name, one in self.methods().items() if issubclass(one, kind)}
                metafunc.parametrize(argument, list(found.values()), ids=list(found))

    @classmethod
    def methods(cls) -> dict[str, registry.Method]:
        """Return the methods of the package by name; all that are registered where none is named."""
        package, known = cls.package, registry.methods()
        if package is None:
            return known
        found = {name: one for name, one in known.items() if f"{one.__module__}.".startswith(f"{package}.")}
        if not found:
            pytest.fail(
                f"no registered method is defined in the package {package!r}: name its modules under the entry point "
                f"{registry.ENTRY_POINT_GROUP!r} and install it",
                pytrace=False,
            )
        return found

    # Declarations

    def test_it_says_where_it_comes_from(self, method: registry.Method) -> None:
        """It has a citation with a year, an axis, a docstring, and departures in whole sentences."""
        want(re.search(r"\b(19|20)\d\d\b", method.citation), method, "the citation has a year")
        want(method.axis, method, "`axis` says in a few words what it changes")
        family = getattr(method, "family", None)
        want(family in FAMILIES, method, f"`family` is one of {', '.join(FAMILIES)}; not {family!r}")
        want(inspect.getdoc(method), method, "the class has a docstring")
        fragments = [sentence for sentence in method.departures if not sentence.endswith(".")]
        want(not fragments, method, f"each of the departures is a sentence: {fragments}")

    def test_every_setting_is_explained_and_has_a_default(self, method: registry.Method) -> None:
        """Each setting has a text under it, and the paper's value as its default."""
        settings = method.Settings.model_fields
        unexplained = [key for key, setting in settings.items() if not setting.description]
        want(not unexplained, method, f"each setting has a text under it; these have none: {unexplained}")
        required = [key for key, setting in settings.items() if setting.is_required()]
        want(not required, method, f"each setting has a default; these have none: {required}")

    # Searches

    def test_every_diagnostic_can_be_measured(self, variant: type[Variant]) -> None:
        """Every column of a search with alpha is a number when everything is due."""
        everything = ("diagnostics__every", "diagnostics__hessian_every", "diagnostics__one_shot_every")
        search = tiny_search(variant, settings=None, seed=0, **dict.fromkeys(everything, 1))
        measures = search.run_epoch()
        judged = len(search.one_shot_rows)
        want(judged == len(ONE_SHOT_CELLS), variant, f"one-shot accuracies are measured: {judged} cells were judged")
        if "alpha" in search.architecture:
            unknown = [key for key in DIAGNOSTIC_COLUMNS if not math.isfinite(measures[key])]
            want(
                unknown == ["flips"],
                variant,
                f"`op_weights` for Phase.DERIVE is differentiable by alpha, [6, operations] or with a matrix for each "
                f"cell, so that every diagnostic but the first epoch's flips is a number; these are none: {unknown}",
            )

    def test_it_searches_with_finite_numbers(self, variant: type[Variant]) -> None:
        """Losses, gradients, weights and alpha stay numbers."""
        course = undisturbed(variant)
        want(course.rows, variant, "at least one epoch is searched")
        numbers = [row[key] for row in course.rows for key in ("train_loss", "gradient_norm")]
        want(all(map(math.isfinite, numbers)), variant, f"loss and gradient norm are finite: {numbers}")
        for part in (dict(course.search.supernet.named_parameters()), course.search.architecture):
            infinite = [name for name, value in part.items() if not value.isfinite().all()]
            want(not infinite, variant, f"weights and architecture stay finite; these did not: {infinite}")

    def test_it_moves_alpha_where_it_has_one(self, variant: type[Variant]) -> None:
        """Alpha moves, unless the method's own `alpha_gradient` says that there is no step."""
        course = undisturbed(variant)
        first, last = course.states[0]["architecture"], course.states[-1]["architecture"]
        # Adam keeps a state of its steps, SGD does not.
        stepped = any(
            state["alpha_optimizer"]["state"] or not same(first, state["architecture"]) for state in course.states
        )
        if not first or not stepped:
            own = variant.alpha_gradient is not Variant.alpha_gradient
            want(own, variant, "a method without steps of alpha says so: its `alpha_gradient` returns None")
            return
        want(set(first) == set(last), variant, "the names of the architecture parameters stay the same")
        want(not same(first["alpha"], last["alpha"]), variant, "steps of alpha move alpha")

    def test_the_same_seed_is_the_same_search_whatever_the_global_streams_say(self, variant: type[Variant]) -> None:
        """Nothing depends on torch's and numpy's global random numbers."""
        torch.manual_seed(2)
        np.random.seed(2)
        again, first = Course(start(variant)).note().go_on(), undisturbed(variant)
        want(same(again.rows, first.rows), variant, f"the same seed gives the same losses: {STREAMS}")
        want(same(again.states[-1], first.states[-1]), variant, f"the same seed gives the same alpha: {STREAMS}")
        want(
            again.search.derive() == undisturbed(variant).answer,
            variant,
            f"the same seed gives the same cell: {STREAMS}",
        )

    def test_another_seed_is_another_search(self, variant: type[Variant]) -> None:
        """Weights and architecture start elsewhere."""
        first, other = undisturbed(variant).states[0], start(variant, seed=1).state()
        want(not same(first["weights"], other["weights"]), variant, "another seed starts with other weights")
        moved = not first["architecture"] or not same(first["architecture"], other["architecture"])
        want(moved, variant, "another seed starts with another architecture")

    def test_it_resumes_bit_equal_from_every_epoch(self, variant: type[Variant]) -> None:
        """A search that is killed after any epoch goes on as if it had not been."""
        course = undisturbed(variant)
        kept = "`state` returns all that later epochs depend on and `load_state` takes it back"
        for epoch in range(1, len(course.rows) + 1):
            resumed = Course(start(variant))
            resumed.search.load_state(through_a_file(variant, course.states[epoch]))
            resumed.go_on()
            want(same(resumed.rows, course.rows[epoch:]), variant, f"resumed after epoch {epoch}, losses agree: {kept}")
            want(
                same(resumed.search.state(), course.states[-1]),
                variant,
                f"resumed after epoch {epoch}, alpha agrees: {kept}",
            )
        # Even when nothing was left to search.
        want(
            resumed.search.derive() == undisturbed(variant).answer,
            variant,
            f"a resumed search finds the same cell: {kept}",
        )

    def test_it_answers_with_a_cell_and_always_the_same(self, variant: type[Variant]) -> None:
        """`derive` returns a cell, and asking twice changes nothing."""
        search = undisturbed(variant).search
        own, rules = undisturbed(variant).answer
        others = [one for one in (own, *rules.values()) if not isinstance(one, Cell)]
        want(not others, variant, f"`derive` and `derived_cells` return cells; these are none: {others}")
        want((own, rules) == search.derive(), variant, f"asked twice, it answers with the same cell: {STREAMS}")
        if search.architecture:
            equal = np.array_equal(search.derived_op_weights(), search.derived_op_weights())
            want(equal, variant, "`op_weights` for Phase.DERIVE is the mean or the mode of what is random")

    def test_it_searches_a_space_of_fewer_operations(self, variant: type[Variant]) -> None:
        """What the protocol leaves out takes no part and is never derived."""
        search = Course(tiny_search(variant, operations=FEWER, data__limit=4)).go_on().search
        own, rules = search.derive()
        others = [rule for rule, cell in {"derive": own, **rules}.items() if NONE in cell.operations]
        want(not others, variant, f"edges carry operations of `self.operations` only; other cells come from {others}")
        if search.architecture:
            width = search.derived_op_weights().shape[1]
            want(width == len(FEWER), variant, f"op weights have a column for each of `self.operations`, not {width}")

    def test_its_first_gradients_in_bfloat16_point_where_those_of_float32_do(self, variant: type[Variant]) -> None:
        """A method whose gradients drown in rounding refuses bfloat16 with a sentence."""
        try:
            of_weights, of_alpha = first_gradients(variant, "bfloat16")
        except UserError:
            return
        weights, alpha = first_gradients(variant, "float32")
        for name, found, exact, least in (
            ("weights", of_weights, weights, BFLOAT16_WEIGHTS),
            ("alpha", of_alpha, alpha, BFLOAT16_ALPHA),
        ):
            cosine = float(torch.cosine_similarity(found, exact, dim=0)) if exact.any() else 1.0
            want(
                cosine > least,
                variant,
                f"in bfloat16 the gradient of {name} points where that of float32 does, or the method refuses "
                f"bfloat16: their cosine is {cosine:.3f}, expected at least {least}",
            )

    def test_its_cost_is_what_it_declares(self, variant: type[Variant]) -> None:
        """`passes_per_step` is what a step costs, in forward-backward passes; other rules say what comes on top."""
        course = undisturbed(variant)
        steps = len(course.rows) * course.search.data.steps_per_epoch
        per_epoch = np.diff(course.passes)
        declared, counted = variant.passes_per_step, course.passes[-1] / steps
        # Where the cost changes on the way, a share of the search is rounded to whole steps or epochs, of which there
        # are few.
        tolerance = 1e-6 if np.allclose(per_epoch, per_epoch[0]) else max(1.0, ROUNDING * declared * steps)
        want(
            course.passes[-1] == pytest.approx(declared * steps, abs=tolerance),
            variant,
            f"passes_per_step is what a step costs: {declared} are declared, {counted:.3g} were counted",
        )
        length = SearchLength(course.search.protocol.epochs, course.search.data.steps_per_epoch, BATCH_SIZE)
        assert course.answer
        counts = {"further_passes": course.between_epochs, "answer_passes": course.passes_of_answer}
        counts["search_passes"] = course.passes[-1] + sum(counts.values())
        for name, counted in counts.items():
            most = getattr(variant, name)(course.search.variant.settings, length)
            own_rule = vars(Variant)[name].__func__ is not getattr(variant, name).__func__
            least = most * LEAST_SHARE if own_rule else 0.0 if name == "search_passes" else most
            slack = tolerance if name == "search_passes" else 1e-6
            want(
                least - slack <= counted <= most + slack,
                variant,
                f"{name} is what {COSTS[name]} at most: {most:.3g} passes are declared, {counted:.3g} were counted",
            )

    # Baselines

    def test_it_is_its_seeds_search_whatever_the_global_streams_say(self, baseline: type[Baseline]) -> None:
        """Nothing depends on numpy's global random numbers."""
        skip_without_packages(baseline)
        settings = baseline.Settings(evaluations=60)
        np.random.seed(1)
        first = run_baseline(baseline, settings, 0, SIGNAL)
        np.random.seed(2)
        again, other = (run_baseline(baseline, settings, seed, SIGNAL) for seed in (0, 1))
        want(again.equals(first), baseline, "the same seed is the same search: draw random numbers from self.random")
        want(not other.equals(first), baseline, "another seed is another search: draw random numbers from self.random")

    def test_it_proposes_cells_of_a_space_of_fewer_operations(self, baseline: type[Baseline]) -> None:
        """`propose` keeps to `self.operations`."""
        skip_without_packages(baseline)
        rows = run_baseline(baseline, baseline.Settings(evaluations=60), 0, SIGNAL, FEWER)
        indices = [cell.index for cell in all_cells(FEWER)]
        allowed = np.concatenate([SIGNAL.scores[0, indices], LONGER.scores[0, indices]])
        kept = np.isin(rows["signal"], allowed).all()
        want(kept, baseline, "edges of proposed cells carry operations of `self.operations`")

    def test_it_proposes_cells_and_answers_with_the_best_it_saw(self, baseline: type[Baseline]) -> None:
        """`propose` returns cells of the space, with a length that `begin` was told where it names one."""
        skip_without_packages(baseline)
        rows = run_baseline(baseline, baseline.Settings(evaluations=60), 0, SIGNAL)
        table = np.concatenate([SIGNAL.scores, LONGER.scores])
        want(np.isin(rows["signal"], table).all(), baseline, "every score is one of the table")
        answers = [Cell.from_string(cell).index for cell in rows["cell"]]
        best = (table[:, answers] == rows["signal"].cummax().to_numpy()).any(axis=0).all()
        want(best, baseline, "the answer is the best cell that was seen so far, among those trained longest")


def skip_without_packages(baseline: type[Baseline]) -> None:
    """Skip the test of a baseline whose packages are not installed."""
    for package, requirement in registry.lacking(baseline).items():
        pytest.skip(f"{baseline.name} needs the package {package}: pip install '{requirement}'")


def want(kept: object, method: registry.Method, what: str) -> None:
    """Fail with what the contract wants, without a traceback, where it is not kept."""
    __tracebackhide__ = True
    if not kept:
        pytest.fail(f"{method.name}: the contract wants that {what}", pytrace=False)


@dataclass
class Course:
    """A whole search, and what it looked like after each epoch."""

    search: Search
    rows: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    """The first is that before the first epoch."""
    passes: list[float] = field(default_factory=list)
    """Those of the steps until then."""
    between_epochs: float = 0.0
    """Passes that `end_of_epoch` has spent, which may be many at the end of so few steps."""
    passes_of_answer: float = 0.0

    def __post_init__(self) -> None:
        decide = self.search.variant.end_of_epoch

        def watched(search: SearchView) -> Decision:
            before = search.passes
            decision = decide(search)
            self.between_epochs += search.passes - before
            return decision

        self.search.variant.end_of_epoch = watched  # type: ignore[method-assign]

    def go_on(self) -> "Course":
        """Search to the end."""
        while self.search.epoch < self.search.protocol.epochs and self.search.stop_reason is None:
            row = self.search.run_epoch()
            self.rows.append({key: value for key, value in row.items() if key not in TIMING_COLUMNS})
            self.note()
        return self

    @cached_property
    def answer(self) -> tuple[Cell, dict[str, Cell]]:
        """The cell that was found, and those of further rules by name."""
        before = self.search.passes
        found = self.search.derive()
        self.passes_of_answer = self.search.passes - before
        return found

    def note(self) -> "Course":
        """Keep what the search looks like now."""
        self.states.append(copy.deepcopy(self.search.state()))
        self.passes.append(self.search.passes - self.between_epochs)
        return self


def start(variant: type[Variant], seed: int = 0) -> Search:
    """Return a tiny search at its beginning."""
    return tiny_search(variant, seed=seed, batch_size=BATCH_SIZE)


_UNDISTURBED: dict[type[Variant], Course] = {}


def undisturbed(variant: type[Variant]) -> Course:
    """Return the whole search of seed 0, which is made once."""
    if variant not in _UNDISTURBED:
        torch.manual_seed(1)
        np.random.seed(1)
        _UNDISTURBED[variant] = Course(start(variant)).note().go_on()
    return _UNDISTURBED[variant]


def same(one: Any, other: Any) -> bool:
    """Whether two contents are bit-equal; NaN equals NaN."""
    left, right = list(_leaves(one)), list(_leaves(other))
    return len(left) == len(right) and all(_same_leaf(a, b) for a, b in zip(left, right, strict=True))


def _leaves(content: Any) -> Iterator[Any]:
    """All tensors and plain values, flat, in one order."""
    if isinstance(content, dict):
        for key in sorted(content, key=str):
            yield from _leaves(content[key])
    elif isinstance(content, list | tuple):
        for part in content:
            yield from _leaves(part)
    else:
        yield content


def _same_leaf(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, other))
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or one == other


def first_gradients(variant: type[Variant], precision: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the first step, of all weights and of all alpha, each as one vector."""
    step = first_step(tiny_search(variant, precision=precision))
    found = step.search.variant.weight_gradients(step), step.search.variant.alpha_gradient(step) or {}
    parts = [[value.detach().flatten() for value in part.values() if value is not None] for part in found]
    of_weights, of_alpha = (torch.cat(part) if part else torch.zeros(1) for part in parts)
    return of_weights, of_alpha


def through_a_file(variant: type[Variant], state: dict[str, Any]) -> dict[str, Any]:
    """Return a state as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    except UnpicklingError:
        want(False, variant, "`state` returns tensors, numbers, strings, and lists and dicts of them, nothing else")
    return loaded
