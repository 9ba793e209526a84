"""How far do searches differ that were made again, on a machine that rounds otherwise? Run by run.

    python -m benchmarks.repeated_runs boards/NAME/results results --how "on ..."

writes benchmarks/results/repeated_runs.md and .csv. The second results are those of a board with the same settings,
images and truth, of some of the methods and seeds; `dvc repro lookup` makes them.
"""

from pathlib import Path
from typing import Any

import click
import pandas as pd

from benchmarks.page import markdown, page_options, write_page
from harness.base.errors import UserError
from harness.results.folder import Results, load_results

NAME = "repeated_runs"
RUN = ["variant", "seed"]
PLACE = ["epoch", "cells", "edge", "operation"]


def side_by_side(first: Results, second: Results) -> pd.DataFrame:
    """Return a row for each search that finished in both: where its op weights part, and what it returned.

    Raises:
        UserError: the truths are not the same, no search is in both, or one has other settings, code or images.
    """
    if first.truth_source["sha256"] != second.truth_source["sha256"]:
        raise UserError("the results have other true accuracies, expected those of the same table")
    runs = [each.finished[each.finished["kind"] == "search"].set_index(RUN) for each in (first, second)]
    shared = runs[0].index.intersection(runs[1].index)
    if shared.empty:
        raise UserError("no search is in both results, expected some of the same methods and seeds")
    weights = [dict(list(each.alpha.groupby(RUN))) for each in (first, second)]
    rows = []
    for run in shared:
        pair = [table.loc[run] for table in runs]
        if pair[0]["fingerprint"] != pair[1]["fingerprint"]:
            raise UserError(f"{run[0]} with seed {run[1]} has other settings, code or images in the second results")
        alphas = [of_run[run].set_index(PLACE)["weight"] for of_run in weights if run in of_run]
        rows.append({"method": run[0], "seed": run[1], **_op_weights(alphas), **_answers(pair, first.main.key)})
    return pd.DataFrame(rows)


def _op_weights(weights: list[pd.Series]) -> dict[str, Any]:
    """Return how far the op weights of one search, indexed by `PLACE`, are from those of its repetition."""
    if not weights:  # a method without alpha
        return {}
    apart = (weights[0] - weights[1]).dropna().abs().groupby("epoch").max()  # one of them may have stopped earlier
    leading = [each.xs(apart.index[-1]).groupby(["cells", "edge"], sort=False).idxmax() for each in weights]
    differs = apart[apart > 0]
    return {
        "first epoch that differs": differs.index[0] if len(differs) else pd.NA,
        "largest difference of an op weight after it": differs.iloc[0] if len(differs) else 0.0,
        "at the end": apart.iloc[-1],
        "edges with another leading operation at the end": int((leading[0] != leading[1]).sum()),
    }


def _answers(pair: list[pd.Series], truth: str) -> dict[str, Any]:
    """Return what both runs returned, by true accuracy."""
    return {
        "same cell": "yes" if pair[0]["cell"] == pair[1]["cell"] else "no",
        "true accuracy, %": pair[0][truth],
        "of the repetition": pair[1][truth],
    }


def sentences(table: pd.DataFrame) -> str:
    """Say how many searches returned the same cell, and how far means over seeds moved."""
    same = int((table["same cell"] == "yes").sum())
    means = table.groupby("method", sort=False)[["true accuracy, %", "of the repetition"]].mean()
    moved = "; ".join(f"{method} {first:.2f} and {second:.2f}" for method, first, second in means.itertuples())
    return f"The same cell is returned by {same} of {len(table)}. Means over these seeds: {moved} %."


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--how", required=True, help="What was other in the repetition, such as: on an AMD EPYC 9654.")
@page_options
def main(first: Path, second: Path, how: str, quick: bool, output: Path | None) -> None:
    """Compare searches with their repetition and write the table."""
    results = load_results(first), load_results(second)
    table = side_by_side(*results)
    page = f"""# How far searches differ that were made again

Searches of a board and the same ones, from the same seeds and with the same code, settings and images, {how}.
True accuracies are those on {results[0].main.label}.

{markdown(table)}

{sentences(table)}
"""
    write_page(NAME, page, table, quick=quick, output=output)


if __name__ == "__main__":
    main()
