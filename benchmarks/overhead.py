"""What does a search cost beside its steps? Start, diagnostics, checkpoints, derivation, record and MLflow.

    python -m benchmarks.overhead

writes benchmarks/results/overhead.md and .csv. A search under `quick` runs as it is, in a process of its own. Of one
under `nas-bench-201`, which takes hours on a CPU, each part runs once at full size, on images of noise, and is counted
as often as it occurs. --quick is a tiny size.
"""

import copy
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
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
from harness import record, runner
from harness.diagnostics import is_due
from harness.images import IMAGES, decode, write_cached
from harness.protocol import Board, load_board
from harness.tracking import sync

NAME = "overhead"
ROOT = Path(__file__).resolve().parent.parent
VARIANT = "darts"
TRAINING_IMAGES = 25_000
"""Of the paper's protocol, for the weights."""
PARTS = {
    "checkpoints": ("harness.checkpoint.Checkpoints.save",),
    "derivation": ("harness.runner._Run._derive",),
    "record": ("harness.runner._Run._write",),
    "gap and alignment": ("harness.diagnostics.discretisation_gap", "harness.diagnostics.layer_alignment"),
    "Hessian": ("harness.diagnostics.alpha_hessian",),
    "one-shot accuracies": ("harness.diagnostics.one_shot_accuracies",),
}
"""Functions whose time is taken, by the part that they belong to."""
DIAGNOSTICS = ("gap and alignment", "Hessian", "one-shot accuracies")


def run_timed(launched: float) -> dict[str, float]:
    """Search once in the current folder; return the seconds of each part, of the steps of its epochs, and of all.

    `launched` is the time (`time.time`) at which this process was started.
    """
    board = load_board()
    seconds: Counter[str] = Counter()
    with ExitStack() as stack:
        for part, functions in PARTS.items():
            for function in functions:
                stack.enter_context(_timed(function, seconds, part))
        stack.enter_context(_timed("harness.search.Search.run_epoch", seconds, "epochs"))
        runner.run_search(board, VARIANT, 0)
    table = record.read_table(record.run_folder(VARIANT, 0), "epochs")
    seconds["steps"] = float(table["seconds"].sum())
    seconds["last epoch"] = float(table["seconds"].iloc[-1])
    seconds["process"] = time.time() - launched
    seconds["MLflow"] = _sync_seconds(board)
    return dict(seconds)


@contextmanager
def _timed(name: str, seconds: Counter[str], part: str) -> Iterator[None]:
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
    """Return how long it takes to bring one run into a store that exists."""
    sync(board.model_copy(update={"variants": {}, "baselines": {}}))
    started = time.perf_counter()
    summary = sync(board)
    assert not summary.message, summary.message
    return time.perf_counter() - started


def in_a_process() -> dict[str, float]:
    """Return what `run_timed` measures in a process that starts now, in the current folder."""
    command = [sys.executable, "-m", f"benchmarks.{NAME}", "--launched", str(time.time())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
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


def document(table: pd.DataFrame, steps: int) -> str:
    """Return the page without its footer."""
    return f"""# What a search costs beside its steps

One search of `{VARIANT}` in a process of its own. Under the first protocol it runs as it is; in a group (`--seeds`,
`make run`) the start is shared and shorter. Under the second, an extrapolation: each part runs once at full size, the
steps {steps} times on images of noise, and is counted as often as it occurs in a search with {TRAINING_IMAGES:,} images
an epoch. MLflow is the time to bring one run into an SQLite store that exists. The derivation by other rules than the
variant's own is no part of the search; under the second protocol it was not measured.

{markdown(table)}
"""


@click.command()
@click.option("--steps", default=3, show_default=True, type=click.IntRange(min=2), help="Of the second protocol.")
@click.option("--launched", type=float, hidden=True)
@page_options
def main(steps: int, launched: float | None, quick: bool, output: Path | None) -> None:
    """Measure and write the page."""
    if launched is not None:
        click.echo(json.dumps(run_timed(launched)))
        return
    board = load_board(ROOT / "params.yaml")
    content = board.model_dump(mode="json")
    content |= {"variants": {VARIANT: {}}, "baselines": {}, "seeds": [0], "tracking": {"uri": None, "experiment": "x"}}
    if quick:
        content["protocols"]["quick"]["epochs"] = 2
        content["protocols"]["nas-bench-201"] = copy.deepcopy(content["protocols"]["quick"])
        content["protocols"]["nas-bench-201"]["batch_size"] = 16
        steps = 2
    protocols = [Board.model_validate(content | {"protocol": name}) for name in ("quick", "nas-bench-201")]
    table = pd.concat([measure_quick(protocols[0]), measure_paper(protocols[1], steps)], ignore_index=True)
    write_page(NAME, document(table, steps), table, quick=quick, output=output, packages=("torch", "mlflow", "numpy"))


if __name__ == "__main__":
    main()
