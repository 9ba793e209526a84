"""What does a search cost beside its steps? Start, diagnostics, checkpoints, derivation, record and MLflow.

    python -m benchmarks.overhead

writes benchmarks/results/overhead.md and .csv. Under `quick` one search runs as it is in a process of its own, then all
searches of the board side by side. Of a search under `nas-bench-201`, which takes hours on a CPU, each part runs once
at full size, on images of noise, and is counted as often as it occurs. --quick is a tiny size.
"""

import copy
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pandas as pd
from ruamel.yaml import YAML

from benchmarks.page import markdown, page_options, write_page
from benchmarks.seeds_in_flight import noise
from harness.base.progress import show_runs
from harness.board import runner
from harness.fleet.group import Run, run_together
from harness.fleet.places import places_for
from harness.images.decoded import IMAGES, decode, write_cached
from harness.records import record
from harness.search.diagnostics import is_due
from harness.settings.protocol import Board, load_board
from harness.tracking.mirror import sync

NAME = "overhead"
ROOT = Path(__file__).resolve().parent.parent
VARIANT = "darts"
TRAINING_IMAGES = 25_000
"""Of the paper's protocol, for the weights."""
PARTS = {
    "checkpoints": ("harness.records.checkpoint.Checkpoints.save",),
    "derivation": ("harness.board.runner._Run._derive",),
    "record": ("harness.board.runner._Run._write",),
    "gap and alignment": (
        "harness.search.diagnostics.discretisation_gap",
        "harness.search.diagnostics.layer_alignment",
    ),
    "Hessian": ("harness.search.diagnostics.alpha_hessian",),
    "one-shot accuracies": ("harness.search.diagnostics.one_shot_accuracies",),
}
"""Functions whose time is taken, by the part that they belong to."""
DIAGNOSTICS = ("gap and alignment", "Hessian", "one-shot accuracies")


def run_timed(launched: float) -> dict[str, float]:
    """Search once in the current folder; return the seconds of each part, of the steps of its epochs, and of all.

    `launched` is the time (`time.time`) at which this process was started.
    """
    board = load_board()
    seconds: defaultdict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for part, functions in PARTS.items():
            for function in functions:
                stack.enter_context(_timed(function, seconds, part))
        stack.enter_context(_timed("harness.search.loop.Search.run_epoch", seconds, "epochs"))
        runner.run_search(board, VARIANT, 0)
    table = record.read_table(record.run_folder(VARIANT, 0), "epochs")
    seconds["steps"] = float(table["seconds"].sum())
    seconds["last epoch"] = float(table["seconds"].iloc[-1])
    seconds["process"] = time.time() - launched
    seconds["MLflow"] = _sync_seconds(board)
    return dict(seconds)


def run_group_timed(launched: float) -> dict[str, float]:
    """Run the searches of the current folder's board side by side; return seconds of processors, by part and of all."""
    board = load_board()
    runs = [Run(*run) for run in board.runs]
    processors = places_for(board.chosen, None).most
    with show_runs() as display:
        outcomes = run_together(board, runs, display)
    assert all(outcome.good for outcome in outcomes), outcomes
    tables = [record.read_table(record.run_folder(*run), "epochs") for run in runs]
    return {
        "all": (time.time() - launched) * processors,
        "steps": sum(float(table["seconds"].sum()) for table in tables),
        "steps of one": float(record.read_table(record.run_folder(VARIANT, 0), "epochs")["seconds"].sum()),
        "diagnostics": sum(float(table["diagnostics_seconds"].sum()) for table in tables),
        "MLflow": _sync_seconds(board),
    }


@contextmanager
def _timed(name: str, seconds: defaultdict[str, float], part: str) -> Iterator[None]:
    module, _, function = name.rpartition(".")
    owner = pkgutil.resolve_name(module)
    original = getattr(owner, function)

    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            seconds[part] += time.perf_counter() - started

    with patch.object(owner, function, timed):
        yield


def _sync_seconds(board: Board) -> float:
    """Return how long it takes to bring all runs into a store that exists."""
    sync(board.model_copy(update={"variants": {}, "baselines": {}}))
    started = time.perf_counter()
    summary = sync(board)
    assert not summary.message, summary.message
    return time.perf_counter() - started


