"""What works on this machine, what is missing, and how to get it."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.errors import UserError
from harness.base.masking import masked
from harness.base.processor import bfloat16_instructions
from harness.base.source_tree import is_own_board
from harness.settings.protocol import Board, load_board

if TYPE_CHECKING:
    from harness.board.sources import Part


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's answer."""

    subject: str
    works: bool
    detail: str
    """What there is, or how to get what is missing."""


def examine() -> list[Finding]:
    """Look at the environment, the devices, params.yaml, data, truth, the pipeline and MLflow."""
    findings = [_python(), *_packages(), _devices(), _disk()]
    try:
        board = load_board()
    except UserError as error:
        return [*findings, Finding("params.yaml", False, masked(str(error)))]
    checks: dict[str, Callable[[Board], str]] = {
        "params.yaml": _params,
        "images": _images,
        "truth": _truth,
        **({} if board.costs is None else {"costs": _costs}),
        "pipeline": _pipeline,
        "MLflow": _tracking,
    }
    for subject, check in checks.items():
        try:
            findings.append(Finding(subject, True, check(board)))
        except UserError as error:
            findings.append(Finding(subject, False, masked(str(error))))
    return findings


def _python() -> Finding:
    here = ".".join(map(str, sys.version_info[:3]))
    works = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("Python", works, here if works else f"{here}: install 3.11, 3.12 or 3.13")


def _packages() -> list[Finding]:
    findings = []
    for package in ("torch", "torchvision", "mlflow", "dvc", "nas-bench-201", "nats-bench", "analog-nasbench"):
        try:
            findings.append(Finding(package, True, version(package)))
        except PackageNotFoundError:
            command = f"pip install {package}" if is_own_board() else 'pip install -c constraints.txt -e ".[dev]"'
            findings.append(Finding(package, False, f"not installed: {command}"))
    return findings


def _devices() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    devices = ", ".join(names) or "CPU only: the protocols of the papers need a GPU"
    return Finding("devices", True, f"{devices}; precision bfloat16 {_bfloat16()}")


def _bfloat16() -> str:
    found = bfloat16_instructions()
    if found is None:
        return "may be slower than float32 on the processor, which does not tell"
    if not found:
        return "is slower than float32 on this processor, which has no instructions for it"
    return f"is fast on this processor ({', '.join(found)})"


def _disk() -> Finding:
    free = shutil.disk_usage(Path()).free / 1e9
    return Finding("disk", free > 1, f"{free:.1f} GB free" + ("" if free > 1 else ", expected at least 1 GB"))


def _params(board: Board) -> str:
    from harness.search import registry

    registry.check_board(board)
    runs = (len(board.variants) + len(board.baselines)) * len(board.seeds)
    return f"protocol {board.protocol}, {runs} runs"


def _images(board: Board) -> str:
    from harness.images.decoded import IMAGES, check_cached, decode

    settings = board.chosen.data
    _unchanged(board, "images", "split")
    try:
        check_cached(IMAGES, settings)
    except UserError:
        if settings.download:
            return f"{settings.name} is not decoded yet: `dvc repro data` does it, and downloads it if need be"
        decode(settings)
        return f"{settings.name} is there, not decoded yet: `dvc repro data` does it"
    return f"{settings.name}, decoded in {IMAGES}"


def _unchanged(board: Board, *parts: "Part") -> None:
    from harness.board.sources import changed_sources

    for sentence in changed_sources(board, *parts):
        raise UserError(f"{sentence}: run `dvc repro`")


def _truth(board: Board) -> str:
    from harness.search import registry
    from harness.search.baseline import check_lengths
    from harness.truth.columns import TruthColumns
    from harness.truth.table import TRUTH_FILE, Truth

    truth = Truth.read(TRUTH_FILE)
    _unchanged(board, "truth")
    for name in board.baselines:
        check_lengths(truth, registry.baseline(name))
    lacking = TruthColumns(truth).missing
    about = truth.provenance
    return f"{about.cells:,} cells of {about.name}, from {about.file}" + (
        f"; it lacks {', '.join(lacking)}" if lacking else ""
    )


def _costs(board: Board) -> str:
    from harness.truth.cell_costs import read_costs

    assert board.costs is not None  # only then it is asked
    held = read_costs(board.costs)
    _unchanged(board, "costs")
    return f"{', '.join(column.label for column in board.costs.columns.values())} of {len(held):,} cells"


def _pipeline(board: Board) -> str:
    from harness.board.stage_code import other_stages
    from harness.fleet.dvc_project import check_dvc, dvc_folder

    check_dvc()
    folder = dvc_folder()
    above = "" if folder in (None, Path.cwd()) else f" in {folder}"
    others = other_stages()
    differ = f"; not as this Dartsboard has them: {', '.join(others)} in dvc.yaml" if others else ""
    return f"DVC is set up{above}; `dvc repro` makes everything{differ}"


def _tracking(board: Board) -> str:
    from harness.tracking.apart import check_store

    return check_store(board)
