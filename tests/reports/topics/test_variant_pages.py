import dataclasses
import re

import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.search import registry
from harness.settings.protocol import Board
from harness.space.cell import ALL_SKIP, RESIDUAL
from harness.tracking.tracked import Tracked
from reports.analysis.trajectories import measures
from reports.figures.variant import VARIANT, beside_reference
from reports.methods import describe, flatten
from reports.section import Figures, Section, Text
from reports.tables.table import Table
from reports.topics.variant_pages import VariantPage, slugs, variant_page, variant_pages
from tests.reports.simulate import Simulation

TEST = "truth/cifar10/test"
NOWHERE = Tracked(store="", message="not mirrored")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Board]:
    folder = tmp_path_factory.mktemp("results")
    simulation = Simulation(
        searches={"darts": (ALL_SKIP, 1.0), "darts-2nd": (RESIDUAL, 1.0), "unheard-of": (RESIDUAL, 0.5)},
        baselines=("random-search",),
        seeds=(0, 1),
        epochs=3,
        evaluations=4,
        lost={("darts-2nd", 1): ("failed", "out of memory")},
        without_alpha=("unheard-of",),
    )
    board = simulation.write(folder)
    given = {"darts": {}, "darts-2nd": {"radius": 0.02}, "unheard-of": {"depth": 3}}
    return load_results(folder), board.model_copy(update={"variants": given, "reference": "darts"})


def page_of(simulated: tuple[Results, Board], name: str, tracked: Tracked = NOWHERE) -> VariantPage:
    results, board = simulated
    return variant_page(results, board, describe(board, name), "slug", tracked)


def section_of(page: VariantPage, key: str) -> Section:
    return {section.key: section for section in page.sections}[key]


