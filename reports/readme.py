"""The page of a published board: what it shows and what it does not, in sentences and tables made from its numbers."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from harness.board.compare import LEVEL
from harness.publishing.manifest import FIGURES, PARAMS, RUNS, Manifest
from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.statistics.estimates import bootstrap_interval, pooled
from harness.statistics.significance import fewest_pairs
from reports.analysis import collapse_rates, summary
from reports.analysis.comparison import BEST, TIED, against_best
from reports.facts import text
from reports.tables.markdown import escape_markdown, to_markdown
from reports.tables.table import DASH, Entry, Table, number
from reports.topics.overview import Finding, overview_of
from reports.topics.provenance import repeatability

LISTED = 10
"""Runs without a result that the page names before it counts the rest."""
SHORT = 12
"""Digits of a checksum or a commit; published.json has all of them."""


def readme(
    manifest: Manifest, results: Results, board: Board, shown: dict[str, str], place: str, with_runs: bool
) -> str:
    """Return README.md of a published board.

    Args:
        manifest: its published.json; the list of files is not needed.
        results: its tables.
        board: what was compared.
        shown: the title of each of its figures by name.
        place: its folder as commands shall name it.
        with_runs: whether the folder has the runs too.
    """
    overview = overview_of(results, board)
    code = _code(manifest)
    parts = [
        f"# Board {escape_markdown(manifest.name)}",
        f"Published on {manifest.date} with Dartsboard {manifest.versions['dartsboard']}, {code}. This page is made "
        "from the tables in this folder alone.",
        escape_markdown(text(overview.lead)),
        "## What it shows",
        _findings(overview.findings),
        *(f"![{escape_markdown(title)}]({FIGURES}/{name}.png)" for name, title in shown.items()),
        f"## Ranking: {escape_markdown(results.main.label)}",
        *_ranking(results),
        "## Collapse",
        *map(escape_markdown, _collapse(results)),
        "## What it does not show",
        _findings(overview.limits),
        "## Runs",
        *map(escape_markdown, _runs(results)),
        "## What it was made from",
        _origin(manifest, results, board),
        "## Again",
        *_commands(manifest, results, board, place),
        *(_going_on(place) if with_runs else ()),
    ]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _code(manifest: Manifest) -> str:
    code = manifest.code
    if code.git_revision is None:
        return "from code that is not in git"
    changes = " **with uncommitted changes**, so that this commit does not tell all" if code.has_changes else ""
    return f"at commit `{code.git_revision[:SHORT]}`{changes}"


def _findings(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        value = f"**{escape_markdown(text(finding.value))}** " if finding.value else ""
        lines.append(f"- {escape_markdown(finding.title)}: {value}{escape_markdown(text(finding.text))}")
    return "\n".join(lines)


def _ranking(results: Results) -> Iterator[str]:
    data = ranking_data(results)
    rows = [_ranking_row(str(name), row) for name, row in data.iterrows()]
    header = ["method", "n of all runs", "mean ± sd", "95 % interval of the mean", "beside the highest", "p"]
    yield to_markdown(Table("ranking", "", header, [("", rows)], data))
    yield escape_markdown(
        f"{results.main.label} of the found cells, percent: mean ± sample standard deviation over the runs with a "
        "result, and the bootstrap interval of the mean, which is too narrow for few runs. P: of the sign flips paired "
        "by seed, adjusted for all methods and for the choice of the highest by these runs."
    )
    yield escape_markdown(_told(results, data))


def ranking_data(results: Results) -> pd.DataFrame:
    """Return the ranking on the main truth column, the highest mean first and methods without a result last.

    Index: variant. Columns: kind, runs, n, mean, sd, low, high (95 % bootstrap interval of the mean), and those of
    `against_best`.
    """
    column = results.main
    table = summary.comparison(results)
    names = {f"{column.key}/{name}": name for name in ("n", "mean", "sd")}
    table = table[["kind", "runs", *names]].rename(columns=names)
    known = results.finished.dropna(subset=[column.key])
    bounds = {
        str(name): bootstrap_interval([own[column.key]], pooled(np.mean))[1:]
        for name, own in known.groupby("variant", sort=False)
    }
    intervals = pd.DataFrame.from_dict(bounds, orient="index", columns=["low", "high"])
    table = table.join(intervals).join(against_best(results, column))
    return table.sort_values("mean", ascending=False, kind="stable")


def _ranking_row(name: str, row: pd.Series) -> list[Entry]:
    kind = "" if row["kind"] == "search" else "multi-trial"
    counted = Entry(f"{row['n']} of {row['runs']}")
    if pd.isna(row["mean"]):
        return [Entry(name, kind), counted, *[Entry(DASH)] * 4]
    spread = "" if pd.isna(row["sd"]) else f" ± {number(row['sd'])}"
    interval = "no spread" if row["low"] == row["high"] else f"{number(row['low'])} to {number(row['high'])}"
    said = {BEST: "the highest", TIED: "not told apart", "": "lower"}[row["mark"]]
    mean = Entry(number(row["mean"]) + spread, bold=row["mark"] == BEST)
    return [Entry(name, kind), counted, mean, Entry(interval), Entry(said), Entry(number(row["best_p"], 4))]


def _told(results: Results, data: pd.DataFrame) -> str:
    """Say what the tests can and cannot tell apart."""
    known = data.dropna(subset=["mean"])
    if known.empty:
        return "No run has a result, so there is nothing to compare."
    lower, tied = (int((known["mark"] == mark).sum()) for mark in ("", TIED))
    floor = (
        f" Gaps below {results.main.noise:.2f} points, the noise floor, count as none." if results.main.noise else ""
    )
    pairs, fewest = known["best_pairs"].max(), fewest_pairs(LEVEL)
    if lower + tied and pairs < fewest:
        return (
            f"The tests tell nothing apart here: no method shares more than {pairs:.0f} seeds with the highest, and "
            f"{fewest} are needed before a comparison can reach p < {LEVEL}.{floor}"
        )
    return (
        f"The tests tell the highest mean apart from {lower} of {lower + tied} other methods at p < {LEVEL}. "
        f"{tied} cannot be told apart from it, which does not make them equal.{floor}"
    )


def _collapse(results: Results) -> list[str]:
    found = collapse_rates.finished_searches(results)
    if found.empty:
        return ["No finished search has an argmax cell over its epochs, so there is nothing to say about collapse."]
    order = [str(name) for name in summary.comparison(results).index]
    return collapse_rates.sentences(collapse_rates.rates(found, order), results.main.label)


def _runs(results: Results) -> Iterator[str]:
    counts = results.runs["status"].value_counts()
    yield f"{len(results.runs)} runs: {', '.join(f'{counts[name]} {name}' for name in counts.index)}."
    lost = summary.without_result(results)
    if lost.empty:
        return
    named = [
        f"{row['variant']} seed {row['seed']} {row['status']} ({row['reason']})"
        for _, row in lost.head(LISTED).iterrows()
    ]
    more = f"; and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
    yield f"Without a result, so in no mean: {'; '.join(named)}{more}."


def _origin(manifest: Manifest, results: Results, board: Board) -> str:
    checksums, data = manifest.checksums, board.chosen.data
    limit = "all training images" if data.limit is None else f"{data.limit} training images a class"
    lines = [
        f"Protocol {board.protocol}: {board.chosen.epochs} epochs, {data.name} at {data.image_size}×{data.image_size} "
        f"pixels, {limit}, split {data.split.kind}.",
        f"Seeds: {', '.join(map(str, board.seeds))}. Reference: {board.reference}.",
        f"Truth: {results.truth_name}, SHA-256 {checksums.truth[:SHORT]}.",
    ]
    if checksums.data is not None:
        lines.append(f"Images with their split: SHA-256 {checksums.data[:SHORT]}.")
    if checksums.costs is not None:
        costs = ", ".join(cost.heading for cost in results.costs)
        lines.append(f"Costs: {costs}, SHA-256 {checksums.costs[:SHORT]}.")
    for machine in manifest.machines:
        count = sum(map(len, machine.runs.values()))
        where = machine.processor if machine.device == "cpu" else f"{machine.device} ({machine.processor})"
        commit = f", commit {_short(machine.git_revision)}" if machine.git_revision else ""
        versions = f"Python {machine.python}, torch {machine.torch}"
        lines.append(f"{count} run{'' if count == 1 else 's'} on {where}, {versions}{commit}.")
    lines += repeatability(results.finished)
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)


def _short(revision: str) -> str:
    commit, _, changes = revision.partition("+")
    return commit[:SHORT] + (f" with {changes}" if changes else "")


def _commands(manifest: Manifest, results: Results, board: Board, place: str) -> Iterator[str]:
    yield "The full report, from this folder alone:"
    yield _shell(f"dartsboard report --board {place}")
    finished = results.finished
    if finished.empty:
        return
    searches = finished[finished["kind"] == "search"]
    run = (finished if searches.empty else searches).iloc[0]
    name, seed = str(run["variant"]), int(run["seed"])
    yield f"One of its runs, {name} with seed {seed}, which ends in the cell `{run['cell']}`:"
    (stage,) = board.stages([(name, seed)])
    if manifest.code.git_revision:
        tree = f"git worktree add ../again {manifest.code.git_revision}"
        yield _shell(tree, f"cp {place}/{PARAMS} ../again/", f"cd ../again && dvc repro {stage}")
    else:
        yield _shell(f"cp {place}/{PARAMS} {PARAMS}", f"dvc repro {stage}")
    data = board.chosen.data
    if data.path is not None and name in board.variants:
        yield f"It looks for its images in `{data.path}` there."
    if manifest.code.has_changes:
        yield "That commit lacks the uncommitted changes, so another cell proves nothing."


def _going_on(place: str) -> Iterator[str]:
    yield (
        f"Its runs are in `{RUNS}/`. A board with these settings, images and code that takes them over runs only what "
        f"it names beyond them, such as another method under `variants` of {PARAMS}:"
    )
    yield _shell(f"cp -r {place}/{RUNS} {place}/{PARAMS} .", "dartsboard sweep")


def _shell(*lines: str) -> str:
    return "\n".join(["```sh", *lines, "```"])
