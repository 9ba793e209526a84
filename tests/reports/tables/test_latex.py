"""Every LaTeX table of a report is used as a reader would: in a minimal document with booktabs and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.results.folder import load_results
from harness.space.cell import ALL_SKIP, RESIDUAL
from reports.analysis import summary
from reports.section import Block, Folded
from reports.tables.latex import to_latex
from reports.tables.table import Table
from reports.topics import comparison
from reports.topics import statistics as statistics_tables
from tests.reports.boards import SIX
from tests.reports.simulate import Simulation

pytestmark = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")

HOSTILE = r'[x] \end{tabular} $a_1$ & "50 %" #é† ∞ ~^|'


def tables_of(blocks: list[Block]) -> list[Table]:
    inner = [table for block in blocks if isinstance(block, Folded) for table in tables_of(block.blocks)]
    return [block for block in blocks if isinstance(block, Table)] + inner


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> list[Table]:
    """The tables of both sections, with six truth columns, a name of special signs and lost runs."""
    folder = tmp_path_factory.mktemp("results")
    searches = {HOSTILE: (RESIDUAL, 0.8), "darts": (ALL_SKIP, 1.0)}
    lost = {(HOSTILE, 1): ("diverged", "loss is nan"), ("random-search", 2): ("missing", None)}
    board = Simulation(searches=searches, lost=lost, epochs=3, evaluations=3, columns=SIX).write(folder)
    results = load_results(folder)
    order = list(summary.comparison(results).index)
    sections = [module.section(results, board, order) for module in (comparison, statistics_tables)]
    return [table for section in sections for table in tables_of(section.blocks)]


def test_every_table_compiles_as_it_is(tables, tmp_path):
    assert len(tables) > 20
    for table in tables:
        (tmp_path / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
    inputs = "\n".join(rf"\noindent\input{{{table.name}}}\clearpage" for table in tables)
    pages = compile_document(tmp_path, inputs)
    assert pages >= len(tables)


def test_a_table_that_is_too_wide_can_be_scaled_as_its_first_lines_say(tables, tmp_path):
    widest = max(tables, key=lambda table: len(table.header))
    (tmp_path / "wide.tex").write_text(to_latex(widest), encoding="utf-8")
    assert "graphicx" in (tmp_path / "wide.tex").read_text().splitlines()[1]
    compile_document(tmp_path, r"\noindent\resizebox{\textwidth}{!}{\input{wide}}", packages="booktabs,graphicx")
    assert "Overfull" not in (tmp_path / "minimal.log").read_text(errors="replace")


def compile_document(folder: Path, body: str, packages: str = "booktabs") -> int:
    """Compile the body and return the number of pages."""
    document = rf"\documentclass{{article}}\usepackage{{{packages}}}\begin{{document}}{body}\end{{document}}"
    (folder / "minimal.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "minimal.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    return int(done.stdout.split("Output written on minimal.pdf (")[1].split(" ")[0])
