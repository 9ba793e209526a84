import re

import numpy as np
import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.board.published import KEY, MEMORY, PUBLISHED_FILE, READ, RECOMPUTED, read_published
from harness.search import registry
from harness.space.cell import ALL_CONV3, ALL_SKIP, RESIDUAL
from harness.truth.table import REPORT_COLUMNS

TESTS = ["cifar10", "cifar100", "ImageNet16-120"]
SKIP_NONE_CELL = 2299


@pytest.fixture(scope="module")
def published():
    return read_published()


@pytest.fixture(scope="module")
def truth(reference_data):
    """Mean 200-epoch test accuracies, a row per cell in the official order, a column per data set."""
    table = pd.read_parquet(reference_data / "nas-bench-201-means.parquet").set_index("index").sort_index()
    columns = ["cifar10_test_200", "cifar100_test_200", "imagenet16_120_test_200"]
    return table[columns].set_axis(TESTS, axis=1)


def rows_of(published, method, protocol=None):
    rows = published[(published["method"] == method) & (published["split"] == "test")]
    return rows[rows["protocol"] == protocol] if protocol else rows


def means_of(published, method, protocol=None):
    rows = rows_of(published, method, protocol)
    return rows.set_index("data_set")["mean"].reindex(TESTS).tolist()


def test_types(published):
    dtypes = {name: str(dtype) for name, dtype in published.dtypes.items()}
    assert dtypes == dict.fromkeys(dtypes, "str") | {
        "mean": "float64",
        "sd": "float64",
        "ddof": "Int64",
        "seeds": "Int64",
    }


def test_counts(published):
    assert len(published) == 269
    assert published["method"].nunique() == 50
    assert published["verified"].value_counts().to_dict() == {READ: 194, MEMORY: 63, RECOMPUTED: 12}
    # A method has six columns at most in a protocol, and no row twice.
    assert published.groupby(["method", "protocol"]).size().max() == 6
    assert not published.duplicated(KEY).any()


def test_every_row_says_where_it_comes_from(published):
    for column in ("method", "protocol", "source", "verified"):
        assert published[column].notna().all()
        assert published[column].str.strip().ne("").all()


def test_columns_are_those_of_the_papers(published):
    assert set(zip(published["data_set"], published["split"], strict=True)) == set(REPORT_COLUMNS.values())


def test_named_variants_exist(published):
    assert set(published["variant"].dropna()) <= set(registry.methods())


def test_a_method_belongs_to_one_variant(published):
    assert (published.groupby("method")["variant"].nunique(dropna=False) == 1).all()


def test_divisors_and_seeds_of_the_benchmarks_rows(published):
    paper = published[published["protocol"] == "NAS-Bench-201 paper"]
    three = paper[paper["seeds"] == 3]
    assert set(three["method"]) == {
        "RSPS (a)", "RSPS (b)", "DARTS, first order (a)", "DARTS, second order (a)", "GDAS (a)", "SETN", "ENAS (a)",
    }  # fmt: skip
    assert (three["ddof"] == 0).all()
    assert published.loc[published["seeds"].isna(), "ddof"].isna().all()
    assert published.loc[published["sd"].isna(), "ddof"].isna().all()


def test_landmarks_are_the_truth_of_their_cells(published, truth):
    cells = {
        "DARTS, first order (a)": ALL_SKIP.index,
        "DARTS, second order (a)": ALL_SKIP.index,
        "DrNAS": RESIDUAL.index,
        "beta-DARTS": RESIDUAL.index,
        "Lambda-DARTS": RESIDUAL.index,
    }
    for method, index in cells.items():
        assert means_of(published, method) == truth.loc[index].round(2).tolist()
        assert (rows_of(published, method)["sd"] == 0).all()
    assert means_of(published, "optimum") == truth.max().round(2).tolist()
    assert means_of(published, "RF-DARTS")[0] == round(truth.loc[RESIDUAL.index, "cifar10"], 2)
    assert means_of(published, "DARTS, second order (b)")[1:] == truth.loc[SKIP_NONE_CELL].round(2).tolist()[1:]
    all_conv3 = truth.loc[ALL_CONV3.index].round(2)
    logged = means_of(published, "DARTS-PT", "run logs of Zero-Cost-PT authors")
    assert logged == truth.loc[13176].round(2).tolist()
    assert means_of(published, "DARTS-PT, one run") == truth.loc[8986].round(2).tolist()
    proposed = truth.loc[[5204, 9930, 81, 4244]]
    assert means_of(published, "Zero-Cost-PT, one proposal") == proposed.mean().round(2).tolist()
    deviations = rows_of(published, "Zero-Cost-PT, one proposal").set_index("data_set")["sd"].reindex(TESTS)
    assert deviations.tolist() == proposed.std(ddof=0).round(2).tolist()
    enas = means_of(published, "ENAS", "NATS-Bench, search on each data set")
    assert (enas[0], enas[2]) == (all_conv3["cifar10"], all_conv3["ImageNet16-120"])


