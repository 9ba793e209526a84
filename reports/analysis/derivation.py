"""What other rules read off the same searches is worth."""

from typing import Any

import numpy as np
import pandas as pd

from harness.results.folder import Results
from harness.space.collapse import TRUTH
from harness.statistics import estimates as statistics
from harness.statistics.significance import DECIMALS

OWN_RULE = "variant"
"""The rule that the variant itself answers by."""

DRAWS = "mean of draws"
"""Not a rule but what to expect of one draw: the mean truth of the cells drawn from the final op weights."""

RULES = {
    OWN_RULE: "the variant's answer",
    "argmax": "the largest op weight of each edge",
    "argmax-without-none": "the same over the four operations that pass something on",
    "skip-cap-2": "the argmax cell with at most two skip connections",
    "gumbel-mode": "the cell drawn most often from the final op weights",
    DRAWS: "what to expect of a single such draw",
    "best-of-draws": "the drawn cell with the best accuracy under the shared weights",
    "operation-strength": "the operation of each edge whose removal would raise the loss most, to first order",
}
"""The rules that every search with alpha is read by, and what each takes."""


def truth_by_rule(results: Results) -> pd.DataFrame:
    """Return the main truth of the cell of each rule: index (variant, seed), a column a rule, percent.

    Searches only. A rule that a run was not read by is NaN. Columns: those of `RULES` first, in their order.
    """
    key = results.main.key
    searches = results.derived[results.derived["kind"] == "search"]
    everything = pd.concat([searches, _expected_of_a_draw(results)], ignore_index=True)
    truths = everything.groupby(["variant", "seed", "rule"], sort=False)[key].first().astype(float).unstack("rule")
    shared = [rule for rule in RULES if rule in truths]
    return truths[[*shared, *(rule for rule in truths if rule not in RULES)]]


def _expected_of_a_draw(results: Results) -> pd.DataFrame:
    """Return the mean truth of each run's draws, as rows of `results.derived`."""
    key, draws = results.main.key, results.draws[results.draws["kind"] == "search"]
    weighed = draws.assign(total=draws[key] * draws["count"])
    sums = weighed.groupby(["variant", "seed"], sort=False)[["total", "count"]].sum()
    return (sums["total"] / sums["count"]).rename(key).reset_index().assign(rule=DRAWS)


def by_variant(truths: pd.DataFrame) -> pd.DataFrame:
    """Return a row a variant and rule it was read by; `truths` as of `truth_by_rule`.

    mean, sd (ddof 1), n        of the truth, percent
    pairs, difference           runs with both cells, and the mean truth minus that of the own rule over them, points
    better, equal, worse        how many of the pairs
    """
    differences = _differences(truths)
    frames = {
        name: table.groupby(level="variant", sort=False).agg(how).stack()
        for name, table, how in (
            ("mean", truths, "mean"),
            ("sd", truths, "std"),
            ("n", truths, "count"),
            ("pairs", differences, "count"),
            ("difference", differences, "mean"),
            ("better", differences > 0, "sum"),
            ("equal", differences == 0, "sum"),
            ("worse", differences < 0, "sum"),
        )
    }
    table = pd.DataFrame(frames).rename_axis(["variant", "rule"]).reset_index()
    return table[table["n"] > 0].astype({"n": int, "pairs": int}).reset_index(drop=True)


def _differences(truths: pd.DataFrame) -> pd.DataFrame:
    return truths.sub(truths[OWN_RULE], axis=0).round(DECIMALS)


def by_rule(truths: pd.DataFrame, collapse_below: float | None) -> pd.DataFrame:
    """Return a row a rule of `RULES`, over all runs that have its cell and the own rule's.

    variants, pairs             variants and runs compared
    difference, low, high       mean truth minus that of the own rule, points, with its 95 % bootstrap interval
                                (stratified by variant)
    better, equal, worse        how many of the pairs
    highest                     variants read by several rules in which this has the highest mean, alone or tied
    collapsed, rescued          pairs whose own cell is below `collapse_below` (percent), and how many the rule lifts
    sound, ruined               pairs whose own cell is not, and how many the rule brings below
    `DRAWS` is no cell, so it neither wins nor rescues: NaN. Without `collapse_below` nothing is collapsed: NaN.
    """
    differences, bad = _differences(truths), truths < (collapse_below or 0.0)
    means = (
        by_variant(truths).pivot(index="variant", columns="rule", values="mean").drop(columns=DRAWS, errors="ignore")
    )
    means = means[means.count(axis=1) > 1]
    highest = means.round(DECIMALS).eq(means.max(axis=1).round(DECIMALS), axis=0).sum()
    rows = []
    for rule in (rule for rule in RULES if rule in truths):
        paired = differences[rule].dropna()
        own, ruled = bad.loc[paired.index, OWN_RULE], bad.loc[paired.index, rule]
        row: dict[str, Any] = {"rule": rule, "variants": paired.index.unique("variant").size, "pairs": len(paired)}
        row |= dict(zip(("difference", "low", "high"), _interval(paired), strict=True))
        row |= {"better": (paired > 0).sum(), "equal": (paired == 0).sum(), "worse": (paired < 0).sum()}
        if rule != DRAWS:
            row["highest"] = highest[rule]
        if rule != DRAWS and collapse_below is not None:
            row |= {"collapsed": own.sum(), "rescued": (own & ~ruled).sum()}
            row |= {"sound": (~own).sum(), "ruined": (~own & ruled).sum()}
        rows.append(row)
    columns = ["highest", "collapsed", "rescued", "sound", "ruined"]
    return pd.DataFrame(rows, columns=[*(name for name in rows[0] if name not in columns), *columns])


def collapse_mark(results: Results) -> float | None:
    """Return the truth below which a cell counts as collapsed; None on a column where most cells lie below it."""
    return TRUTH if results.main.median > TRUTH else None


def _interval(paired: pd.Series) -> tuple[float, float, float]:
    if paired.empty:
        return (float("nan"),) * 3
    strata = [group.to_numpy() for _, group in paired.groupby("variant")]
    return statistics.bootstrap_interval(strata, statistics.pooled(np.mean), resamples=2000)
