"""A search that has begun and left no record yet."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class InProgress:
    """A search that has no record yet: it runs, or it died and can be resumed."""

    variant: str
    seed: int
    fingerprint: str
    alive: bool
    epochs: pd.DataFrame
    """The rows of epochs.parquet so far."""
    alpha: pd.DataFrame
    """The rows of alpha.parquet so far."""
