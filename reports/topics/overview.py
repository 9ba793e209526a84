"""The first screen: what the board shows and what it cannot show, in sentences made of the table `overview`."""

from dataclasses import dataclass, field

import pandas as pd

from harness.results.folder import FINISHED, Results
from harness.settings.protocol import Board
from harness.space.cell import ALL_CONV3, EDGES, OPERATIONS, SKIP
from harness.space.collapse import SKIPS
from reports import limits
from reports.analysis import summary
from reports.analysis.statistics import HIGHER, LOWER, versus
from reports.facts import Facts, Name, Sentence, text
from reports.section import Block, Card, Cards, Folded, Section, Text
from reports.tables.facts import facts_table

LISTED = 4
"""Variants that a sentence names before it counts the rest."""


@dataclass(frozen=True)
class Finding:
    """One statement of the first screen."""

    title: str
    value: Sentence
    text: Sentence
    alarm: bool = False

    @property
    def card(self) -> Card:
        """The statement as the page shows it."""
        return Card(self.title, text(self.value), (text(self.text),), self.alarm)


@dataclass(frozen=True)
class Overview:
    """All sentences of the first screen, and the facts they are made of."""

    lead: Sentence
    findings: list[Finding]
    limits: list[Finding]
    facts: Facts = field(default_factory=Facts)


def section(results: Results, board: Board, order: list[str]) -> Section:
    """Return the first screen."""
    overview = overview_of(results, board)
    blocks: list[Block] = [
        Text(text(overview.lead)),
        Cards([finding.card for finding in overview.findings]),
        Text("What this board cannot show:"),
        Cards([limit.card for limit in overview.limits]),
        Folded("The numbers of this overview", [facts_table(overview.facts)]),
    ]
    return Section("overview", "Which architecture search finds better cells?", "Overview", blocks)


def overview_of(results: Results, board: Board) -> Overview:
    """Return what the board shows and what it cannot show."""
    table = summary.comparison(results)
    facts = Facts()
    lead = _lead(facts, results, board, table)
    found = [
        _highest(facts, results, table),
        _against_no_search(facts, results, table),
        _against_baselines(facts, results, table),
        _against_reference(facts, results, board, [str(name) for name in table.index]),
        _below_median(facts, results),
        _collapsed(facts, results),
        _completeness(facts, results),
    ]
    limited = [Finding(title, (), sentence, alarm) for title, sentence, alarm in limits.limits(facts, results, board)]
    return Overview(lead, [finding for finding in found if finding is not None], limited, facts)


def _lead(facts: Facts, results: Results, board: Board, table: pd.DataFrame) -> Sentence:
    searches, baselines = (int((table["kind"] == kind).sum()) for kind in ("search", "baseline"))
    protocol = Name(str(results.provenance.get("protocol", board.protocol)))
    parts: Sentence = (
        "Compared: ", facts.number("search variants", searches, "runs.csv"), f" search variant{_s(searches)} and ",
        facts.number("baselines", baselines, "runs.csv"), f" baseline{_s(baselines)}, ",
        facts.number("seeds", len(set(results.runs["seed"])), "runs.csv"), f" seed{_s(len(board.seeds))} each, ",
        "under the protocol ", protocol, ", on the space of ", Name("NAS-Bench-201"), " with ",
        facts.number("cells of the space", results.cell_count, "provenance.csv"), " cells. ",
        "A variant is judged by the cells it returns: by the accuracy that each reaches when it is trained alone, "
        "looked up in ", Name(results.truth_name), ". A search never sees these accuracies.",
    )  # fmt: skip
    return (*parts, *_of_a_smaller_space(results))


def _of_a_smaller_space(results: Results) -> Sentence:
    left_out = [Name(operation) for operation in OPERATIONS if operation not in results.operations]
    if not left_out:
        return ()
    names = [part for name in left_out for part in (", ", name)][1:]
    return (
        " It lacks ", *names, ": landmarks, percentiles, the random cell and the best cells below are those of this "
        "smaller space, and means of the whole space are no measure for it.",
    )  # fmt: skip


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _ranked(results: Results, table: pd.DataFrame, kind: str) -> pd.Series:
    of_kind = table[table["kind"] == kind]
    return of_kind[f"{results.main.key}/mean"].dropna()


