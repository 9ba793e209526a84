"""The files that the program reads, small and whole, and how it reads each."""

import bz2
import gzip
import hashlib
import json
import pickle
import shutil
import tempfile
from collections.abc import Callable
from contextlib import chdir, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from click.testing import CliRunner
from PIL import Image

from benchmarks.synthetic_nas_bench_201 import cell_results
from harness.base.errors import UserError, in_one_line
from harness.base.files import file_checksum
from harness.board.identity import Method
from harness.board.known_methods import KNOWN_METHODS, known_methods
from harness.board.lookup import look_up
from harness.board.run_lock import is_running, run_lock
from harness.board.runner import run_search
from harness.cli import main
from harness.images.decoded import IMAGES, decode, load_cached, write_cached
from harness.images.split import split_images
from harness.publishing.folder import read_published
from harness.publishing.manifest import MANIFEST
from harness.records.checkpoint import CHECKPOINTS, Checkpoints, unfinished
from harness.records.record import CHECKSUMS, read_table, read_whole_run, run_folder
from harness.results.columns import RESULTS
from harness.results.folder import load_results
from harness.search import registry
from harness.settings.project import set_params
from harness.settings.protocol import DataSettings, SplitSettings, load_board
from harness.settings.tables import AccuracyColumn, TruthSettings
from harness.space.cell import CELL_COUNT, Cell
from harness.testing import TINY_PROTOCOL
from harness.tracking.tracked import TRACKED, Tracked, read_tracked
from harness.truth.sources import import_table, import_truth
from harness.truth.table import TRUTH_FILE, Truth, write_truth
from reports.publish import publish
from tests.conftest import tiny_params, write_params
from tests.faults import hostile_arguments, hostile_pickles, mutations, odd_places, odd_tables
from tests.faults.mutations import Random
from tests.published import finish_board, rewrite

WHOLE = Path("whole")
"""Copies of all files, which come back after each input."""
NAMES = ("params.yaml", "data", "runs", "results", ".dartsboard", "sources", "published")
RUN = run_folder("darts", 0)
OLD, ZIP = "sources/old/bench.pth", "sources/zip/bench.pth"
PUBLISHED = Path("published/tiny")


Files = Callable[[], list[Path]]
Read = Callable[[], Any]

REPLACED = 0.15
"""The share of inputs whose file is not damaged, but gives way to something else of its name."""


@dataclass(frozen=True)
class Target:
    """A kind of input."""

    name: str
    harm: Callable[[Random], Read]
    """Puts a bad input in its place; returns what reads it, as the program does, and gives what was read."""
    right: Callable[[], list[Any]] | None = None
    """For a file that checksums protect: the results that no damage may change."""


def damaged(
    files: Files, mutate: Callable[[bytes, Random], bytes], read: Read, vouch: Callable[[Path], object] | None = None
) -> Callable[[Random], Read]:
    """Return the harm of changing what one of the files holds.

    Args:
        vouch: makes the checksums fit, as somebody could.
    """

    def harm(random: Random) -> Read:
        found = files()
        path = found[int(random.integers(len(found)))]
        if vouch is None and random.random() < REPLACED:
            odd_places.put(path, random)
            return read
        path.write_bytes(mutate(path.read_bytes(), random))
        if vouch is not None:
            vouch(path)
        return read

    return harm


def prepare(folder: Path) -> None:
    """Fill a folder with a small project and with small sources, each as its origin writes it."""
    with chdir(folder):
        write_params(Path().absolute(), tiny_params())
        board = load_board()
        write_cached(IMAGES, decode(board.chosen.data))
        _write_sources(Path("sources"))
        write_truth(_table("means.csv")())
        run_search(board, "darts", 0)
        with suppress(KeyboardInterrupt):
            run_search(board, "darts-2nd", 0, _stop_after_two)
        _known()
        look_up(board, Truth.read(), RESULTS)
        _write_published(PUBLISHED)
        TRACKED.write_text(Tracked(store="x", experiment_id="1", runs={"darts/seed-0": "a"}).model_dump_json())
        for name in NAMES:
            copy = shutil.copytree if Path(name).is_dir() else shutil.copy
            WHOLE.mkdir(exist_ok=True)
            copy(name, WHOLE / name)
        odd_places.prepare()


def restore(folder: Path) -> None:
    """Bring the files back as they were."""
    for name in NAMES[1:]:
        for path in sorted((folder / name).rglob("*")):
            whole = folder / WHOLE / path.relative_to(folder)
            if path.is_symlink() or not (path.is_dir() if whole.is_dir() else path.is_file() and whole.is_file()):
                odd_places.remove(path)
    for path in (folder / WHOLE).rglob("*"):
        target = folder / path.relative_to(folder / WHOLE)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        if not _is_regular(target):
            odd_places.remove(target)
        if not target.exists() or target.read_bytes() != path.read_bytes():
            shutil.copy(path, target)


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _stop_after_two(row: dict[str, Any], epochs: int) -> None:
    if row["epoch"] == 2:
        raise KeyboardInterrupt


