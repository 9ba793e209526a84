"""Which task goes next, and what is done when its worker dies. Knows of no engine in particular, and of no DVC."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.fleet.engine import Ended, Engine, Kind, Resources, Task
from harness.fleet.group import Outcome, Run

RETRIES = 2
"""How often a run is begun again after the death of its worker."""


class Schedule:
    """Tasks on their way through an engine: each as soon as the engine takes it, those of the largest priority first.

    The longest first (Graham 1969) ends at most a third later than the best schedule of tasks that are all known.
    """

    def __init__(
        self,
        engine: Engine,
        tasks: Sequence[Task],
        retries: int = RETRIES,
        clock: Callable[[], float] = time.monotonic,
        priority: Callable[[Task], float] = lambda task: task.seconds,
    ):
        self.engine = engine
        self.priority = priority
        self.clock = clock
        self.retries = retries
        self.waiting: dict[Resources, list[Task]] = {}
        """Tasks by what they need, that of the largest priority last."""
        self.begun: dict[Task, float] = {}
        """Tasks that the engine has, and since when."""
        self.outcomes: dict[Run, Outcome] = {}
        self._deaths: Counter[Run] = Counter()
        self._at_work: dict[Task, float] = {}
        """Tasks that were seen at work, and since when."""
        self._expected: defaultdict[Kind, float] = defaultdict(float)
        self._took: defaultdict[Kind, float] = defaultdict(float)
        """Seconds of the tasks that have ended, by their kind: as expected, and in fact."""
        for task in tasks:
            self.waiting.setdefault(task.resources, []).append(task)
        for queue in self.waiting.values():
            queue.sort(key=priority)

    @property
    def done(self) -> bool:
        """Whether every run has its outcome."""
        return not self.begun and not any(self.waiting.values())

    def step(self, seconds: float) -> list[Outcome]:
        """Submit what the engine takes, then wait so long for what ends; return the outcomes that are final.

        Raises:
            UserError: a task is too large for the engine.
        """
        while (task := self._next()) is not None:
            self.engine.submit(task)
            self.begun[task] = self.clock()
        for task in self.engine.running():  # which on a cluster may be long after
            self._at_work.setdefault(task, self.clock())
        final = [outcome for ended in self.engine.wait(seconds) for outcome in self._take_in(ended)]
        self.outcomes |= {outcome.run: outcome for outcome in final}
        return final

    def _next(self) -> Task | None:
        queues = [queue for queue in self.waiting.values() if queue]
        for queue in sorted(queues, key=lambda queue: -self.priority(queue[-1])):
            if self.engine.takes(queue[-1].resources):
                return queue.pop()
        return None

    def _take_in(self, ended: Ended) -> list[Outcome]:
        begun = self.begun.pop(ended.task)
        seconds = self.clock() - self._at_work.pop(ended.task, begun)
        if ended.cause is None:
            self._expected[ended.task.kind] += ended.task.seconds
            self._took[ended.task.kind] += seconds
            outcomes = ended.outcomes
        else:
            outcomes = tuple(Outcome(run, "crashed", ended.cause, seconds) for run in ended.task.runs)
        again = tuple(outcome.run for outcome in outcomes if outcome.status == "crashed" and self._may_go_on(outcome))
        if again:
            task = replace(ended.task, runs=again)
            self.waiting[task.resources].append(task)
            self.waiting[task.resources].sort(key=self.priority)
        return [outcome for outcome in outcomes if outcome.run not in again]

    def _may_go_on(self, outcome: Outcome) -> bool:
        self._deaths[outcome.run] += 1
        return self._deaths[outcome.run] <= self.retries

    def seconds_left(self) -> float | None:
        """Return about how long it takes until all is done; None as long as nothing can be said, or all is overdue.

        The expected seconds of the tasks that are left, times what tasks took in fact over what was expected of them,
        over as many places as there are tasks at work; at least the longest of them.
        """
        now, running = self.clock(), self.engine.running()
        left = []
        for task in [*self.begun, *(task for queue in self.waiting.values() for task in queue)]:
            pace = self._pace(task.kind)
            if pace is None:
                return None
            left.append(max(0.0, pace * task.seconds - (now - self._at_work.get(task, now))))
        if not left:
            return 0.0
        if not running or not any(left):
            return None
        return max(max(left), sum(left) / len(running))

    def _pace(self, kind: Kind) -> float | None:
        if expected := self._expected[kind]:
            return self._took[kind] / expected
        return None if kind == "search in proportion" else 1.0