def in_a_process(*options: str) -> dict[str, float]:
    """Return what a process measures that starts now, in the current folder: `run_timed`, or with --group the group."""
    command = [sys.executable, "-m", f"benchmarks.{NAME}", *options, "--launched", str(time.time())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8")
    measured: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return measured


def project_folder(stack: ExitStack, board: Board, images: Callable[[], None]) -> None:
    """Make the current folder, until the stack closes, one with these settings and images."""
    stack.enter_context(chdir(stack.enter_context(tempfile.TemporaryDirectory())))
    YAML(typ="safe").dump(board.model_dump(mode="json"), Path("params.yaml"))
    images()


def measure_quick(board: Board) -> pd.DataFrame:
    """Return a row a part of a whole search under the protocol that the board chooses."""
    with ExitStack() as stack:
        project_folder(stack, board, lambda: write_cached(IMAGES, decode(board.chosen.data)))
        seconds = in_a_process()
    inside = sum(seconds[part] for part in ("epochs", "checkpoints", "derivation", "record"))
    rows = {
        "steps": seconds["steps"],
        "start, and the end of the process": seconds["process"] - inside,
        **{part: seconds[part] for part in (*DIAGNOSTICS, "checkpoints", "record", "MLflow", "derivation")},
    }
    return share_table(board.protocol, rows)


def measure_group(board: Board, alone: pd.Series) -> pd.DataFrame:
    """Return a row a part of all searches of the board side by side.

    Args:
        board: under the protocol that it chooses.
        alone: seconds of the parts of one search, for the derivation, which the records do not tell.
    """
    with ExitStack() as stack:
        project_folder(stack, board, lambda: write_cached(IMAGES, decode(board.chosen.data)))
        seconds = in_a_process("--group")
    rows = {
        "steps": seconds["steps"],
        "diagnostics": seconds["diagnostics"],
        "MLflow": seconds["MLflow"],
        "derivation": alone["derivation"] / alone["steps"] * seconds["steps of one"] * len(board.runs),
    }
    inside = seconds["steps"] + seconds["diagnostics"] + rows["derivation"]
    rows["start, checkpoints, records, idle processors"] = max(0.0, seconds["all"] - inside)
    return share_table(f"{board.protocol}, whole board", rows)


def measure_paper(board: Board, steps: int) -> pd.DataFrame:
    """Return a row a part of a search under the protocol that the board chooses, counted from one of each."""
    protocol = board.chosen
    short = copy.deepcopy(board.model_dump(mode="json"))
    settings = short["protocols"][board.protocol]
    settings["epochs"] = 1
    settings["data"] |= {"limit": None, "split": {"kind": "random"}}
    settings["derivation"] = {"draws": 1, "one_shot": False}  # judged on the images of noise it would cost nothing
    once = Board.model_validate(short)
    with ExitStack() as stack:
        project_folder(stack, once, lambda: write_cached(IMAGES, noise(once.chosen, steps)))
        seconds = in_a_process()
    due = protocol.diagnostics
    times = {
        "gap and alignment": _times(due.every, protocol.epochs),
        "Hessian": _times(due.hessian_every, protocol.epochs),
        "one-shot accuracies": _times(due.one_shot_every, protocol.epochs),
        "checkpoints": protocol.epochs,
        "record": 1,
        "MLflow": 1,
    }
    start = seconds["process"] - sum(seconds[part] for part in ("epochs", "checkpoints", "derivation", "record"))
    epoch = seconds["last epoch"] / steps * (TRAINING_IMAGES // protocol.batch_size)
    rows = {
        "steps": epoch * protocol.epochs,
        "start, and the end of the process": start,
        **{part: count * seconds.get(part, 0.0) for part, count in times.items()},
    }
    return share_table(board.protocol, rows)


def _times(every: int | None, epochs: int) -> int:
    """Return after how many epochs something is measured."""
    return sum(is_due(epoch, every, epochs) for epoch in range(1, epochs + 1))


def share_table(protocol: str, seconds: dict[str, float]) -> pd.DataFrame:
    """Return a row a part, with its share of all."""
    whole = sum(seconds.values())
    rows = [
        {"protocol": protocol, "part": part, "seconds": value, "% of all": 100 * value / whole}
        for part, value in seconds.items()
    ]
    beside = sum(value for part, value in seconds.items() if part not in ("steps", "derivation"))
    total = {"protocol": protocol, "part": "all but steps and derivation", "seconds": beside}
    return pd.DataFrame([*rows, total | {"% of all": 100 * beside / whole}])


def document(table: pd.DataFrame, steps: int, board: Board) -> str:
    """Return the page without its footer."""
    return f"""# What a search costs beside its steps

Under `quick` one search of `{VARIANT}` runs as it is in a process of its own, then the board's {len(board.variants)}
variants x {len(board.seeds)} seeds side by side, as `make run` does it: they share their start, and the seconds are
those of all processors together, from the command to the last record. Under `nas-bench-201`, an extrapolation for one
search of `{VARIANT}` in a process of its own: each part runs once at full size, the steps {steps} times on images of
noise, and is counted as often as it occurs in a search with {TRAINING_IMAGES:,} images an epoch. MLflow is the time to
bring the runs into an SQLite store that exists. The derivation by other rules than the variant's own is no part of the
search; of the whole board it is that of the one search, times the runs, as much slower as the same search's steps were
there; of `nas-bench-201` it was not measured.

{markdown(table)}
"""


@click.command()
@click.option("--steps", default=3, show_default=True, type=click.IntRange(min=2), help="Of the second protocol.")
@click.option("--launched", type=float, hidden=True)
@click.option("--group", is_flag=True, hidden=True)
@page_options
def main(steps: int, launched: float | None, group: bool, quick: bool, output: Path | None) -> None:
    """Measure and write the page."""
    if launched is not None:
        click.echo(json.dumps(run_group_timed(launched) if group else run_timed(launched)))
        return
    content = load_board(ROOT / "params.yaml").model_dump(mode="json")
    content |= {"baselines": {}, "tracking": {"uri": None, "experiment": "x"}}
    if quick:
        content["protocols"]["quick"]["epochs"] = 2
        content["protocols"]["nas-bench-201"] = copy.deepcopy(content["protocols"]["quick"])
        content["protocols"]["nas-bench-201"]["batch_size"] = 16
        content |= {"variants": {VARIANT: {}}, "seeds": [0, 1]}
        steps = 2
    board = Board.model_validate(content | {"protocol": "quick"})
    content |= {"variants": {VARIANT: {}}, "seeds": [0]}
    one, paper = (Board.model_validate(content | {"protocol": name}) for name in ("quick", "nas-bench-201"))
    alone = measure_quick(one)
    together = measure_group(board, alone.set_index("part")["seconds"])
    table = pd.concat([alone, together, measure_paper(paper, steps)], ignore_index=True)
    page, packages = document(table, steps, board), ("torch", "mlflow", "numpy")
    write_page(NAME, page, table, quick=quick, output=output, packages=packages)


if __name__ == "__main__":
    main()
