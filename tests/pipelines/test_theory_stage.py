import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from harness.theory.study import SMALL, write_theory
from reports.analysis.theory import Theory
from reports.topics.theory import section
from tests.conftest import ROOT

COLUMNS = {
    "setup": ["part", "quantity", "value"],
    "distances": ["cell_index", "cell", "kind", "logit_gap", "leak", "distance"],
    "fits": ["cell_index", "cell", "kind", "slope", "factor", "reached"],
    "underflow": ["precision", "logit_gap"],
    "estimates": [
        *("step_share", "step_size", "inner_steps", "distance", "estimator", "angle", "norm_ratio", "error"),
        *("problem", "network", "angle_low", "angle_median", "angle_high", "directions"),
    ],
    "terms": [
        *("step_share", "step_size", "inner_steps", "distance", "lag", "bias", "error", "lag_bound", "bias_bound"),
        *("problem", "network"),
    ],
    "solutions": [
        *("weights", "images", "damping", "moved", "start_gradient", "gradient", "relu_gradient", "cg_residual"),
        *("cg_products", "smallest_curvature", "smallest_undamped", "largest_curvature", "train_cross_entropy"),
        *("valid_cross_entropy", "exact_norm", "finite_difference", "problem", "network"),
    ],
    "twins": ["activations", "estimate", "mu", "size", "error", "correlation", "directions"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theory") / "data"
    write_theory(folder, SMALL)
    return folder


def test_the_stage_writes_every_frame_that_the_report_reads(folder: Path) -> None:
    assert set(COLUMNS) == set(Theory.__dataclass_fields__)
    assert {path.name for path in folder.iterdir()} == {f"{name}.parquet" for name in COLUMNS}
    for name, columns in COLUMNS.items():
        assert list(pd.read_parquet(folder / f"{name}.parquet")) == columns


def test_what_the_frames_say(folder: Path) -> None:
    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in COLUMNS}
    filled = frames["fits"][frames["fits"]["kind"] == "filled"]
    assert filled["slope"].tolist() == pytest.approx([-1] * len(filled), abs=1e-3)
    facts = frames["solutions"].iloc[0]
    assert facts["finite_difference"] == pytest.approx(facts["exact_norm"], rel=0.01)
    assert facts["gradient"] < 1e-5 < facts["relu_gradient"]
    assert facts["smallest_undamped"] < 0 < facts["smallest_curvature"]
    for name in ("estimates", "terms"):
        labels = frames[name][["problem", "network"]].drop_duplicates()
        assert labels.to_numpy().tolist() == [["quadratic", 0], ["supernet", 0]]
    settled = frames["estimates"].query("inner_steps == inf and step_share == 1.0").set_index(["problem", "estimator"])
    assert settled.at[("quadratic", "Neumann, K = 50"), "angle"] < 0.01
    for problem in ("quadratic", "supernet"):
        of_problem = settled.loc[problem, "angle"]
        assert of_problem["first order"] > of_problem["second order"] > of_problem["Neumann, K = 2"]


def test_the_report_has_a_section_of_it(folder: Path) -> None:
    found = section(folder)
    assert found is not None
    assert found.key == "theory"


def test_the_report_needs_no_torch_to_read_it() -> None:
    command = "import sys, reports.topics.theory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0
