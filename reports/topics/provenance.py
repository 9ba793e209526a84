"""What the report rests on: sources, checksums, versions, and whether a search repeats."""

import pandas as pd

from harness.results.folder import Results
from reports.methods import plain
from reports.section import Block, Section, Text
from reports.tables.table import Entry, Table


def section(results: Results) -> Section:
    """Return the sources, checksums and versions that the report rests on."""
    source = results.truth_source
    pairs = [
        ("truth table", plain(source["table"] or "not known")),
        ("told by", plain(source["told_by"] or "nothing: it was imported by an earlier version")),
        ("truth source", plain(source["source"])),
        ("truth file", plain(source["file"])),
        ("truth SHA-256", plain(source["sha256"])),
        ("cells in the table", plain(source["cells"])),
        ("columns it lacks", ", ".join(results.missing_columns) or "none"),
        *((key.replace("_", " "), plain(value)) for key, value in results.provenance.items()),
    ]
    data = pd.DataFrame(pairs, columns=["what", "value"])
    rows = [[Entry(key), Entry(value)] for key, value in pairs]
    table = Table("provenance", "What the report rests on.", list(data.columns), [("", rows)], data, text_columns=2)
    told = "Every figure stands as SVG and PNG in figures/, every table as CSV, Markdown and LaTeX in tables/."
    repeats = [Text(sentence) for sentence in repeatability(results.finished)]
    blocks: list[Block] = [table, *repeats, Text(told, note=True)]
    return Section("provenance", "Provenance", "Provenance", blocks)


def repeatability(runs: pd.DataFrame) -> list[str]:
    """Return a sentence per platform of the searches: whether one made again there gives the same numbers."""
    searches = runs[runs["kind"] == "search"]
    platforms = searches[["device", "processor", "threads", "deterministic"]].drop_duplicates()
    return [_repeats(*platform) for platform in platforms.itertuples(index=False)]


def _repeats(device: str, processor: str, threads: float, deterministic: bool | None) -> str:
    if pd.isna(deterministic):
        return f"Records of an earlier version do not tell whether a search repeats on {processor} ({device})."
    where = f"{processor}, {threads:.0f} thread{'' if threads == 1 else 's'}" if device == "cpu" else device
    if deterministic:
        return f"On {where}, a search made again with the same software gives the same numbers, to the last bit."
    return (
        f"On {where}, some algorithms add up in no fixed order: a search made again differs in its last bits, and from "
        "there perhaps in its cell."
    )
