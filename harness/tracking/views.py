"""Layouts of MLflow's page of charts, one for each question that a board is looked at with.

MLflow documents none of this: it is what its page of version 3.17 reads and writes. A page that reads something else
shows its own layout instead.
"""

from dataclasses import dataclass
from typing import Any

from harness.space.cell import EDGE_NAMES, OPERATIONS, SKIP
from harness.tracking.metrics import alpha_metric, final_truth_metric, truth_metric
from harness.truth.table import REPORT_COLUMNS


@dataclass(frozen=True)
class Chart:
    """One metric, by which the page titles it: its values over epochs, or its single value as bars."""

    metric: str
    is_bar: bool = False
    y_range: tuple[float, float] | None = None
    """Null for the page's own, which begins at zero: it fills the band of a group from there."""


@dataclass(frozen=True)
class Section:
    """Charts below one heading."""

    name: str
    """Of at most 36 letters: the page shows no more."""
    charts: tuple[Chart, ...]
    is_open: bool = True
    columns: int = 3


@dataclass(frozen=True)
class View:
    """What the page shows on one question, for runs grouped by method."""

    key: str
    """Its name in addresses."""
    name: str
    sections: tuple[Section, ...]
    columns: tuple[str, ...]
    """Metrics in the table of runs."""

    def state(self) -> dict[str, Any]:
        """Return the layout as MLflow's page writes it."""
        sections = [_section(self.key, section) for section in self.sections]
        charts = [_chart(self.key, section.name, chart) for section in self.sections for chart in section.charts]
        sections += [_section(self.key, Section(name, (), is_open=False)) for name in self._other_sections()]
        return {**SEARCH, **PAGE, "selectedColumns": _columns(self.columns)} | {
            "compareRunCharts": charts,
            "compareRunSections": sections,
        }

    def _other_sections(self) -> list[str]:
        # The page adds a chart for each metric that has none, in a section by the part before the last slash. These
        # are there and closed, so that the charts above are neither crowded nor waiting for hundreds of curves.
        shown = {chart.metric for section in self.sections for chart in section.charts}
        return sorted({_generated_section(metric) for metric in _usual_metrics() if metric not in shown})


# How MLflow's page writes it

SEARCH = {
    "searchFilter": "",
    # The page loads a hundred runs at a time: by seed, so that the first hundred hold every method.
    "orderByKey": "tags.`seed`",
    "orderByAsc": True,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
}

PAGE = {
    "columnOrder": [],
    "columnWidths": {},
    "runsHiddenMode": "SHOW_ALL",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": True,  # else the page sorts the sections by name
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "variant"}]},
    "groupsExpanded": {},
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}

LINE = {
    "type": "LINE",
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}

BAR = {"type": "BAR"}


def _chart(view: str, section: str, chart: Chart) -> dict[str, Any]:
    return {
        **(BAR if chart.is_bar else LINE | {"range": _range(chart)}),
        "uuid": f"{view}/{chart.metric}",
        "metricSectionId": f"{view}/{section}",
        "metricKey": chart.metric,
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
    }


def _range(chart: Chart) -> dict[str, float]:
    return dict(zip(("yMin", "yMax"), chart.y_range, strict=True)) if chart.y_range else {}


def _section(view: str, section: Section) -> dict[str, Any]:
    return {
        "uuid": f"{view}/{section.name}",
        "name": section.name,
        "display": section.is_open,
        "columns": section.columns,
        "isReordered": True,  # else the page sorts its charts
        "deleted": False,
        "isGenerated": False,
    }


def _columns(metrics: tuple[str, ...]) -> list[str]:
    return ["attributes.`Source`", *(f"metrics.`{metric}`" for metric in metrics), "tags.`status`"]


def _generated_section(metric: str) -> str:
    return metric.rpartition("/")[0]


def _usual_metrics() -> list[str]:
    alpha = [alpha_metric(kind, operation, EDGE_NAMES[0]) for kind in ("alpha", "weight") for operation in OPERATIONS]
    truth = [truth_metric(*column) for column in REPORT_COLUMNS.values()]
    return [*alpha, *truth, "search/train_loss", "summary/epochs"]


# The views


ACCURACIES = {
    "cifar10-valid": (35.0, 95.0),
    "cifar10": (35.0, 95.0),
    "cifar100": (10.0, 75.0),
    "ImageNet16-120": (10.0, 50.0),
}
"""Percent between which cells are told apart: that of skips alone is above, the best below, on every split."""


def _truth_section(label: str) -> Section:
    data_set, split = REPORT_COLUMNS[label]
    along = Chart(truth_metric(data_set, split), y_range=ACCURACIES[data_set])
    final = _bars(final_truth_metric(data_set, split))
    return Section(f"True accuracy, {label}", (along, *final), is_open=split == "test", columns=2)


def _lines(*metrics: str) -> tuple[Chart, ...]:
    return tuple(Chart(metric) for metric in metrics)


def _bars(*metrics: str) -> tuple[Chart, ...]:
    return tuple(Chart(metric, is_bar=True) for metric in metrics)


COMPARISON = View(
    key="dartsboard-comparison",
    name="Comparison",
    # A data set that the board's truth lacks has an empty section, so that boards with others can share an experiment.
    sections=tuple(map(_truth_section, sorted(REPORT_COLUMNS, key=lambda label: not label.endswith("test")))),
    columns=(*(final_truth_metric(*column) for column in REPORT_COLUMNS.values()), "summary/skip_count"),
)

COLLAPSE = View(
    key="dartsboard-collapse",
    name="Collapse",
    sections=(
        Section("Op weights by epoch", _lines("search/skip_mass", "search/entropy", "search/margin")),
        Section(
            "Signs of collapse by epoch",
            _lines("search/skip_count", "search/discretisation_gap", "search/hessian_largest"),
        ),
        Section("The derived cell", _bars("summary/skip_count", "summary/none_count", "summary/depth")),
    ),
    columns=("summary/skip_mass", "summary/entropy", "summary/margin", "summary/skip_count"),
)

COST = View(
    key="dartsboard-cost",
    name="Cost",
    sections=(
        Section(
            "The whole run", _bars("summary/seconds", "summary/peak_memory_mib", "summary/forward_backward_passes")
        ),
        Section("Seconds by epoch", _lines("search/seconds", "search/diagnostics_seconds", "search/cost_seconds")),
    ),
    columns=("summary/seconds", "summary/peak_memory_mib", "summary/forward_backward_passes"),
)


def _of_operation(operation: str) -> View:
    def charts(kind: str) -> tuple[Chart, ...]:
        return _lines(*(alpha_metric(kind, operation, edge) for edge in EDGE_NAMES))

    return View(
        key=f"dartsboard-alpha-{operation.replace('_', '-')}",
        name=f"Alpha of {operation}",
        sections=(
            Section(f"Alpha of {operation} by epoch", charts("alpha")),
            Section(f"Op weight of {operation} by epoch", charts("weight"), is_open=False),
        ),
        columns=("summary/skip_mass", "summary/skip_count"),
    )


VIEWS = (COMPARISON, COLLAPSE, *map(_of_operation, sorted(OPERATIONS, key=lambda name: name != SKIP)), COST)
"""All of them, in the order in which they are listed."""
