"""What every registered method must keep to, those of installed packages included."""

import ast
import copy
import inspect
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.records.record import DIAGNOSTIC_COLUMNS, TIMING_COLUMNS
from harness.search.baseline import Baseline, Signal, run_baseline
from harness.search.loop import Search, registry
from harness.search.variant import Variant
from harness.space.cell import CELL_COUNT, Cell
from harness.space.one_shot_cells import ONE_SHOT_CELLS
from tests.conftest import ROOT
from tests.variants.searches import tiny_search

METHODS = registry.methods()
VARIANTS = [name for name, method in METHODS.items() if issubclass(method, Variant)]
BASELINES = [name for name, method in METHODS.items() if issubclass(method, Baseline)]
OWN = [name for name, method in METHODS.items() if method.__module__.startswith("variants.")]
"""Those of the project itself, whose files and pages are here."""

LONGEST_FILE = 150
BATCH_SIZE = 8
"""Small, for 15 steps in the 3 epochs, so that what acts only every few steps acts here too."""


def start(name: str, seed: int = 0) -> Search:
    return tiny_search(registry.variant(name), seed=seed, batch_size=BATCH_SIZE)


@dataclass
class Course:
    """A whole search, and what it looked like after each epoch."""

    search: Search
    rows: list[dict[str, Any]] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    """The first is that before the first epoch."""
    passes: list[float] = field(default_factory=list)

    def go_on(self) -> "Course":
        while self.search.epoch < self.search.protocol.epochs and self.search.stop_reason is None:
            row = self.search.run_epoch()
            self.rows.append({key: value for key, value in row.items() if key not in TIMING_COLUMNS})
            self.note()
        return self

    def note(self) -> "Course":
        self.states.append(copy.deepcopy(self.search.state()))
        self.passes.append(self.search.passes)
        return self


@cache
def undisturbed(name: str) -> Course:
    torch.manual_seed(1)
    np.random.seed(1)
    return Course(start(name)).note().go_on()


@cache
def answer(name: str) -> tuple[Cell, dict[str, Cell]]:
    return undisturbed(name).search.derive()


def leaves(content: Any) -> Iterator[Any]:
    """All tensors and plain values, flat, in one order."""
    if isinstance(content, dict):
        for key in sorted(content, key=str):
            yield from leaves(content[key])
    elif isinstance(content, list | tuple):
        for part in content:
            yield from leaves(part)
    else:
        yield content


def same(one: Any, other: Any) -> bool:
    """Whether two contents are bit-equal; NaN equals NaN."""
    left, right = list(leaves(one)), list(leaves(other))
    return len(left) == len(right) and all(_same_leaf(a, b) for a, b in zip(left, right, strict=True))


