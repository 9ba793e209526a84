"""Does bfloat16 change what a study concludes? Two published boards, in float32 and in bfloat16, seed by seed.

    python -m benchmarks.precision boards/FLOAT32 boards/BFLOAT16

writes benchmarks/results/precision.md and .csv. The boards are made by `dartsboard publish`, of the same methods and
seeds under the same protocol, but for `precision` and `network.compile`.
"""

import math
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.page import markdown, page_options, write_page
from harness.base.errors import UserError
from harness.board.compare import LEVEL
from harness.publishing.changes import changes
from harness.publishing.folder import PublishedBoard, read_published
from harness.results.folder import Results
from harness.space.cell import SKIP
from harness.statistics.estimates import DECIMALS, bootstrap_interval, pooled
from harness.statistics.significance import fewest_pairs
from harness.statistics.step_down import step_down_sign_flips
from reports.analysis.end_values import end_values

NAME = "precision"
KEYS = ["variant", "seed"]
EXPECTED = {"precision", "network.compile"}
"""Settings of the protocol that the two boards may differ in."""
QUANTITIES = {
    "truth": "true accuracy of the returned cell, %",
    "skip_mass": "skip weight at the end",
    f"count_{SKIP}": "skips of the argmax cell",
    "collapse": "epoch of skip collapse",
}


ALL = "mean of the methods"
"""Stands in the place of a method."""


def outcomes(results: Results) -> pd.DataFrame:
    """Return what each search came to: index variant and seed, columns `QUANTITIES` and the returned `cell`.

    The truth is that of the column that ranks. A search without a skip collapse counts as one that collapses in the
    epoch after its last.
    """
    ends = end_values(results)
    collapse = results.collapse[results.collapse["criterion"] == "skip"].set_index(KEYS)
    return ends.assign(
        truth=ends[results.main.key],
        collapse=collapse["epoch"].fillna(collapse["epochs"] + 1),
        cell=results.finished.set_index(KEYS)["cell"],
    )[[*QUANTITIES, "cell"]]


