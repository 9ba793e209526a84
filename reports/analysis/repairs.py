"""Which variant changes which diagnostic, against the reference variant, paired by seed."""

import math

import numpy as np
import pandas as pd

from harness.results.folder import TruthColumn
from harness.statistics.estimates import bootstrap_interval, pooled
from harness.statistics.significance import pair_by_seed, sign_flip_test
from reports.analysis.end_values import DIAGNOSTICS, Diagnostic
from reports.analysis.summary import SIGN_TEST_SEEDS

LEVEL = 0.05
BY_CHANCE = "with 2, 3, 4 and 5 seeds so do about 48, 27, 22 and 15 % of differences that are none"
"""Measured: normal differences, 300 samples each."""
NAMED = 6
"""Variants that a sentence names; the others are counted."""


def with_truth(column: TruthColumn) -> dict[str, Diagnostic]:
    """Return the truth of the main column and the diagnostics, as one list of what is compared."""
    return {column.key: Diagnostic(column.label, "%", 2), **DIAGNOSTICS}


def differences(values: pd.DataFrame, reference: str, order: list[str], names: list[str]) -> pd.DataFrame:
    """Compare the end values of every variant, in the given order, with the reference's, paired by seed.

    `values`: `end_values`, with runs of the reference. A row per variant and name: variant, diagnostic, pairs (seeds
    for which both have the value), mean_difference (variant minus reference, NaN without a pair), low, high: 95 %
    bootstrap interval, NaN for fewer than two pairs; change: "higher" or "lower" where `sign_flip_test` has at most
    `LEVEL` or, with fewer pairs than that test can speak of, where the interval excludes 0.
    """
    by_variant = {str(variant): own for variant, own in values.groupby(level="variant", sort=False)}
    base = by_variant.pop(reference)
    rows = []
    for variant in [variant for variant in order if variant in by_variant]:
        for name in names:
            samples = [table[name].droplevel("variant").dropna() for table in (by_variant[variant], base)]
            rows.append((variant, name, *_paired(*samples)))
    columns = ["variant", "diagnostic", "pairs", "mean_difference", "low", "high", "change"]
    return pd.DataFrame(rows, columns=columns).astype({"change": object})


def _paired(own: pd.Series, base: pd.Series) -> tuple[int, float, float, float, str]:
    pairs = pair_by_seed(own, base)
    if not len(pairs):
        return 0, math.nan, math.nan, math.nan, ""
    if len(pairs) == 1:
        return 1, float(pairs.differences[0]), math.nan, math.nan, ""
    interval = bootstrap_interval([pairs.differences], pooled(np.mean))
    if len(pairs) < SIGN_TEST_SEEDS:
        seen = interval.low > 0 or interval.high < 0
    else:
        seen = sign_flip_test(pairs.differences) <= LEVEL
    change = ("higher" if interval.estimate > 0 else "lower") if seen else ""
    return len(pairs), *interval, change


def sentences(found: pd.DataFrame, reference: str, column: TruthColumn) -> list[str]:
    """Say, a sentence per diagnostic, which variants differ from the reference."""
    described = with_truth(column)
    said = []
    for name, own in found[found["pairs"] > 1].groupby("diagnostic", sort=False):
        parts = [_named(own[own["change"] == change], change) for change in ("lower", "higher")]
        outcome = "; ".join(part for part in parts if part) or "no difference that shows"
        label = described[str(name)].label
        counted = f"{len(own)} variant{'s' if len(own) > 1 else ''}"
        said.append(f"{label[:1].upper()}{label[1:]}, {counted} against {reference}: {outcome}.")
    few = found[(found["change"] != "") & (found["pairs"] < SIGN_TEST_SEEDS)]
    if not few.empty:
        said.append(
            f"{len(few)} of these {(found['change'] != '').sum()} differences rest on fewer than {SIGN_TEST_SEEDS} "
            f"seeds: observations, not tests; {BY_CHANCE}."
        )
    return said


def _named(changed: pd.DataFrame, change: str) -> str:
    if changed.empty:
        return ""
    named = list(changed["variant"])[:NAMED]
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"{change} for {', '.join(named)}{more}"
