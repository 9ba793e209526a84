"""How much of an accuracy is the search, how much the training of the cell that it found."""

import pandas as pd

from harness.results.folder import Results, TruthColumn
from harness.space.cell import ALL_SKIP
from harness.statistics.estimates import DECIMALS
from harness.statistics.training_noise import allowed_difference, called, error_of_mean, pooled_sd
from harness.truth.columns import cells_with_errors, spread_key


def has_trainings(results: Results, column: TruthColumn) -> bool:
    """Whether the table of true accuracies has single trainings in a column."""
    return bool(results.trainings["column"].eq(column.key).any())


def spreads(results: Results, column: TruthColumn, order: list[str]) -> pd.DataFrame:
    """Return both spreads of each method with a result, index variant in the order given, points.

    Columns: kind, n (runs), mean (percent), search_sd (over the runs, ddof 1), cells (distinct ones), trainings (of
    these cells, together), training_sd (pooled over the runs' cells that were trained more than once), error (standard
    error of the mean that is left by training, whatever the number of runs).
    """
    known = results.finished.dropna(subset=[column.key])
    counted, spread = spread_key("trainings", column.key), spread_key("training_sd", column.key)
    rows = {}
    for variant, own in known.groupby("variant", sort=False):
        values = own[column.key]
        rows[variant] = {
            "kind": own["kind"].iloc[0], "n": len(own), "mean": values.mean(), "search_sd": values.std(),
            "cells": own["cell_index"].nunique(),
            "trainings": own.drop_duplicates("cell_index")[counted].sum(min_count=1),
            "training_sd": pooled_sd(own[spread].to_numpy(), own[counted].to_numpy()),
            "error": error_of_mean(cells_with_errors(own, column.key)),
        }  # fmt: skip
    columns = ["kind", "n", "mean", "search_sd", "cells", "trainings", "training_sd", "error"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.reindex([variant for variant in order if variant in rows]).rename_axis("variant")


def beside_highest(results: Results, column: TruthColumn, order: list[str]) -> pd.DataFrame:
    """Return how far below the highest mean each other method is, index variant in the order given.

    Columns: highest (its name), gap (points), allowed (the difference that training noise of the found cells allows,
    points, NaN where that is not known), called (see `training_noise.called`).
    """
    known = results.finished.dropna(subset=[column.key])
    groups = {str(variant): own for variant, own in known.groupby("variant", sort=False)}
    means = pd.Series({variant: groups[variant][column.key].mean() for variant in order if variant in groups})
    if means.empty:
        return pd.DataFrame(columns=["highest", "gap", "allowed", "called"])
    highest = str(means.idxmax())
    rows = {}
    for variant in means.index.drop(highest):
        gap = round(means[highest] - means[variant], DECIMALS)
        allowed = allowed_between(groups[highest], groups[variant], column)
        rows[variant] = {"highest": highest, "gap": gap, "allowed": allowed, "called": called(gap, allowed)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["highest", "gap", "allowed", "called"])
    return table.rename_axis("variant")


def allowed_between(first: pd.DataFrame, second: pd.DataFrame, column: TruthColumn) -> float:
    """Return the difference of two means over runs that training noise of their cells allows, points; NaN: unknown."""
    return allowed_difference(cells_with_errors(first, column.key), cells_with_errors(second, column.key))


def skip_trainings(results: Results, column: TruthColumn) -> pd.Series:
    """Return the single trainings of the cell of six skip connections, percent, in the order of the table."""
    rows = results.trainings[results.trainings["column"].eq(column.key)]
    return rows.loc[rows["cell_index"].eq(ALL_SKIP.index), "accuracy"]
