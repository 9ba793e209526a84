"""A table in GitHub's Markdown."""

import html
import re

from reports.tables.table import Entry, Table


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
