import time

from benchmarks.timing import median_seconds


def test_it_is_the_median_of_the_rounds() -> None:
    pauses = iter([0.02, 0.6, 0.04])
    assert 0.04 <= median_seconds(lambda: time.sleep(next(pauses)), 3) < 0.2
