"""Every number of the overview is an entry of its table, and every entry can be computed from the other tables."""

import re
import string
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from harness.space.cell import ALL_CONV3, ALL_SKIP, RESIDUAL
from harness.statistics.significance import detectable_difference
from reports.analysis import summary
from reports.facts import Facts, Name, Number, Sentence, text
from reports.page import build_report
from reports.tables.facts import facts_table
from reports.topics.overview import Finding, Overview, overview_of, section
from tests.reports.analysis.test_summary import with_truth
from tests.reports.simulate import Simulation

TEST = "truth/cifar10/test"
FINISHED = ("done", "stopped")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Board]:
    """Two searches and a baseline."""
    path = tmp_path_factory.mktemp("results")
    simulation = Simulation(
        searches={"low-2": (ALL_SKIP, 1.0), "high": (RESIDUAL, 1.0)},
        baselines=("random-search",),
        seeds=(0, 1, 2, 3),
        epochs=2,
        evaluations=2,
        lost={("low-2", 3): ("diverged", "loss 7"), ("high", 2): ("failed", "memory"), ("high", 3): ("missing", "-")},
    )
    return path, simulation.write(path).model_copy(update={"reference": "low-2"})


@pytest.fixture
def simulated(folder: tuple[Path, Board]) -> tuple[Results, Board]:
    """The same with accuracies set by hand."""
    truths = {"low-2": [50.0, 60.0, 85.0, 94.0], "high": [93.0, 94.0], "random-search": [92.0] * 4}
    return with_truth(load_results(folder[0]), truths), folder[1]


def sentences(overview: Overview) -> list[Sentence]:
    statements = [*overview.findings, *overview.limits]
    return [overview.lead, *(part for statement in statements for part in (statement.value, statement.text))]


def found(overview: Overview, title: str) -> Finding:
    return {statement.title: statement for statement in (*overview.findings, *overview.limits)}[title]


# No number without an origin


def untraced(overview: Overview, names: set[str]) -> list[str]:
    """What breaks the rule: digits outside numbers and known names, and numbers that are not in the table."""
    facts = facts_table(overview.facts).data.set_index(["quantity", "variant"])["value"]
    broken = []
    for part in (part for sentence in sentences(overview) for part in sentence):
        if isinstance(part, Number):
            value = facts[part.quantity, part.variant]
            shown = format(round(value) if part.form.endswith("d") else value, part.form)
            broken += [str(part)] if shown != str(part) else []
        elif isinstance(part, Name):
            broken += [str(part)] if str(part) not in names else []
        elif re.search(r"\d", part):
            broken.append(part)
    for statement in (*overview.findings, *overview.limits):
        broken += re.findall(r".*\d.*", statement.title)
    return broken


def names_of(results: Results, board: Board) -> set[str]:
    labels = {column.label for column in results.columns} | set(results.missing_columns)
    fixed = {"NAS-Bench-201", "3×3", "CIFAR-10", "scikit-learn's digits", "simulated", "quick"}
    return set(results.runs["variant"]) | labels | fixed


BOARDS: dict[str, dict] = {
    "lost runs": {"lost": {("darts", 0): ("failed", "7"), ("gdas", 1): ("diverged", "nan")}},
    "one seed": {"seeds": (7,)},
    "many seeds": {"seeds": tuple(range(12)), "epochs": 2},
    "baselines only": {"searches": {}},
    "no baselines": {"baselines": ()},
    "all lost": {"seeds": (0,), "lost": {(name, 0): ("missing", None) for name in ("darts", "gdas", "drnas")}},
    "trained three times": {"trainings": 3},
    "six columns": {"columns": tuple(f"truth/{name}/{split}" for name in ("cifar10", "cifar100", "ImageNet16-120")
                                     for split in ("valid", "test"))},
}  # fmt: skip


