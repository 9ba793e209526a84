import numpy as np
import pytest
import torch
from pydantic import ValidationError

from harness.search.diagnostics import alpha_hessian
from harness.search.variant import Continue, Stop
from harness.testing import tiny_search
from tests.harness.search.test_loop import assert_same
from tests.variants.searches import assert_resumes, start
from variants.darts import Darts
from variants.darts_es import DartsEarlyStopping, largest_eigenvalue, stopped_at


def stop_of(series, first: int = 4, **settings) -> tuple[int, int] | None:
    """The measurement (from 0) after which a series stops the search, and the one of the answer."""
    chosen = DartsEarlyStopping.Settings(**settings)
    for count in range(1, len(series) + 1):
        answer = stopped_at(series[:count], chosen, first)
        if answer is not None:
            return count - 1, answer
    return None


def test_a_series_by_hand() -> None:
    # Means of five: 1 up to that around position 7, then 1.4 (around 8, known at 10): 1.4 > 1.3 times that around 4.
    series = [1.0] * 10 + [3.0, 3.0, 3.0]
    assert stop_of(series) == (10, 4)
    assert stop_of(series, factor=1.4) == (11, 5)
    assert stop_of(series, first=5) == (11, 5)
    assert stop_of([1.0] * 10 + [2.4]) is None  # a mean of 1.28
    assert stop_of([1.0] * 10 + [2.6]) == (10, 4)  # of 1.32, and with a sixth measurement it would be 1.27
    assert stop_of([1.0, 1.0, 2.0], first=0, window=1, lag=1) == (2, 1)
    assert stop_of([1.0, 1.0, 1.0, 5.0], first=0, window=3, lag=1) == (3, 1)


def test_means_at_the_beginning_take_what_there_is() -> None:
    # Around 0: (1 + 2 + 3) / 3 = 2; around 1: (1 + 2 + 3 + 4) / 4 = 2.5; their ratio is 1.25.
    series = [1.0, 2.0, 3.0, 4.0]
    assert stop_of(series, first=0, lag=1, factor=1.24) == (3, 0)
    assert stop_of(series, first=0, lag=1, factor=1.26) is None


@pytest.mark.parametrize(
    ("sharpening", "expected"),
    [(None, None), (0, (10, 4)), (12, (17, 11)), (16, (21, 15))],
)
def test_series_of_the_published_shape(sharpening, expected) -> None:
    """Noise around 0.2 while a search goes well; where it collapses, growth without end from some epoch on.

    That is what the published runs look like; here 25 measurements, of every second of 50 epochs. The stop is where the
    ratio of the two means of five is above 1.3 for the first time, computed in another way.
    """
    noise = 1 + 0.05 * np.sin(np.arange(25) * 2.4)
    growth = np.ones(25) if sharpening is None else 1.12 ** np.clip(np.arange(25) - sharpening, 0, None)
    series = list(0.2 * noise * growth)
    padded = np.convolve(series, np.ones(5) / 5, mode="valid")  # position i is the mean around i + 2
    by_ratio = [(i + 2 + 2 + 4, i + 2) for i in range(2, len(padded) - 4) if padded[i + 4] / padded[i] > 1.3]
    assert stop_of(series) == (by_ratio[0] if by_ratio else None)
    assert stop_of(series) == expected


def test_the_first_possible_stop_of_the_paper_is_epoch_22_with_the_cell_of_epoch_10(monkeypatch) -> None:
    tested = start(DartsEarlyStopping, {"epochs": 50})
    grown = iter(1.5 ** np.arange(50))
    monkeypatch.setattr("variants.darts_es.largest_eigenvalue", lambda hessian: float(next(grown)))
    monkeypatch.setattr("variants.darts_es.alpha_hessian", lambda search, batch: np.eye(30))
    cells = {}
    for epoch in range(1, 51):
        tested.epoch = epoch
        with torch.no_grad():  # another argmax cell every epoch
            tested.architecture["alpha"].zero_()
            tested.architecture["alpha"][range(6), [epoch // 5 ** (edge % 3) % 5 for edge in range(6)]] = 1
        cells[epoch] = str(tested.derive()[1]["argmax"])
        decision = tested.variant.end_of_epoch(tested)
        if isinstance(decision, Stop):
            break
        assert decision == Continue()
    assert epoch == 22
    assert decision.reason == "largest eigenvalue grew, answer of epoch 10, in epoch 22"
    assert str(tested.derive()[0]) == cells[10] != cells[22]


def test_a_mean_that_is_not_positive_stops_nothing() -> None:
    assert stop_of([-1.0] * 8 + [-9.0] * 5) is None
    assert stop_of([0.0] * 7 + [1.0] * 8) == (11, 5)  # the mean around 5 is the first above 0
    assert stop_of([float("nan")] * 13) is None


def test_what_is_measured_is_the_largest_eigenvalue_of_the_validation_loss() -> None:
    tested = tiny_search(DartsEarlyStopping, {"images": 12}, precision="float64")
    tested.run_epoch()
    batch = tested.data.probe_batch("valid", 12)
    expected = np.linalg.eigvalsh(alpha_hessian(tested, batch))[-1]
    assert tested.variant._eigenvalues == [pytest.approx(float(expected))]
    assert largest_eigenvalue(np.diag([1.0, -5.0, 3.0])) == 3
    assert np.isnan(largest_eigenvalue(np.full((30, 30), np.nan)))
    # 2 passes a step, and 2 for each row of the Hessian on 12 images, where a batch has 20.
    assert tested.passes == pytest.approx(2 * 2 + 60 * 12 / 20)


def test_until_it_stops_it_is_darts_bit_for_bit() -> None:
    tested, plain = tiny_search(DartsEarlyStopping, {"images": 2}), tiny_search(Darts)
    for search in (tested, plain):
        for _ in range(3):
            search.run_epoch()
    assert_same(dict(tested.supernet.named_parameters()), dict(plain.supernet.named_parameters()))
    assert_same(tested.state()["architecture"], plain.state()["architecture"])
    assert tested.derive()[0] == plain.derive()[0]


def test_the_factor_on_the_weight_decay_is_that_of_another_protocol() -> None:
    tested = tiny_search(DartsEarlyStopping, {"images": 4, "weight_decay_factor": 27.0})
    plain = tiny_search(Darts, weights__weight_decay=27 * 0.0005)
    for search in (tested, plain):
        search.run_epoch()
    assert_same(dict(tested.supernet.named_parameters()), dict(plain.supernet.named_parameters()))


def test_a_window_without_a_centre_is_refused() -> None:
    with pytest.raises(ValidationError, match="expected an odd number"):
        DartsEarlyStopping.Settings(window=4)


def test_a_resumed_search_is_the_same_search() -> None:
    assert_resumes(DartsEarlyStopping, images=2, interval=0.3, window=1, lag=1, earliest_answer=0.3, factor=1e-9)
