"""What differs between two published boards, apart from their results."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from harness.base.errors import in_one_line
from harness.publishing.folder import PublishedBoard
from harness.publishing.manifest import Manifest
from harness.results.folder import Results

NOTHING = "–"
"""Stands where one of the boards has no such thing."""


class Change(NamedTuple):
    """One thing that differs."""

    kind: str
    """`code`, `version`, `hardware`, `name` (of the protocol), `protocol`, `data`, `file`, `truth`, `costs`, `seeds`,
    `reference`, `method` or `setting`."""
    what: str
    first: str
    second: str


def changes(first: PublishedBoard, second: PublishedBoard, results: tuple[Results, Results]) -> list[Change]:
    """Return everything that differs between two boards, their results aside; nothing for one and the same."""
    found = [
        *_of_the_code(first.manifest, second.manifest),
        *_differing("hardware", *(_machines(board.manifest) for board in (first, second))),
        *_differing("name", {"protocol": first.board.protocol}, {"protocol": second.board.protocol}),
        *_differing(
            "protocol", *(dict(_dotted(board.board.chosen.model_dump(mode="json"))) for board in (first, second))
        ),
        *_of_the_data(first.manifest, second.manifest),
        *_differing("truth", *map(_truth, results)),
        *_differing(
            "costs", *({"costs, SHA-256": str(each.manifest.checksums.costs or NOTHING)} for each in (first, second))
        ),
        *_differing("seeds", *({"seeds": _numbers(board.board.seeds)} for board in (first, second))),
        *_differing("reference", *({"reference": board.board.reference} for board in (first, second))),
        *_of_the_methods(first.manifest, second.manifest),
    ]
    return [Change(*map(in_one_line, change)) for change in found if change.first != change.second]


def not_the_same(found: Iterable[Change]) -> list[str]:
    """Say in sentences why numbers of two boards are not of the same thing; nothing where they are."""
    changed = {change.kind for change in found}
    sentences = {
        "truth": "They have other true accuracies: the same cell has another number on each.",
        "protocol": "They have other protocols: a difference is that of the protocols too, not of the methods alone.",
        "data": "Their searches saw other images, or split them otherwise: a difference is that of the images too.",
    }
    return [sentence for kind, sentence in sentences.items() if kind in changed]


def _differing(kind: str, first: dict[str, str], second: dict[str, str]) -> Iterator[Change]:
    for what in dict.fromkeys([*first, *second]):
        yield Change(kind, what, first.get(what, NOTHING), second.get(what, NOTHING))


def _of_the_code(first: Manifest, second: Manifest) -> Iterator[Change]:
    yield from _differing("code", *({"commit": _revision(manifest)} for manifest in (first, second)))
    yield from _differing("version", first.versions, second.versions)


def _revision(manifest: Manifest) -> str:
    code = manifest.code
    return f"{code.git_revision or 'not in git'}{' with uncommitted changes' if code.has_changes else ''}"


def _machines(manifest: Manifest) -> dict[str, str]:
    """Return what the runs were computed on and with, each as the list of all values."""
    machines = manifest.machines
    parts = {
        "device of the runs": [machine.device for machine in machines],
        "processor of the runs": [machine.processor for machine in machines],
        "threads of the runs": [str(machine.threads) for machine in machines],
        "Python of the runs": [machine.python for machine in machines],
        "torch of the runs": [machine.torch for machine in machines],
        "numpy of the runs": [machine.numpy for machine in machines],
        "commit of the runs": [machine.git_revision or "not in git" for machine in machines],
    }
    return {what: ", ".join(sorted(set(values))) for what, values in parts.items()}


def _of_the_data(first: Manifest, second: Manifest) -> Iterator[Change]:
    parts = {
        "data": ("data", "images and split"),
        "images": ("file", "files of images"),
        "split": ("file", "split file"),
    }
    for part, (kind, what) in parts.items():
        sums = [str(getattr(manifest.checksums, part) or NOTHING) for manifest in (first, second)]
        yield Change(kind, f"{what}, SHA-256", *sums)


def _truth(results: Results) -> dict[str, str]:
    lengths = {f"{column.label}, epochs of a training": str(column.epochs) for column in results.columns}
    return {"table": results.truth_name, "SHA-256": str(results.truth_source["sha256"]), **lengths}


def _of_the_methods(first: Manifest, second: Manifest) -> Iterator[Change]:
    for name in dict.fromkeys([*first.methods, *second.methods]):
        if name not in first.methods or name not in second.methods:
            yield Change("method", name, *("there" if name in each.methods else NOTHING for each in (first, second)))
            continue
        settings = [
            {f"{name}.{key}": value for key, value, _ in each.methods[name].settings} for each in (first, second)
        ]
        yield from _differing("setting", *settings)


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _numbers(numbers: Iterable[int]) -> str:
    """Return numbers as 0-3, 7."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
