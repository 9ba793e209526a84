import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from harness.cell import ALL_SKIP, RESIDUAL
from harness.errors import UserError
from reports.page import build_report, flatten
from tests.reports.simulate import Simulation
from tests.reports.test_report_tables import compile_latex

SEARCH = {"darts": (ALL_SKIP, 1.0)}
DATA_SETS = ("cifar10", "cifar100", "ImageNet16-120")
SIX = tuple(f"truth/{name}/{split}" for name in DATA_SETS for split in ("valid", "test"))
HOSTILE = '<script>alert(1)</script> ../$x_1$ & "q" | \\end'


def build(tmp_path: Path, **settings) -> Path:
    settings = {"searches": SEARCH, "baselines": ("random-search",), "epochs": 3, "evaluations": 3} | settings
    board = Simulation(**settings).write(tmp_path / "results")
    return build_report(tmp_path / "results", board, tmp_path / "report")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A report with a hostile variant name, six truth columns and lost runs."""
    lost = {(HOSTILE, 1): ("diverged", "<b>loss</b> is nan"), ("darts", 1): ("missing", None)}
    searches = {HOSTILE: (RESIDUAL, 1.0), **SEARCH}
    return build(tmp_path_factory.mktemp("hostile"), searches=searches, lost=lost, columns=SIX)


class Elements(HTMLParser):
    """Collects the elements of a page, and everything that a browser could fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        loads = ("src", "href", "xlink:href", "srcset", "data", "action", "poster", "background")
        self.references += [value for name, value in attributes if name in loads]
        self.names += [value for name, value in attributes if name == "id"]


def test_page_is_self_contained(hostile):
    text = hostile.read_text()
    page = Elements(text)
    assert page.references
    assert all(reference.startswith("#") for reference in page.references)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert set(re.findall(r"url\((.)", text)) <= {"#"}
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_names_inside_the_page_are_unique_and_found(hostile):
    page = Elements(hostile.read_text())
    assert len(page.names) == len(set(page.names))
    assert {reference[1:] for reference in page.references} <= set(page.names)


def test_hostile_texts_are_escaped(hostile):
    text = hostile.read_text()
    assert "<script" not in text
    assert "<b>loss" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "&lt;b&gt;loss&lt;/b&gt; is nan" in text
    markdown = (hostile.parent / "report.md").read_text()
    assert "<script" not in markdown
    assert "<b>loss" not in markdown
    for figure in (hostile.parent / "figures").glob("*.svg"):
        assert "<script" not in figure.read_text()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_every_latex_table_compiles(hostile):
    folder = hostile.parent / "tables"
    compile_latex(folder, sorted(path.name for path in folder.glob("*.tex") if path.name != "minimal.tex"))


def test_lost_runs_are_counted_and_listed(hostile):
    text = hostile.read_text()
    assert "7 of 9" in text
    assert "1 diverged" in text
    assert "1 missing" in text
    assert "2 lost" not in text
    assert text.count("1 lost") >= 2


def test_every_truth_column_has_its_figures_and_numbers(hostile):
    names = {path.stem for path in (hostile.parent / "figures").iterdir()}
    for column in SIX:
        slug = column.removeprefix("truth/").replace("/", "-")
        assert {f"truth-{slug}", f"truth-search-{slug}", f"truth-baseline-{slug}"} <= names
    table = pd.read_csv(hostile.parent / "tables" / "comparison.csv").set_index("variant")
    results = pd.read_parquet(hostile.parent.parent / "results" / "runs.parquet")
    own = results[(results["variant"] == HOSTILE) & (results["status"] == "done")]
    for column in SIX:
        assert table.loc[HOSTILE, f"{column}/mean"] == pytest.approx(own[column].mean())
        assert table.loc[HOSTILE, f"{column}/n"] == 2


def test_quick_protocol_is_announced_and_others_are_not(tmp_path):
    quick = build(tmp_path / "a", baselines=()).read_text()
    other = build(tmp_path / "b", baselines=(), protocol="nas-bench-201").read_text()
    assert "Quick protocol." in quick
    assert "Quick protocol." not in other


def test_missing_truth_columns_are_named(hostile, tmp_path):
    assert "has no accuracies for" not in hostile.read_text()
    text = build(tmp_path, baselines=()).read_text()
    assert "The truth source has no accuracies for: CIFAR-10 valid, CIFAR-100 valid" in text


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": (7,)},
        {"searches": {}, "seeds": (0, 1)},
        {"without_alpha": ("darts",), "seeds": (0, 1)},
        {"epochs": 1, "evaluations": 1},
        {"seeds": (0, 1), "baselines": (), "lost": {("darts", seed): ("failed", "out of memory") for seed in (0, 1)}},
        {"seeds": (0, 1), "baselines": (), "lost": {("darts", seed): ("missing", None) for seed in (0, 1)}},
    ],
    ids=["one seed", "baselines only", "without alpha", "one epoch", "all failed", "all missing"],
)
def test_degenerate_boards_have_a_report(tmp_path, settings):
    page = build(tmp_path, **settings)
    text = page.read_text()
    assert not re.search(r">[^<]*\bnan\b", text, flags=re.IGNORECASE)
    assert (page.parent / "tables" / "comparison.tex").exists()


def test_same_results_give_the_same_bytes(tmp_path):
    first = build(tmp_path, baselines=())
    before = {path: path.read_bytes() for path in first.parent.rglob("*") if path.is_file()}
    build(tmp_path, baselines=())
    assert before == {path: path.read_bytes() for path in first.parent.rglob("*") if path.is_file()}


def test_a_new_report_replaces_an_old_one_and_leaves_other_files(tmp_path):
    page = build(tmp_path, baselines=())
    (page.parent / "figures" / "stale.svg").write_text("old")
    (page.parent / "notes.txt").write_text("mine")
    build(tmp_path, baselines=())
    assert not (page.parent / "figures" / "stale.svg").exists()
    assert (page.parent / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "results"]


def test_bad_results_are_told_in_a_sentence_and_the_old_report_stays(tmp_path):
    page = build(tmp_path, baselines=())
    before = page.read_bytes()
    board = Simulation(searches=SEARCH, baselines=()).board()
    runs = tmp_path / "results" / "runs.parquet"
    pd.read_parquet(runs).drop(columns="canonical").to_parquet(runs)
    with pytest.raises(UserError, match=r"runs\.parquet lacks the column 'canonical'"):
        build_report(tmp_path / "results", board, tmp_path / "report")
    (tmp_path / "results" / "truth.json").write_text("{")
    with pytest.raises(UserError, match=r"truth\.json is damaged"):
        build_report(tmp_path / "results", board, tmp_path / "report")
    (tmp_path / "results" / "truth.json").write_text(json.dumps({"source": "x", "cells": 1, "columns": {"a": {}}}))
    with pytest.raises(UserError, match=r"columns\.a is incomplete"):
        build_report(tmp_path / "results", board, tmp_path / "report")
    with pytest.raises(UserError, match="run the look-up stage first"):
        build_report(tmp_path / "nowhere", board, tmp_path / "report")
    assert page.read_bytes() == before


def test_settings_are_flattened_with_their_meaning():
    rows = {key: (value, meaning) for key, value, meaning in flatten(Simulation().board().chosen)}
    assert rows["data.split.kind"][0] == "random"
    assert rows["data.path"][0] == "null"
    assert rows["network.affine"][0] == "false"
    assert rows["alpha.betas"][0] == "[0.5, 0.999]"
    assert "cosine" in rows["weights.lr"][1] or rows["epochs"][0] == "20"
    assert rows["network.channels"][1].startswith("Channels of the first stage")