def _same_leaf(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return bool(torch.equal(one, other))
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or one == other


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """As a checkpoint gives it back: plain content and tensors only."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("name", VARIANTS)
class TestVariant:
    def test_every_diagnostic_can_be_measured(self, name: str) -> None:
        changes = {"every": 1, "hessian_every": 1, "one_shot_every": 1}
        search = tiny_search(registry.variant(name), **{f"diagnostics__{key}": value for key, value in changes.items()})
        measures = search.run_epoch()
        assert len(search.one_shot_rows) == len(ONE_SHOT_CELLS)
        if "alpha" in search.architecture:
            unknown = [key for key in DIAGNOSTIC_COLUMNS if not math.isfinite(measures[key])]
            assert unknown == ["flips"]

    def test_it_searches_with_finite_numbers(self, name: str) -> None:
        course = undisturbed(name)
        assert course.rows
        assert course.search.finite
        for row in course.rows:
            assert math.isfinite(row["train_loss"])
            assert math.isfinite(row["gradient_norm"])
        assert all(value.isfinite().all() for value in course.search.supernet.parameters())
        assert all(value.isfinite().all() for value in course.search.architecture.values())

    def test_it_moves_alpha_where_it_has_one(self, name: str) -> None:
        course = undisturbed(name)
        first, last = course.states[0]["architecture"], course.states[-1]["architecture"]
        if not first or not any(state["alpha_optimizer"]["state"] for state in course.states):
            # Then its own alpha_gradient must have said that there is no alpha step.
            assert type(course.search.variant).alpha_gradient is not Variant.alpha_gradient
            return
        assert set(first) == set(last)
        assert not same(first["alpha"], last["alpha"])

    def test_the_same_seed_is_the_same_search_whatever_the_global_streams_say(self, name: str) -> None:
        torch.manual_seed(2)
        np.random.seed(2)
        again = Course(start(name)).note().go_on()
        assert same(again.rows, undisturbed(name).rows)
        assert same(again.states[-1], undisturbed(name).states[-1])
        assert again.search.derive() == answer(name)

    def test_another_seed_is_another_search(self, name: str) -> None:
        first, other = undisturbed(name).states[0], start(name, seed=1).state()
        assert not same(first["weights"], other["weights"])
        assert not first["architecture"] or not same(first["architecture"], other["architecture"])

    def test_it_resumes_bit_equal_from_every_epoch(self, name: str) -> None:
        course = undisturbed(name)
        for epoch in range(1, len(course.rows) + 1):
            resumed = Course(start(name))
            resumed.search.load_state(through_a_file(course.states[epoch]))
            resumed.go_on()
            assert same(resumed.rows, course.rows[epoch:])
            assert same(resumed.search.state(), course.states[-1])
        assert resumed.search.derive() == answer(name)  # even when nothing was left to search

    def test_it_answers_with_a_cell_and_always_the_same(self, name: str) -> None:
        search = undisturbed(name).search
        own, rules = answer(name)
        for cell in (own, *rules.values()):
            assert isinstance(cell, Cell)
        assert (own, rules) == search.derive()
        if search.architecture:
            assert np.array_equal(search.derived_op_weights(), search.derived_op_weights())

    def test_its_cost_is_what_it_declares(self, name: str) -> None:
        course = undisturbed(name)
        steps = len(course.rows) * course.search.data.steps_per_epoch
        per_epoch = np.diff(course.passes)
        # Where the cost changes on the way, a share of the search is rounded to whole steps, of which there are few.
        tolerance = 1e-6 if np.allclose(per_epoch, per_epoch[0]) else 1.0
        assert course.passes[-1] == pytest.approx(registry.variant(name).passes_per_step * steps, abs=tolerance)


SIGNAL = Signal(np.random.default_rng(0).uniform(10, 90, CELL_COUNT), np.full(CELL_COUNT, 100.0), notes=())


@pytest.mark.parametrize("name", BASELINES)
class TestBaseline:
    def test_it_is_its_seeds_search_whatever_the_global_streams_say(self, name: str) -> None:
        method = registry.baseline(name)
        settings = method.Settings(evaluations=60)
        np.random.seed(1)
        first = run_baseline(method, settings, 0, SIGNAL)
        np.random.seed(2)
        assert run_baseline(method, settings, 0, SIGNAL).equals(first)
        assert not run_baseline(method, settings, 1, SIGNAL).equals(first)

    def test_it_proposes_cells_and_answers_with_the_best_it_saw(self, name: str) -> None:
        method = registry.baseline(name)
        rows = run_baseline(method, method.Settings(evaluations=60), 0, SIGNAL)
        assert set(np.round(rows["signal"], 9)) <= set(np.round(SIGNAL.scores, 9))
        answers = [Cell.from_string(cell) for cell in rows["cell"]]
        assert [SIGNAL.scores[cell.index] for cell in answers] == rows["signal"].cummax().tolist()


@pytest.mark.parametrize("name", METHODS)
class TestDeclaration:
    def test_it_says_where_it_comes_from(self, name: str) -> None:
        method = METHODS[name]
        assert re.search(r"\b(19|20)\d\d\b", method.citation), "the citation has no year"
        assert method.axis
        assert inspect.getdoc(method)
        assert all(sentence.endswith(".") for sentence in method.departures)

    def test_every_setting_is_explained_and_has_a_default(self, name: str) -> None:
        for key, setting in METHODS[name].Settings.model_fields.items():
            assert setting.description, f"{key} has no text under it"
            assert not setting.is_required(), f"{key} has no default"


@pytest.mark.parametrize("name", OWN)
class TestFiles:
    def test_its_page_names_every_setting_and_how_to_run_it(self, name: str) -> None:
        page = (ROOT / "docs" / "variants" / f"{name}.md").read_text()
        missing = [key for key in METHODS[name].Settings.model_fields if f"`{key}`" not in page]
        assert not missing
        assert f"dartsboard search {name} --seed" in page
        assert re.search(r"published", page, re.IGNORECASE)

    def test_its_file_states_a_difference_and_copies_no_loop(self, name: str) -> None:
        source = Path(inspect.getfile(METHODS[name])).read_text()
        assert len(source.splitlines()) <= LONGEST_FILE
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.For | ast.comprehension):
                names = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
                assert not names & {"epoch", "step"}, "the loop over epochs and steps is the harness's"
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("run_epoch", "backward"), f"{node.attr} belongs to the harness"


def test_the_harness_knows_no_method_by_name() -> None:
    for path in sorted((ROOT / "harness").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant):
                assert node.value not in METHODS, f"{path.name}, line {node.lineno}"
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("variants"), f"{path.name}, line {node.lineno}"
