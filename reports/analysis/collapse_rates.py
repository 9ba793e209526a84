"""How many runs of each variant collapse, by which criterion, and when."""

import pandas as pd

from harness.results.folder import Results
from harness.space.cell import EDGES
from harness.space.collapse import SKIPS, TRUTH
from harness.statistics.estimates import proportion_interval

NAMED = 6
"""Variants that a sentence names; the others are counted."""


PHRASES = {
    "skip": f"collapse to skip (at least {SKIPS} of {len(EDGES)} edges)",
    "pool": f"collapse to pool (at least {SKIPS} of {len(EDGES)} edges)",
    "none": f"collapse to none (at least {SKIPS} of {len(EDGES)} edges)",
    "truth": f"end in an argmax cell below {TRUTH:g} % truth",
}
"""Criterion to what happened to its runs, after "runs ..."."""


def criteria(results: Results) -> list[str]:
    """Return the criteria that can tell runs apart: `truth` only where some cell of the space reaches its threshold."""
    return [name for name in PHRASES if name != "truth" or results.main.best >= TRUTH]


def finished_searches(results: Results) -> pd.DataFrame:
    """Return the rows of collapse.parquet of runs with a result, for the criteria that can tell runs apart."""
    finished = results.finished[["variant", "seed"]]
    table = results.collapse[results.collapse["criterion"].isin(criteria(results))]
    return table.merge(finished, on=["variant", "seed"])


def rates(collapse: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return a row per variant, in the given order, and criterion.

    `collapse`: a row per run and criterion. Columns: variant, criterion, runs, collapsed, share, low, high (95 % Wilson
    interval of the share), epoch_median, epoch_first, epoch_last: of the collapsed runs, NaN where there is none.
    """
    rows = []
    groups = dict(iter(collapse.groupby(["variant", "criterion"])))
    for variant in order:
        for criterion in PHRASES:
            own = groups.get((variant, criterion))
            if own is not None:
                collapsed = own[own["collapsed"].astype(bool)]
                interval = proportion_interval(len(collapsed), len(own))
                epochs = collapsed["epoch"]
                rows.append(
                    (
                        variant,
                        criterion,
                        len(own),
                        len(collapsed),
                        *interval,
                        epochs.median(),
                        epochs.min(),
                        epochs.max(),
                    )
                )
    columns = ["variant", "criterion", "runs", "collapsed", "share", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "epoch_median", "epoch_first", "epoch_last"])


def sentences(found: pd.DataFrame, label: str) -> list[str]:
    """Say, a sentence per criterion, how many runs collapse, of which variants and when."""
    return [_sentence(own, PHRASES[str(criterion)], label) for criterion, own in found.groupby("criterion", sort=False)]


def _sentence(own: pd.DataFrame, phrase: str, label: str) -> str:
    phrase = phrase.replace("truth", f"{label} accuracy")
    collapsed, runs = int(own["collapsed"].sum()), int(own["runs"].sum())
    if not collapsed:
        return f"None of the {runs} finished searches {_singular(phrase)}."
    low, high = proportion_interval(collapsed, runs)[1:]
    hit = own[own["collapsed"] > 0].sort_values("share", ascending=False, kind="stable")
    named = [_counted(row) for _, row in hit.head(NAMED).iterrows()]
    if len(hit) > NAMED:
        named.append(f"{len(hit) - NAMED} more variants")
    verb = _singular(phrase) if collapsed == 1 else phrase
    interval = f"{100 * collapsed / runs:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
    return f"{collapsed} of {runs} finished searches {verb}, {interval}: {'; '.join(named)}."


def _singular(phrase: str) -> str:
    verb, rest = phrase.split(" ", 1)
    return f"{verb}s {rest}"


def _counted(row: pd.Series) -> str:
    return f"{row['variant']} {row['collapsed']} of {row['runs']}, from epoch {row['epoch_median']:g}"
