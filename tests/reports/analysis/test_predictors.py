import math

import pandas as pd
import pytest

from reports.analysis import predictors
from reports.analysis.end_values import DIAGNOSTICS

MAIN = "truth/cifar10/test"


def correlated(skips: list[float], truths: list[float]) -> pd.Series:
    runs = pd.MultiIndex.from_arrays([range(len(skips)), [0] * len(skips)], names=["variant", "seed"])
    table = pd.DataFrame(math.nan, index=runs, columns=list(DIAGNOSTICS))
    table["count_skip_connect"] = skips
    return predictors.predictors(table.assign(**{MAIN: truths}), MAIN).T["count_skip_connect"]


def test_correlation_is_that_of_ranks_with_ties():
    skips, truths = [0, 1, 1, 2, 4, 6, 6, 3], [94.0, 93.0, 90.0, 91.0, 85.0, 54.3, 54.3, 92.0]
    row = correlated(skips, truths)
    assert row["spearman"] == pytest.approx(pd.Series(skips).corr(pd.Series(truths), method="spearman"))
    assert row["low"] <= row["spearman"] <= row["high"] < 0
    said = predictors.sentence(row, "number of skips", "CIFAR-10 test")
    assert said.startswith(
        "Over the finished searches a higher number of skips goes with a lower CIFAR-10 test accuracy"
    )
    assert f"Spearman {row['spearman']:+.2f}" in said and "n = 8" in said


def test_no_correlation_is_claimed_where_none_can_be_seen():
    few = correlated([0, 1, 2], [94.0, 93.0, 92.0])
    constant = correlated([1] * 7, [94.0, 93.0, 92.0, 91.0, 90.0, 89.0, 88.0])
    unclear = correlated([0, 1, 2, 3, 4, 5], [90.0, 94.0, 91.0, 93.0, 90.5, 92.0])
    assert "fewer than 6 variants (n = 3)" in predictors.sentence(few, "number of skips", "x")
    assert "no spread (n = 7)" in predictors.sentence(constant, "number of skips", "x")
    assert "shows no clear correlation" in predictors.sentence(unclear, "number of skips", "x")


def of_one_variant(skips: list[float], truths: list[float]) -> pd.Series:
    runs = pd.MultiIndex.from_arrays([["a"] * len(skips), range(len(skips))], names=["variant", "seed"])
    table = pd.DataFrame(math.nan, index=runs, columns=list(DIAGNOSTICS))
    table["count_skip_connect"] = skips
    return predictors.predictors(table.assign(**{MAIN: truths}), MAIN).T["count_skip_connect"]


def test_runs_of_the_same_variant_are_told_of_by_themselves() -> None:
    row = of_one_variant([6, 6, 5, 4, 3, 2, 1, 0], [50, 50, 60, 70, 80, 90, 93, 94])
    assert math.isnan(row["spearman"])
    assert (row["within"], row["within_variants"]) == (pytest.approx(-1), 1)
    said = predictors.sentence_within(row, "number of skips", "CIFAR-10 test")
    assert said.startswith(
        "Among runs of the same variant a higher number of skips goes with a lower CIFAR-10 test acc"
    )
    few = of_one_variant([6, 5, 4, 3, 2, 1, 0], [50, 60, 70, 80, 81, 82, 83])
    constant = of_one_variant([6] * 9, [50, 60, 70, 80, 81, 82, 83, 84, 85])
    for nothing in (few, constant):
        assert math.isnan(nothing["within"])
        assert predictors.sentence_within(nothing, "number of skips", "x").startswith("No variant has 8 runs or more")
    unclear = of_one_variant([0, 1, 2, 3, 4, 5, 6, 3], [90.0, 94.0, 91.0, 93.0, 90.5, 92.0, 92.5, 92.2])
    assert "no clear correlation" in predictors.sentence_within(unclear, "number of skips", "x")
