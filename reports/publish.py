"""Publishes a finished board as a folder of tables, and makes the report from such a folder alone."""

from pathlib import Path

from harness.base.errors import UserError
from harness.base.files import check_name, check_place_of_folder, named_path, whole_folder
from harness.base.processes import usable_cores
from harness.publishing.folder import PublishedBoard, read_published, told_in_one_sentence
from harness.publishing.manifest import FIGURES, MANIFEST, README, THEORY, Manifest, Method
from harness.publishing.readiness import check_board
from harness.publishing.tables import check_size, copy_tables
from harness.publishing.writing import check_place, copy_runs, manifest_of, write_manifest, write_tables
from harness.results.columns import RESULTS
from harness.results.folder import Results, load_results
from harness.settings.protocol import Board, load_board
from harness.tracking.tracked import Tracked
from reports.analysis.theory import Theory, read_theory
from reports.methods import Description, describe
from reports.notebook import pictures
from reports.page import build_report
from reports.readme import readme

PUBLISHED = Path("boards")
"""Where boards are published, unless another folder is named."""
PAGES = Path("reports/published")
"""Where the reports of published boards are made."""
UNTRACKED = Tracked(store="", message="the page is made from a published board")


def publish(
    name: str,
    parent: Path = PUBLISHED,
    theory: Path = Path("data/theory"),
    replace: bool = False,
    with_runs: bool = False,
) -> Path:
    """Publish the board of params.yaml as a folder, which appears whole or not at all; return its path.

    Args:
        name: of the folder.
        parent: the folder that it is made in.
        theory: the theory stage's folder; without it the board is published without.
        replace: whether a published board of this name may be replaced.
        with_runs: whether its runs go into it too, for boards that go on from them.

    Raises:
        UserError: see `check_board` and `check_place`; or the tables are too large, or cannot be written.
    """
    folder = named_path(str(parent / name))
    check_place(folder, name, replace)
    board = load_board()
    records = check_board(board)
    found = read_theory(theory)
    results = load_results(RESULTS)
    described = {method: method_of(describe(board, method)) for method in (*board.variants, *board.baselines)}
    manifest = manifest_of(name, board, records, described)
    with whole_folder(folder) as staging:
        write_tables(staging)
        if found is not None:
            copy_tables(theory, staging / THEORY, Theory.__dataclass_fields__)
        check_size(staging)
        if with_runs:
            copy_runs(records, staging)
        shown = _write_figures(results, board, staging / FIGURES)
        place = folder.as_posix() if parent == PUBLISHED else name  # what is elsewhere here is elsewhere again there
        page = readme(manifest, results, board, shown, place, with_runs)
        (staging / README).write_text(page, encoding="utf-8")
        write_manifest(manifest, staging)
    return folder


def _write_figures(results: Results, board: Board, folder: Path) -> dict[str, str]:
    """Write the figures that the README shows; return the title of each by its name."""
    folder.mkdir()
    slug = results.main.slug
    chosen = {"result": f"truth-{slug}", "epochs": f"truth-search-{slug}", "collapse": "collapse-rates"}
    titles = {}
    for topic, name in chosen.items():
        picture = pictures(results, board, topic).get(name)
        if picture is not None:
            (folder / f"{name}.png").write_bytes(picture.png)
            titles[name] = picture.title
    return titles


def method_of(description: Description) -> Method:
    """Return what a method says of itself as published.json keeps it."""
    return Method(
        summary=description.summary,
        axis=description.axis,
        strategy=description.strategy or None,
        citation=description.citation,
        departures=description.departures,
        settings=description.settings,
    )


def described_by(manifest: Manifest) -> dict[str, Description]:
    """Return what the methods said of themselves when the board was published, whatever is installed here."""
    return {
        name: Description(
            name=name,
            summary=method.summary,
            axis=method.axis,
            strategy=method.strategy or "",
            citation=method.citation,
            departures=method.departures,
            settings=method.settings,
        )
        for name, method in manifest.methods.items()
    }


def report_of(folder: Path, output: Path | None = None) -> Path:
    """Make the report of a published board from its folder alone, and return its main page.

    Args:
        folder: of the published board.
        output: the folder to write; None: one of the board's name below `PAGES`.

    Raises:
        UserError: the folder is no published board, damaged, or of a newer version; or `output` cannot be written.
    """
    check_name(output or PAGES)
    published = read_published(folder)
    target = output or PAGES / published.manifest.name
    check_place_of_folder(target)
    if (target / MANIFEST).exists():  # the figures of the report would replace those of the board
        raise UserError(f"{target} is a published board, expected another folder for its report")
    return told_in_one_sentence(published, lambda: _report(published, target))


def _report(published: PublishedBoard, output: Path) -> Path:
    published.load()  # checks what the report takes for granted
    cores = usable_cores()
    return build_report(
        published.results,
        published.board,
        output,
        UNTRACKED,
        published.theory,
        processes=cores if cores > 1 else 0,
        described=described_by(published.manifest),
    )
