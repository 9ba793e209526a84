"""The noise of the accuracies themselves: a cell that is trained again is another number."""

import pandas as pd

from harness.base.errors import first_of
from harness.board.published import read_published
from harness.results.folder import Results, TruthColumn
from harness.settings.protocol import Board
from harness.statistics.training_noise import WITHIN
from reports.analysis import summary
from reports.analysis.trainings import beside_highest, has_trainings, skip_trainings, spreads
from reports.drawing.picture import Picture
from reports.figures.trainings import both_spreads
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.trainings import single_table, spreads_table

SAME = 0.006
"""Points within which a published mean, of two decimals, is that of a cell."""


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the section; None where the table of true accuracies has means only, or no run has a result."""
    columns = [column for column in results.columns if has_trainings(results, column)]
    columns = [column for column in columns if results.finished[column.key].notna().any()]
    if not columns:
        return None
    blocks: list[Block] = [Text(" ".join(sentences(results, columns[0], order)))]
    example = skip_sentence(results, columns[0])
    if example:
        blocks.append(Text(example))
    caption = (
        "A row holds a method's runs and, below them, every training of the cells they ended in; a line joins those of "
        "one cell. Right of the plot: both standard deviations. The axis is logarithmic in the distance to the best."
    )
    blocks.append(Figures([(column.label, _picture(results, column, order)) for column in columns], caption))
    tables = [spreads_table(results, column, order) for column in columns]
    blocks.append(tables[0])
    others = zip(columns[1:], tables[1:], strict=True)
    blocks += [Folded(f"The same on {column.label}", [table]) for column, table in others]
    blocks.append(Folded("Every training of these cells", [single_table(results)]))
    return Section("trainings", "The noise of the accuracies themselves", "Noise", blocks)


def _picture(results: Results, column: TruthColumn, order: list[str]) -> Picture:
    runs = results.finished.dropna(subset=[column.key])
    marks = summary.landmarks(results, best_of=column).dropna(subset=[column.key])
    trainings = results.trainings[results.trainings["column"] == column.key]
    title = f"Spread over searches and over trainings: {column.label}"
    table = spreads(results, column, order)
    return Picture(f"trainings-{column.slug}", title, both_spreads, runs, table, marks, trainings, column)


def sentences(results: Results, column: TruthColumn, order: list[str]) -> list[str]:
    """Return the three noises in words, and which differences training alone allows."""
    table, gaps = spreads(results, column, order), beside_highest(results, column, order)
    told = [
        "The true accuracy of a cell is the mean of the few times that the benchmark trained it, and is uncertain "
        "itself. Searches that end in the same cell share its error, so more seeds do not make it smaller."
    ]
    both = table.dropna(subset=["search_sd", "training_sd"])
    if len(both):
        wider = int((both["training_sd"] > both["search_sd"]).sum())
        told.append(
            f"On {column.label} the runs of a method scatter by {both['search_sd'].median():.2f} points (median sd), "
            f"the trainings of the cells they found by {both['training_sd'].median():.2f}"
            + ("" if column.noise is None else f", and cells that compute the same function by {column.noise:.2f}")
            + f"; {wider} of {len(both)} methods with both spreads scatter more over trainings."
        )
    known = gaps.dropna(subset=["allowed"])
    if len(known):
        within = known.index[known["called"] == WITHIN]
        named = f": {first_of(list(map(str, within)))}" if len(within) else ""
        told.append(
            f"The highest mean is that of {known['highest'].iloc[0]}; the differences of {len(within)} of {len(known)} "
            f"other methods from it are within training noise of the cells{named}."
        )
    return told


def skip_sentence(results: Results, column: TruthColumn) -> str:
    """Return the example of the cell of six skip connections; empty where it was not trained several times."""
    values = skip_trainings(results, column)
    if len(values) < 2:
        return ""
    listed = ", ".join(f"{value:.2f}" for value in values.iloc[:-1])
    text = (
        f"The example is the cell of six skip connections, in which searches that collapse end. On {column.label} its "
        f"{len(values)} trainings gave {listed} and {values.iloc[-1]:.2f} %: {values.mean():.2f} ± {values.std():.2f}."
    )
    published = _published_without_spread(column, values.mean())
    if published.empty:
        return text
    row = published.iloc[0]
    return (
        f"{text} Published is {row['mean']:.2f} ± {row['sd']:.2f} ({', '.join(published['method'])}): the spread over "
        "searches that all found this one cell."
    )


def _published_without_spread(column: TruthColumn, mean: float) -> pd.DataFrame:
    """Return the published rows that have this mean, and a spread of zero, in a truth column."""
    rows = read_published()
    _, data_set, split = column.key.split("/")
    same = rows["data_set"].eq(data_set) & rows["split"].eq(split) & (rows["mean"] - mean).abs().lt(SAME)
    return rows[same & rows["sd"].eq(0)]
