"""The section on hand-made measurements."""

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from harness.base.errors import UserError
from reports.analysis.theory import error_terms, estimates, limit_rates, over_networks, read_theory
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.table import Table
from reports.tables.theory import (
    significant,
)
from reports.topics.theory import quadratic_text, rates_text, section, supernet_text, terms_text, twins_text

ESTIMATORS = {"first order": 40.0, "second order": 20.0, "Neumann, K = 2": 10.0}


def distances() -> pd.DataFrame:
    rows = []
    for index, kind in enumerate(["filled"] * 3 + ["empty node"] * 2 + ["cut off"]):
        for gap in (0.0, 10.0, 20.0, 30.0, math.inf):
            leak = 4 * math.exp(-gap)
            about = {"cell_index": index, "cell": str(index), "kind": kind, "logit_gap": gap, "leak": leak}
            rows.append({**about, "distance": (index + 1) * leak if gap < math.inf else index * 1e-15})
    return pd.DataFrame(rows)


def fits() -> pd.DataFrame:
    kinds = ["filled"] * 3 + ["empty node"] * 2 + ["cut off"]
    values = {
        "slope": [-1.0, -1.01, -0.99, -1.0, -1.02, -2.5],
        "factor": [1.0, 2.0, 9.0, 100.0, 300.0, 5.0],
        "reached": [8.0, 9.0, 10.0, 13.0, 15.0, 13.5],
    }
    return pd.DataFrame({"cell_index": range(6), "cell": [str(index) for index in range(6)], "kind": kinds, **values})


