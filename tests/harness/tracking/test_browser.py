"""MLflow's page as a browser shows it: it opens on a saved view, grouped by method, with the charts and no error."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.records.record import run_folder, write_run
from harness.tracking.saved_views import TAG, links
from harness.tracking.store import Experiment
from harness.tracking.views import VIEWS, View
from harness.truth.table import REPORT_COLUMNS
from tests.harness.tracking.browser import TEXT, Browser, browser
from tests.harness.tracking.runs import EPOCHS, alpha_table, epochs_table, reader_of, record_of, synced
from tests.harness.tracking.server import Server

pytestmark = pytest.mark.slow

METHODS = ("darts", "pc-darts", "random")

OF_MLFLOW = ("users/current", "ResizeObserver loop")
"""Errors that the page has in its own layout too: nobody is logged in, and charts that change their size."""

DRAWN = "document.querySelectorAll('.js-plotly-plot').length > 5"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    project = tmp_path_factory.mktemp("project")
    write_board(project)
    truth, final_truth = truth_of(METHODS, (0, 1))
    assert synced(project, truth_rows=truth, final_truth_rows=final_truth).message == ""
    running = Server(project).start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


def write_board(project: Path) -> None:
    for variant in METHODS:
        for seed in (0, 1):
            epochs = epochs_table(seed).assign(
                discretisation_gap=10.0, hessian_largest=0.5, diagnostics_seconds=0.1, cost_seconds=3.0
            )
            alpha = None if variant == "random" else alpha_table(seed)
            write_run(run_folder(variant, seed, project / "runs"), record_of(variant, seed), epochs, alpha)


def truth_of(methods: tuple[str, ...], seeds: tuple[int, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows = [
        {"variant": variant, "seed": seed, "epoch": epoch}
        for variant in methods
        for seed in seeds
        for epoch in range(1, EPOCHS + 1)
    ]
    table = pd.DataFrame(rows)
    for place, (data_set, split) in enumerate(REPORT_COLUMNS.values()):
        table[f"truth/{data_set}/{split}"] = 90 - 10 * place + np.log(table["epoch"]) + table["seed"]
    return table, table[table["epoch"] == EPOCHS].drop(columns="epoch")


def links_of(server: Server) -> dict[str, str]:
    found = reader_of(server.folder).client.get_experiment_by_name("board")
    return links(server.address, Experiment(found.experiment_id, found.tags))


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.key)
def test_the_page_opens_on_a_view(server: Server, chromium: Browser, view: View) -> None:
    titles = [chart.metric for section in view.sections if section.is_open for chart in section.charts]
    seen = chromium.look(links_of(server)[view.name], _there(titles), size=(1600, 2400))
    assert "Group by: variant" in seen.text and view.name in seen.text
    assert [title for title in titles if title not in seen.text] == []
    assert all(method in seen.text for method in METHODS)
    assert "Error loading shared view state" not in seen.text
    assert [error for error in seen.errors if not any(usual in error for usual in OF_MLFLOW)] == []


def _there(titles: list[str]) -> str:
    return " && ".join([DRAWN, *(f"{TEXT}.includes({title!r})" for title in titles)])


def test_a_view_that_the_page_cannot_read_costs_nothing_else(server: Server, chromium: Browser) -> None:
    reader = reader_of(server.folder)
    experiment = reader.client.get_experiment_by_name("board")
    key = f"{TAG}dartsboard-cost"
    reader.client.set_experiment_tag(experiment.experiment_id, key, '{"dartsboard": "damaged')
    seen = chromium.look(links_of(server)["Cost"], f"{TEXT}.includes('Error loading shared view state')")
    assert "Error loading shared view state" in seen.text
    # MLflow leaves the view for the experiment's overview; the runs are where they were.
    runs = f"{server.address}/#/experiments/{experiment.experiment_id}/runs"
    assert "darts/seed-0" in chromium.look(runs, f"{TEXT}.includes('darts/seed-0')").text
    test_the_page_opens_on_a_view(server, chromium, VIEWS[0])
    synced(server.folder)
    test_the_page_opens_on_a_view(server, chromium, VIEWS[-1])
