"""The report's tables: one description each, written as HTML (by the template), Markdown and booktabs LaTeX."""

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from harness.space.cell import Cell
from harness.space.drawing import OPERATION_LABELS
from reports.analysis import summary
from reports.results import FINISHED, Results, TruthColumn

DASH = "–"
MEBIBYTE = 2**20


class Entry(NamedTuple):
    """One cell of a table: its text, a faint note behind it, whether it is stressed, whether it is bad news."""

    text: str
    note: str = ""
    bold: bool = False
    alarm: bool = False
    link: str = ""
    """Address that the text leads to on the page."""


@dataclass(frozen=True)
class Table:
    """A table as people see it, and the numbers behind it."""

    name: str
    """File name without ending."""
    caption: str
    header: list[str]
    groups: list[tuple[str, list[list[Entry]]]]
    """(heading, rows); an empty heading draws none."""
    data: pd.DataFrame
    """What the CSV file holds, not rounded."""
    blocks: list[tuple[str, int]] | None = None
    """A second header above the first: (label, columns it spans)."""
    text_columns: int = 1
    """How many columns from the left hold text, not numbers."""


def number(value: float, digits: int = 2) -> str:
    """Format a number, a dash for NaN."""
    return DASH if pd.isna(value) else f"{value:,.{digits}f}"


def mean_entry(row: pd.Series, name: str, digits: int = 2, bold: bool = False) -> Entry:
    """Return `mean ± sd` of a statistic with its n; without the sd where a single run leaves it undefined."""
    mean, sd, n = row[f"{name}/mean"], row[f"{name}/sd"], row[f"{name}/n"]
    spread = "" if pd.isna(sd) else f" ± {number(sd, digits)}"
    return Entry(number(mean, digits) + spread, f"n = {int(n)}", bold and not pd.isna(mean))


def interval_entry(row: pd.Series, name: str, digits: int = 2) -> Entry:
    """Return an estimate with the interval from `<name>_low` to `<name>_high`; one without width is said in words."""
    estimate, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if pd.isna(estimate):
        return Entry(DASH)
    interval = "no spread" if low == high else f"[{number(low, digits)}, {number(high, digits)}]"
    return Entry(number(estimate, digits), interval)


def column_heading(column: TruthColumn) -> str:
    """Return the label of a truth column with the training length."""
    return f"{column.label} ({column.epochs} epochs)" if column.epochs else column.label


def costs(results: Results, order: list[str]) -> Table:
    """Return what the finished runs of each variant cost."""
    data = summary.costs(results, order)
    rows = []
    for variant, row in data.iterrows():
        row = pd.concat([row, pd.Series({f"{name}/n": row["n"] for name in ("seconds", "charged_seconds")})])
        memory = Entry(number(row["peak_memory_bytes/mean"] / MEBIBYTE, 0))
        passes = Entry(number(row["forward_backward_passes/mean"], 0))
        charged = Entry(DASH) if pd.isna(row["charged_seconds/mean"]) else mean_entry(row, "charged_seconds", 0)
        share = Entry(number(row["diagnostics_share/mean"], 1))
        rows.append([Entry(str(variant)), mean_entry(row, "seconds", 1), share, passes, memory, charged])
    header = [
        "variant", "wall time (s)", "diagnostics (% of all time, mean)", "passes (mean)", "peak memory (MiB, mean)",
        "training time charged (s)",
    ]  # fmt: skip
    caption = (
        "Cost of one run. Wall time: of the search without its diagnostics. "
        "Passes: forward and backward passes of one batch through the supernet. Training time "
        "charged: what a baseline would have spent on training the cells it evaluated, by the truth source."
    )
    return Table("costs", caption, header, [("", rows)], data.rename_axis("variant").reset_index())


def cells(results: Results) -> Table:
    """Return the distinct cells that were found, the most found first."""
    data = summary.found_cells(results)
    rows = []
    for _, row in data.iterrows():
        truth = [Entry(number(row[column.key])) for column in results.columns]
        shape = [Entry(f"{row[name]:.0f}") for name in ("depth", "width")]
        size = Entry(f"{row['parameters'] / 1e6:.3f}")
        rows.append([Entry(operations(row["cell"])), Entry(row["by"]), Entry(str(row["found"])), *truth, *shape, size])
    truth_header = [f"{column.label} (%)" for column in results.columns]
    header = ["cell (edges 0>1, 0>2, 1>2, 0>3, 1>3, 2>3)", "found by", "runs", *truth_header]
    header += ["depth", "width", "parameters (M)"]
    caption = "Every distinct cell that a finished run ended in. Depth and width count edges other than none."
    return Table("cells", caption, header, [("", rows)], data, text_columns=2)


