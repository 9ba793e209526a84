import builtins
import runpy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.base.errors import UserError
from harness.base.streams import stream
from harness.board.runner import source_file
from harness.search import registry
from harness.space.cell import CELL_COUNT, EDGE_NAMES, OPERATIONS, Cell
from variants.tpe import Tpe

optuna = pytest.importorskip("optuna", reason="needs the extra dartsboard[optuna]")

SCORES = np.random.default_rng(0).uniform(10, 90, CELL_COUNT)


def search(seed: int = 0, **settings: int) -> Tpe:
    return Tpe(Tpe.Settings(**settings), stream(seed, "test"))  # type: ignore[arg-type]


def proposals(tested: Tpe, number: int, score: Callable[[Cell], float] = lambda cell: SCORES[cell.index]) -> list[Cell]:
    found = []
    for _ in range(number):
        found.append(tested.propose())
        tested.observe(found[-1], score(found[-1]))
    return found


def test_it_is_optunas_own_search() -> None:
    """The same cells as a study that Optuna runs by itself, on parameters that stand for the edges."""
    asked: list[Cell] = []

    def objective(trial: Any) -> float:
        cell = Cell(tuple(trial.suggest_categorical(name, OPERATIONS) for name in EDGE_NAMES))
        asked.append(cell)
        return float(SCORES[cell.index])

    seed = int(stream(3, "test").integers(2**32))
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=30)
    assert proposals(search(3), 30) == asked


def test_each_combination_of_choices_is_another_cell() -> None:
    tested = search()
    assert list(tested.edges) == list(EDGE_NAMES)
    for distribution in tested.edges.values():
        assert distribution.choices == OPERATIONS
    cells = proposals(tested, 5)
    for trial, cell in zip(tested.study.trials, cells, strict=True):
        assert tuple(trial.params[name] for name in EDGE_NAMES) == cell.operations
        assert trial.value == SCORES[cell.index]


def test_the_first_cells_are_uniform_and_the_next_look_like_the_best() -> None:
    def skips(cell: Cell) -> float:
        return float(cell.counts["skip_connect"])

    tested = search(startup=40)
    first, next_ones = proposals(tested, 40, skips), proposals(tested, 40, skips)
    means = [np.mean([skips(cell) for cell in cells]) for cells in (first, next_ones)]
    assert means[0] == pytest.approx(6 / 5, abs=0.5)
    assert means[1] > 2.5


def test_it_can_be_named_without_optuna_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    assert registry.method("tpe").needs == {"optuna": "optuna"}  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r"^tpe needs the package optuna: pip install 'optuna'$"):
        registry.baseline("tpe")


def test_reading_the_file_does_not_import_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *arguments: Any, **options: Any) -> Any:
        assert name.partition(".")[0] != "optuna"
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refusing)
    assert runpy.run_path(str(source_file(Tpe)))["Tpe"].name == "tpe"
