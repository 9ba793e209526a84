"""Over the epochs: truth of the current cell, skip weight, entropy and margin."""

from harness.results.folder import Results, TruthColumn
from harness.settings.protocol import Board
from reports.analysis.trajectories import DIAGNOSTICS, diagnostics, truth_by_seed, truth_over_seeds
from reports.drawing.picture import Picture
from reports.figures.trajectories import diagnostics_over_epochs, truth_over_epochs
from reports.section import Block, Figures, Section, Text


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the truth of the current cell over the epochs, and skip weight, entropy and margin."""
    blocks: list[Block] = []
    if searched := _truth(results, order, "search"):
        told = (
            "What the search would have returned after each epoch: the true accuracy of the cell with the largest op "
            "weight on every edge. A line that falls is a collapse. A circle off its line is a variant that derives "
            "its cell by another rule. Each variant has a page of its own with its op weights."
        )
        blocks += [Text(told), Figures(searched)]
    if baselines := _truth(results, order, "baseline"):
        told = "For a baseline: the true accuracy of the best cell so far, best by what the baseline itself saw."
        blocks += [Text(told), Figures(baselines)]
    searches = results.epochs[results.epochs["kind"] == "search"]
    if searches[list(DIAGNOSTICS)].notna().any(axis=None):
        title = "Skip weight, entropy and margin over the epochs"
        drawn = Picture(
            "diagnostics", title, diagnostics_over_epochs, diagnostics(results), order, len(results.operations)
        )
        caption = (
            "Mean over the edges; line: median over the seeds, band: smallest to largest. A skip weight that rises "
            "towards 1 is the collapse that DARTS is known for. Entropy 1 means that nothing is decided, 0 that "
            "everything is. The margin says how far the leading operation is ahead. Runs without a result are drawn "
            "as far as they came."
        )
        blocks.append(Figures([("", drawn)], caption))
    return Section("epochs", "Over the epochs", "Epochs", blocks) if blocks else None


def _truth(results: Results, order: list[str], kind: str) -> list[tuple[str, Picture]]:
    if kind not in set(results.epochs["kind"]):
        return []
    return [(column.label, _truth_picture(results, order, kind, column)) for column in _one_a_data_set(results)]


def _one_a_data_set(results: Results) -> list[TruthColumn]:
    """Return the first truth column of each data set, its test column where there is one: the others go along."""
    first: dict[str, TruthColumn] = {}
    for column in results.columns:
        first.setdefault(column.key.split("/")[1], column)
    return list(first.values())


def _truth_picture(results: Results, order: list[str], kind: str, column: TruthColumn) -> Picture:
    title = f"Truth over the {'epochs' if kind == 'search' else 'evaluations'}: {column.label}"
    by_seed = truth_by_seed(results, kind, column)
    quarters = truth_over_seeds(by_seed)
    return Picture(f"truth-{kind}-{column.slug}", title, truth_over_epochs, by_seed, quarters, order, kind, column)
