"""Sections that say where everything comes from: the list of runs, the methods, the protocol, files and versions."""

import pandas as pd

from harness.settings.protocol import Board
from harness.tracking.tracked import LOCAL_PAGE, Tracked
from reports.methods import Description, Setting, flatten, plain
from reports.results import FINISHED, Results
from reports.section import Block, Folded, Section, Text
from reports.tables.table import DASH, Entry, Table, number


def runs_section(results: Results, tracked: Tracked) -> Section:
    """Return the list of runs, each with a link to MLflow where that holds it."""
    table = runs_table("runs", results.runs, results, tracked)
    told = f"{len(results.runs)} run{'' if len(results.runs) == 1 else 's'}"
    blocks: list[Block] = [Folded(told, [table]), Text(about_links(tracked), note=True)]
    return Section("runs", "Every run in numbers", "Runs", blocks)


def about_links(tracked: Tracked) -> str:
    """Return where the links to MLflow lead, or why there are none."""
    if not tracked.runs:
        return f"No links to MLflow: {tracked.message or 'it holds no run of this board'}."
    sentences = ["A status leads to the run in MLflow."]
    if not tracked.is_served:
        sentences.append(f"First start its page with the command dartsboard ui: it listens at {LOCAL_PAGE}.")
    if tracked.message:
        sentences.append(f"The last mirroring was not complete: {tracked.message}.")
    return " ".join(sentences)


def runs_table(name: str, runs: pd.DataFrame, results: Results, tracked: Tracked) -> Table:
    """Return a row per run, those without a result too."""
    rows = []
    for _, run in runs.iterrows():
        truth = [Entry(number(run[column.key])) for column in results.columns]
        reason = "" if pd.isna(run["reason"]) else str(run["reason"])
        link = tracked.link(str(run["variant"]), int(run["seed"]))
        status = Entry(run["status"], reason, alarm=run["status"] not in FINISHED, link=link)
        cell = Entry(DASH if pd.isna(run["cell_index"]) else f"{run['cell_index']:.0f}")
        epochs, seconds = Entry(number(run["epochs"], 0)), Entry(number(run["seconds"], 1))
        rows.append([Entry(run["variant"]), status, Entry(str(run["seed"])), epochs, seconds, cell, *truth])
    header = ["variant", "status", "seed", "epochs", "seconds", "cell index"]
    header += [f"{column.label} (%)" for column in results.columns]
    caption = "A row a run. Epochs of a baseline are the cells it evaluated."
    return Table(name, caption, header, [("", rows)], runs.convert_dtypes(), text_columns=2)


def protocol_section(results: Results, board: Board, described: list[Description]) -> Section:
    """Return the protocol and what each method is."""
    protocol = str(results.provenance.get("protocol", board.protocol))
    told = "Everything a run depends on that is not the variant. All variants of the board share it."
    settings = settings_table("protocol", list(flatten(board.chosen)), f"The settings of the protocol {protocol}.")
    blocks: list[Block] = [Text(told), settings, methods_table(described)]
    return Section("protocol", f"Protocol {protocol}", "Protocol", blocks)


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


def provenance_section(results: Results) -> Section:
    """Return the sources, checksums and versions that the report rests on."""
    source = results.truth_source
    pairs = [
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
