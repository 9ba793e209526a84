import math

import numpy as np
import pandas as pd
import pytest

from harness.results.folder import TruthColumn
from harness.space.cell import RESIDUAL
from reports.analysis import repairs
from reports.tables.repairs import mark

MAIN = "truth/cifar10/test"
COLUMN = TruthColumn(MAIN, "CIFAR-10 test", 200, 87.0, 12.9, 90.7, 94.37, str(RESIDUAL), ())


def values_of(**variants: dict[int, float]) -> pd.DataFrame:
    """Return a table like `end_values` with one diagnostic."""
    index = [(variant, seed) for variant, seeds in variants.items() for seed in seeds]
    data = [value for seeds in variants.values() for value in seeds.values()]
    return pd.DataFrame({"entropy": data}, index=pd.MultiIndex.from_tuples(index, names=["variant", "seed"]))


def difference(**variants: dict[int, float]) -> pd.Series:
    table = values_of(**variants)
    return repairs.differences(table, "reference", list(variants), ["entropy"]).iloc[0]


def test_differences_are_paired_by_seed():
    row = difference(reference={0: 1.0, 1: 5.0, 2: 9.0, 7: 100.0}, other={2: 8.0, 1: 4.5, 0: 0.0, 3: -50.0})
    assert (row["variant"], row["diagnostic"], row["pairs"]) == ("other", "entropy", 3)
    assert row["mean_difference"] == pytest.approx((-1 - 0.5 - 1) / 3)
    assert row["low"] == -1.0 and row["high"] == -0.5
    assert row["change"] == "lower"


@pytest.mark.parametrize(
    ("other", "change"),
    [({0: 2.0, 1: 3.0}, "higher"), ({0: 2.0, 1: 0.0}, ""), ({0: 1.0, 1: 1.0}, ""), ({0: 9.0}, ""), ({5: 9.0}, "")],
    ids=["higher", "both signs", "equal", "one pair", "no pair"],
)
def test_a_change_needs_an_interval_without_zero(other, change):
    row = difference(reference={0: 1.0, 1: 1.0}, other=other)
    assert row["change"] == change
    assert row["pairs"] == len({0, 1} & set(other))
    assert math.isnan(row["low"]) == (row["pairs"] < 2)


def test_few_pairs_are_an_observation_and_many_a_mark():
    seeds = range(6)
    many = difference(reference=dict.fromkeys(seeds, 1.0), other=dict.fromkeys(seeds, 2.0))
    few = difference(reference=dict.fromkeys(seeds, 1.0), other=dict.fromkeys(range(5), 2.0))
    lower = difference(reference=dict.fromkeys(seeds, 1.0), other=dict.fromkeys(seeds, 0.0))
    assert [mark(row) for row in (many, few, lower)] == ["*", " (*)", "*"]


def test_of_many_pairs_the_test_decides_whose_level_holds():
    # The interval of these would exclude 0, as that of one in five or more such samples does.
    differences = [1.0, 1.1, 0.9, 1.2, 1.0, -0.5]
    row = difference(reference=dict.fromkeys(range(6), 0.0), other=dict(enumerate(differences)))
    assert row["low"] > 0 and row["change"] == ""


def test_of_equal_variants_at_most_one_in_twenty_is_marked():
    random = np.random.default_rng(0)
    for pairs in (6, 9):
        rows = [
            difference(reference=dict.fromkeys(range(pairs), 0.0), other=dict(enumerate(random.normal(size=pairs))))
            for _ in range(60)
        ]
        assert np.mean([mark(row) == "*" for row in rows]) < 0.05 + 2 * 0.028


def test_repair_sentences_name_the_variants_that_differ():
    reference = dict.fromkeys(range(3), 1.0)
    table = values_of(
        reference=reference, up=dict.fromkeys(range(3), 2.0), down=dict.fromkeys(range(3), 0.0), same=reference
    )
    found = repairs.differences(table, "reference", ["down", "same", "up"], ["entropy"])
    said = repairs.sentences(found, "reference", COLUMN)
    assert said == [
        "Entropy, 3 variants against reference: lower for down; higher for up.",
        f"2 of these 2 differences rest on fewer than 6 seeds: observations, not tests; {repairs.BY_CHANCE}.",
    ]
    unchanged = repairs.sentences(found[found["variant"] == "same"], "reference", COLUMN)
    assert unchanged == ["Entropy, 1 variant against reference: no difference that shows."]
    alone = values_of(reference={0: 1.0}, other={0: 2.0})
    assert repairs.sentences(repairs.differences(alone, "reference", ["other"], ["entropy"]), "reference", COLUMN) == []
