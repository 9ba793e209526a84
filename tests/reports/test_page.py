import html
import json
import random
import re
import shutil
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.results.folder import load_results
from harness.search import registry
from harness.space.cell import ALL_SKIP, RESIDUAL
from harness.tracking.tracked import Tracked
from reports.drawing.picture import Picture
from reports.page import _check_keys, _check_names, build_report
from reports.section import Section
from reports.tables.runs import runs_table
from reports.tables.table import Table
from reports.topics.runs import about_links
from reports.write import _write_table, write_report
from tests.conftest import ROOT
from tests.reports.figures.test_picture import dot
from tests.reports.hostile import PLACES, Foreign, poisoned
from tests.reports.hostile import hostile as hostile_text
from tests.reports.simulate import Simulation
from tests.reports.tables.test_table import compile_latex

SEARCH = {"darts": (ALL_SKIP, 1.0)}
DATA_SETS = ("cifar10", "cifar100", "ImageNet16-120")
SIX = tuple(f"truth/{name}/{split}" for name in DATA_SETS for split in ("valid", "test"))
HOSTILE = hostile_text("variant")
TRACKED = Tracked(
    store="sqlite:///mlflow.db",
    experiment_id="1",
    runs={f"{name}/seed-{seed}": f"{'ab' * 15}{seed:02d}" for name in ("darts", HOSTILE) for seed in (0, 2)},
)


def build(tmp_path: Path, tracked: Tracked = TRACKED, **settings) -> Path:
    settings = {"searches": SEARCH, "baselines": ("random-search",), "epochs": 3, "evaluations": 3} | settings
    board = Simulation(**settings).write(tmp_path / "results")
    return build_report(tmp_path / "results", board, tmp_path / "report", tracked)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A report with hostile texts in every place, six truth columns and lost runs."""
    folder = tmp_path_factory.mktemp("hostile")
    lost = {(HOSTILE, 1): ("diverged", hostile_text("reason")), ("darts", 1): ("missing", None)}
    searches = {HOSTILE: (RESIDUAL, 1.0), **SEARCH}
    settings = {"searches": searches, "baselines": ("random-search",), "epochs": 3, "evaluations": 3}
    simulation = Simulation(**settings, lost=lost, columns=SIX, protocol=hostile_text("protocol"))
    board = poisoned(simulation.write(folder / "results"), folder / "results")
    tracked = TRACKED.model_copy(update={"message": hostile_text("message of MLflow")})
    methods = {**registry.methods(), "darts": Foreign}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "methods", lambda: methods)
        return build_report(folder / "results", board, folder / "report", tracked)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The report of one search, left as it is."""
    return build(tmp_path_factory.mktemp("small"), baselines=(), seeds=(0, 1))


