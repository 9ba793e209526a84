"""What every scenario on a cluster shares: it disturbs a sweep, and counts."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import pandas as pd

from harness.base.errors import UserError, in_one_line
from tests.clusters.projects import Compared


@dataclass
class Counts:
    """What was counted in a scenario."""

    disturbed: int = 0
    """How often something was done to it."""
    tasks: int = 0
    """Jobs of Slurm, or tasks of Ray, that were submitted."""
    again: int = 0
    """Those that began more than once, or in whose place another was submitted."""
    results: int = 0
    """Compared with the undisturbed ones."""
    changed: int = 0
    left: int = 0
    """Files that were half written."""
    wrong: int = 0
    """Answers that were not as they should be: an exit status, a sentence, a run that was done twice."""

    def take_in(self, compared: Compared) -> None:
        """Add what became of results."""
        self.results += compared.results
        self.changed += compared.changed
        self.left += compared.left

    @property
    def bad(self) -> bool:
        """Whether anything is not as it should be."""
        return bool(self.changed or self.left or self.wrong)


class Scenario(NamedTuple):
    """One thing that can happen to a sweep."""

    what: str
    play: Callable[[], Counts]


def play(scenarios: Iterable[Scenario], say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Play scenarios one after another; give a row of the table for each. One that breaks off counts as wrong."""
    for what, action in scenarios:
        started = time.monotonic()
        try:
            counts = action()
        except (UserError, OSError) as error:
            say(f"{what}: broke off: {in_one_line(error)}")
            counts = Counts(wrong=1)
        row = {"what": what, **asdict(counts), "seconds": time.monotonic() - started}
        say(", ".join(f"{key} {value:.0f}" if key != "what" else value for key, value in row.items()))
        yield row


def table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of counts."""
    names = {"tasks": "tasks submitted", "again": "begun again", "results": "results compared", "left": "files left"}
    return pd.DataFrame(rows).rename(columns=names)
