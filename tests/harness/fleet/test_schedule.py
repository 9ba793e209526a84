"""Any tasks on any number of slots, with time that only passes when the schedule waits."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.simulated_cluster import Clock, SimulatedEngine
from harness.fleet.engine import Ended, Resources, Task
from harness.fleet.group import Outcome, Run
from harness.fleet.schedule import Schedule

SIZES = st.lists(st.tuples(st.floats(0.1, 100), st.integers(1, 4), st.sampled_from([1, 2])), max_size=30)


def make_tasks(sizes: list[tuple[float, int, int]]) -> list[Task]:
    return [
        Task(tuple(Run(f"m{number}", seed) for seed in range(runs)), Resources(0, cores, 0), seconds)
        for number, (seconds, runs, cores) in enumerate(sizes)
    ]


def finish(schedule: Schedule) -> list[Outcome]:
    final: list[Outcome] = []
    for _ in range(10_000):
        if schedule.done:
            return final
        final += schedule.step(1e6)
    raise AssertionError("it never ends")


@given(SIZES, st.integers(1, 5))
def test_every_run_once_the_longest_first_within_the_bound(sizes: list[tuple[float, int, int]], slots: int) -> None:
    tasks, clock, written = make_tasks(sizes), Clock(), Counter[Run]()
    engine = SimulatedEngine(slots, clock, lambda task: task.seconds, lambda run: written.update([run]))
    schedule = Schedule(engine, tasks, clock=clock)
    final = finish(schedule)
    runs = [run for task in tasks for run in task.runs]
    assert sorted(outcome.run for outcome in final) == sorted(runs)
    assert schedule.outcomes.keys() == set(runs)
    assert written == Counter(runs)
    if tasks:
        longest, mean = max(task.seconds for task in tasks), sum(task.seconds for task in tasks) / slots
        assert clock() <= mean + longest * (1 - 1 / slots) + 1e-6  # Graham 1966, for any order


@given(SIZES, st.integers(1, 5), st.integers(0, 3), st.randoms(use_true_random=False))
def test_workers_that_die_are_replaced_so_often_and_no_more(
    sizes: list[tuple[float, int, int]], slots: int, retries: int, random: object
) -> None:
    tasks, clock, tried = make_tasks(sizes), Clock(), Counter[Run]()

    def dies(task: Task) -> bool:
        tried.update(task.runs)
        return random.random() < 0.5  # type: ignore[attr-defined]

    schedule = Schedule(SimulatedEngine(slots, clock, lambda task: task.seconds, dies=dies), tasks, retries, clock)
    final = finish(schedule)
    assert sorted(outcome.run for outcome in final) == sorted(run for task in tasks for run in task.runs)
    assert max(tried.values(), default=0) <= retries + 1
    for outcome in final:
        assert outcome.status in ("done", "crashed")
        if outcome.status == "crashed":
            assert tried[outcome.run] == retries + 1
            assert outcome.detail == "its worker died"


class Scripted:
    """An engine of one slot that ends tasks as it is told."""

    gpus = False

    def __init__(self, ends: list[tuple[Outcome, ...]]):
        self.ends = ends
        self.submitted: list[tuple[Run, ...]] = []
        self.task: Task | None = None

    def takes(self, resources: Resources) -> bool:
        return self.task is None

    def submit(self, task: Task) -> None:
        self.submitted.append(task.runs)
        self.task = task

    def wait(self, seconds: float) -> list[Ended]:
        assert self.task is not None
        task, self.task = self.task, None
        return [Ended(task, self.ends.pop(0))]

    def running(self) -> dict[Task, str]:
        return {self.task: "here"} if self.task else {}

    def close(self) -> None:
        pass


def test_of_a_group_only_what_crashed_begins_again_and_a_failure_is_a_result() -> None:
    one, two, three = (Run("darts", seed) for seed in range(3))
    ends = [
        (Outcome(one, "done", "", 1.0), Outcome(two, "crashed", "", 1.0), Outcome(three, "failed", "", 1.0)),
        (Outcome(two, "diverged", "", 1.0),),
    ]
    engine = Scripted(ends)
    schedule = Schedule(engine, [Task((one, two, three), Resources(1, 1, 0), 1.0)])
    assert [outcome.run for outcome in finish(schedule)] == [one, three, two]
    assert engine.submitted == [(one, two, three), (two,)]


def test_the_longest_first_whatever_its_size() -> None:
    tasks = make_tasks([(3, 1, 1), (9, 1, 2), (5, 1, 1), (7, 1, 2)])
    engine = Scripted([(Outcome(Run(f"m{number}", 0), "done", "", 1.0),) for number in (1, 3, 2, 0)])
    finish(Schedule(engine, tasks))
    assert engine.submitted == [(Run(f"m{number}", 0),) for number in (1, 3, 2, 0)]


def test_the_time_that_is_left_learns_from_what_tasks_took() -> None:
    clock = Clock()
    schedule = Schedule(
        SimulatedEngine(2, clock, lambda task: 3 * task.seconds), make_tasks([(10, 1, 1)] * 6), clock=clock
    )
    assert schedule.seconds_left() is None
    schedule.step(0.0)
    assert schedule.seconds_left() == pytest.approx(30)  # as expected
    schedule.step(1000.0)
    schedule.step(0.0)
    schedule.step(0.0)
    assert clock() == 30
    assert schedule.seconds_left() == pytest.approx(60)  # four are left, two at a time, and each takes three times that
    finish(schedule)
    assert (clock(), schedule.seconds_left()) == (90, 0.0)


def test_what_quick_tasks_took_says_nothing_of_those_that_nobody_has_measured() -> None:
    clock = Clock()
    known = [Task((Run("quick", seed),), Resources(0, 1, 0), 4.0, kind="baseline") for seed in range(2)]
    unknown = [Task((Run("long", seed),), Resources(0, 1, 0), 2.0, kind="search in proportion") for seed in range(3)]
    engine = SimulatedEngine(1, clock, lambda task: 1.0 if task.kind == "baseline" else 300.0)
    schedule = Schedule(engine, [*known, *unknown], clock=clock)
    for _ in known:
        schedule.step(1000.0)
        assert schedule.seconds_left() is None
    schedule.step(1000.0)
    schedule.step(0.0)
    assert clock() == 302
    assert schedule.seconds_left() == pytest.approx(600)
    clock.now += 100
    assert schedule.seconds_left() == pytest.approx(500)


def test_nothing_is_said_of_the_time_left_where_all_is_overdue() -> None:
    clock = Clock()
    schedule = Schedule(SimulatedEngine(1, clock, lambda task: 100.0), make_tasks([(10, 1, 1)]), clock=clock)
    schedule.step(0.0)
    clock.now += 4
    assert schedule.seconds_left() == pytest.approx(6)
    clock.now += 7
    assert schedule.seconds_left() is None


def test_what_quick_tasks_took_shortens_no_search_whose_cost_is_known() -> None:
    clock = Clock()
    tasks = [Task((Run("look-up", 0),), Resources(0, 1, 0), 4.0, kind="baseline")]
    tasks += [Task((Run("search", seed),), Resources(0, 1, 1), 1000.0) for seed in range(2)]
    engine = SimulatedEngine(1, clock, lambda task: 0.1 if task.kind == "baseline" else 1000.0)
    schedule = Schedule(engine, tasks, clock=clock, priority=lambda task: -task.seconds)
    schedule.step(10.0)
    schedule.step(0.0)
    assert schedule.seconds_left() == pytest.approx(2000)


def test_time_in_a_queue_is_no_time_at_work() -> None:
    clock = Clock()
    engine = SimulatedEngine(1, clock, lambda task: 100.0)
    working: dict[Task, str] = {}
    engine.running = lambda: working  # type: ignore[method-assign]
    (task,) = make_tasks([(100, 1, 1)])
    schedule = Schedule(engine, [task], clock=clock)
    schedule.step(0.0)
    clock.now += 50
    assert schedule.seconds_left() is None  # it waits for its place
    working[task] = "a node"
    schedule.step(0.0)
    assert schedule.seconds_left() == pytest.approx(100)