def _with_spread(facts: Facts, results: Results, table: pd.DataFrame, variant: str) -> Sentence:
    """Return `mean ± sd % (n = n)` of a variant; without the sd where a single run leaves it undefined."""
    row = table.loc[[variant]].iloc[0]
    mean, sd, n = (float(row[f"{results.main.key}/{name}"]) for name in ("mean", "sd", "n"))
    spread: Sentence = ()
    if pd.notna(sd):
        spread = (" ± ", facts.number("sd", sd, "runs.csv", ".2f", variant))
    counted = facts.number("runs with a result", n, "runs.csv", "d", variant)
    return (facts.number("mean", mean, "runs.csv", ".2f", variant), *spread, " % (n = ", counted, ")")


def _highest(facts: Facts, results: Results, table: pd.DataFrame) -> Finding | None:
    means = _ranked(results, table, "search")
    if means.empty:
        return None
    leader = str(means.index[0])
    parts: Sentence = (*_with_spread(facts, results, table, leader), ", ", Name(results.main.label), ".")
    if len(means) > 1:
        gap, second = means.iloc[0] - means.iloc[1], str(means.index[1])
        parts += (" ", facts.number("lead over the second", gap, "runs.csv", ".2f"), " points above ", Name(second))
        parts += _shared_lead(facts, results, means)
    return Finding("Highest mean", (Name(leader),), parts)


def _shared_lead(facts: Facts, results: Results, means: pd.Series) -> Sentence:
    noise = results.main.noise
    sharing = 0 if noise is None else int((means.iloc[0] - means < noise).sum())
    if sharing < 2:
        return (".",)
    return (
        ": less than the noise floor of ", facts.number("noise floor", noise or 0.0, "truth-columns.csv", ".2f"),
        ", so ", facts.number("variants that share the lead", sharing, "runs.csv"), " variants share the lead.",
    )  # fmt: skip


def _count_above(facts: Facts, quantity: str, means: pd.Series, bar: float) -> Sentence:
    above = int((means > bar).sum())
    total = facts.number("search variants with a result", len(means), "runs.csv")
    return (facts.number(quantity, above, "runs.csv"), " of ", total)


def _against_no_search(facts: Facts, results: Results, table: pd.DataFrame) -> Finding | None:
    means = _ranked(results, table, "search")
    marks = results.landmarks.loc[results.landmarks["cell"] == str(ALL_CONV3), results.main.key].dropna()
    if means.empty or marks.empty:
        return None
    bar = float(marks.iloc[0])
    value = _count_above(facts, "search variants above the convolutions", means, bar)
    sentence: Sentence = (
        "search variants have a mean above the cell of ", Name("3×3"), " convolutions alone (",
        facts.number("cell of convolutions alone", bar, "landmarks.csv", ".2f"), " %), which takes no search.",
    )  # fmt: skip
    return Finding("Better than no search", value, sentence, alarm=not (means > bar).any())


def _against_baselines(facts: Facts, results: Results, table: pd.DataFrame) -> Finding | None:
    means, baselines = _ranked(results, table, "search"), _ranked(results, table, "baseline")
    if baselines.empty:
        return None
    best = str(baselines.index[0])
    spread = _with_spread(facts, results, table, best)
    if means.empty:
        return Finding("Best baseline", (Name(best),), (*spread, ", ", Name(results.main.label), "."))
    bar = float(baselines.iloc[0])
    value = _count_above(facts, "search variants above the best baseline", means, bar)
    sentence: Sentence = ("search variants have a mean above the best baseline, ", Name(best), ": ", *spread, ".")
    return Finding("Better than the baselines", value, sentence, alarm=not (means > bar).any())