def _write_sources(folder: Path) -> None:
    cells = {index: cell_results(index) for index in (0, 1)}
    for index, cell in cells.items():
        for length in cell.values():
            length["arch_str"] = str(Cell.from_index(index))
    names = [str(Cell.from_index(index)) for index in range(CELL_COUNT)]
    content = {"meta_archs": names, "total_archs": CELL_COUNT, "arch2infos": cells, "evaluated_indexes": [0, 1]}
    for name in ("old", "zip", "nats", "tables", "imagenet16", "pictures"):
        (folder / name).mkdir(parents=True)
    for name in ("old", "zip"):
        torch.save(content, folder / name / "bench.pth", _use_new_zipfile_serialization=name == "zip")
    for index, cell in cells.items():
        states = {"12": cell["less"], "200": cell["full"]}
        (folder / "nats" / f"{index:06d}.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps(states, protocol=4)))
    table = pd.DataFrame({"cell": range(40), "accuracy": np.linspace(50.0, 90.0, 40)})
    table.to_parquet(folder / "tables" / "means.parquet")
    table.to_csv(folder / "tables" / "means.csv", index=False)
    pd.concat([table.assign(run=run) for run in range(2)]).to_csv(folder / "tables" / "trials.csv", index=False)
    (folder / "tables" / "means.csv.gz").write_bytes(gzip.compress((folder / "tables" / "means.csv").read_bytes()))
    random = np.random.default_rng(0)
    for name in [*(f"train_data_batch_{number}" for number in range(1, 11)), "val_data"]:
        batch = {"data": random.integers(0, 256, (4, 768), dtype=np.uint8), "labels": [1, 2, 3, 4]}
        (folder / "imagenet16" / name).write_bytes(pickle.dumps(batch, protocol=2))
    for number, label in enumerate(("a", "b")):
        for name in ("0.png", "1.jpg"):
            path = folder / "pictures" / "train" / label / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (9 + number, 8, 3), dtype=np.uint8)).save(path)
    (folder / "split.json").write_text(json.dumps({"train": [0, 1, 2], "valid": ["int", ["3", "4"]]}))


