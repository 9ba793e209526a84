import math

import pandas as pd

from harness.statistics.estimates import proportion_interval
from reports.analysis import collapse_rates


def outcomes(variant: str, criterion: str, epochs: list[float | None]) -> pd.DataFrame:
    """Return rows of collapse.parquet: a run per entry, collapsed from that epoch on or not."""
    rows = [(variant, seed, criterion, epoch is not None, epoch, 10) for seed, epoch in enumerate(epochs)]
    columns = ["variant", "seed", "criterion", "collapsed", "epoch", "epochs"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": float})


def test_rates_count_collapsed_runs_and_say_when():
    outcome = pd.concat([outcomes("b", "skip", [None, None]), outcomes("a", "skip", [3, None, 9, 4])])
    found = collapse_rates.rates(outcome, ["a", "absent", "b"])
    assert list(found["variant"]) == ["a", "b"]
    first, second = found.iloc[0], found.iloc[1]
    assert (first["runs"], first["collapsed"], first["share"]) == (4, 3, 0.75)
    assert (first["low"], first["high"]) == tuple(proportion_interval(3, 4))[1:]
    assert (first["epoch_median"], first["epoch_first"], first["epoch_last"]) == (4, 3, 9)
    assert (second["collapsed"], second["share"]) == (0, 0)
    assert math.isnan(second["epoch_median"])


def test_sentences_hold_the_numbers_of_the_rates():
    outcome = pd.concat([outcomes("b", "skip", [None, None]), outcomes("a", "skip", [3, None, 9, 4])])
    outcome = pd.concat([outcome, outcomes("a", "pool", [None] * 4), outcomes("a", "none", [None, 7, None, None])])
    skip, pool, none = collapse_rates.sentences(collapse_rates.rates(outcome, ["a", "b"]), "CIFAR-10 test")
    assert skip.startswith(
        "3 of 6 finished searches collapse to skip (at least 4 of 6 edges), 50 % (95 % interval 19 to "
    )
    assert skip.endswith("81 %): a 3 of 4, from epoch 4.")
    assert pool == "None of the 4 finished searches collapses to pool (at least 4 of 6 edges)."
    assert none.startswith("1 of 4 finished searches collapses to none")


def test_a_sentence_counts_the_variants_it_does_not_name():
    names = [f"v{number}" for number in range(9)]
    found = collapse_rates.rates(pd.concat([outcomes(name, "truth", [2]) for name in names]), names)
    (said,) = collapse_rates.sentences(found, "CIFAR-10 test")
    assert said.startswith("9 of 9 finished searches end in an argmax cell below 80 % CIFAR-10 test accuracy, 100 %")
    assert said.endswith("v5 1 of 1, from epoch 2; 3 more variants.")
