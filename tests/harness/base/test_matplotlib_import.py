"""Nothing of a user's surroundings breaks or changes a figure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DRAW = """
import hashlib, sys
from harness.space.cell import Cell
from harness.space.drawing import cell_png
from reports.figures import accuracy
from reports.drawing.picture import Picture
from reports.drawing.style import sheet

def plot():
    figure, axes = sheet(2.0, 0.5, 0.1, 0.1, 0.4)
    axes.plot([0, 1], [1, 0], label="x")
    axes.set_title("a title")
    return figure

picture = Picture("x", "x", plot)
print([hashlib.sha256(form).hexdigest() for form in (cell_png(Cell.from_index(5)), picture.png, picture.svg.encode())])
"""
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": "mine/matplotlibrc"}


def drawn(folder: Path, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_surroundings_change_no_byte(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    style = "lines.linewidth: 9\nfont.size: 30\naxes.facecolor: black\nbackend: tkagg\nsavefig.dpi: 7\n"
    (tmp_path / "mine" / "matplotlibrc").write_text(style)
    plain = drawn(tmp_path)
    assert drawn(tmp_path, **NOTEBOOK) == plain
    assert drawn(tmp_path / "mine") == plain


@pytest.mark.slow
def test_a_file_that_is_no_utf_8_breaks_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "stylelib").mkdir(parents=True)
    for name in ("matplotlibrc", "stylelib/x.mplstyle"):
        (mine / name).write_bytes(b"font.family: \xe9\n")
    plain = drawn(tmp_path)
    assert drawn(tmp_path, MATPLOTLIBRC="mine", MPLCONFIGDIR=str(mine)) == plain
    assert drawn(mine) == plain