def on_problem(problem: str, networks: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    shown, terms = [], []
    for network in range(networks):
        for share in (0.1, 1.0):
            for steps in (0.0, 10.0, math.inf):
                point = {"problem": problem, "network": network, "step_share": share, "step_size": share / 9}
                point |= {"inner_steps": steps, "distance": 0.0 if steps == math.inf else 2 / (1 + steps)}
                ratio = {"norm_ratio": 1.5, "error": 0.5}
                for name, degrees in ESTIMATORS.items():
                    shown.append({**point, "estimator": name, "angle": degrees / (1 + share) + network, **ratio})
                single = {"angle_low": 70.0, "angle_median": 80.0, "angle_high": 90.0, "directions": 30}
                if network == 0:
                    shown.append({**point, "estimator": "zeroth order, mean", "angle": 5.0, **ratio, **single})
                bound = {"lag_bound": 1.0, "bias_bound": 2.0} if problem == "quadratic" else {}
                lag = {0.0: 0.4, 10.0: 0.002}.get(steps, 0.0) * (1 + network)
                terms.append({**point, "lag": lag, "bias": 0.6 + network, "error": 0.7, **bound})
    return pd.DataFrame(shown), pd.DataFrame(terms)


def solutions() -> pd.DataFrame:
    names = ["moved", "start_gradient", "cg_residual", "smallest_curvature", "largest_curvature"]
    names += ["train_cross_entropy", "valid_cross_entropy"]
    values = {name: [0.5, 0.25] for name in names}
    values |= {"gradient": [1e-7, 3e-7], "relu_gradient": [0.002, 0.004], "smallest_undamped": [-0.1, -0.2]}
    values |= {"exact_norm": [2.0, 4.0], "finite_difference": [2.0, 4.04], "cg_products": [30, 40]}
    return pd.DataFrame({"weights": 6504, "images": 20, "damping": 0.3, **values, "network": [0, 1]})


def twins() -> pd.DataFrame:
    rows = [
        *(("ReLU", "twin", 0.01, 74.6, 74.1, 0.07), ("ReLU", "twin", 1e-8, 1.0, 3e-7, 1.0)),
        *(("ReLU", "tangent", math.nan, 1.0, 2e-13, 1.0), ("softplus", "twin", 0.01, 1.01, 0.02, 0.999)),
        *(("softplus", "twin", 1e-8, 1.0, 4e-8, 1.0), ("softplus", "tangent", math.nan, 1.0, 1e-13, 1.0)),
    ]
    names = ["activations", "estimate", "mu", "size", "error", "correlation"]
    return pd.DataFrame(rows, columns=names).assign(directions=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[Block]:
    """All blocks of the section, those that are folded too."""
    found = section(write(tmp_path_factory.mktemp("theory")))
    assert found is not None
    return blocks(found)


def write(folder: Path) -> Path:
    (toy, toy_terms), (net, net_terms) = on_problem("quadratic", 1), on_problem("supernet", 2)
    constants = {
        "epsilon of batch norm": 1e-5,
        "fit from logit gap": 14.0,
        "fit to logit gap": 26.0,
        "distance that counts as reached": 1e-3,
    }
    frames = {
        "setup": pd.DataFrame(
            [
                *(("cells", *row) for row in constants.items()),
                *(("twins over mu", "steps of a twin", 10.0), ("twins over mu", "channels of the first stage", 8.0)),
            ],
            columns=["part", "quantity", "value"],
        ),
        "distances": distances(),
        "fits": fits(),
        "underflow": pd.DataFrame({"precision": ["float32", "float64"], "logit_gap": [104, 746]}),
        "estimates": pd.concat([toy, net], ignore_index=True),
        "terms": pd.concat([toy_terms, net_terms], ignore_index=True),
        "solutions": solutions(),
        "twins": twins(),
    }
    for name, frame in frames.items():
        frame.to_parquet(folder / f"{name}.parquet")
    return folder


def blocks(found: Section) -> list[Block]:
    flat: list[Block] = []
    for block in found.blocks:
        flat += [*block.blocks] if isinstance(block, Folded) else [block]
    return flat


def test_without_the_stage_there_is_no_section(tmp_path: Path) -> None:
    assert section(tmp_path / "absent") is None


@pytest.mark.parametrize(("content", "said"), [(None, "is missing"), (b"PAR1", "is damaged")])
def test_a_missing_or_damaged_file_is_one_sentence(folder: Path, content: bytes | None, said: str) -> None:
    path = folder / "fits.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"fits\.parquet {said}: run `dvc repro --force theory`"):
        section(folder)


def test_the_section_has_its_figures_and_tables(shown: list[Block]) -> None:
    tables = [block for block in shown if isinstance(block, Table)]
    assert [table.name for table in tables] == [
        "theory-limits",
        "theory-underflow",
        "theory-estimates",
        "theory-twins",
        "theory-error-terms",
        "theory-solutions",
        "theory-setup",
    ]
    for table in tables:
        for _, rows in table.groups:
            assert {len(row) for row in rows} == {len(table.header)}
        assert table.blocks is None or sum(span for _, span in table.blocks) == len(table.header)
    pictures = [picture for block in shown if isinstance(block, Figures) for _, picture in block.pictures]
    assert len({picture.name for picture in pictures}) == len(pictures) == 6
    assert all("mathdefault" not in picture.svg for picture in pictures)


def test_numbers_of_the_cells(folder: Path) -> None:
    theory = read_theory(folder)
    assert theory is not None
    rates = limit_rates(theory).set_index("kind")
    assert rates["cells"].tolist() == [3, 2, 1]
    assert rates.loc["filled", ["slope_median", "slope_min", "slope_max"]].tolist() == [-1.0, -1.01, -0.99]
    assert rates.loc["empty node", ["factor_median", "factor_max", "reached_median"]].tolist() == [200.0, 300.0, 14.0]
    assert rates.loc["filled", "rounding_max"] == 2e-15
    text = rates_text(limit_rates(theory))
    assert "3 cells in which every convolution has an input" in text
    assert "slope -1.000 (-1.010 to -0.990)" in text
    assert "2 times the leak in the median, at most 9 times" in text
    assert "takes a logit gap of 14 instead of 9 in the median" in text
    assert "In 1 cells no path" in text


def test_kinds_that_were_not_drawn_are_not_spoken_of(folder: Path) -> None:
    theory = read_theory(folder)
    assert theory is not None
    rates = limit_rates(theory)
    assert rates_text(rates[rates["kind"] == "filled"]).count(".") > 0
    assert "Batch norm" not in rates_text(rates[rates["kind"] != "empty node"])


def test_numbers_of_the_gradients(folder: Path) -> None:
    theory = read_theory(folder)
    assert theory is not None
    found = estimates(theory)
    row = found.query(
        "problem == 'supernet' and step_share == 1.0 and inner_steps == inf and estimator == 'first order'"
    )
    assert row[["n", "angle_median", "angle_min", "angle_max"]].iloc[0].tolist() == [2, 20.5, 20.0, 21.0]
    toy = quadratic_text(found)
    assert "first order is 20° off" in toy
    assert "10° off with a step of 1 / L, 18.2° with 0.1 / L" in toy
    assert "a single direction, which is what one step of alpha uses, is 80° off" in toy
    assert "first order 20.5° (20° to 21°)" in supernet_text(found)
    assert "zeroth order" not in supernet_text(found)
    text = terms_text(error_terms(theory))
    assert "10 inner steps of size 1 / L, with L the largest curvature, bring the lag from 0.4 to 0.002" in text
    assert "the bias stays at 0.6, whatever" in text
    assert "On 2 small supernets (medians), 10 inner steps" in text
    assert "from 0.6 to 0.003 of the exact gradient's norm; the bias stays at 1.1" in text


def test_what_twins_measure_is_told_with_their_numbers(folder: Path) -> None:
    theory = read_theory(folder)
    assert theory is not None
    text = twins_text(theory)
    assert "At μ = 0.01 its slopes have 74.6 times the size of the exact ones, at a correlation of 0.07" in text
    assert "at μ = 1e-08 they have 1 times" in text
    assert "with softplus for ReLU it is 1.01 times at μ = 0.01" in text
    assert "its error is 2e-13 with ReLU" in text


def test_medians_over_networks_keep_rows_without_a_bound() -> None:
    data = pd.DataFrame({"share": [1, 1, 2], "value": [1.0, 3.0, 5.0], "bound": [math.nan] * 3})
    found = over_networks(data, ["share"], ["value", "bound"])
    assert found[["n", "value_median", "value_min", "value_max"]].to_numpy().tolist() == [[2, 2, 1, 3], [1, 5, 5, 5]]
    assert found["bound_median"].isna().all()


def test_every_measured_number_of_a_sentence_stands_in_a_table(shown: list[Block]) -> None:
    entries = " ".join(
        f"{entry.text} {entry.note}"
        for table in shown
        if isinstance(table, Table)
        for _, rows in table.groups
        for row in rows
        for entry in row
    )
    headers = " ".join(
        " ".join([*table.header, *(label for label, _ in table.blocks or [])])
        for table in shown
        if isinstance(table, Table)
    )
    known = set(re.findall(r"-?\d[\d.,e-]*\d|\d", entries + " " + headers))
    # How many cells and operations there are, and definitions: alpha is t and 0, the softmax has O - 1.
    known |= {"15,625", "5", "0", "1"}
    for text in (block.text for block in shown if isinstance(block, Text)):
        numbers = set(re.findall(r"-?\d[\d.,e-]*\d|\d", text.replace("float32", "").replace("float64", "")))
        assert numbers <= known, (numbers - known, text)


def test_numbers_with_significant_digits() -> None:
    assert [significant(value) for value in (0.0, 1.0, 136.4, 1029.7, 7.69e-5, math.nan)] == [
        *("0", "1", "136", "1,030", "7.69e-05"),
        "–",
    ]
