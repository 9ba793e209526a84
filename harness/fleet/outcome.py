"""A run of a board, and how it ended."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from harness.records.record import Status  # imports pandas


class Run(NamedTuple):
    """A method with one seed."""

    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method} seed {self.seed}"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    run: Run
    status: "Status | Literal['refused', 'crashed', 'unfinished']"
    """As in its record; or, where there is none, `refused`: it could not begin; `crashed`: its process died, or its
    record did not get to DVC's remote; `unfinished`: no time was left, and it resumes."""
    detail: str
    """The cell, or the reason that there is none."""
    seconds: float

    @property
    def recorded(self) -> bool:
        """Whether there is a record."""
        return self.status not in ("refused", "crashed", "unfinished")

    @property
    def good(self) -> bool:
        """Whether it is a result."""
        return self.status in ("done", "stopped")

    def __str__(self) -> str:
        return f"{self.run}: {self.status}, {self.detail}, {self.seconds:.1f} s"
