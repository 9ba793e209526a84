"""Does the accuracy under shared weights rank cells as training each alone does? The one-shot rank correlation."""

import pandas as pd

from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.statistics.rank_correlation import BEST_CELLS
from reports.analysis.ranking import at_the_end, last_accuracies, over_epochs, taus
from reports.drawing.picture import Picture
from reports.figures import ranking as ranking_figures
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.ranking import column_table, course_table, end_table


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the section, None where no search measured one-shot accuracies."""
    correlations = results.rank_correlation
    if correlations.empty or correlations["column"].ne(results.main.key).all():
        return None
    ends, courses = at_the_end(correlations), over_epochs(correlations)
    main = ends[ends["column"] == results.main.key]
    blocks: list[Block] = [Text(" ".join(sentences(main, courses[courses["column"] == results.main.key])))]
    blocks.append(_course_figure(courses, results, order))
    blocks.append(end_table(main, results, order))
    blocks.append(_scatter(results, order))
    if len(results.columns) > 1:
        blocks.append(Folded("Against every truth column", [column_table(ends, results, order)]))
    blocks.append(Folded("At every measured epoch", [course_table(courses, results, order)]))
    title = "Do shared weights rank cells? One-shot accuracy against truth"
    return Section("one-shot", title, "One-shot", blocks)


def sentences(main: pd.DataFrame, courses: pd.DataFrame) -> list[str]:
    """Return what the table shows; both of the main truth column, `main` at the end, `courses` over the epochs."""
    defined = main.dropna(subset=["kendall"])
    if defined.empty:
        return ["Under the shared weights all measured cells are equally accurate, so they rank nothing."]
    found = [
        f"Over the whole list of {main['cells'].max():.0f} cells, a variant's last measurement has a median tau "
        f"{_between(defined['kendall'])}. But a search has to tell the best cells from good ones, not from bad ones."
    ]
    best = main.dropna(subset=["kendall_best_fifth", "chance_best_fifth"])
    if len(best):
        chance = best["chance_best_fifth"].max()
        useless = int((best["kendall_best_fifth"] <= best["chance_best_fifth"]).sum())
        found.append(
            f"Within the fifth with the best truth the median is {_between(best['kendall_best_fifth'], '')}. Unrelated "
            f"rankings of so few cells exceed {chance:.2f} in one case of 20; the median of {useless} of {len(best)} "
            "variants does not."
        )
    hits = main.dropna(subset=["precision_at_10"])
    if len(hits):
        found.append(
            f"The share of the {BEST_CELLS} cells that the shared weights put first which are among the {BEST_CELLS} "
            f"best has a median {_between(hits['precision_at_10'])}; chance is {BEST_CELLS / hits['cells'].max():.2f}."
        )
    return [*found, *_change(courses)]


def _between(values: pd.Series, preposition: str = "of ") -> str:
    low, high = f"{values.min():.2f}", f"{values.max():.2f}"
    return f"{preposition}{low}" if low == high else f"between {low} and {high}"


def _change(courses: pd.DataFrame) -> list[str]:
    by_epoch = courses.dropna(subset=["kendall"]).sort_values("epoch").groupby("variant")["kendall"]
    several = by_epoch.agg(["first", "last", "size"]).query("size > 1")
    if several.empty:
        return []
    grew = int((several["last"] > several["first"]).sum())
    return [
        f"From the first to the last measured epoch, tau over all cells grows in {grew} of {len(several)} variants."
    ]


def _course_figure(courses: pd.DataFrame, results: Results, order: list[str]) -> Figures:
    title = f"One-shot rank correlation over the epochs: {results.main.label}"
    own = taus(courses[courses["column"] == results.main.key])
    picture = Picture("one-shot-epochs", title, ranking_figures.over_epochs, own, order, results.main.label)
    caption = (
        "Kendall's tau between the accuracy of cells under the shared weights and their truth, over the epochs of the "
        "search: median over the seeds, band from the smallest to the largest."
    )
    return Figures([("", picture)], caption)


def _scatter(results: Results, order: list[str]) -> Figures:
    cells = last_accuracies(results.one_shot, results.main.key)
    title = f"One-shot accuracy against truth: {results.main.label}"
    picture = Picture("one-shot-scatter", title, ranking_figures.scatter, cells, order, results.main)
    caption = (
        "A point a cell of the list: its accuracy under the shared weights at the last measured epoch, median over the "
        "seeds, against its truth. What matters is whether the points of the best fifth still rise to the right."
    )
    return Figures([("", picture)], caption)
