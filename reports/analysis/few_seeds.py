"""What a paper of few seeds would have said: rankings by some of the board's seeds against the ranking by all."""

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.board.compare import told_apart
from harness.results.folder import Results
from harness.statistics.estimates import DECIMALS
from harness.statistics.few_seeds import FEWEST_SEEDS, few_seeds
from harness.statistics.step_down import step_down_sign_flips


def complete(results: Results) -> pd.DataFrame:
    """Return the main true accuracy of the searches that have one for every seed, [methods, seeds].

    Of the baselines where the board has no search.
    """
    finished = results.finished
    kind = "search" if (results.runs["kind"] == "search").any() else "baseline"
    own = finished[finished["kind"] == kind]
    table = own.pivot(index="variant", columns="seed", values=results.main.key)
    return table.reindex(columns=sorted(results.runs["seed"].unique())).dropna()


def pairs_apart(values: pd.DataFrame, noise: float | None) -> NDArray[np.bool_]:
    """Return which methods all seeds tell apart, [methods, methods]; p-values are adjusted for all pairs of methods."""
    accuracies = values.to_numpy(dtype=np.float64)
    pairs = list(combinations(range(len(accuracies)), 2))
    differences = np.round(np.array([accuracies[one] - accuracies[other] for one, other in pairs]), DECIMALS)
    p_values = step_down_sign_flips(differences.T)
    apart = np.zeros((len(accuracies), len(accuracies)), dtype=np.bool_)
    for (one, other), mean, p_value in zip(pairs, differences.mean(axis=1), p_values, strict=True):
        apart[one, other] = apart[other, one] = told_apart(float(mean), float(p_value), noise)
    return apart


def by_few_seeds(results: Results) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Return the accuracies that take part, and `few_seeds` of them; None where there are too few of either."""
    values = complete(results)
    if len(values) < 2 or values.shape[1] < FEWEST_SEEDS:
        return None
    apart = pairs_apart(values, results.main.noise)
    table = few_seeds(values.to_numpy(dtype=np.float64), apart)
    return values, table.assign(pairs_apart=int(apart.sum()) // 2)
