"""What many seeds at once are worth: searches an hour and memory, beside the plain implementation one seed at a time.

    python -m benchmarks.seeds_in_flight [--protocol nas-bench-201] [--in-flight 1,2,4,8,16]

Each count of searches runs on images of noise for a few short epochs, without diagnostics; those during which all are
at work count. From the time of a step follows that of a search on the real number of images. On a card steps are short:
--steps 100 --epochs 20. The plain implementation, every edge by itself, runs once with the images on the device and
once with loaders of Pillow pictures, as public codes have them. `--quick` is a tiny size that shows that the benchmark
works. Writes benchmarks/results/seeds_in_flight.md and .csv.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from torch.utils.data import DataLoader

from benchmarks.page import markdown, page_options, write_page
from benchmarks.step_ways import QUICK, PilImages, PlainSearch, noise
from harness.base.errors import UserError
from harness.base.progress import Display, Row, show_runs
from harness.board import runner
from harness.fleet.forks import PROCESSES
from harness.fleet.group import Run, run_together
from harness.images.batches import Batch, Half, SearchData
from harness.images.decoded import IMAGES, ImageArrays, write_cached
from harness.records.record import read_record, run_folder
from harness.search.loop import peak_memory_bytes
from harness.settings.protocol import Board, Protocol, load_board

ROOT = Path(__file__).resolve().parent.parent
NAME = "seeds_in_flight"
VARIANT = "darts"
PLAIN_EPOCHS = 3
"""Of the plain implementation: one to warm up, two to measure. Nothing has to meet, and its steps are long."""


@dataclass(frozen=True)
class Measurement:
    """One way to search."""

    way: str
    in_flight: int
    step_seconds: float
    """Median over the epochs during which all searches were at work."""
    memory: float
    """Bytes, all searches together: of the device on CUDA, of the processes elsewhere."""


class LoadedData(SearchData):
    """Data of one search whose batches come from a loader for the weights and one for alpha."""

    def __init__(self, arrays: ImageArrays, *arguments: Any, **options: Any):
        super().__init__(arrays, *arguments, **options)
        self._loaders = {
            half: DataLoader(
                PilImages(arrays, images.positions),
                batch_size=self.batch_size,
                shuffle=True,
                drop_last=True,
                pin_memory=self.device.type == "cuda",
            )
            for half, images in self._halves.items()
        }

    def epoch(self, half: Half, epoch: int) -> Iterator[Batch]:
        """Return the batches of an epoch, each copied to the device when it is asked for."""
        for images, labels in self._loaders[half]:
            yield images.to(self.device, self._dtype), labels.to(self.device)


def short(board: Board, epochs: int) -> Board:
    """Return the board with a few epochs on a data set of its own, and nothing beside the search."""
    protocol = board.chosen
    never = {"every": None, "hessian_every": None, "one_shot_every": None}
    random = protocol.data.split.model_copy(update={"kind": "random", "file": None})
    protocol = protocol.model_copy(
        update={
            "epochs": epochs,
            "data": protocol.data.model_copy(update={"limit": None, "split": random}),
            "diagnostics": protocol.diagnostics.model_copy(update=never),
            "derivation": protocol.derivation.model_copy(update={"one_shot": False}),
        }
    )
    return board.model_copy(update={"protocols": {board.protocol: protocol}})


def tiny(board: Board) -> Board:
    """Return the board with a network and images that show nothing but that all works."""
    board = with_network(board, {"channels": QUICK.channels, "cells_per_stage": QUICK.cells_per_stage})
    protocol = board.chosen
    data = protocol.data.model_copy(update={"image_size": QUICK.image_size})
    protocol = protocol.model_copy(update={"batch_size": QUICK.batch, "data": data})
    return board.model_copy(update={"protocols": {board.protocol: protocol}})


def with_network(board: Board, changes: Mapping[str, object]) -> Board:
    """Return the board with other settings of `network`."""
    protocol = board.chosen.model_copy(update={"network": board.chosen.network.model_copy(update=changes)})
    return board.model_copy(update={"protocols": {board.protocol: protocol}})


def measure(board: Board, counts: list[int], steps: int, epochs: int, faster: dict[str, bool]) -> list[Measurement]:
    """Return the plain implementation's two measurements, then one a count, with so many steps an epoch.

    Args:
        board: chooses the protocol.
        counts: searches at once.
        steps: of an epoch.
        epochs: of a search of this project.
        faster: settings of `network` that the plain implementation does without.

    Raises:
        UserError: a search did not end well.
    """
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        ours = short(with_network(board, faster), epochs)
        write_cached(IMAGES, noise(ours.chosen, steps))
        plain = [_measure_plain(short(board, PLAIN_EPOCHS), steps, loaded) for loaded in (True, False)]
        return plain + [_measure_together(ours, steps, count) for count in counts]


def _measure_together(board: Board, steps: int, in_flight: int) -> Measurement:
    runs = [Run(VARIANT, seed) for seed in range(in_flight)]
    with tempfile.TemporaryDirectory() as folder:  # of its own, for what is finished elsewhere is not run again
        (Path(folder) / IMAGES).parent.mkdir(parents=True)
        (Path(folder) / IMAGES).symlink_to(IMAGES.resolve())
        with chdir(folder), show_runs() as display:
            watch = Watch(display)
            for outcome in run_together(board, runs, watch, workers=in_flight):
                if not outcome.good:
                    raise UserError(f"{in_flight} at once: {outcome}")
            records = [read_record(run_folder(*run)) for run in runs]
    seconds = watch.seconds_together()
    if not seconds:
        raise UserError(
            f"{in_flight} at once: the first ended before the last had begun, give more --steps or --epochs"
        )
    memory = float(sum(record.peak_memory_bytes for record in records))
    return Measurement("this project", in_flight, statistics.median(seconds) / steps, memory)


class Watch:
    """A display that notes when the epochs of each search ended, and shows them on another."""

    def __init__(self, display: Display):
        self.begin, self.end, self.say = display.begin, display.end, display.say
        self._display = display
        self._epochs: dict[str, list[tuple[float, float]]] = {}
        """By search: when each epoch ended, and its seconds."""

    def advance(self, title: str, row: Row, epochs: int) -> None:
        """Note the end of an epoch."""
        self._epochs.setdefault(title, []).append((time.monotonic(), row["seconds"]))
        self._display.advance(title, row, epochs)

    def seconds_together(self) -> list[float]:
        """Return the seconds of all epochs that lie between the last first one and the first last one."""
        begin = max(epochs[0][0] for epochs in self._epochs.values())
        end = min(epochs[-1][0] for epochs in self._epochs.values())
        return [
            seconds
            for epochs in self._epochs.values()
            for (before, _), (after, seconds) in pairwise(epochs)
            if before >= begin and after <= end
        ]


def _measure_plain(board: Board, steps: int, loaded: bool) -> Measurement:
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_run_plain, args=(board, loaded, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        seconds, memory = ours.recv()
    except EOFError:
        raise UserError("the plain implementation did not end well") from None
    finally:
        process.join()
    way = f"edge by edge, {'loaders of Pillow pictures' if loaded else 'images on the device'}"
    return Measurement(way, 1, statistics.median(seconds[1:]) / steps, memory)


def _run_plain(board: Board, loaded: bool, channel: Connection) -> None:
    # This process is for nothing else, so the parts that its search is made of may be replaced.
    import harness.images.batches
    import harness.search.loop
    from harness.search import registry

    harness.search.loop.Search = PlainSearch  # type: ignore[misc]
    if loaded:
        harness.images.batches.SearchData = LoadedData  # type: ignore[misc]
    method = registry.variant(VARIANT)
    search = runner.start_search(method(registry.settings_of(board, VARIANT), board.chosen), board.chosen, seed=0)
    seconds = [search.run_epoch()["seconds"] for _ in range(board.chosen.epochs)]
    channel.send((seconds, peak_memory_bytes(search.device)))


def rate_table(measured: list[Measurement], steps: int) -> pd.DataFrame:
    """Return a row a measurement, for searches of so many steps."""
    hourly = [3600 * one.in_flight / (steps * one.step_seconds) for one in measured]
    return pd.DataFrame(
        {
            "search": one.way,
            "at once": one.in_flight,
            "step, ms": 1000 * one.step_seconds,
            "searches an hour": rate,
            "times the first": rate / hourly[0],
            "memory a search, MB": one.memory / one.in_flight / 1e6,
            "memory in all, MB": one.memory / 1e6,
        }
        for one, rate in zip(measured, hourly, strict=True)
    )


def document(
    table: pd.DataFrame, protocol: Protocol, name: str, images: int, steps: int, faster: Mapping[str, bool]
) -> str:
    """Return the page without its footer."""
    network = protocol.network
    ours = ", ".join(f"`{key}: {str(value).lower()}`" for key, value in faster.items())
    return f"""# Seeds in flight

