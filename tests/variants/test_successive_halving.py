from itertools import islice

import numpy as np
import pytest

from harness.base.errors import UserError
from harness.base.streams import stream
from harness.search.baseline import Signal, Training, run_baseline
from harness.settings.validation import validate
from harness.space.cell import CELL_COUNT, Cell
from variants.successive_halving import SuccessiveHalving

SHORT, LONG, LONGEST = 12, 200, 600


def signal(*lengths: int) -> Signal:
    """Scores without any relation between the lengths; a training costs a second an epoch."""
    random = np.random.default_rng(0)
    first, *longer = (
        Signal(random.uniform(10, 90, (1, CELL_COUNT)), np.full((1, CELL_COUNT), float(length)), (), length)
        for length in lengths
    )
    return Signal(first.scores, first.seconds, (), first.epochs, tuple(longer))


def search(*lengths: int, **settings: int) -> SuccessiveHalving:
    tested = SuccessiveHalving(SuccessiveHalving.Settings(**settings), stream(0, "test"))  # type: ignore[arg-type]
    tested.begin(lengths)
    return tested


def trainings(tested: SuccessiveHalving, given: Signal, number: int) -> list[tuple[Cell, int | None, float]]:
    """Cell, length and score of the first trainings."""
    found = []
    for _ in range(number):
        cell, epochs = tested.propose()
        score = float(given.after(epochs).scores[0, cell.index])
        tested.observe(cell, score)
        found.append((cell, epochs, score))
    return found


@pytest.mark.parametrize(("cells", "eta"), [(9, 3), (10, 3), (12, 2), (5, 5)])
def test_the_best_of_a_bracket_are_trained_longer(cells: int, eta: int) -> None:
    """Against sorting each bracket: so many short ones, and of them those with the highest scores long."""
    kept = cells // eta
    found = iter(trainings(search(SHORT, LONG, cells=cells, eta=eta), signal(SHORT, LONG), 3 * (cells + kept)))
    brackets = []
    for _ in range(3):
        short, long = list(islice(found, cells)), list(islice(found, kept))
        assert {epochs for _, epochs, _ in short} == {SHORT}
        assert {epochs for _, epochs, _ in long} == {LONG}
        scores = sorted((score for _, _, score in short), reverse=True)
        threshold = scores[kept - 1]
        assert [cell for cell, _, _ in long] == [
            cell for cell, _, score in sorted(short, key=lambda row: -row[2]) if score >= threshold
        ]
        brackets.append([cell for cell, _, _ in short])
    assert brackets[0] != brackets[1] != brackets[2]


def test_of_equal_cells_the_first_go_on() -> None:
    tested = search(SHORT, LONG, cells=4, eta=2)
    short = []
    for _ in range(4):
        short.append(tested.propose().cell)
        tested.observe(short[-1], 50.0)
    assert [cell for cell, _, _ in trainings(tested, signal(SHORT, LONG), 2)] == short[:2]


def test_every_length_is_a_rung() -> None:
    given = signal(SHORT, LONG, LONGEST)
    found = trainings(search(SHORT, LONG, LONGEST, cells=9, eta=3), given, 14)
    assert [epochs for _, epochs, _ in found] == [SHORT] * 9 + [LONG] * 3 + [LONGEST] + [SHORT]
    best = max(found[9:12], key=lambda row: row[2])
    assert found[12][0] == best[0]


def test_too_few_for_the_next_rung_begin_a_bracket() -> None:
    given = signal(SHORT, LONG, LONGEST)
    found = trainings(search(SHORT, LONG, LONGEST, cells=4, eta=3), given, 6)
    assert [epochs for _, epochs, _ in found] == [SHORT] * 4 + [LONG] + [SHORT]


def test_it_pays_for_each_length_and_answers_with_the_best_of_the_longest() -> None:
    given = signal(SHORT, LONG)
    settings = SuccessiveHalving.Settings(evaluations=24, cells=9, eta=3)
    rows = run_baseline(SuccessiveHalving, settings, 0, given)
    assert rows["cost_seconds"].diff().fillna(SHORT).tolist() == 2 * ([SHORT] * 9 + [LONG] * 3)
    answers = [Cell.from_string(cell).index for cell in rows["cell"]]
    for until in (9, 12, 24):
        seen = rows.head(until)
        long = seen[seen["cost_seconds"].diff() == LONG]
        signals = (long if len(long) else seen)["signal"]
        scores = given.after(LONG if len(long) else SHORT).scores[0]
        assert scores[answers[until - 1]] == signals.max()


def test_seconds_charge_the_training_that_crosses_them() -> None:
    settings = SuccessiveHalving.Settings(seconds=9 * SHORT + LONG + 1)
    rows = run_baseline(SuccessiveHalving, settings, 0, signal(SHORT, LONG))
    assert rows["cost_seconds"].iloc[-1] == 9 * SHORT + 2 * LONG


def test_its_proposals_name_a_length() -> None:
    assert search(SHORT, LONG).propose() == Training(search(SHORT, LONG).propose().cell, SHORT)


def test_a_bracket_from_which_none_goes_on_is_refused() -> None:
    with pytest.raises(UserError, match="cells: expected at least eta, 10, so that one of them is trained longer"):
        validate(SuccessiveHalving.Settings, {"eta": 10}, where="params.yaml, baselines.successive-halving")
