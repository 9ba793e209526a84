"""Damaged and hostile files, one after another, each read as the program reads it.

Every answer is good that is a result or one sentence. Bad are: any other exception, a crash of the process, more
seconds or memory than a small file may cost, half-written files, and, where checksums protect a file, another result.

    python -m tests.faults.fuzzing --inputs 2000 --seed 1
"""

import resource
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import chdir
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np

from harness.base.errors import UserError
from harness.base.processes import end_with_parent
from harness.fleet.forks import PROCESSES
from tests.faults import fuzzing_targets, mutations, odd_places
from tests.faults.fuzzing_targets import Target

SECONDS = 20.0
"""What one input may take, on a busy machine."""
MEMORY = 5 * 2**30
"""Bytes of addresses beyond its own that a reader gets: the program's own limit comes first."""
LONGEST = 4000
"""Characters of a sentence."""


@dataclass(frozen=True)
class Finding:
    """An input that was not answered well."""

    target: str
    number: int
    what: str


@dataclass
class Report:
    """What was tried, and what was found."""

    counts: Counter[str] = field(default_factory=Counter)
    """Inputs, by target and by answer."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """Inputs that were tried."""
        return sum(count for name, count in self.counts.items() if name.startswith("tried"))


def fuzz(folder: Path, numbers: Iterable[int], seed: int, only: str | None = None, deadline: float = np.inf) -> Report:
    """Try the inputs of these numbers, in a process that is watched, on the files of a prepared folder."""
    report, waiting = Report(), list(numbers)
    while waiting and time.monotonic() < deadline:
        waiting = _watch(folder, waiting, seed, only, deadline, report)
    return report


def _watch(folder: Path, numbers: list[int], seed: int, only: str | None, deadline: float, report: Report) -> list[int]:
    # Returns the numbers that are left when the process ended.
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_work, args=(folder, numbers, seed, only, theirs))
    process.start()
    theirs.close()
    patience = 120.0  # to start
    number, target = numbers[0], "start"
    try:
        for done in range(len(numbers)):
            number = numbers[done]
            for _ in range(2):  # the target before it is tried, and the answer
                if time.monotonic() > deadline:
                    return []
                if not ours.poll(patience):
                    report.findings.append(Finding(target, number, f"no answer in {patience:.0f} s"))
                    return numbers[done + 1 :]
                patience = SECONDS
                message: tuple[str, str] = ours.recv()
                if message[0] == "trying":
                    target = message[1]
                    report.counts[f"tried: {target}"] += 1
                elif message[0] == "finding":
                    report.findings.append(Finding(target, number, message[1]))
                else:
                    report.counts[message[0]] += 1
    except EOFError:
        process.join()
        report.findings.append(Finding(target, number, f"the process died with status {process.exitcode}"))
        return numbers[done + 1 :]
    finally:
        process.kill()
        process.join()
        ours.close()
        fuzzing_targets.restore(folder)
    return []


def _work(folder: Path, numbers: list[int], seed: int, only: str | None, channel: Connection) -> None:
    end_with_parent()  # no daemon, for readers of files from outside are processes of their own
    with chdir(folder):
        targets = [target for target in fuzzing_targets.targets() if only in (None, target.name)]
        right = {target.name: target.right() if target.right else None for target in targets}
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, resource.RLIM_INFINITY))
        for number in numbers:
            target = targets[number % len(targets)]
            channel.send(("trying", target.name))
            channel.send(_try(target, np.random.default_rng([seed, number]), right[target.name]))


def _try(target: Target, random: mutations.Random, right: list[Any] | None) -> tuple[str, str]:
    read = target.harm(random)
    before = _most_memory()
    try:
        answer = _answer(read, right)
        if list(Path().rglob("*.partial*")):
            return "finding", f"half-written: {list(Path().rglob('*.partial*'))}"
        if not odd_places.is_untouched():
            return "finding", f"what belongs to others was changed: {list(odd_places.OUTSIDE.iterdir())}"
        if _most_memory() - before > 3 * 2**20:
            return "finding", "more than 3 GB were taken"
        return answer
    finally:
        fuzzing_targets.restore(Path())


def _most_memory() -> int:
    """Return the most that this process or one of its children had, in kilobytes."""
    return max(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _answer(read: Callable[[], Any], right: list[Any] | None) -> tuple[str, str]:
    try:
        result = read()
    except UserError as error:
        text = str(error)
        if "\n" in text or len(text) > LONGEST:
            return "finding", f"a sentence of {len(text)} characters and {text.count(chr(10))} breaks: {text[:200]}"
        return "one sentence", text
    except BaseException:
        return "finding", traceback.format_exc()
    if right is not None and result not in right:
        return "finding", f"another result without a word: {str(result)[:300]}"
    return "a result", ""


def explain(findings: list[Finding]) -> str:
    """Return the findings, one below the other."""
    return "\n".join(f"{finding.target}, input {finding.number}: {finding.what}" for finding in findings)


@click.command()
@click.option("--inputs", default=2000, show_default=True)
@click.option("--minutes", default=60.0, show_default=True, help="Ends earlier when they are over.")
@click.option("--seed", default=1, show_default=True)
@click.option("--first", default=0, show_default=True, help="Number of the first input.")
@click.option("--only", help="One target.")
def main(inputs: int, minutes: float, seed: int, first: int, only: str | None) -> None:
    """Try damaged inputs, and say how they were answered."""
    folder = Path(tempfile.mkdtemp())
    try:
        fuzzing_targets.prepare(folder)
        deadline = time.monotonic() + 60 * minutes
        report = fuzz(folder, range(first, first + inputs), seed, only, deadline)
    finally:
        shutil.rmtree(folder)
    click.echo(explain(report.findings))
    for name, count in sorted(report.counts.items()):
        click.echo(f"{count:6}  {name}")
    click.echo(f"{report.tried:6}  bad inputs tried, {len(report.findings)} answered badly")


if __name__ == "__main__":
    main()
