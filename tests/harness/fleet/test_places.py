import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.base.processes import usable_cores
from harness.fleet import places
from harness.fleet.places import Epoch, Growth, Places
from harness.settings.protocol import load_board


class TestPlaces:
    def epoch(self, memory: float, left: float) -> Epoch:
        return Epoch({}, 3, memory, left)

    def test_one_until_the_first_shows_its_need_then_what_fits(self) -> None:
        found = Places(None, most=8)
        assert found.count == 1
        assert (
            found.learn("a", self.epoch(2e9, 5e9), 1)
            == "3 at once of at most 8: a search takes 2.00 GB, 7.0 GB are there"
        )
        assert found.count == 3
        assert found.learn("a", self.epoch(2.1e9, 0), 3) is None  # what is left then, the others have taken
        assert (
            found.learn("a", self.epoch(3e9, 0), 3)
            == "2 at once of at most 8: a search takes 3.00 GB, 7.0 GB are there"
        )

    def test_never_more_than_the_machine_takes_and_never_none(self) -> None:
        found = Places(None, most=2)
        found.learn("a", self.epoch(1.0, 100.0), 1)
        assert found.count == 2
        found = Places(None, most=2)
        found.learn("a", self.epoch(100.0, 1.0), 1)
        assert found.count == 1

    def test_as_many_as_told(self) -> None:
        found = Places(5, most=2)
        assert (found.learn("a", self.epoch(100.0, 1.0), 5), found.count) == (None, 5)


def settled(seconds_beside_others: Callable[[int], float], most: int = 16, memory: float = 1.0) -> tuple[int, int]:
    """Run enough epochs of a pilot, beside as many others as there are places; return the number of places, and the
    most that there ever were."""
    found = Places(None, most, Growth())
    seen = 1
    for _ in range(30):
        running = found.count
        row = {"seconds": seconds_beside_others(running)}
        found.learn("pilot", Epoch(row, 50, memory, 100.0 - memory), running)
        found.learn("other", Epoch({"seconds": 1e-6}, 50, memory, 0.0), running)
        seen = max(seen, found.count)
    return found.count, seen


class TestGrowth:
    @pytest.mark.parametrize("enough", [1, 2, 4, 8, 16])
    def test_grows_until_more_are_no_faster(self, enough: int) -> None:
        places, seen = settled(lambda running: max(1.0, running / enough))
        assert (places, seen) == (enough, min(2 * enough, 16))

    def test_a_little_faster_is_not_worth_it(self) -> None:
        assert settled(lambda running: 0.95 * running if running > 1 else 1.0) == (1, 2)

    def test_not_beyond_what_the_memory_takes_or_the_limit(self) -> None:
        assert settled(lambda running: 1.0, memory=30.0) == (3, 3)
        assert settled(lambda running: 1.0, most=5) == (5, 5)

    def test_the_first_epoch_after_a_change_does_not_count(self) -> None:
        found = Growth()
        for seconds, count in ((99.0, 1), (1.0, 2), (1e-3, 2), (1.5, 4), (1e-3, 4), (4.0, 2), (1e-3, 2)):
            found.learn("pilot", seconds, found.count)
            assert found.count == count

    def test_another_goes_on_when_the_pilot_has_ended(self) -> None:
        found = Growth()
        for run, seconds, count in (("a", 1.0, 1), ("a", 1.0, 2), ("a", 1.0, 2), ("a", 1.0, 4)):
            found.learn(run, seconds, found.count)
            assert found.count == count
        found.end("other")
        found.learn("b", 9.0, 4)
        found.end("a")
        # A search of a slower method: its first speed is compared with none.
        for run, seconds, count in (("b", 9.0, 4), ("b", 9.0, 8), ("b", 9.0, 8), ("b", 17.0, 4), ("b", 1e-3, 4)):
            found.learn(run, seconds, found.count)
            assert found.count == count

    def test_says_why_it_grows_no_more(self) -> None:
        found = Places(None, 16, Growth())
        lines = [
            found.learn("a", Epoch({"seconds": seconds}, 9, 2e9, 78e9), found.count) for seconds in (9.0, 1.0, 9.0, 1.9)
        ]
        first, second, *_, last = lines
        assert first == "1 at once of at most 16: a search takes 2.00 GB, 80.0 GB are there"
        assert second == "2 at once of at most 16: a search takes 2.00 GB, 80.0 GB are there"
        assert last == "1 at once: more are no faster"

    def test_waits_until_all_places_are_taken(self) -> None:
        found = Growth()
        for _ in range(9):
            found.learn("pilot", 1.0, 1)
        assert found.count == 2

    def test_cpus_take_all_at_once(self, project: Path) -> None:
        found = places.places_for(load_board().chosen, None)
        found.learn("a", Epoch({"seconds": 1.0}, 3, 1.0, 1e9), 1)
        assert found.count == usable_cores()


class TestMachine:
    def test_the_cores_that_this_process_may_use(self) -> None:
        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(allowed)})
        try:
            assert usable_cores() == 1
        finally:
            os.sched_setaffinity(0, allowed)

    def test_searches_of_more_threads_are_fewer(self, project: Path) -> None:
        protocol = load_board().chosen.model_copy(update={"threads": usable_cores()})
        assert places.places_for(protocol, None).most == 1
        assert places.places_for(load_board().chosen, None).most == usable_cores()

    def test_memory_of_the_machine(self, tmp_path: Path) -> None:
        file = tmp_path / "meminfo"
        assert places._machine_memory_left(file) == float("inf")
        file.write_text("MemTotal:  4000 kB\nMemAvailable:  1000 kB\n")
        assert places._machine_memory_left(file) == 1000 * 1024
        assert 0 < places.memory_left() < float("inf")

    def test_memory_of_a_container(self, tmp_path: Path) -> None:
        assert places._group_memory_left(tmp_path) == float("inf")
        (tmp_path / "memory.max").write_text("max\n")
        assert places._group_memory_left(tmp_path) == float("inf")
        (tmp_path / "memory.max").write_text("1000\n")
        (tmp_path / "memory.current").write_text("700\n")
        (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
        assert places._group_memory_left(tmp_path) == 450
