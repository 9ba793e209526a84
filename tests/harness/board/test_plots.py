import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc_render.vega import VegaRenderer
from ruamel.yaml import YAML

from harness.board.plots import EPOCHS_FILE, RUNS_FILE, write_plots
from tests.conftest import ROOT

TRUTH = "truth/cifar10/test"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two searches of different length, one that was lost, and a baseline."""
    rows = [
        ("pc-darts", 0, "search", 1, 80.0, 0.2, 1.6),
        ("pc-darts", 0, "search", 2, 90.0, 0.4, 1.0),
        ("pc-darts", 1, "search", 1, 70.0, 0.3, 1.5),
        ("darts", 0, "search", 1, np.nan, np.nan, np.nan),
        ("random-search", 0, "baseline", 1, 91.0, np.nan, np.nan),
    ]
    columns = ["variant", "seed", "kind", "epoch", TRUTH, "skip_mass", "entropy"]
    epochs = pd.DataFrame(rows, columns=columns)
    ends = [("pc-darts", 0, "done", 90.0), ("pc-darts", 1, "failed", np.nan), ("random-search", 0, "done", 91.25)]
    runs = pd.DataFrame(ends, columns=["variant", "seed", "status", TRUTH])
    write_plots(runs, epochs, TRUTH, tmp_path)
    return tmp_path


def test_means_over_the_runs_that_came_so_far(folder: Path) -> None:
    assert (folder / EPOCHS_FILE).read_text().splitlines() == [
        "variant,epoch,runs,true_accuracy,skip_mass,entropy",
        "pc-darts,1,2,75,0.25,1.55",
        "pc-darts,2,1,90,0.4,1",
        "darts,1,1,,,",
    ]


def test_only_runs_with_a_result_have_a_mark(folder: Path) -> None:
    assert (folder / RUNS_FILE).read_text().splitlines() == [
        "variant,seed,true_accuracy",
        "pc-darts,0,90",
        "random-search,0,91.25",
    ]


@pytest.mark.parametrize("number", range(4))
def test_each_plot_of_dvc_yaml_fills_its_template(number: int, folder: Path) -> None:
    plots = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["plots"]
    assert len(plots) == 4
    [(title, plot)] = plots[number].items()
    [(file, y)] = plot["y"].items()
    points = pd.read_csv(folder / Path(file).name, dtype=str).assign(rev="workspace").to_dict("records")
    renderer = VegaRenderer(
        points, title, template=str(ROOT / plot["template"]), title=title, x=plot["x"], y=y,
        x_label=plot.get("x_label", plot["x"]), y_label=plot.get("y_label", y), anchors_y_definitions=[{"field": y}],
    )  # fmt: skip
    drawn = json.dumps(renderer.get_filled_template())
    assert "<DVC_METRIC" not in drawn
    assert f'"field": "{y}"' in drawn
    assert '"field": "rev", "scale"' in drawn  # two boards in one picture differ in colour
    assert (
        f"results/{Path(file).name}"
        in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["lookup"]["outs"]
    )
