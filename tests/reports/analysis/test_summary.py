import pandas as pd
import pytest

from harness.results.folder import Results, load_results
from harness.space.cell import ALL_CONV3, ALL_SKIP, RESIDUAL, Cell
from reports.analysis import summary
from tests.reports.simulate import Simulation

TEST = "truth/cifar10/test"


@pytest.fixture
def results(tmp_path):
    """Two searches and a baseline, with accuracies set by hand."""
    simulation = Simulation(
        searches={"low": (ALL_SKIP, 1.0), "high": (RESIDUAL, 1.0)},
        baselines=("random-search",),
        seeds=(0, 1, 2, 3),
        epochs=2,
        evaluations=2,
        lost={("low", 3): ("diverged", "loss"), ("high", 2): ("failed", "memory"), ("high", 3): ("missing", "absent")},
    )
    simulation.write(tmp_path)
    loaded = load_results(tmp_path)
    return with_truth(loaded, {"low": [50.0, 60.0, 85.0, 94.0], "high": [93.0, 94.0], "random-search": [92.0] * 4})


def with_truth(results: Results, truths: dict[str, list[float]]) -> Results:
    for variant, values in truths.items():
        rows = results.runs.index[results.runs["variant"] == variant][: len(values)]
        results.runs.loc[rows, TEST] = values
        results.runs.loc[rows, results.main.percentile_key] = [value / 2 for value in values]
    return results


def test_comparison_counts_and_averages_finished_runs_only(results):
    table = summary.comparison(results)
    assert list(table.index) == ["high", "low", "random-search"]
    low = table.loc["low"]
    assert (low["runs"], low["done"], low["diverged"]) == (4, 3, 1)
    assert low[f"{TEST}/n"] == 3
    assert low[f"{TEST}/mean"] == pytest.approx(65.0)
    assert low[f"{TEST}/sd"] == pytest.approx(((15**2 + 5**2 + 20**2) / 2) ** 0.5)
    assert low[f"{TEST}/median"] == 60.0
    assert low[f"{TEST}/min"] == 50.0
    assert low[f"{TEST}/percentile"] == 30.0
    high = table.loc["high"]
    assert (high["failed"], high["missing"], high[f"{TEST}/n"]) == (1, 1, 2)
    assert table.loc["random-search", f"{TEST}/sd"] == 0.0


def test_one_run_has_no_standard_deviation(results):
    results.runs.loc[(results.runs["variant"] == "high") & (results.runs["seed"] == 1), "status"] = "failed"
    row = summary.comparison(results).loc["high"]
    assert row[f"{TEST}/n"] == 1
    assert pd.isna(row[f"{TEST}/sd"])


def test_distinct_cells_are_counted_by_canonical_form(results):
    rows = results.runs.index[results.runs["variant"] == "low"]
    # The same sum in another order: two strings, one function.
    twins = [Cell.from_string("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|"),
             Cell.from_string("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")]  # fmt: skip
    for row, cell in zip(rows, (*twins, ALL_CONV3), strict=False):
        results.runs.loc[row, ["cell", "canonical"]] = [str(cell), cell.canonical]
    expected = len({cell.canonical for cell in (*twins, ALL_CONV3)})
    assert summary.comparison(results).loc["low", "distinct_cells"] == expected


def test_variant_without_a_result_stands_last_in_its_group(results):
    results.runs.loc[results.runs["variant"] == "high", "status"] = "failed"
    table = summary.comparison(results)
    assert list(table.index) == ["low", "high", "random-search"]
    assert table.loc["high", f"{TEST}/n"] == 0
    assert table.loc["high", "distinct_cells"] == 0


def test_found_cells_count_who_found_them(results):
    skip = summary.found_cells(results).set_index("cell").loc[str(ALL_SKIP)]
    assert skip["found"] == 3
    assert skip["by"] == "low ×3"


def test_costs_average_finished_runs(results):
    results.runs.loc[results.runs["variant"] == "low", "seconds"] = [1.0, 2.0, 6.0, 1000.0]
    results.runs.loc[results.runs["variant"] == "low", "diagnostics_seconds"] = [1.0, 0.0, 2.0, 5.0]
    table = summary.costs(results, ["low", "high", "random-search"])
    assert table.loc["low", "diagnostics_share/mean"] == pytest.approx((50 + 0 + 25) / 3)
    assert table.loc["low", "seconds/mean"] == pytest.approx(3.0)
    assert table.loc["low", "seconds/sd"] == pytest.approx(7**0.5)
    assert pd.isna(table.loc["low", "charged_seconds/mean"])
    charged = results.epochs[results.epochs["variant"] == "random-search"].groupby("seed")["cost_seconds"].last().mean()
    assert table.loc["random-search", "charged_seconds/mean"] == pytest.approx(charged)


def test_landmarks_keep_the_best_cell_of_one_column_only(tmp_path):
    columns = (TEST, "truth/cifar100/test")
    Simulation(searches={"darts": (ALL_SKIP, 1.0)}, baselines=(), epochs=1, columns=columns).write(tmp_path)
    results = load_results(tmp_path)
    assert {"best of CIFAR-10 test", "best of CIFAR-100 test"} <= set(summary.landmarks(results)["name"])
    names = summary.landmarks(results, best_of=results.columns[1])["name"]
    assert "best of CIFAR-100 test" in set(names)
    assert "best of CIFAR-10 test" not in set(names)
