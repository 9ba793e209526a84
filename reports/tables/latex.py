"""A table for LaTeX, with booktabs."""

import unicodedata

from reports.tables.table import Entry, Table


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