def texts(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def table_of(section: Section) -> Table:
    return next(block for block in section.blocks if isinstance(block, Table))


def test_a_page_says_what_the_variant_is(simulated: tuple[Results, Board]) -> None:
    page = page_of(simulated, "darts-2nd")
    method = registry.method("darts-2nd")
    assert page.summary == (method.__doc__ or "").splitlines()[0]
    about = texts(section_of(page, "about"))
    assert method.citation in about
    assert method.axis in about
    assert method.strategy in about
    assert method.departures
    assert all(departure in about for departure in method.departures)
    settings = table_of(section_of(page, "about")).data.set_index("setting")
    assert settings.loc["radius", "value"] == "0.02"
    assert settings.loc["radius", "meaning"].startswith("R times the norm")


def test_a_default_setting_is_listed_too(simulated: tuple[Results, Board]) -> None:
    _, board = simulated
    without = board.model_copy(update={"variants": {"darts-2nd": {}}})
    assert ("radius", "0.01") in [(key, value) for key, value, _ in describe(without, "darts-2nd").settings]


def test_a_method_that_is_not_installed_has_a_page_of_its_settings(simulated: tuple[Results, Board]) -> None:
    page = page_of(simulated, "unheard-of")
    assert "not installed" in texts(section_of(page, "about"))
    assert table_of(section_of(page, "about")).data["value"].tolist() == ["3"]
    assert "weights" not in {section.key for section in page.sections}


def test_runs_have_their_status_and_a_link(simulated: tuple[Results, Board]) -> None:
    tracked = Tracked(store="x", experiment_id="4", runs={"darts-2nd/seed-0": "abc"})
    runs = table_of(section_of(page_of(simulated, "darts-2nd", tracked), "runs"))
    assert runs.data["seed"].tolist() == [0, 1]
    first, second = (row[1] for row in runs.groups[0][1])
    assert (first.text, first.link) == ("done", "http://127.0.0.1:5000/#/experiments/4/runs/abc")
    assert (second.text, second.note, second.alarm, second.link) == ("failed", "out of memory", True, "")


def test_cells_by_rule_are_those_of_the_variant_alone(simulated: tuple[Results, Board]) -> None:
    results, _ = simulated
    table = table_of(section_of(page_of(simulated, "darts-2nd"), "cells"))
    own = results.derived[results.derived["variant"] == "darts-2nd"]
    assert sorted(table.data["rule"]) == sorted(own["rule"])
    assert set(table.data["variant"]) == {"darts-2nd"}


def lines(page: VariantPage) -> str:
    return next(block for block in section_of(page, "epochs").blocks if isinstance(block, Figures)).pictures[0][1].svg


def test_the_figure_stands_beside_the_reference(simulated: tuple[Results, Board]) -> None:
    beside = lines(page_of(simulated, "darts-2nd"))
    # The failed run has no cell, but its epochs count.
    assert ">darts-2nd (n = 2)<" in beside
    assert ">darts (n = 2)<" in beside
    alone = lines(page_of(simulated, "darts"))
    assert ">darts (n = 2)<" in alone
    assert len(re.findall(r"\(n = \d+\)<", alone)) == 1
    assert len(re.findall(r"\(n = \d+\)<", lines(page_of(simulated, "random-search")))) == 1


def test_a_reference_without_epochs_is_told(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    page = page_of((results, board.model_copy(update={"reference": "gone"})), "darts")
    figures = next(block for block in section_of(page, "epochs").blocks if isinstance(block, Figures))
    assert "The reference variant gone has no epochs on record." in figures.caption


def test_the_line_is_the_median_and_the_band_reaches_to_the_extremes(simulated: tuple[Results, Board]) -> None:
    results, _ = simulated
    rows = [
        {"kind": "search", "variant": "a", "seed": seed, "epoch": epoch, TEST: value}
        for seed, values in enumerate([(10.0, 20.0), (30.0, 60.0), (80.0, 90.0)])
        for epoch, value in enumerate(values, start=1)
    ]
    own = pd.DataFrame(rows).reindex(columns=results.epochs.columns)
    bands = measures(own, results.main, 5).assign(of=VARIANT)
    panel = beside_reference(bands, {VARIANT: "a"}, {TEST: "truth"}, "epoch").axes[0]
    assert panel.lines[0].get_xydata().tolist() == [[1.0, 30.0], [2.0, 60.0]]
    assert panel.collections[0].get_datalim(panel.transData).intervaly.tolist() == [10.0, 90.0]


def test_a_variant_without_any_run_has_a_page(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    empty = {name: getattr(results, name).iloc[:0] for name in ("epochs", "alpha", "derived")}
    page = page_of((dataclasses.replace(results, **empty), board), "darts")
    assert [section.key for section in page.sections] == ["about", "runs"]


def test_every_variant_has_a_page_with_file_names_of_its_own(simulated: tuple[Results, Board]) -> None:
    results, board = simulated
    names = ["darts", "darts-2nd", "unheard-of", "random-search"]
    pages = variant_pages(results, board, {name: describe(board, name) for name in names}, NOWHERE)
    assert [page.variant for page in pages] == names
    files = [
        block.name if isinstance(block, Table) else block.pictures[0][1].name
        for page in pages
        for section in page.sections
        for block in section.blocks
        if isinstance(block, Table | Figures)
    ]
    assert len(files) == len(set(files))
    weights = [section_of(page, "weights").blocks[0] for page in pages[:2]]
    assert "Op weights: darts-2nd" in weights[1].pictures[0][1].svg


def test_slugs_are_safe_short_and_distinct() -> None:
    names = ["darts", "DARTS", "dárts", "../../etc", "darts-2", "<b>", "&", "x" * 99, "darts "]
    found = slugs(names)
    assert list(found) == names
    assert found["darts"] == "darts"
    assert len(set(found.values())) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug) and len(slug) < 50 for slug in found.values())


def test_settings_are_flattened_with_their_meaning() -> None:
    rows = {key: (value, meaning) for key, value, meaning in flatten(Simulation().board().chosen)}
    assert rows["data.split.kind"][0] == "random"
    assert rows["data.path"][0] == "null"
    assert rows["network.affine"][0] == "false"
    assert rows["alpha.betas"][0] == "[0.5, 0.999]"
    assert rows["network.channels"][1].startswith("Channels of the first stage")
