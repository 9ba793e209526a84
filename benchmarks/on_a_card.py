"""All that only a GPU can show, in one call of a few minutes, and over as many calls as it takes.

    python -m benchmarks.on_a_card pack cifar10-jpeg.parquet card
    python -m benchmarks.on_a_card run card results --minutes 9

`pack` makes the folder that travels: the training images, and the wheels that lie in it already. `run`, on the machine
with the card, first checks that a search is right there (benchmarks/card_checks.py), then measures a step in every way
(card_steps.py) and seeds in flight (seeds_in_flight.py), and spends the rest of the time on searches under the paper's
protocol (campaign.py). The folder `results` has a page and a table of each part, and `campaign.tar.gz`, written anew
every few seconds, so that a machine that is taken away takes little with it. Give the next machine that folder too:
what is done is not done again, and searches go on from their checkpoints.

The machine needs Python 3.11, torch, torchvision, pandas and pyarrow. What else is used travels as wheels, for one
version of Python:

    pip download --only-binary=:all: --python-version 3.12 --platform manylinux2014_x86_64 \\
        -c constraints.txt -d card annotated-types click filelock pydantic rich ruamel.yaml tabulate

`--quick` is a tiny size; with --device cpu it shows, where there is no card, that all of it works.
"""

import argparse
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.campaign import ROOT, importable, unpacked

IMAGES = "train.parquet"
CAMPAIGN = "campaign"
ARCHIVE = f"{CAMPAIGN}.tar.gz"
ARCHIVE_SECONDS = 15.0
"""Between two archives of a campaign under way."""
RESERVE_SECONDS = 20.0
"""Of a call, for the last archive."""
FIRST, THEN = "darts", "pc-darts,drnas,gdas,beta-darts,darts-minus,p-darts,fair-darts,sdarts-rs,gaea"
SEEDS = "0-7"
COUNTS = "1,2,4,8,16,32"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two commands; return the exit status."""
    started = time.monotonic()
    options = parser().parse_args(arguments)
    return int(options.command(options, started))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(
        "on_a_card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    packing = commands.add_parser("pack", help="make the folder that travels")
    packing.add_argument("source", type=Path, help="Parquet file with the columns split, label, name and jpeg")
    packing.add_argument("folder", type=Path)
    packing.set_defaults(command=pack)
    running = commands.add_parser("run", help="check, measure and search")
    running.add_argument("folder", type=Path, help="what was packed")
    running.add_argument("results", type=Path, help="pages, tables, and what searches go on from")
    running.add_argument("--minutes", type=float, default=9.0, help="time for this call (9)")
    running.add_argument("--workers", type=int, help="searches at once of the campaign (as the card allows)")
    running.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    running.add_argument("--quick", action="store_true", help="a tiny size")
    running.set_defaults(command=run)
    return found


def pack(options: argparse.Namespace, started: float) -> int:
    """Write the training images of a Parquet file, and say how much travels."""
    import pyarrow.parquet as pq

    options.folder.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(
        options.source, columns=["split", "label", "name", "jpeg"], filters=[("split", "==", "train")]
    )
    pq.write_table(table, options.folder / IMAGES)
    size = sum(path.stat().st_size for path in options.folder.rglob("*") if path.is_file())
    print(f"{options.folder}: {table.num_rows:,} images; all of it {size / 2**20:.1f} MiB")
    return 0


def run(options: argparse.Namespace, started: float) -> int:
    """Do what is left, part after part; a part that fails does not stop those after it."""
    deadline = started + 60 * options.minutes - RESERVE_SECONDS
    options.results.mkdir(parents=True, exist_ok=True)
    bad = []
    # Rich and the rest may lie in wheels; the processes that are started here find them too.
    with importable(ROOT), unpacked(options.folder):
        for name, words in measurements(options).items():
            page = options.results / f"{name}.md"
            if page.exists():
                continue
            if not _runs([sys.executable, "-m", f"benchmarks.{name}", *words, "--output", str(page)], deadline):
                bad.append(name)
        bad += campaign(options, deadline)
    print(f"{options.results}: {time.monotonic() - started:.0f} s" + (f"; not well: {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


def measurements(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the parts before the campaign, by module, with their options."""
    quick = ["--quick"] if options.quick else []
    here = ["--device", options.device]
    graphs = ["--cuda-graphs"] if options.device == "cuda" else []
    in_flight = quick or ["--steps", "100", "--epochs", "20", "--in-flight", COUNTS, *graphs]
    return {"card_checks": [*here, *quick], "card_steps": [*here, *quick], "seeds_in_flight": in_flight}


def campaign(options: argparse.Namespace, deadline: float) -> list[str]:
    """Search until the deadline, with an archive of all that a later call needs; return what did not go well."""
    work, archive = options.results / CAMPAIGN, options.results / ARCHIVE
    if archive.exists() and not work.exists():
        with tarfile.open(archive) as file:
            file.extractall(options.results, filter="data")
    work.mkdir(exist_ok=True)
    bad = []
    for variants in (FIRST, "pc-darts" if options.quick else THEN):
        minutes = (deadline - time.monotonic()) / 60
        if minutes <= 0:
            break
        seeds = "0-1" if options.quick else SEEDS
        words = ["run", str(options.folder / IMAGES), str(work), "--variants", variants, "--seeds", seeds]
        words += ["--protocol", "quick"] if options.quick else []
        words += ["--minutes", f"{minutes:.2f}", *(["--workers", str(options.workers)] if options.workers else [])]
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.campaign", *words])
        while process.poll() is None:
            time.sleep(1.0 if options.quick else ARCHIVE_SECONDS)
            keep(work, archive)
        keep(work, archive)
        if process.returncode:
            bad.append(f"{CAMPAIGN} of {variants}")
    return bad


def keep(work: Path, archive: Path) -> None:
    """Put what a later call needs into the archive: records, checkpoints and the page, not the images."""
    partial = archive.with_suffix(".partial")
    with tarfile.open(partial, "w:gz", compresslevel=1) as file:
        for path in sorted(work.rglob("*")):
            inside = path.relative_to(work)
            if inside.parts[0] in ("runs", ".dartsboard") or inside.suffix == ".md":
                try:
                    file.add(path, arcname=f"{CAMPAIGN}/{inside}", recursive=False)
                except FileNotFoundError:  # replaced by a newer one since
                    continue
    partial.replace(archive)


def _runs(command: list[str], deadline: float) -> bool:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        return True
    try:
        return subprocess.run(command, timeout=seconds, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    sys.exit(main())