@pytest.mark.parametrize("settings", BOARDS.values(), ids=BOARDS)
def test_every_number_has_an_origin(tmp_path: Path, settings: dict) -> None:
    board = Simulation(**{"epochs": 3, "evaluations": 5, **settings}).write(tmp_path)
    results = load_results(tmp_path)
    overview = overview_of(results, board)
    assert untraced(overview, names_of(results, board)) == []
    assert sum(isinstance(part, Number) for sentence in sentences(overview) for part in sentence) > 10


def test_a_number_without_an_origin_is_found() -> None:
    facts = Facts()
    smuggled = Number("never noted", "", 3.0, "d")
    noted = facts.number("gap", 1.234, "runs.csv", ".2f")
    facts.number("never noted", 4.0, "runs.csv")
    overview = Overview((noted, " of 5 "), [Finding("7 runs", (smuggled,), (Name("9"),))], [], facts)
    assert untraced(overview, {"darts"}) == [" of 5 ", "3", "9", "7 runs"]


# The table is right: recomputed from the other tables of the written report


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Overview]:
    folder = tmp_path_factory.mktemp("overview")
    lost = {("darts", 0): ("failed", "out of memory"), ("gdas", 1): ("diverged", "loss is nan")}
    board = Simulation(lost=lost, epochs=3, evaluations=5, trainings=3).write(folder / "results")
    page = build_report(folder / "results", board, folder / "report")
    return page.parent, overview_of(load_results(folder / "results"), board)


class Tables:
    """The tables of a report, as anybody can read them."""

    def __init__(self, report: Path):
        self.runs, self.landmarks, self.columns, self.provenance, self.protocol = (
            pd.read_csv(report / "tables" / f"{name}.csv")
            for name in ("runs", "landmarks", "truth-columns", "provenance", "protocol")
        )
        path = report / "tables" / "versus-reference-cifar10-test.csv"
        self.versus = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["verdict"])
        spread = pd.read_csv(report / "tables" / "trainings-cifar10-test.csv")
        self.trained = spread[spread["kind"] != "landmark"]
        self.finished = self.runs[self.runs["status"].isin(FINISHED)]
        self.searches = self.finished[self.finished["kind"] == "search"]
        self.means = self.searches.groupby("variant")[TEST].mean().sort_values(ascending=False)
        self.bar = self.landmarks.set_index("cell")[TEST][str(ALL_CONV3)]
        self.best_baseline = self.finished[self.finished["kind"] == "baseline"].groupby("variant")[TEST].mean().max()
        main = self.columns.set_index("column").loc[TEST]
        self.median, self.best, self.noise = main["median"], main["best"], main["noise"]
        self.low = self.searches[self.searches[TEST] < self.median]
        self.skipped = self.searches[self.searches["count_skip_connect"] >= 4]
        self.by_hand = self.landmarks.loc[~self.landmarks["name"].str.startswith("best of "), TEST].max()
        self.lost = self.runs[~self.runs["status"].isin(FINISHED)]
        self.setting = self.protocol.set_index("setting")["value"]
        spread = self.searches.groupby("variant")[TEST].std().dropna()
        self.sd = spread.median()
        self.n = self.searches.groupby("variant")[TEST].count()[spread.index].median()

    def of(self, rows: pd.DataFrame, variant: str) -> pd.DataFrame:
        return rows[rows["variant"] == variant] if variant else rows

    def kind(self, name: str) -> int:
        return self.runs.loc[self.runs["kind"] == name, "variant"].nunique()

    def verdicts(self, *names: str) -> int:
        return int(self.versus["verdict"].isin(names).sum())