def _write_published(folder: Path) -> None:
    """Publish a board of a baseline, with figures that hold nothing."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(IMAGES, Path(place) / IMAGES)
        import_truth(load_board().truth, Path(place) / TRUTH_FILE)  # of all cells, which a baseline needs
        with chdir(place), patch("reports.drawing.picture._drawn", lambda picture: ("<svg></svg>", b"")):
            finish_board(variants={}, baselines={"random-search": {"evaluations": 5}}, reference="random-search")
            published = publish(folder.name).absolute()
        shutil.copytree(published, folder)


# How each is read


def _just(read: Callable[[], Any]) -> Callable[[], list[Any]]:
    return lambda: [read()]


def _board() -> str:
    board = load_board()
    registry.check_board(board)
    return board.model_dump_json()


def _changed_board() -> None:
    set_params({"truth": {"source": "analog-nasbench", "path": None}})


def _command(*arguments: str) -> Callable[[], None]:
    def run() -> None:
        answer = CliRunner().invoke(main, arguments)
        if answer.exception is not None and not isinstance(answer.exception, SystemExit):
            raise answer.exception
        if answer.exit_code == 2:
            text = answer.stderr.removeprefix("error: ").removesuffix("\n")
            if text.startswith("Usage: "):  # click's own: lines about the command, and the argument in full
                text = in_one_line(text.rpartition("Error: ")[2])
            raise UserError(text)
        assert answer.exit_code in (0, 1), answer.output

    return run


def _run() -> str:
    record = read_whole_run(RUN)
    tables = [read_table(RUN, name).to_json(double_precision=15) for name in ("epochs", "alpha")]
    return record.model_dump_json() + "".join(tables)


def _held() -> Checkpoints:
    return Checkpoints("darts-2nd", 0, next(CHECKPOINTS.iterdir()).name)


def _checkpoint() -> str:
    progress = _held().newest()
    if progress is None:
        return "from the start"
    weights = [value.numpy().tobytes() for value in progress.search["weights"].values()]
    return hashlib.sha256(b"".join(weights) + f"{progress.epochs}{progress.alpha}".encode()).hexdigest()


def _either_checkpoint() -> list[str]:
    newest = _held()._paths()[0]
    content = newest.read_bytes()
    found = [_checkpoint()]
    newest.unlink()
    found.append(_checkpoint())
    newest.write_bytes(content)
    return found


def _unfinished() -> None:
    for found in unfinished():
        assert found.folder.parent == CHECKPOINTS
        assert found.folder.is_dir()
        assert found.epochs == 2


def _known() -> dict[str, Method]:
    with patch("harness.board.known_methods._are_loaded", return_value=False):
        return known_methods(load_board())


def _images() -> str:
    arrays = load_cached(IMAGES)
    pixels = hashlib.sha256(arrays.train_images.tobytes() + arrays.train_labels.tobytes()).hexdigest()
    return pixels + arrays.description.model_dump_json()


def _truth() -> str:
    truth = Truth.read(TRUTH_FILE)
    return hashlib.sha256(truth.frame.to_csv().encode()).hexdigest() + truth.provenance.model_dump_json()


def _tracked() -> str:
    tracked = read_tracked()
    return tracked.link("darts", 0) + tracked.message


def _published() -> str:
    published = read_published(PUBLISHED)
    return published.load().finished.to_csv() + published.board.model_dump_json()


def _locks() -> None:
    assert not is_running("darts", 0)
    with run_lock("darts", 0):
        pass


def _table(name: str, trial_column: str | None = None) -> Callable[[], Any]:
    column = AccuracyColumn(data_set="cifar10", split="test", epochs=200)
    path = Path("sources/tables") / name
    return lambda: import_table(path, "cell", {"accuracy": column}, trial_column=trial_column, allow_partial=True)


def _source(kind: str, path: str) -> Callable[[], Any]:
    settings = TruthSettings.model_validate({"source": kind, "path": path, "partial": True})
    output = Path("sources/output.parquet")

    def read() -> Truth:
        import_truth(settings, output)
        return Truth.read(output)

    return read


def _decoded(name: str, path: str) -> Callable[[], Any]:
    settings = {**TINY_PROTOCOL["data"], "name": name, "path": path, "image_size": 16, "limit": None}
    return lambda: decode(DataSettings.model_validate(settings))


def _split() -> Any:
    return split_images(SplitSettings(kind="file", file="sources/split.json"), 10, 0)


# What makes the checksums fit


def _vouch_run(path: Path) -> None:
    sums = json.loads((RUN / CHECKSUMS).read_text())
    if path.name != CHECKSUMS and path.stat().st_size:
        (RUN / CHECKSUMS).write_text(json.dumps(sums | {path.name: file_checksum(path)}))


def _vouch_checkpoint(path: Path) -> None:
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    path.rename(path.with_name(f"{path.name.split('.')[0]}.{checksum}.pt"))


def _vouch_published(path: Path) -> None:
    rewrite(PUBLISHED)


def _one(path: str | Path) -> Callable[[], list[Path]]:
    return lambda: [Path(path)]


def _all(pattern: str) -> Callable[[], list[Path]]:
    return lambda: sorted(path for path in Path().glob(pattern) if path.is_file())


def _locks_files() -> list[Path]:
    folder = Path(".dartsboard/locks")
    for name in ("darts-seed-0.lock", "darts-seed-0.owner"):
        (folder / name).write_text("1234")
    return [folder / "darts-seed-0.lock", folder / "darts-seed-0.owner"]


def targets() -> list[Target]:
    """Return every kind of file; some twice, for they are read in two ways."""
    by_bytes, json_, yaml = mutations.of_bytes, mutations.of_json, mutations.of_yaml
    nats, imagenet16 = _source("nats-bench", "sources/nats"), _decoded("imagenet16-120", "sources/imagenet16")
    old, zip_, parquet = _source("nas-bench-201", OLD), _source("nas-bench-201", ZIP), _table("means.parquet")
    cells, batches = _all("sources/nats/*"), _all("sources/imagenet16/*")
    checkpoints = _all(f"{CHECKPOINTS}/*/*.pt")
    published, vouch = _all(f"{PUBLISHED}/results/*.parquet"), _vouch_published
    return [
        Target("params.yaml", damaged(_one("params.yaml"), yaml, _board)),
        Target("params.yaml, by the command", damaged(_one("params.yaml"), yaml, _command("status"))),
        Target("params.yaml, changed", damaged(_one("params.yaml"), yaml, _changed_board)),
        Target("record", damaged(_one(RUN / "record.json"), json_, _run), _just(_run)),
        Target("run", damaged(_all(f"{RUN}/*"), by_bytes, _run), _just(_run)),
        Target("record, vouched for", damaged(_one(RUN / "record.json"), json_, _run, _vouch_run)),
        Target("run, vouched for", damaged(_all(f"{RUN}/*.parquet"), by_bytes, _run, _vouch_run)),
        Target("run, by the command", damaged(_all(f"{RUN}/*"), by_bytes, _command("status"))),
        Target("checkpoint", damaged(checkpoints, by_bytes, _checkpoint), _either_checkpoint),
        Target("checkpoint, vouched for", damaged(checkpoints, by_bytes, _checkpoint, _vouch_checkpoint)),
        Target("checkpoint's owner", damaged(_all(f"{CHECKPOINTS}/*/run.json"), json_, _unfinished)),
        Target("known methods", damaged(_one(KNOWN_METHODS), json_, _known), _just(_known)),
        Target("images", damaged(_all(f"{IMAGES}/*.npy"), by_bytes, _images), _just(_images)),
        Target("images' description", damaged(_one(IMAGES / "description.json"), json_, _images), _just(_images)),
        Target("truth table", damaged(_one(TRUTH_FILE), by_bytes, _truth), _just(_truth)),
        Target("tracked.json", damaged(_one(TRACKED), json_, _tracked)),
        Target("locks", damaged(_locks_files, by_bytes, _locks)),
        Target("results", damaged(_all(f"{RESULTS}/*.parquet"), by_bytes, _results)),
        Target("results' JSON", damaged(_all(f"{RESULTS}/*.json"), json_, _results)),
        Target("published board", damaged(_all(f"{PUBLISHED}/results/*"), by_bytes, _published), _just(_published)),
        Target("published board, vouched for", damaged(_all(f"{PUBLISHED}/results/*"), by_bytes, _published, vouch)),
        Target("published.json", damaged(_one(PUBLISHED / MANIFEST), json_, _published)),
        Target("published params.yaml", damaged(_one(PUBLISHED / "params.yaml"), yaml, _published, vouch)),
        Target("odd tables of a published board", damaged(published, odd_tables.in_parquet, _published, vouch)),
        Target("NAS-Bench-201, old", damaged(_one(OLD), by_bytes, old)),
        Target("NAS-Bench-201, zip", damaged(_one(ZIP), by_bytes, zip_)),
        Target("NATS-Bench", damaged(cells, by_bytes, nats)),
        Target("NATS-Bench, decompressed", damaged(cells, _inside_bz2, nats)),
        Target("CSV", damaged(_one("sources/tables/means.csv"), by_bytes, _table("means.csv"))),
        Target("CSV of trainings", damaged(_one("sources/tables/trials.csv"), by_bytes, _table("trials.csv", "run"))),
        Target("CSV, compressed", damaged(_one("sources/tables/means.csv.gz"), by_bytes, _table("means.csv.gz"))),
        Target("Parquet", damaged(_one("sources/tables/means.parquet"), by_bytes, _table("means.parquet"))),
        Target("ImageNet16", damaged(batches, by_bytes, imagenet16)),
        Target("pictures", damaged(_all("sources/pictures/*/*/*"), by_bytes, _decoded("folder", "sources/pictures"))),
        Target("split file", damaged(_one("sources/split.json"), json_, _split)),
        Target("pickles in NATS-Bench", damaged(cells, hostile_pickles.in_bz2, nats)),
        Target("pickles in NAS-Bench-201, old", damaged(_one(OLD), hostile_pickles.in_old_pth, old)),
        Target("pickles in NAS-Bench-201, zip", damaged(_one(ZIP), hostile_pickles.in_zip_pth, zip_)),
        Target("pickles in ImageNet16", damaged(batches, hostile_pickles.alone, imagenet16)),
        Target("odd tables of a run", damaged(_all(f"{RUN}/*.parquet"), odd_tables.in_parquet, _looked_up, _vouch_run)),
        Target("odd tables of results", damaged(_all(f"{RESULTS}/*.parquet"), odd_tables.in_parquet, _results)),
        Target("odd table of the truth", damaged(_one(TRUTH_FILE), odd_tables.in_parquet, _looked_up)),
        Target("odd CSV", damaged(_one("sources/tables/means.csv"), odd_tables.in_csv, _table("means.csv"))),
        Target("odd Parquet", damaged(_one("sources/tables/means.parquet"), odd_tables.in_parquet, parquet)),
        Target("arguments", lambda random: _command(*hostile_arguments.arguments(random))),
    ]  # fmt: skip


def _results() -> None:
    load_results(RESULTS)


def _looked_up() -> None:
    look_up(load_board(), Truth.read(), RESULTS)


def _inside_bz2(content: bytes, random: Random) -> bytes:
    return bz2.compress(mutations.of_bytes(bz2.decompress(content), random))
