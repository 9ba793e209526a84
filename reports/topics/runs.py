"""The runs in numbers."""

from harness.results.folder import Results
from harness.tracking.tracked import LOCAL_PAGE, Tracked
from reports.section import Block, Folded, Section, Text
from reports.tables.runs import runs_table


def section(results: Results, tracked: Tracked) -> Section:
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
