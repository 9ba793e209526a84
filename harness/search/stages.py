"""A search in stages: how long each is, and which operations go on to the next."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from harness.base.errors import UserError
from harness.search.variant import Moment


@dataclass(frozen=True)
class Stages:
    """Consecutive stages of whole epochs. Stages are counted from 0."""

    lengths: tuple[int, ...]
    """Epochs of each stage."""

    @classmethod
    def divide(cls, epochs: int, proportions: tuple[int, ...]) -> "Stages":
        """Divide a search as nearly as whole epochs allow, at least one a stage.

        Raises:
            UserError: there are fewer epochs than stages.
        """
        count, total = len(proportions), sum(proportions)
        if epochs < count:
            raise UserError(f"protocol epochs: a search in {count} stages needs at least {count} epochs, not {epochs}")
        ends = [0]
        for number, passed in enumerate(accumulate(proportions), start=1):
            nearest = (2 * epochs * passed + total) // (2 * total)
            ends.append(min(max(nearest, ends[-1] + 1), epochs - count + number))
        return cls(tuple(end - start for start, end in pairwise(ends)))

    def start(self, stage: int) -> int:
        """Return how many epochs precede a stage."""
        return sum(self.lengths[:stage])

    def ends_with(self, stage: int, epoch: int) -> bool:
        """Whether a stage other than the last is over after this many epochs of the search."""
        return stage < len(self.lengths) - 1 and epoch == self.start(stage + 1)

    def share(self, stage: int, moment: Moment) -> float:
        """Return the share of a stage that is done, from 0 to below 1, in steps."""
        return (moment.epoch - self.start(stage) + moment.step / moment.steps) / self.lengths[stage]


def keep_largest(values: np.ndarray, count: int) -> tuple[tuple[bool, ...], ...]:
    """Return a mask `[6][operations]` of the largest `count` values of each row; the first of equal ones."""
    order = np.argsort(-values, axis=1, kind="stable")
    mask = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(mask, order[:, :count], True, axis=1)
    return tuple(tuple(row) for row in mask.tolist())