def side_by_side(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return a row a method and quantity: both means and sds, the paired difference, second minus first, and its test.

    Of several methods, rows of their mean come last. The p-values are those of sign flips, stepped down over all rows
    together.

    Raises:
        UserError: no search is on both boards.
    """
    shared = first.index.intersection(second.index)
    if shared.empty:
        raise UserError("no search is on both boards, expected the same methods and seeds")
    boards = {"float32": first, "bfloat16": second}
    rows, columns = [], {}
    methods = list(dict.fromkeys(shared.get_level_values("variant")))
    for method in [*methods, *([ALL] if len(methods) > 1 else [])]:
        for name, label in QUANTITIES.items():
            pairs = pd.DataFrame({side: _values(table.loc[shared, name], method) for side, table in boards.items()})
            pairs = pairs.dropna()
            columns[method, name] = (pairs["bfloat16"] - pairs["float32"]).round(DECIMALS)
            rows.append({"method": method, "what": label, **_row(pairs, columns[method, name])})
    table = pd.DataFrame(columns).fillna(0.0)  # a seed that a method lacks is a zero, which changes nothing
    return pd.DataFrame(rows).assign(p=step_down_sign_flips(table))


def _values(values: pd.Series, method: str) -> pd.Series:
    """Return the values of a method by seed; of `ALL`, the mean of the methods for each seed that all of them have."""
    by_seed = values.unstack("variant")
    return by_seed.mean(axis=1, skipna=False) if method == ALL else by_seed[method]


def _row(pairs: pd.DataFrame, differences: pd.Series) -> dict[str, float]:
    """Return means, sds, and the mean difference with its interval; NaN where there is no pair."""
    known = len(pairs) > 0
    interval = bootstrap_interval([differences], pooled(np.mean)) if known else (math.nan,) * 3
    return {
        "pairs": len(pairs),
        "float32": pairs["float32"].mean(),
        "sd": pairs["float32"].std(),
        "bfloat16": pairs["bfloat16"].mean(),
        "its sd": pairs["bfloat16"].std(),
        **dict(zip(("difference", "low", "high"), interval, strict=True)),
    }


def sentences(table: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame) -> str:
    """Say what the table shows: what is told apart, and how often a seed found the same cell."""
    apart = table[table["p"] < LEVEL]
    pairs = int(table["pairs"].max())
    if pairs < fewest_pairs(LEVEL):
        said = f"Too few pairs for any test ({pairs} at most): {fewest_pairs(LEVEL)} are needed."
    elif apart.empty:
        said = (
            f"No difference is told from chance: the smallest p-value is {table['p'].min():.2g}. The intervals say how "
            "large one could be all the same."
        )
    else:
        named = "; ".join(f"{row['method']}, {row['what']}: {row['difference']:+.3g}" for _, row in apart.iterrows())
        said = f"Told from chance (p below {LEVEL}): {named}."
    shared = first.index.intersection(second.index)
    equal = int((first.loc[shared, "cell"] == second.loc[shared, "cell"]).sum())
    return f"{said} The same cell is returned in both by {equal} of {len(shared)}."


def check_comparable(boards: tuple[PublishedBoard, PublishedBoard], results: tuple[Results, Results]) -> None:
    """Raise UserError unless the boards differ in how they compute and in nothing else that counts."""
    for change in changes(*boards, results):
        counts = change.kind in ("name", "protocol", "data", "truth", "setting")
        if counts and change.what not in EXPECTED:
            raise UserError(f"the boards differ in {change.what} ({change.first}, {change.second}), expected the same")
    precisions = [board.board.chosen.precision for board in boards]
    if precisions != ["float32", "bfloat16"]:
        raise UserError(f"the boards are in {' and '.join(precisions)}, expected float32 and bfloat16, in this order")


def document(boards: tuple[PublishedBoard, PublishedBoard], label: str, table: pd.DataFrame, said: str) -> str:
    """Return the page without its footer."""
    protocol = boards[0].manifest.protocol
    compiled = [board.board.chosen.network.compile for board in boards]
    return f"""# What bfloat16 changes

Searches under the protocol `{protocol}` in float32{", compiled," if compiled[0] else ""} and in
bfloat16{", compiled," if compiled[1] else ""} from the same seeds, so the same first weights, batches and draws. Means
over the pairs with their sd; differences are bfloat16 minus float32, seed by seed, with 95 % bootstrap intervals;
p-values are those of sign flips, stepped down over all rows of the table. True accuracies are those on {label}.
A search whose argmax cell has fewer than four skips at its end counts as collapsed in the epoch after its last.

{markdown(table)}

{said}
"""


def remarks(boards: tuple[PublishedBoard, PublishedBoard]) -> list[str]:
    """Return what the runs of each board were made with."""
    return [
        f"{board.board.chosen.precision} made at {machine.git_revision or 'no commit'} with torch {machine.torch} on "
        f"{machine.processor} ({machine.device})"
        for board in boards
        for machine in board.manifest.machines
    ]


@click.command()
@click.argument("float32", type=click.Path(path_type=Path))
@click.argument("bfloat16", type=click.Path(path_type=Path))
@page_options
def main(float32: Path, bfloat16: Path, quick: bool, output: Path | None) -> None:
    """Compare two published boards and write the table."""
    boards = read_published(float32), read_published(bfloat16)
    results = boards[0].load(), boards[1].load()
    check_comparable(boards, results)
    first, second = map(outcomes, results)
    table = side_by_side(first, second)
    page = document(boards, results[0].main.label, table, sentences(table, first, second))
    write_page(NAME, page, table, quick=quick, output=output, packages=("numpy", "pandas"), remarks=remarks(boards))


if __name__ == "__main__":
    main()
