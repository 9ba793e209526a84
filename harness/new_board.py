"""The beginning of a board outside the project: a folder where `dvc repro` makes the report with what is installed."""

import shlex
from pathlib import Path
from string import Template

from harness.base.errors import UserError, in_one_line, quoted
from harness.base.files import check_place_of_folder, named_path, read_text, whole_folder
from harness.base.source_tree import RUNNING, TEMPLATE
from harness.board.stage_code import STAGES_FILE

LONGEST_NAME = 100
OF_A_BOARD = "-m pipelines.search"
"""What a stage of every board calls, the project's own included."""

FILES = {"params.yaml": "params.yaml", "dvc.yaml": "stages.yaml", ".gitignore": "gitignore", ".dvcignore": "dvcignore"}
"""What is copied from the template, whose names hide nothing and are no stages to DVC."""
PLOTS = RUNNING / "pipelines" / "plots"
"""The templates that dvc.yaml names, of pictures that DVC draws."""
FOLDERS = ("variants", "tests")
"""For methods of one's own."""
DVC_IGNORES = "/config.local\n/tmp\n/cache\n"
DVC_CONFIG = "[core]\n    analytics = false\n    check_update = false\n"
WITHOUT_GIT = "    no_scm = true\n"


def new_board(place: str) -> list[str]:
    """Make the folder of a board, and set up DVC in it unless a DVC project lies around it; return what to tell.

    Raises:
        UserError: the place has no name for a board, is not empty, lies in another board, or cannot be written; then
            nothing is.
    """
    folder = named_path(place)
    _check_name(place, folder.name)
    check_place_of_folder(folder)
    _check_place(folder)
    dvc_project, in_git = _surroundings(folder)
    with whole_folder(folder) as staging:
        _write_files(staging, folder.name)
        if dvc_project is None:
            _set_up_dvc(staging, in_git)
    if dvc_project is not None:
        setting = f"it is part of the DVC project {dvc_project}"
    else:
        setting = "DVC is set up in it" if in_git else "DVC is set up in it, to do without git"
    return [f"wrote {folder}; {setting}", f"next: cd {shlex.quote(str(folder))} && dvc repro"]


def _check_name(place: str, name: str) -> None:
    if not name or name.startswith(("-", ".")) or len(name) > LONGEST_NAME or not place.isprintable():
        raise UserError(f"{quoted(place)} is no name for a board, expected that of a new folder, like my-board")


def _check_place(folder: Path) -> None:
    try:
        if folder.is_symlink() or (folder.is_dir() and any(folder.iterdir())):
            what = "a link" if folder.is_symlink() else "not empty"
            raise UserError(f"{folder} is {what}, expected the name of a new folder")
        for above in folder.resolve().parents:
            stages = above / STAGES_FILE
            if stages.is_file() and OF_A_BOARD in read_text(stages):
                raise UserError(f"{folder} would lie in another board, {above}: make it beside that")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or in_one_line(error)
        raise UserError(f"{in_one_line(folder)} cannot be made: {reason}") from None


def _surroundings(folder: Path) -> tuple[Path | None, bool]:
    """Return the DVC project that a folder will be part of, if any, and whether it will be in a git repository."""
    dvc_project = None
    for above in folder.absolute().parents:
        if dvc_project is None and (above / ".dvc").is_dir():
            dvc_project = above
        if (above / ".git").exists():
            return dvc_project, True
        if above.is_mount():  # neither of them looks further
            break
    return dvc_project, False


def _write_files(folder: Path, name: str) -> None:
    for file, source in FILES.items():
        (folder / file).write_bytes((TEMPLATE / source).read_bytes())
    readme = Template((TEMPLATE / "README.md").read_text(encoding="utf-8"))
    (folder / "README.md").write_text(readme.substitute(name=name), encoding="utf-8")
    (folder / PLOTS.name).mkdir()
    for plot in PLOTS.glob("*.json"):
        (folder / PLOTS.name / plot.name).write_bytes(plot.read_bytes())
    for part in FOLDERS:
        (folder / part).mkdir()
        (folder / part / ".gitkeep").touch()


def _set_up_dvc(folder: Path, in_git: bool) -> None:
    # What `dvc init` leaves behind; it would also tell git of the files, before they are in their place.
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(DVC_CONFIG + ("" if in_git else WITHOUT_GIT), encoding="utf-8")
    (folder / ".dvc" / ".gitignore").write_text(DVC_IGNORES, encoding="utf-8")