def _against_reference(facts: Facts, results: Results, board: Board, order: list[str]) -> Finding | None:
    tested = versus(results, results.main, board.reference, order)
    if tested is None or tested.empty:
        return None
    origin = f"versus-reference-{results.main.slug}.csv"
    better, worse = (int((tested["verdict"] == verdict).sum()) for verdict in (HIGHER, LOWER))
    value: Sentence = (
        facts.number("methods told apart from the reference", better + worse, origin), " of ",
        facts.number("methods compared with the reference", len(tested), origin),
    )  # fmt: skip
    sentence: Sentence = (
        "other methods can be told apart from ", Name(board.reference), " on ", Name(results.main.label), ": ",
        facts.number("methods above the reference", better, origin), " higher, ",
        facts.number("methods below the reference", worse, origin), " lower. The rest may be equal, or the board may "
        "be too small to tell.",
    )  # fmt: skip
    return Finding("Told apart from the reference", value, sentence)


def _below_median(facts: Facts, results: Results) -> Finding | None:
    searches = results.finished[results.finished["kind"] == "search"].dropna(subset=[results.main.key])
    if searches.empty:
        return None
    worse = searches[searches[results.main.key] < results.main.median]
    quantity = "search runs below the median"
    value: Sentence = (
        facts.number(quantity, len(worse), "runs.csv"), " of ",
        facts.number("search runs with a result", len(searches), "runs.csv"),
    )  # fmt: skip
    sentence: Sentence = (
        "finished search runs end in a cell below the median of all cells (",
        facts.number("median of all cells", results.main.median, "truth-columns.csv", ".2f"), " %)",
    )  # fmt: skip
    return Finding(
        "Worse than half of all cells", value, (*sentence, *_listed(facts, worse, quantity), "."), len(worse) > 0
    )


def _collapsed(facts: Facts, results: Results) -> Finding | None:
    searches = results.finished[results.finished["kind"] == "search"].dropna(subset=["cell"])
    if searches.empty:
        return None
    collapsed = searches[searches[f"count_{SKIP}"] >= SKIPS]
    quantity = "search runs collapsed onto skip connections"
    value: Sentence = (
        facts.number(quantity, len(collapsed), "runs.csv"), " of ",
        facts.number("search runs with a cell", len(searches), "runs.csv"),
    )  # fmt: skip
    sentence: Sentence = (
        "finished search runs end in a cell with at least ",
        facts.number("skip connections of a collapsed cell", SKIPS, "a convention", "d"), " skip connections on its ",
        facts.number("edges of a cell", len(EDGES), "the space", "d"), " edges",
        *_listed(facts, collapsed, quantity), ".",
    )  # fmt: skip
    return Finding("Collapsed", value, sentence, alarm=len(collapsed) > 0)


def _listed(facts: Facts, runs: pd.DataFrame, quantity: str) -> Sentence:
    """Return `: variant (runs), ...`, the most runs first; nothing where there are none."""
    counts = runs.groupby("variant", sort=False).size().sort_values(ascending=False, kind="stable")
    parts: Sentence = ()
    for variant, count in counts.iloc[:LISTED].items():
        name = str(variant)
        counted = facts.number(quantity, count, "runs.csv", "d", name)
        parts += (", " if parts else ": ", Name(name), " (", counted, ")")
    if len(counts) > LISTED:
        rest = facts.number(f"further variants with {quantity}", len(counts) - LISTED, "runs.csv")
        parts += (", ", rest, f" more variant{_s(len(counts) - LISTED)}")
    return parts


def _completeness(facts: Facts, results: Results) -> Finding:
    finished, total = len(results.finished), len(results.runs)
    value: Sentence = (
        facts.number("runs with a result", finished, "runs.csv"), " of ", facts.number("runs", total, "runs.csv"),
    )  # fmt: skip
    counts = results.runs["status"].value_counts()
    lost: Sentence = ()
    for status in summary.STATUSES:
        if status in counts and status not in FINISHED:
            lost += (", " if lost else " Without one: ", facts.number(f"runs {status}", counts[status], "runs.csv"))
            lost += (f" {status}",)
    sentence: Sentence = ("runs of the board have a result.", *lost, *(["."] if lost else []))
    return Finding("Complete", value, sentence, alarm=bool(lost))
