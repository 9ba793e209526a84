"""The tables of settings and methods."""

import pandas as pd

from reports.methods import Description, Setting
from reports.tables.table import DASH, Entry, Table


def settings_table(name: str, settings: list[Setting], caption: str) -> Table:
    """Return settings as a table of key, value and meaning."""
    data = pd.DataFrame(settings, columns=["setting", "value", "meaning"])
    rows = [[Entry(key), Entry(value), Entry(meaning)] for key, value, meaning in settings]
    return Table(name, caption, list(data.columns), [("", rows)], data, text_columns=3)


def methods_table(described: list[Description]) -> Table:
    """Return a row per method: what it changes, what moves its choice, its paper, its settings."""
    header = ["variant", "what it changes", "strategy", "settings", "citation"]
    texts = [
        [method.name, method.axis, method.strategy, _joined(method.settings), method.citation] for method in described
    ]
    rows = [[Entry(text or DASH) for text in row] for row in texts]
    caption = "The methods of the board. Settings are complete, with the defaults of those that params.yaml leaves out."
    data = pd.DataFrame(texts, columns=header)
    return Table("methods", caption, header, [("", rows)], data, text_columns=len(header))


def _joined(settings: list[Setting]) -> str:
    return ", ".join(f"{key}: {value}" for key, value, _ in settings)
