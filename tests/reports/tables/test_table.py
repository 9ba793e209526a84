import shutil
import subprocess

import pandas as pd
import pytest

from reports.tables.latex import escape_latex, to_latex
from reports.tables.markdown import to_markdown
from reports.tables.table import Entry, Table, mean_entry, signed


def test_mean_entry_shows_n_and_leaves_out_an_undefined_deviation():
    row = pd.Series({"x/mean": 93.456, "x/sd": 0.125, "x/n": 3})
    assert mean_entry(row, "x") == Entry("93.46 ± 0.12", "n = 3")
    assert mean_entry(pd.Series({"x/mean": 93.456, "x/sd": float("nan"), "x/n": 1}), "x") == Entry("93.46", "n = 1")
    assert mean_entry(pd.Series({"x/mean": float("nan"), "x/sd": float("nan"), "x/n": 0}), "x").text == "–"


def example() -> Table:
    rows = [[Entry("a|b <i>_c_"), Entry("1.00", "n = 2", bold=True)], [Entry("[0]"), Entry("–")]]
    return Table("t", "", ["name", "value"], [("Group", rows)], pd.DataFrame(), blocks=[("", 1), ("Block", 1)])


def test_markdown_escapes_and_keeps_its_columns():
    lines = to_markdown(example()).splitlines()
    assert lines[0] == "| name | Block: value |"
    assert lines[1] == "| :-- | --: |"
    assert lines[3] == r"| a\|b &lt;i&gt;\_c\_ | **1.00** (n = 2) |"


def test_latex_prints_every_sign():
    assert escape_latex("50 % & a_b {c} \\ ~^") == (
        r"50 \% \& a\_b \{c\} \textbackslash{} \textasciitilde{}\textasciicircum{}"
    )
    assert escape_latex("é β 1±2") == r"e ? 1$\pm$2"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_table_compiles_in_a_minimal_document(tmp_path):
    (tmp_path / "table.tex").write_text(to_latex(example()))
    compile_latex(tmp_path, ["table.tex"])


def compile_latex(folder, files: list[str]) -> None:
    inputs = "\n\n".join(rf"\input{{{file}}}" for file in files)
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{inputs}\end{{document}}"
    (folder / "minimal.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "minimal.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_difference_that_rounds_to_zero_has_no_sign():
    assert [signed(value, 2) for value in (0.004, -0.004, 0.0, -1234.5)] == [
        "0.00",
        "0.00",
        "0.00",
        "-1,234.50",
    ]