class Elements(HTMLParser):
    """Collects the elements of a page, everything that a browser could fetch or run, where links lead, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        loads = ("src", "href", "xlink:href", "srcset", "data", "action", "poster", "background")
        found = [value for name, value in attributes if name in loads]
        (self.links if tag == "a" else self.fetched).extend(found)
        self.names += [value for name, value in attributes if name == "id"]
        self.handlers += [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data):
        self.text += data


def pages(report: Path) -> list[Path]:
    return [report, *sorted((report.parent / "variants").iterdir())]


def test_every_page_is_self_contained(hostile):
    assert len(pages(hostile)) == 4
    for path in pages(hostile):
        text = path.read_text()
        page = Elements(text)
        assert all(reference.startswith("#") or reference.startswith("data:image/png") for reference in page.fetched)
        assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
        assert set(re.findall(r"url\((.)", text)) <= {"#"}
        assert "@import" not in text
        assert "default-src 'none'" in text


def test_names_inside_a_page_are_unique_and_links_lead_somewhere(hostile):
    for path in pages(hostile):
        page = Elements(path.read_text())
        assert len(page.names) == len(set(page.names))
        assert page.links
        for link in page.links:
            file, _, name = link.partition("#")
            if link.startswith("http:"):
                assert re.fullmatch(r"http://127\.0\.0\.1:5000/#/experiments/1/runs/(ab){15}\d\d", link)
            elif file:
                assert (path.parent / urllib.parse.unquote(file)).exists(), link
            else:
                assert name in page.names, link


def test_the_pages_lead_to_each_other(hostile):
    main = hostile.read_text()
    for variant in pages(hostile)[1:]:
        assert f'href="variants/{variant.name}"' in main
        assert 'href="../report.html"' in variant.read_text()


def test_hostile_texts_are_shown_everywhere_and_run_nowhere(hostile):
    texts = ""
    for path in pages(hostile):
        page = Elements(path.read_text())
        assert not page.handlers
        assert not [link for link in page.links if link.startswith("javascript")]
        assert "1337" not in page.text  # nothing was taken for a template
        texts += page.text
    shown = {int(number) for number in re.findall(r"<script>alert\((\d+)\)", texts)}
    assert [place for number, place in enumerate(PLACES) if number not in shown] == []
    files = [path for path in hostile.parent.rglob("*") if path.is_file()]
    assert all(re.fullmatch(r"[A-Za-z0-9-]+\.[a-z]+", path.name) for path in files)


def test_hostile_texts_do_no_harm_in_the_other_forms(hostile):
    texts = {path: path.read_text() for path in hostile.parent.rglob("*") if path.suffix in (".md", ".svg", ".tex")}
    assert {path.suffix for path in texts} == {".md", ".svg", ".tex"}
    for path, text in texts.items():
        if path.suffix == ".tex":
            lines = [line for line in text.splitlines() if not line.startswith("%")]
            assert not [line for line in lines if "\\end{document}" in line or "$x_1$" in line], path
        else:
            assert not re.search(r"<(script|img|svg onload)", text), path
        if path.suffix == ".md":
            assert not re.search(r"(?<!\\)\[l", text), path
            for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
                assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, path


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


def test_every_truth_column_has_its_figure_and_every_data_set_its_epochs(hostile):
    names = {path.stem for path in (hostile.parent / "figures").iterdir()}
    for column in SIX:
        slug = column.removeprefix("truth/").replace("/", "-")
        assert f"truth-{slug}" in names
        assert (f"truth-search-{slug}" in names) == (f"truth-baseline-{slug}" in names) == slug.endswith("test")


def test_every_picture_and_table_has_all_its_forms(hostile):
    for folder, endings in (("figures", {".svg", ".png"}), ("tables", {".csv", ".md", ".tex"})):
        files = [path for path in (hostile.parent / folder).iterdir() if path.stem != "minimal"]
        for stem in {path.stem for path in files}:
            assert {path.suffix for path in files if path.stem == stem} == endings, stem


def test_runs_lead_to_mlflow_and_the_page_says_how(hostile, small):
    text = hostile.read_text()
    assert len([link for link in Elements(text).links if link.startswith("http")]) == 4
    assert "First start its page with the command dartsboard ui" in text
    results = load_results(small.parent.parent / "results")
    server = TRACKED.model_copy(update={"page": "http://tracking.example.org:5000/mlflow"})
    row = runs_table("runs", results.runs, results, server).groups[0][1][0]
    assert row[1].link.startswith("http://tracking.example.org:5000/mlflow/#/experiments/1/runs/abab")
    assert "dartsboard ui" not in about_links(server)
    dead = Tracked(store="http://x", message="the tracking server could not be reached")
    assert not any(entry.link for entry in runs_table("runs", results.runs, results, dead).groups[0][1][0])
    assert about_links(dead) == "No links to MLflow: the tracking server could not be reached."


def test_missing_truth_columns_are_named(hostile, small):
    assert "has no accuracies for" not in hostile.read_text()
    assert "The truth source has no accuracies for: CIFAR-10 valid, CIFAR-100 valid" in small.read_text()


def test_both_pages_have_the_same_sections_in_the_same_order(hostile):
    titles = [
        html.unescape(title).replace("\\", "")
        for title in re.findall(r"<section[^>]*>\s*<h2>(.*?)</h2>", hostile.read_text())
    ]
    markdown = re.findall(r"^## (.*)$", (hostile.parent / "report.md").read_text(), flags=re.MULTILINE)
    assert [html.unescape(title).replace("\\", "") for title in markdown] == [*titles, "Pages of the variants"]
    assert titles[0] == "Which architecture search finds better cells?"
    assert titles[-1] == "Provenance"


def test_every_tab_has_a_rule_that_shows_it_and_a_heading_on_paper(hostile):
    text = hostile.read_text()
    most = max(len(re.findall("<input", tabs)) for tabs in re.findall(r'<div class="tabs".*?</div>', text, re.DOTALL))
    assert most >= 6
    for tab in range(1, most + 1):
        assert f".tabs > input:nth-of-type({tab}):checked ~ .panel:nth-of-type({tab})" in text
    assert text.count('<h4 class="printed">CIFAR-100 test</h4>') >= 2


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": (7,), "baselines": ()},
        {"searches": {}, "seeds": (0, 1)},
        {"without_alpha": ("darts",), "seeds": (0, 1), "epochs": 1, "evaluations": 1},
        {"seeds": (0, 1), "baselines": (), "lost": {("darts", seed): ("failed", "out of memory") for seed in (0, 1)}},
        pytest.param(
            {"seeds": (0, 1), "baselines": (), "lost": {("darts", seed): ("missing", None) for seed in (0, 1)}},
            marks=pytest.mark.slow,
        ),
    ],
    ids=["one run", "baselines only", "one epoch without alpha", "all failed", "all missing"],
)
def test_degenerate_boards_have_a_report(tmp_path, settings):
    page = build(tmp_path, **settings)
    for path in pages(page):
        assert not re.search(r">[^<]*\bnan\b", path.read_text(), flags=re.IGNORECASE), path.name
    assert (page.parent / "tables" / "overview.csv").exists()


def test_same_results_give_the_same_bytes_and_replace_an_old_report_but_leave_other_files(small):
    folder = small.parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    stale = [folder / "figures" / "stale.svg", folder / "variants" / "gone.html"]
    for path in stale:
        path.write_text("old")
    (folder / "notes.txt").write_text("mine")
    board = Simulation(searches=SEARCH, baselines=(), seeds=(0, 1), epochs=3, evaluations=3).board()
    build_report(folder.parent / "results", board, folder, TRACKED)
    assert not any(path.exists() for path in stale)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert sorted(path.name for path in folder.parent.iterdir()) == ["report", "results"]


def test_no_random_number_of_the_global_streams_is_drawn(tmp_path):
    random.seed(0)
    np.random.seed(0)
    build(tmp_path, seeds=(0, 1))
    assert random.random() == random.Random(0).random()
    assert np.random.random() == np.random.RandomState(0).random_sample()


def test_bad_results_are_told_in_a_sentence_and_the_old_report_stays(small, tmp_path):
    shutil.copytree(small.parent.parent, tmp_path, dirs_exist_ok=True)
    page = tmp_path / "report" / "report.html"
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


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_no_remains(tmp_path, monkeypatch):
    picture = Picture("dot", "A dot", dot, 0.5)
    write_report(tmp_path / "report", {"report.html": "old"}, [], [picture])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 3

    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="could not be written: No space left on device"):
        write_report(tmp_path / "report", {"report.html": "new"}, [], [picture])
    monkeypatch.undo()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_two_files_of_one_name_are_refused():
    with pytest.raises(ValueError, match="2 tables of the report are named 'costs'"):
        _check_names("table", ["costs", "runs", "Costs"])
    with pytest.raises(ValueError, match=r"a picture of the report is named '\.\./x'"):
        _check_names("picture", ["../x"])
    with pytest.raises(ValueError, match="2 sections of the report have the key 'runs'"):
        _check_keys([Section("runs", "Runs", "Runs"), Section("runs", "Others", "Others")])


def test_dvc_runs_the_report_again_after_a_change_of_any_of_its_modules():
    from ruamel.yaml import YAML

    stage = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["report"]
    named = {name for name in stage["deps"] if name.startswith("reports/")}
    # Each module and package is named by itself: an output may not lie inside a dependency.
    parts = {f"reports/{path.name}" for path in (ROOT / "reports").iterdir() if not path.name.startswith(("_", "."))}
    # No stage reads what is there for notebooks and published boards, nor the reports of those.
    others = {"reports/notebook.py", "reports/publish.py", "reports/readme.py", "reports/published"}
    assert named == parts - {stage["outs"][0], *others}
    assert "harness/statistics" in stage["deps"]


@pytest.mark.parametrize("text", ['=HYPERLINK("http://x")', "+1+1", "@SUM(A1)", "\t=1"])
def test_no_cell_of_a_table_is_run_by_a_spreadsheet(text: str, tmp_path: Path):
    data = pd.DataFrame({"reason": [text, "plain"], "value": [-1.5, 2.0]})
    table = Table("reasons", "Reasons", ["reason", "value"], [("", [])], data)
    _write_table(tmp_path, table)
    read = pd.read_csv(tmp_path / "reasons.csv")
    assert list(read["reason"]) == [f"'{text}", "plain"]
    assert list(read["value"]) == [-1.5, 2.0]
