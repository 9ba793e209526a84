"""The views that a sync saves: that they are there, that they show what there is, and that they are all it touches."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from harness.board.published import read_published
from harness.records.record import EPOCH_COLUMNS
from harness.tracking.metrics import truth_metric
from harness.tracking.page import find_page
from harness.tracking.saved_views import TAG, save_views
from harness.tracking.store import Experiment
from harness.tracking.views import COMPARISON, VIEWS
from harness.truth.table import REPORT_COLUMNS
from tests.harness.tracking.runs import board_of, counts, reader_of, synced, truth_tables, write_one
from tests.harness.tracking.server import free_port

KEYS = {TAG + view.key for view in VIEWS}


def tags_of(project: Path) -> dict[str, str]:
    experiment = reader_of(project).client.get_experiment_by_name("board")
    return {name: text for name, text in experiment.tags.items() if name.startswith(TAG)}


def read(tag: str) -> tuple[str, dict[str, Any]]:
    """Read a view as MLflow's page does."""
    content = json.loads(tag)
    assert isinstance(content["createdAt"], int) and isinstance(content["updatedAt"], int)
    packed = base64.b64decode(content["state"].removeprefix("deflate;"))
    return content["name"], json.loads(zlib.decompress(packed))


class Client:
    """What `save_views` needs of MLflow's client."""

    def __init__(self, fail: bool = False) -> None:
        self.written: dict[str, str] = {}
        self.fail = fail

    def set_experiment_tag(self, experiment: str, name: str, text: str) -> None:
        if self.fail:
            raise RuntimeError("http://user:secret@host says no\nand more")
        self.written[name] = text


def test_a_sync_saves_every_view_and_the_next_one_writes_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    write_one(project, "darts", 0)
    assert synced(project).message == ""
    tags = tags_of(project)
    assert tags.keys() == KEYS
    names = {read(tag)[0] for tag in tags.values()}
    assert {"Comparison", "Collapse", "Cost", "Alpha of skip_connect", "Alpha of nor_conv_3x3"} <= names
    assert len(names) == 8

    calls = []
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", lambda *arguments: calls.append(arguments))
    assert counts(synced(project)) == {"skipped": 1}
    assert calls == []


def test_runs_are_grouped_by_variant_and_the_views_show_metrics_that_there_are(project: Path) -> None:
    write_one(project, "darts", 0)
    truth, final_truth = truth_tables()
    synced(project, truth_rows=truth, final_truth_rows=final_truth)
    metrics = set(reader_of(project).runs["darts/seed-0"].data.metrics)
    # What the tiny run lacks: columns without a value, and data sets without a truth.
    metrics |= {f"search/{column}" for column in EPOCH_COLUMNS}
    for data_set, split in REPORT_COLUMNS.values():
        metrics |= {f"truth/{data_set}/{split}", f"summary/truth_{data_set}_{split}"}
    for tag in tags_of(project).values():
        _, state = read(tag)
        assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "variant"}]
        shown = [chart["metricKey"] for chart in state["compareRunCharts"]]
        assert set(shown) <= metrics and len(set(shown)) == len(shown)
        sections = {section["uuid"] for section in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} <= sections
        assert {column.split("`")[1] for column in state["selectedColumns"] if column.startswith("metrics")} <= metrics
        # What the page adds by itself goes into sections that are there, and closed.
        closed = {section["name"] for section in state["compareRunSections"] if not section["display"]}
        assert {metric.rpartition("/")[0] for metric in metrics - set(shown)} <= closed
    _, state = read(tags_of(project)[f"{TAG}dartsboard-alpha-skip-connect"])
    first = state["compareRunSections"][0]["uuid"]
    shown = [chart["metricKey"] for chart in state["compareRunCharts"] if chart["metricSectionId"] == first]
    assert shown == [f"alpha/skip_connect/edge_{edge}" for edge in ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")]


def test_the_cell_of_skips_alone_and_the_best_lie_within_the_charts_of_accuracy() -> None:
    published = read_published()
    # The first is that cell in the paper's runs, see test_published.py.
    ends = published[published["method"].isin(["DARTS, first order (a)", "optimum"])]
    charts = [chart for section in COMPARISON.sections for chart in section.charts if chart.y_range]
    assert len(charts) == len(REPORT_COLUMNS) and len(ends) == 2 * len(REPORT_COLUMNS)
    for chart in charts:
        low, high = chart.y_range
        values = [end.mean for end in ends.itertuples() if truth_metric(end.data_set, end.split) == chart.metric]
        assert len(values) == 2 and all(low < value < high for value in values), chart.metric


def test_a_view_is_small_and_the_oldest_for_the_page() -> None:
    client = Client()
    assert save_views(client, Experiment("1", {})) == ""
    assert max(map(len, client.written.values())) < 5000  # what servers of some years ago take
    created = [json.loads(client.written[TAG + view.key])["createdAt"] for view in VIEWS]
    assert created == sorted(created, reverse=True) and len(set(created)) == len(VIEWS)


def test_views_of_the_user_stay_and_outdated_ones_of_ours_are_written_anew() -> None:
    first = Client()
    save_views(first, Experiment("1", {}))
    comparison, collapse, cost = (f"{TAG}dartsboard-{name}" for name in ("comparison", "collapse", "cost"))
    tags = first.written | {f"{TAG}0a1b2c": '{"name": "Comparison"}', "mlflow.note.content": "mine"}
    tags |= {comparison: '{"name": "Comparison", "createdAt": 1, "state": "{}"}'}  # overwritten by hand
    tags |= {collapse: '{"dartsboard": "0123", "name"', cost: tags[cost].replace('"name": "Cost"', '"name": "Dear"')}
    again = Client()
    assert save_views(again, Experiment("1", tags)) == ""
    assert again.written == {collapse: first.written[collapse]}


@pytest.mark.parametrize("text", ["", "{", "[" * 20_000, '{"dartsboard": ', "\ud800", "null"])
def test_whatever_stands_in_a_tag_is_no_error(text: str) -> None:
    client = Client()
    assert save_views(client, Experiment("1", dict.fromkeys(KEYS, text))) == ""
    assert client.written == {}


def test_views_that_cannot_be_written_cost_nothing_else(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    write_one(project, "darts", 0)
    monkeypatch.setattr(MlflowClient, "set_experiment_tag", Client(fail=True).set_experiment_tag)
    summary = synced(project)
    assert (counts(summary), summary.message) == ({"created": 1}, "")
    assert "the saved views could not be written (" in summary.note
    assert "secret" not in summary.note and "\n" not in summary.note
    monkeypatch.undo()
    assert counts(synced(project)) == {"skipped": 1}
    assert tags_of(project).keys() == KEYS


def test_the_page_has_a_link_to_each_view_that_there_is(project: Path) -> None:
    port = free_port()
    assert find_page(board_of(), port=port, project=project).links == {}
    synced(project)
    links = find_page(board_of(), port=port, project=project).links
    assert list(links) == [view.name for view in VIEWS]
    identifier = reader_of(project).client.get_experiment_by_name("board").experiment_id
    begin = f"http://127.0.0.1:{port}/#/experiments/{identifier}/runs?viewStateShareKey="
    assert links["Comparison"] == f"{begin}dartsboard-comparison&compareRunsMode=CHART"
