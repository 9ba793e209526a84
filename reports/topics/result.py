"""The truth of every run, beside what needs no search."""

from harness.results.folder import Results
from harness.settings.protocol import Board
from reports.analysis import summary
from reports.drawing.picture import Picture
from reports.figures.strips import truth_strip
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.cells import columns_table, landmarks_table
from reports.tables.runs import lost_table


def section(results: Results, board: Board, order: list[str]) -> Section:
    """Return every run's truth beside what needs no search."""
    comparison = summary.comparison(results)
    pictures = []
    for column in results.columns:
        marks = summary.landmarks(results, best_of=column)
        title = f"Truth of every run: {column.label}"
        drawn = Picture(
            f"truth-{column.slug}", title, truth_strip, results.runs, comparison, marks, column, results.cell_count
        )
        pictures.append((column.label, drawn))
    caption = (
        "Right of the plot: mean ± sample standard deviation, and n, the runs with a result. A seed stands at the same "
        "height in every row. The axis is logarithmic in the distance to the best cell, so that collapsed cells and "
        "tenths of a point at the top fit one picture."
    )
    blocks: list[Block] = [Figures(pictures, caption)]
    lost = summary.without_result(results)
    if not lost.empty:
        blocks += [Text("Runs without a result: they are counted, and stand in no mean.", alarm=True), lost_table(lost)]
    folded = Folded("Landmarks and truth columns in numbers", [landmarks_table(results), columns_table(results)])
    return Section("result", "Every run, beside what needs no search", "Result", [*blocks, folded])