Recompute = Callable[[Tables, str], float]
QUANTITIES: dict[str, Recompute] = {
    "search variants": lambda t, v: t.kind("search"),
    "baselines": lambda t, v: t.kind("baseline"),
    "seeds": lambda t, v: t.runs["seed"].nunique(),
    "cells of the space": lambda t, v: float(t.provenance.set_index("what")["value"]["cells in the table"]),
    "mean": lambda t, v: t.of(t.finished, v)[TEST].mean(),
    "sd": lambda t, v: t.of(t.finished, v)[TEST].std(ddof=1),
    "runs with a result": lambda t, v: len(t.of(t.finished, v)),
    "lead over the second": lambda t, v: t.means.iloc[0] - t.means.iloc[1],
    "noise floor": lambda t, v: t.noise,
    "variants that share the lead": lambda t, v: (t.means > t.means.iloc[0] - t.noise).sum(),
    "search variants with a result": lambda t, v: len(t.means),
    "search variants above the convolutions": lambda t, v: (t.means > t.bar).sum(),
    "cell of convolutions alone": lambda t, v: t.bar,
    "search variants above the best baseline": lambda t, v: (t.means > t.best_baseline).sum(),
    "methods told apart from the reference": lambda t, v: t.verdicts("higher", "lower"),
    "methods compared with the reference": lambda t, v: len(t.versus),
    "methods above the reference": lambda t, v: t.verdicts("higher"),
    "methods below the reference": lambda t, v: t.verdicts("lower"),
    "search runs below the median": lambda t, v: len(t.of(t.low, v)),
    "search runs with a result": lambda t, v: len(t.searches),
    "median of all cells": lambda t, v: t.median,
    "search runs collapsed onto skip connections": lambda t, v: len(t.of(t.skipped, v)),
    "search runs with a cell": lambda t, v: t.searches["cell"].notna().sum(),
    "skip connections of a collapsed cell": lambda t, v: 4,
    "edges of a cell": lambda t, v: 6,
    "runs": lambda t, v: len(t.runs),
    "runs failed": lambda t, v: (t.runs["status"] == "failed").sum(),
    "runs diverged": lambda t, v: (t.runs["status"] == "diverged").sum(),
    "runs without a result": lambda t, v: len(t.lost),
    "variants with lost runs": lambda t, v: t.lost["variant"].nunique(),
    "image_size (protocol.csv)": lambda t, v: float(t.setting["data.image_size"]),
    "channels (protocol.csv)": lambda t, v: float(t.setting["network.channels"]),
    "cells_per_stage (protocol.csv)": lambda t, v: float(t.setting["network.cells_per_stage"]),
    "epochs (protocol.csv)": lambda t, v: float(t.setting["epochs"]),
    "image_size (Dong and Yang 2020)": lambda t, v: 32,
    "channels (Dong and Yang 2020)": lambda t, v: 16,
    "cells_per_stage (Dong and Yang 2020)": lambda t, v: 5,
    "epochs (Dong and Yang 2020)": lambda t, v: 50,
    "smallest p-value": lambda t, v: 2 * 0.5 ** t.runs["seed"].nunique(),
    "level": lambda t, v: 5,
    "fewest seeds for a comparison": lambda t, v: 6,
    "median sd of the search variants": lambda t, v: t.sd,
    "median n of the search variants": lambda t, v: int(t.n),
    "smallest difference that is found": lambda t, v: detectable_difference(t.sd, int(t.n)),
    "share overlooked": lambda t, v: 20,
    "median sd over trainings": lambda t, v: t.trained["training_sd"].median(),
    "median error by training": lambda t, v: t.trained["error"].median(),
    "variants with one cell for all seeds": lambda t, v: int(
        (t.finished.groupby("variant")["canonical"].agg(["count", "nunique"]).query("count > 1")["nunique"] == 1).sum()
    ),
    "best hand-made cell": lambda t, v: t.by_hand,
    "room above the hand-made cells": lambda t, v: t.best - t.by_hand,
}  # fmt: skip


def test_every_number_is_recomputed_from_the_written_tables(written: tuple[Path, Overview]) -> None:
    report = written[0]
    tables = Tables(report)
    facts = pd.read_csv(report / "tables" / "overview.csv", keep_default_na=False)
    assert set(facts["quantity"]) <= set(QUANTITIES), "a quantity without a recomputation"
    assert len(facts) > 30
    for _, row in facts.iterrows():
        expected = QUANTITIES[row["quantity"]](tables, row["variant"])
        assert row["value"] == pytest.approx(float(expected)), (row["quantity"], row["variant"])


