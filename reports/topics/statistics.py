"""The statistics of the comparison: every method on every truth column, and against what it has to beat."""

from collections.abc import Callable, Sequence

from harness.base.errors import first_of
from harness.results.folder import Results, TruthColumn
from harness.settings.protocol import Board
from reports.analysis import aggregate
from reports.analysis.statistics import (
    VERDICTS,
    baselines_with_result,
    best_baseline,
    by_few_seeds,
    column_statistics,
    versus,
)
from reports.drawing.picture import Picture
from reports.figures.profiles import draw_profiles
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.statistics import aggregate_table, few_seeds_table, noise_table, statistics_table, versus_table
from reports.tables.table import Table

FEW_SEEDS = 3
"""Of most papers."""


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the statistics; nothing where no run has a result."""
    if results.finished[[column.key for column in results.columns]].isna().all(axis=None):
        return None
    blocks: list[Block] = [
        Text(
            "Results of searches are few and often of two kinds, collapsed or not, so no interval here assumes a "
            "normal distribution, and the chance that a run of one method beats a run of another, P, comes before any "
            "p-value. docs/statistics.md explains each number."
        ),
        *_aggregate_blocks(results, board, order),
        *_per_column(results, lambda column: statistics_table(results, column, order)),
        *_constant_runs(results, order),
    ]
    blocks += _versus_blocks(results, board.reference, "reference", order, ())
    baseline = best_baseline(results)
    if baseline is None:
        blocks.append(Text("No multi-trial baseline has a result to compare with."))
    elif baseline != board.reference:
        blocks += _versus_blocks(results, baseline, "baseline", order, baselines_with_result(results))
    blocks += [noise_table(results), *_few_seeds_blocks(results)]
    return Section("statistics", "Statistics of the comparison", "Statistics", blocks)


def _per_column(results: Results, table: Callable[[TruthColumn], Table | None]) -> list[Block]:
    """Return the table of the main column in the open, those of the others folded."""
    blocks: list[Block] = []
    for column in results.columns:
        made = table(column)
        if made is not None:
            blocks.append(made if column == results.main else Folded(f"The same on {column.label}", [made]))
    return blocks


def _aggregate_blocks(results: Results, board: Board, order: list[str]) -> list[Block]:
    scored = aggregate.scores(results, order)
    if not scored:
        return []
    baselines = set(results.runs.loc[results.runs["kind"] == "baseline", "variant"])
    runs = {variant: len(own) for variant, own in scored.items()}
    title = "Performance profiles: share of runs above each normalised score"
    picture = Picture(
        "performance-profiles", title, draw_profiles, aggregate.profiles(scored), runs, baselines, board.reference
    )
    caption = (
        "The higher and further right a line, the better. A line that starts below 1 at the left has runs that are "
        "worse than the axis shows. Shade: pointwise 95 % bootstrap band; none where the runs do not differ."
    )
    return [aggregate_table(results, scored), Figures([("", picture)], caption)]


def _few_seeds_blocks(results: Results) -> list[Block]:
    """Return what a paper of few seeds would have said; nothing for a board of few seeds itself."""
    found = by_few_seeds(results)
    if found is None:
        return []
    values, table = found
    few = table.index[table.index <= FEW_SEEDS].max()
    sentence = (
        f"A paper with {few} of these {values.shape[1]} seeds would have named another winner in "
        f"{100 * table.loc[few, 'other_winner']:.0f} of 100 cases."
    )
    return [Text(sentence), few_seeds_table(values, table, results)]


def _constant_runs(results: Results, order: list[str]) -> list[Block]:
    data = column_statistics(results, results.main, order)
    constant = data[(data["n"] > 1) & (data["same_cell"] == data["n"])]
    if constant.empty:
        return []
    named = [
        f"{variant} ({row['n']:.0f} of {row['n']:.0f}; [{row['same_cell_low']:.2f}, {row['same_cell_high']:.2f}])"
        for variant, row in constant.iterrows()
    ]
    return [
        Text(
            f"All runs found the same cell: {first_of(named)}. Resampling equal runs gives an interval without width, "
            "which is no proof that the next run finds the cell too: the brackets hold the 95 % interval of the chance "
            "that it does."
        )
    ]


def _versus_blocks(
    results: Results, reference: str, role: str, order: list[str], candidates: Sequence[str]
) -> list[Block]:
    name = "the best multi-trial baseline" if role == "baseline" else "the reference"
    data = versus(results, results.main, reference, order, candidates)
    if data is None:
        return [Text(f"No comparison with {name}, {reference}: none of its runs has a result.")]
    if data.empty:
        return [Text(f"No comparison with {name}, {reference}: no other method has a result.")]
    counts = data["verdict"].value_counts()
    listed = "; ".join(f"{verdict}: {counts[verdict]}" for verdict in VERDICTS if verdict in counts)
    methods = "1 method" if len(data) == 1 else f"{len(data)} methods"
    sentence = f"{methods} against {name}, {reference}, on {results.main.label}: {listed}."
    return [
        Text(sentence),
        *_per_column(results, lambda column: versus_table(results, column, reference, role, order, candidates)),
    ]