def operations(cell: str) -> str:
    """Return the operations of a cell string, edge by edge, by their short names."""
    return ", ".join(OPERATION_LABELS[operation] for operation in Cell.from_string(cell).operations)


def runs(results: Results) -> Table:
    """Return every run of the board, a row each, those without a result too."""
    rows = []
    for _, run in results.runs.iterrows():
        truth = [Entry(number(run[column.key])) for column in results.columns]
        reason = "" if pd.isna(run["reason"]) else run["reason"]
        status = Entry(run["status"], reason, alarm=run["status"] not in FINISHED)
        cell = Entry(DASH if pd.isna(run["cell_index"]) else f"{run['cell_index']:.0f}")
        epochs = Entry(number(run["epochs"], 0))
        rows.append([Entry(run["variant"]), status, Entry(str(run["seed"])), epochs, cell, *truth])
    header = ["variant", "status", "seed", "epochs", "cell index"]
    header += [f"{column.label} (%)" for column in results.columns]
    caption = "Every run of the board. Epochs of a baseline are the cells it evaluated."
    return Table("runs", caption, header, [("", rows)], results.runs.convert_dtypes(), text_columns=2)


def to_markdown(table: Table) -> str:
    """Return the table in GitHub's Markdown."""
    header = list(table.header)
    if table.blocks:
        labels = [label for label, span in table.blocks for _ in range(span)]
        header = [f"{label}: {name}" if label else name for label, name in zip(labels, header, strict=True)]
    rules = [":--" if place < table.text_columns else "--:" for place in range(len(header))]
    lines = [_markdown_line([escape_markdown(name) for name in header]), _markdown_line(rules)]
    for heading, rows in table.groups:
        if heading:
            lines.append(_markdown_line([f"**{escape_markdown(heading)}**", *[""] * (len(header) - 1)]))
        lines += [_markdown_line([_markdown_entry(entry) for entry in row]) for row in rows]
    return "\n".join(lines) + "\n"


def _markdown_line(entries: list[str]) -> str:
    return "| " + " | ".join(entries) + " |"


def _markdown_entry(entry: Entry) -> str:
    text = escape_markdown(entry.text)
    note = f" ({escape_markdown(entry.note)})" if entry.note else ""
    return f"**{text}**{note}" if entry.bold else text + note


def escape_markdown(text: object) -> str:
    """Return text that Markdown shows as it is, on one line."""
    escaped = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", escaped)


def to_latex(table: Table) -> str:
    r"""Return the table for LaTeX; it needs `\usepackage{booktabs}` and nothing else. The caption is a comment."""
    count = len(table.header)
    lines = [f"% {' '.join(table.caption.split())}", r"% Too wide? \resizebox{\textwidth}{!}{\input{...}}, graphicx."]
    lines += [r"\begin{tabular}{" + "l" * table.text_columns + "r" * (count - table.text_columns) + "}", r"\toprule"]
    if table.blocks:
        lines += _latex_blocks(table.blocks)
    lines += [_latex_line([escape_latex(name) for name in table.header]), r"\midrule"]
    for place, (heading, rows) in enumerate(table.groups):
        if place:
            lines.append(r"\midrule")
        if heading:
            lines.append(rf"\multicolumn{{{count}}}{{l}}{{\textit{{{escape_latex(heading)}}}}} \\")
        lines += [_latex_line([_latex_entry(entry) for entry in row]) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_blocks(blocks: list[tuple[str, int]]) -> list[str]:
    spans, rules, start = [], [], 1
    for label, span in blocks:
        spans.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(label)}}}")
        if label:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return [_latex_line(spans), " ".join(rules)]


def _latex_line(entries: list[str]) -> str:
    return " & ".join(entries) + r" \\"


def _latex_entry(entry: Entry) -> str:
    text = escape_latex(entry.text)
    note = rf" {{\footnotesize({escape_latex(entry.note)})}}" if entry.note else ""
    return rf"\textbf{{{text}}}{note}" if entry.bold else text + note


# Brackets and stars are wrapped: at the start of a row they would belong to the line break before it.
LATEX = {
    "[": "{[}", "*": "{*}",
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "±": r"$\pm$", "×": r"$\times$", "–": "--",
    "−": "$-$", "≥": r"$\geq$", "≤": r"$\leq$", "†": r"$\dagger$", "∞": r"$\infty$",
}  # fmt: skip


def escape_latex(text: object) -> str:
    """Return text that LaTeX prints as it is; letters outside ASCII lose their accents, other signs become `?`."""
    return "".join(_latex_sign(sign) for sign in " ".join(str(text).split()))


def _latex_sign(sign: str) -> str:
    if sign in LATEX:
        return LATEX[sign]
    if " " <= sign <= "~":
        return sign
    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return "".join(LATEX.get(letter, letter) for letter in plain) or "?"