def test_the_pages_hold_these_sentences(written: tuple[Path, Overview]) -> None:
    import html

    report, overview = written
    page = html.unescape((report / "report.html").read_text())
    for sentence in sentences(overview):
        assert text(sentence) in page
    markdown = (report / "report.md").read_text()
    strip = str.maketrans("", "", string.punctuation)
    assert all(text(sentence).translate(strip) in markdown.translate(strip) for sentence in sentences(overview))


# What the sentences say


def test_findings_count(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    overview = overview_of(results, board)
    assert text(found(overview, "Highest mean").value) == "high"
    assert text(found(overview, "Highest mean").text) == (
        "93.50 ± 0.71 % (n = 2), CIFAR-10 test. 28.50 points above low-2."
    )
    assert text(found(overview, "Better than the baselines").value) == "1 of 2"
    # Of low-2's finished runs all three lie below the median cell, and none of high's two.
    assert text(found(overview, "Worse than half of all cells").value) == "3 of 5"
    assert text(found(overview, "Worse than half of all cells").text).endswith(": low-2 (3).")
    assert text(found(overview, "Collapsed").value) == "3 of 5"
    assert text(found(overview, "Complete").value) == "9 of 12"
    assert "1 diverged, 1 failed, 1 missing" in text(found(overview, "Complete").text)
    assert text(found(overview, "Lost runs").text).startswith("3 of 12 runs, of 2 variants")
    assert text(found(overview, "Told apart from the reference").value) == "0 of 2"
    assert "is 0.12. To tell two methods apart at 5 % takes 6 seeds" in text(
        found(overview, "Too few seeds for a test").text
    )


def test_a_lead_within_the_noise_floor_is_no_lead(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    with_truth(results, {"low-2": [93.4, 93.4, 93.4], "high": [93.5, 93.5]})
    told = text(found(overview_of(results, board), "Highest mean").text)
    assert "less than the noise floor of 0.18, so 2 variants share the lead." in told


def test_a_reference_without_a_result_is_told(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    overview = overview_of(results, board.model_copy(update={"reference": "absent"}))
    assert "The reference variant absent has no result" in text(found(overview, "What is not on the board").text)
    assert "Told apart from the reference" not in {finding.title for finding in overview.findings}


def test_a_board_of_the_published_size_is_not_called_small(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    titles = {limit.title for limit in overview_of(results, board).limits}
    protocol = board.chosen
    network = protocol.network.model_copy(update={"channels": 16, "cells_per_stage": 5})
    data = protocol.data.model_copy(update={"image_size": 32})
    large = protocol.model_copy(update={"network": network, "data": data, "epochs": 50})
    published = board.model_copy(update={"protocols": {board.protocol: large}})
    others = {limit.title for limit in overview_of(results, published).limits}
    assert titles - others == {"A small study, not the published setting"}


def test_means_alone_are_told_as_a_limit(simulated: tuple[Results, Board]) -> None:
    told = text(found(overview_of(*simulated), "Cells that were trained a few times").text)
    assert told.startswith("The truth source has only means over trainings on CIFAR-10 test: how far a cell scatters")


def test_two_facts_of_one_name_must_agree() -> None:
    facts = Facts()
    facts.number("runs", 3, "runs.csv")
    facts.number("runs", 3, "runs.csv")
    assert len(facts.frame()) == 1
    with pytest.raises(ValueError, match="two facts are named 'runs'"):
        facts.number("runs", 4, "runs.csv")


def test_the_section_begins_with_what_is_compared(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    first = section(results, board, list(summary.comparison(results).index)).blocks[0]
    assert first.text.startswith("Compared: 2 search variants and 1 baseline, 4 seeds each, under the protocol quick")
