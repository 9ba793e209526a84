"""How much memory and time does the import of the official NAS-Bench-201 file take, and how do they grow with it?

    python -m benchmarks.truth_import

writes benchmarks/results/truth_import.md; --quick is a tiny size that shows the benchmark itself works. The files are
made up, in a temporary folder, with the structure of the real cells.
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.page import markdown, page_options, write_page
from benchmarks.synthetic_nas_bench_201 import write_folder, write_pth

NAME = "truth_import"
SIZES = (50, 200, 800)
"""Megabytes of the files."""
OFFICIAL = 4700
"""Megabytes of NAS-Bench-201-v1_1-096897.pth."""
FOLDER_CELLS = 1000

FIGURES = ("seconds", "CPU seconds", "MiB")

HERE = "this project"
PACKAGE = "nas-bench-201"
IMPORTS = {
    HERE: "from harness.truth.nas_bench_201 import import_nas_bench_201 as read; "
    "read(Path(sys.argv[1]), allow_partial=True)",
    PACKAGE: "import torch; from nas_201_api import NASBench201API; "
    "NASBench201API(torch.load(sys.argv[1], weights_only=False), verbose=False)",
}
"""What a process does. Under torch 2.6 and newer the package refuses its file, so torch unpickles it, unsafely."""
PACKAGE_MEGABYTES = 200
"""The largest file that the package is asked to read."""
FOLDER_IMPORT = (
    "from harness.truth.nats_bench import import_nats_bench as read; "
    "read(Path(sys.argv[1]), allow_partial=True, processes=int(sys.argv[2]))"
)


def measure(statement: str, *arguments: object) -> dict[str, float]:
    """Run a statement in a process of its own; return its seconds and its memory, MiB, with those of its children.

    CPU seconds are user and system. Memory is the sum of what each process had resident at most: an upper bound of
    what all had at once.
    """
    command = [sys.executable, "-c", f"import sys; from pathlib import Path; {statement}", *map(str, arguments)]
    started, used = time.perf_counter(), _cpu_of_children()
    with subprocess.Popen(command) as process:
        peaks: dict[int, int] = {}
        ended = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, peaks, ended))
        watch.start()
        code = process.wait()
        seconds = time.perf_counter() - started
        ended.set()
        watch.join()
    if code:
        raise click.ClickException(f"the process that was measured failed: {statement}")
    return {"seconds": seconds, "CPU seconds": _cpu_of_children() - used, "MiB": sum(peaks.values()) / 2**10}


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(root: int, peaks: dict[int, int], ended: threading.Event) -> None:
    # Linux: VmHWM is the largest resident size so far, kB.
    while not ended.wait(0.05):
        for process in (root, *_descendants(root)):
            try:
                status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
            except OSError:
                continue
            for line in status.splitlines():
                if line.startswith("VmHWM"):
                    peaks[process] = int(line.split()[1])


def _descendants(root: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{root}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            for child in map(int, tasks.read_text(encoding="utf-8").split()):
                found += [child, *_descendants(child)]
    return found


def measure_files(sizes: tuple[int, ...], folder: Path) -> pd.DataFrame:
    """Return a row a file and way: megabytes, cells, seconds, MiB."""
    rows = []
    for size in sizes:
        path = folder / f"{size}.pth"
        cells = write_pth(path, size * 10**6)
        for way, statement in IMPORTS.items():
            if way == HERE or size <= PACKAGE_MEGABYTES:
                click.echo(f"{size} MB, {way}", err=True)
                megabytes = path.stat().st_size / 1e6
                rows.append({"way": way, "MB": megabytes, "cells": cells} | measure(statement, path))
        path.unlink()
    return pd.DataFrame(rows)


def extrapolate(rows: pd.DataFrame, megabytes: float) -> pd.DataFrame:
    """Return seconds and MiB of each way for a file of this size: straight lines through the measured sizes."""
    found = []
    for way, own in rows.groupby("way", sort=False):
        lines = {name: np.polynomial.Polynomial.fit(own["MB"], own[name], 1) for name in FIGURES}
        found.append({"way": way} | {name: float(line(megabytes)) for name, line in lines.items()})
    return pd.DataFrame(found)


def measure_folder(cells: int, folder: Path) -> pd.DataFrame:
    """Return a row a number of processes that read a NATS-Bench folder."""
    write_folder(folder / "folder", cells)
    rows = []
    for processes in (1, 2):
        click.echo(f"folder of {cells} cells, {processes} processes read", err=True)
        rows.append({"processes": processes, "cells": cells} | measure(FOLDER_IMPORT, folder / "folder", processes))
    return pd.DataFrame(rows)


def document(files: pd.DataFrame, folders: pd.DataFrame) -> str:
    """Return the page without its footer."""
    return f"""# The import of the official NAS-Bench-201 files

The official `.pth` holds 15,625 cells in {OFFICIAL / 1000:.1f} GB. The files here are made up: the structure of the
real cells, in the container of the official file, in a temporary folder. Each import is a process of its own, from its
start to its end. CPU seconds are those of all its processes: what else the machine does hardly counts in them. MiB is
the largest resident memory of each of its processes, added.

- *{HERE}*: the import of the stage `truth`, up to the checked table: SHA-256, restricted unpickling, piece by
  piece, in a process with limits; of files beyond 64 MiB another one unpickles what that has cut out.
- *{PACKAGE}*: the package of the benchmark's authors, given what `torch.load` reads without restrictions. It
  makes no table.

{markdown(files)}

For {OFFICIAL} MB, by straight lines through these figures:

{markdown(extrapolate(files, OFFICIAL))}

## The NATS-Bench folder

One compressed file a cell, 15,625 of them in all. Read by so many processes with limits.

{markdown(folders)}
"""


@click.command()
@click.option(
    "--size", "sizes", multiple=True, type=click.IntRange(min=3), default=SIZES, show_default=True, help="MB."
)
@click.option("--folder-cells", default=FOLDER_CELLS, show_default=True, type=click.IntRange(min=2))
@page_options
def main(sizes: tuple[int, ...], folder_cells: int, quick: bool, output: Path | None) -> None:
    """Measure the imports and write the page."""
    if quick:
        sizes, folder_cells = (3, 6), 2
    with tempfile.TemporaryDirectory() as temporary:
        files = measure_files(sizes, Path(temporary))
        folders = measure_folder(folder_cells, Path(temporary))
    table = pd.concat([files, folders])
    packages = ("numpy", "pandas", "torch", "nas-bench-201", "nats-bench")
    write_page(NAME, document(files, folders), table, quick=quick, output=output, packages=packages)


if __name__ == "__main__":
    main()
