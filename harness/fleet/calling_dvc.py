"""The DVC that runs this stage, and what it was asked for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import psutil

WORDS_BEFORE = 3
"""Of a command line, before the name `dvc`: `python -m dvc`."""


@dataclass(frozen=True)
class CallingDvc:
    """A process of DVC."""

    number: int
    started: float
    """Which a later process of the same number has not."""
    arguments: tuple[str, ...]
    """After `dvc`."""

    @property
    def forces(self) -> bool:
        """Whether it runs everything again."""
        return bool({"-f", "--force"} & set(self.arguments))

    @property
    def alive(self) -> bool:
        """Whether it is still at work."""
        try:
            process = psutil.Process(self.number)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def calling_dvc() -> CallingDvc | None:
    """Return the DVC that runs this process as a stage; None if there is none, or if it is a program of somebody's."""
    if "DVC_STAGE" not in os.environ:
        return None
    try:
        for parent in psutil.Process().parents():
            words = parent.cmdline()
            for index, word in enumerate(words[:WORDS_BEFORE]):
                if Path(word).name == "dvc":
                    return CallingDvc(parent.pid, parent.create_time(), tuple(words[index + 1 :]))
    except psutil.Error:
        return None
    return None


@dataclass(frozen=True)
class Demand:
    """Which runs a command of DVC leads to."""

    patterns: tuple[str, ...]
    """Of their stages' names; none: all of the board."""
    again: bool
    """Whether runs are to be made that there are already."""
    run_cache: bool
    """Whether what DVC's cache holds is taken from there."""

    def covers(self, stage: str) -> bool:
        """Whether it leads to the run of a stage such as `search@darts-0`."""
        group = stage.partition("@")[0]
        return not self.patterns or any(pattern == group or fnmatchcase(stage, pattern) for pattern in self.patterns)


def demand(arguments: Sequence[str], kinds: Sequence[str]) -> Demand | None:
    """Return what a command line asks for; None where DVC itself does not understand it.

    Args:
        arguments: after `dvc`.
        kinds: the stages of runs: `search`, `baseline`.
    """
    from dvc.cli.parser import get_main_parser

    try:
        found = get_main_parser().parse_args(list(arguments))
    except (SystemExit, Exception):  # DVC's own kinds
        return None
    targets = [target.rpartition(":")[2] for target in getattr(found, "targets", None) or ()]
    of_runs = [target for target in targets if target.partition("@")[0] in kinds]
    # Beside a stage that follows from all runs, one that is named does not narrow anything.
    patterns = tuple(of_runs) if len(of_runs) == len(targets) else ()
    return Demand(patterns, bool(getattr(found, "force", False)), not getattr(found, "no_run_cache", False))
