import os
from pathlib import Path

from harness import places
from harness.places import Epoch, Places
from harness.processes import usable_cores
from harness.protocol import load_board


class TestPlaces:
    def epoch(self, memory: float, left: float) -> Epoch:
        return Epoch({}, 3, memory, left)

    def test_one_until_the_first_shows_its_need_then_what_fits(self) -> None:
        found = Places(None, most=8)
        assert found.count == 1
        assert found.learn(self.epoch(2e9, 5e9)) == "3 at once of at most 8: a search takes 2.00 GB, 7.0 GB are there"
        assert found.count == 3
        assert found.learn(self.epoch(2.1e9, 0)) is None  # what is left then, the others have taken
        assert found.learn(self.epoch(3e9, 0)) == "2 at once of at most 8: a search takes 3.00 GB, 7.0 GB are there"

    def test_never_more_than_the_machine_takes_and_never_none(self) -> None:
        found = Places(None, most=2)
        found.learn(self.epoch(1.0, 100.0))
        assert found.count == 2
        found = Places(None, most=2)
        found.learn(self.epoch(100.0, 1.0))
        assert found.count == 1

    def test_as_many_as_told(self) -> None:
        found = Places(5, most=2)
        assert (found.learn(self.epoch(100.0, 1.0)), found.count) == (None, 5)


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
        assert places.most_at_once(protocol) == 1
        assert places.most_at_once(load_board().chosen) == usable_cores()

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