Searches with `{VARIANT}`, {protocol.epochs} epochs on {images:,} training images: {steps:,} steps. Protocol `{name}`:
{protocol.data.image_size} pixels, batches of {protocol.batch_size}, {network.channels} channels,
{network.cells_per_stage} cell(s) a stage, {protocol.precision}, {protocol.threads} thread(s) a search. Start-up,
diagnostics and derivation do not count, and of this project's only the epochs during which all are at work. They have
{ours}. On CPUs each process counts the libraries that all share.

{markdown(table)}
"""


def read_counts(text: str) -> list[int]:
    """Return the counts of a list such as `1,2,4`.

    Raises:
        UserError: it is no such list.
    """
    parts = text.split(",")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--in-flight {text!r}: expected numbers from 1 up, such as 1,2,4")
    return [int(part) for part in parts]


@click.command()
@click.option("--protocol", "name", default="nas-bench-201", show_default=True, help="One of params.yaml.")
@click.option("--images", default=50_000, show_default=True, type=click.IntRange(min=2), help="Of the real data set.")
@click.option("--in-flight", "counts", default="1,2,4,8,16", show_default=True, help="Searches at once.")
@click.option("--steps", default=4, show_default=True, type=click.IntRange(min=1), help="Of a measured epoch.")
@click.option("--epochs", default=4, show_default=True, type=click.IntRange(min=2), help="Of a search: all must meet.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the cells of this project's searches.")
@click.option("--cuda-graphs", is_flag=True, help="Launch their passes as CUDA graphs.")
@page_options
def main(
    name: str,
    images: int,
    counts: str,
    steps: int,
    epochs: int,
    compiled: bool,
    cuda_graphs: bool,
    quick: bool,
    output: Path | None,
) -> None:
    """Measure and write the page."""
    if quick:
        counts, steps, epochs = "1,2", 2, 100
    board = load_board(ROOT / "params.yaml")
    if name not in board.protocols:
        raise UserError(f"--protocol: there is no protocol {name!r} in params.yaml")
    board = board.model_copy(update={"protocol": name})
    board = tiny(board) if quick else board
    faster = {"compile": compiled, "cuda_graphs": cuda_graphs}
    measured = measure(board, read_counts(counts), steps, epochs, faster)
    protocol = board.chosen
    all_steps = protocol.epochs * (images // 2 // protocol.batch_size)
    table = rate_table(measured, all_steps)
    device = runner.choose_device(protocol.device)
    write_page(
        NAME,
        document(table, protocol, name, images, all_steps, faster),
        table,
        quick=quick,
        output=output,
        device=torch.cuda.get_device_name() if device.type == "cuda" else None,
    )


if __name__ == "__main__":
    main()