def test_residual_cell_is_named_in_every_row_with_its_accuracy(published, truth):
    rows = published[(published["split"] == "test") & (published["sd"] == 0)]
    found = truth.loc[RESIDUAL.index].round(2)
    same = rows[rows["mean"] == rows["data_set"].map(found)]
    assert set(same["method"]) >= {"DrNAS", "beta-DARTS", "Lambda-DARTS"}
    named = same[same["method"] != "Shapley-NAS"]
    assert named["note"].str.contains(f"index {RESIDUAL.index}").all()


@pytest.mark.parametrize(
    ("method", "cells"),
    [
        ("DARTS, first order", [ALL_SKIP.index, ALL_SKIP.index, SKIP_NONE_CELL]),
        ("DARTS, second order", [ALL_SKIP.index, SKIP_NONE_CELL, SKIP_NONE_CELL]),
    ],
)
def test_spread_of_few_cells_needs_ddof_0(published, truth, method, cells):
    row = rows_of(published, method).set_index("data_set").loc["cifar10"]
    accuracies = truth.loc[cells, "cifar10"].to_numpy()
    assert (row["mean"], row["sd"]) == (
        round(accuracies.mean(), 2),
        round(np.std(accuracies, ddof=int(row["ddof"])), 2),
    )


def test_no_published_test_mean_beats_the_optimum(published, truth):
    rows = published[published["split"] == "test"]
    assert (rows["mean"] <= rows["data_set"].map(truth.max()).round(2)).all()


# Bad files


def damaged(tmp_path, line, old, new):
    lines = PUBLISHED_FILE.read_text(encoding="utf-8").splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path = tmp_path / "published.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (1, "mean", "average", "line 1: expected the columns method,variant"),
        (2, "90.83", "ninety", "line 2: mean: input should be a valid number"),
        (2, "90.83", "908.3", "line 2: mean: input should be less than or equal to 100"),
        (2, "90.83", "nan", "line 2: mean: input should be"),
        (2, "cifar10-valid,valid", "cifar10-valid,test", "line 2: cifar10-valid test is no column of the papers"),
        (2, "read in text", "believed", "line 2: verified: input should be 'read in text'"),
        (2, "ResNet", "", "line 2: method: input should be a valid string"),
        (2, "ResNet,", "", "line 2: 11 fields, expected 12"),
        (14, "3.58,0,3", "3.58,2,3", "line 14: ddof: input should be '0' or '1'"),
        (14, "3.58,0,3", ",0,3", "line 14: ddof is given without sd"),
        (14, "3.58,0,3", "-3.58,0,3", "line 14: sd: input should be greater than or equal to 0"),
        (14, "3.58,0,3", "3.58,0,0", "line 14: seeds: input should be greater than or equal to 1"),
        (
            3,
            "cifar10,test",
            "cifar10-valid,valid",
            "line 3: ResNet, NAS-Bench-201 paper, cifar10-valid, valid stands twice",
        ),
    ],
)
def test_a_line_that_does_not_fit_is_refused(tmp_path, line, old, new, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read_published(damaged(tmp_path, line, old, new))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="is missing"):
        read_published(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_published(tmp_path / "binary.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(UserError, match="line 1: expected the columns"):
        read_published(tmp_path / "empty.csv")
