"""One run from settings to record: lock, resume, search, write."""

import inspect
import time
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.base.determinism import deterministic_algorithms
from harness.base.errors import UserError, in_one_line
from harness.base.files import check_place_of_folder
from harness.base.processor import bfloat16_instructions
from harness.board.identity import Inputs, Method, fingerprint_of
from harness.board.run_lock import run_lock
from harness.board.source_code import BASELINE_ENTRIES, SEARCH_ENTRIES, code_hash
from harness.images.decoded import IMAGES, ImageArrays, check_cached, load_cached
from harness.records import record
from harness.records.checkpoint import Checkpoints, Progress
from harness.records.environment import current_environment
from harness.records.record import RUNS, Record, Status, read_record, read_whole_run, run_folder, write_run
from harness.search import baseline, registry
from harness.search.derivation_study import draw_cells, studied_cells
from harness.settings.protocol import Board, Protocol
from harness.settings.validation import Settings
from harness.truth.table import TRUTH_FILE, Truth

if TYPE_CHECKING:
    from harness.search.loop import Search
    from harness.search.variant import Variant

OnEpoch = Callable[[dict[str, Any], int], None]
"""(row of epochs.parquet, epochs in all) -> None."""


def source_file(method: registry.Method) -> Path:
    """Return the file that a method is written in."""
    return Path(inspect.getfile(method)).resolve()


@cache
def method_code_hash(name: str) -> str:
    """Return the version of the code that the runs of a method depend on, as it was when first asked for.

    A process runs the code that it has loaded: what changes in the files later is not in its results.
    """
    method = registry.method(name)
    entries = BASELINE_ENTRIES if issubclass(method, baseline.Baseline) else SEARCH_ENTRIES
    return code_hash(*entries, source_file(method))


def identified_methods(board: Board) -> dict[str, Method]:
    """Return what the runs of each method of the board depend on, after all checks of its names and settings.

    Raises:
        UserError: see `registry.check_board`.
    """
    registry.check_board(board)
    return {name: _identified(board, name) for name in (*board.variants, *board.baselines)}


def _identified(board: Board, name: str) -> Method:
    return Method(
        settings=registry.settings_of(board, name).model_dump(mode="json"),
        code=method_code_hash(name),
        on_truth=issubclass(registry.method(name), baseline.Baseline),
    )


def fingerprint(board: Board, name: str, seed: int, inputs: Inputs | None = None) -> str:
    """Return the hash of everything that a run's result depends on.

    Args:
        board: the settings.
        name: of the method.
        seed: of the run.
        inputs: of the board, where many runs are asked for; None to read them for this one.

    Raises:
        UserError: the method or its settings are invalid, or its data or truth is missing.
    """
    return fingerprint_of(board, name, _identified(board, name), seed, inputs or Inputs(board))


def run_search(
    board: Board, name: str, seed: int, on_epoch: OnEpoch = lambda row, epochs: None, root: Path = RUNS
) -> Record:
    """Search with one variant and one seed, resuming where an earlier process was killed; write its record below root.

    A run that is finished already is returned as it is. A search that raises leaves a record with the status
    `failed`; one whose loss or alpha is no number any more, `diverged`.

    Raises:
        UserError: bad settings, missing data, or another process at the same run.
    """
    variant = registry.made(board, name)
    check_cached(IMAGES, board.chosen.data)
    identity = fingerprint(board, name, seed)
    folder = run_folder(name, seed, root)
    with run_lock(name, seed):
        finished = finished_run(folder, identity)
        if finished is not None:
            return finished
        check_place_of_folder(folder)
        checkpoints = Checkpoints(name, seed, identity)
        run = _Run(board, variant, variant.settings, seed, identity, checkpoints, folder)
        run.go(on_epoch)
        return read_record(folder)


def finished_run(folder: Path, identity: str) -> Record | None:
    """Return the record of the run in a folder if it is whole, has this fingerprint and did not fail."""
    try:
        found = read_whole_run(folder)
    except UserError:
        return None
    return found if found.fingerprint == identity and found.status != "failed" else None


class _Run:
    """The life of one search in this process."""

    def __init__(
        self,
        board: Board,
        variant: "Variant",
        settings: Settings,
        seed: int,
        identity: str,
        checkpoints: Checkpoints,
        folder: Path,
    ):
        self.board = board
        self.variant = variant
        self.settings = settings
        self.seed = seed
        self.identity = identity
        self.checkpoints = checkpoints
        self.folder = folder
        self.epochs: list[dict[str, Any]] = []
        self.alpha: list[dict[str, Any]] = []
        self.one_shot: list[dict[str, Any]] = []
        self.draws: dict[str, int] = {}
        self.notes: list[str] = []
        self.without_fixed_order: list[str] = []
        """Operations of this search that have no deterministic algorithm on its device."""

    def go(self, on_epoch: OnEpoch) -> None:
        protocol = self.board.chosen
        on_cuda = choose_device(protocol.device).type == "cuda"
        with deterministic_algorithms(protocol.deterministic and on_cuda) as self.without_fixed_order:
            self._go(on_epoch)

    def _go(self, on_epoch: OnEpoch) -> None:
        search: Search | None = None
        try:
            search = self._resumed()
            status, reason = self._loop(search, on_epoch)
            derived = self._derive(search) if status != "diverged" else {}
        except UserError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._write("failed", reason, {}, search, traceback.format_exc())
            return
        self._write(status, reason, derived, search)
        self.checkpoints.remove()

    def _resumed(self) -> "Search":
        search = start_search(self.variant, self.board.chosen, self.seed)
        progress = self.checkpoints.newest()
        if progress is None:
            return search
        try:
            search.load_state(progress.search)
        except Exception as error:
            if isinstance(error, MemoryError) or "memory" in str(error):
                raise
            # It fits neither this program nor this torch, and never will.
            self.notes.append(f"began anew: its checkpoint does not fit ({type(error).__name__}: {in_one_line(error)})")
            self.checkpoints.remove()
            self.variant = type(self.variant)(self.settings, self.board.chosen)
            return start_search(self.variant, self.board.chosen, self.seed)
        self.epochs, self.alpha, self.one_shot = progress.epochs, progress.alpha, progress.one_shot
        return search

    def _loop(self, search: "Search", on_epoch: OnEpoch) -> tuple[Status, str | None]:
        total = self.board.chosen.epochs
        while search.epoch < total and search.stop_reason is None:
            row = search.run_epoch()
            if not search.finite:
                return "diverged", f"loss or alpha is not finite in epoch {search.epoch}"
            self.epochs.append(row)
            self.alpha.extend(search.alpha_rows)
            self.one_shot.extend(search.one_shot_rows)
            if self.checkpoints.due:
                self._save(search)
            try:
                on_epoch(row, total)
            except BaseException:
                self._save(search)  # who ends it between two epochs loses nothing
                raise
        return ("done", None) if search.stop_reason is None else ("stopped", search.stop_reason)

    def _save(self, search: "Search") -> None:
        self.checkpoints.save(Progress(search.state(), self.epochs, self.alpha, self.one_shot))

    def _derive(self, search: "Search") -> dict[str, str]:
        own, rules = search.derive()
        draws = draw_cells(search)
        self.draws = {str(cell): count for cell, count in draws.items()}
        rules |= studied_cells(search, draws)
        return {"variant": str(own), **{rule: str(cell) for rule, cell in rules.items()}}

    def _write(
        self,
        status: Status,
        reason: str | None,
        derived: dict[str, str],
        search: "Search | None",
        trace: str | None = None,
    ) -> None:
        name = self.variant.name
        device = search.device.type if search else "cpu"
        same_bits = device == "cpu" or (self.board.chosen.deterministic and not self.without_fixed_order)
        unordered = [f"{each} has no deterministic algorithm on {device}" for each in self.without_fixed_order]
        notes = self.notes + unordered + (slower_on_this_processor(self.board.chosen) if device == "cpu" else [])
        content = Record(
            variant=name,
            seed=self.seed,
            kind="search",
            strategy=self.variant.strategy,
            status=status,
            reason=reason,
            traceback=trace,
            notes=notes,
            protocol=self.board.protocol,
            settings=self.settings.model_dump(mode="json"),
            protocol_settings=self.board.chosen.model_dump(mode="json"),
            fingerprint=self.identity,
            epochs=len(self.epochs),
            cell=derived.get("variant"),
            derived=derived,
            draws=self.draws,
            seconds=sum(row["seconds"] for row in self.epochs) + (search.seconds_of_answer if search else 0.0),
            peak_memory_bytes=max((row["peak_memory_bytes"] for row in self.epochs), default=0),
            forward_backward_passes=search.passes if search else 0.0,
            environment=current_environment(device, same_bits),
        )
        epochs = pd.DataFrame(self.epochs, columns=None if self.epochs else list(record.EPOCH_COLUMNS))
        tables = [pd.DataFrame(rows) if rows else None for rows in (self.alpha, self.one_shot)]
        write_run(self.folder, content, epochs, *tables)


def start_search(variant: "Variant", protocol: Protocol, seed: int, images: ImageArrays | None = None) -> "Search":
    """Build a search at its beginning, on the decoded images of the project unless others are given.

    Raises:
        UserError: the device or the data is not there.
    """
    import torch

    from harness.images.batches import SearchData
    from harness.networks.cuda_graphs import check_cuda
    from harness.search.loop import DTYPES, Search

    torch.set_num_threads(protocol.threads)
    device = choose_device(protocol.device)
    if protocol.network.cuda_graphs:
        check_cuda(device)
    tf32 = protocol.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32  # which torch allows unless told otherwise
    data = SearchData(
        load_cached(IMAGES) if images is None else images,
        protocol.data,
        batch_size=protocol.batch_size,
        device=device,
        dtype=DTYPES[protocol.precision],
        seed=seed,
        epochs=protocol.epochs,
        valid_batches=protocol.alpha.batches,
    )
    return Search(variant, protocol, data, seed)


def slower_on_this_processor(protocol: Protocol) -> list[str]:
    """Return what a reader of a search on this processor must know: that its precision has no instructions here."""
    if protocol.precision != "bfloat16" or bfloat16_instructions() != []:
        return []
    return ["bfloat16 was computed by a processor without instructions for it: float32 would have been faster"]


def choose_device(name: str) -> Any:
    """Return the torch device of the protocol's `device`.

    Raises:
        UserError: `cuda` is asked for and there is none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("protocol device 'cuda': torch finds no CUDA device here, expected one or device: auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def run_method(
    board: Board, name: str, seed: int, on_epoch: OnEpoch = lambda row, epochs: None, root: Path = RUNS
) -> Record:
    """Run a variant or a baseline with one seed; its record is left below root.

    Raises:
        UserError: see `run_search` and `run_baseline`.
    """
    if issubclass(registry.method(name), baseline.Baseline):
        return run_baseline(board, name, seed, root)
    return run_search(board, name, seed, on_epoch, root)


def check_truth(names: Iterable[str]) -> None:
    """Check that the truth table has the training lengths that baselines need; what needs one only is not asked.

    Raises:
        UserError: it has fewer, or there is none; or a package that a baseline needs is not installed.
    """
    demanding = [method for method in map(registry.baseline, names) if method.lengths > 1]
    if demanding:
        truth = Truth.read(TRUTH_FILE)
        for method in demanding:
            baseline.check_lengths(truth, method)


def run_baseline(board: Board, name: str, seed: int, root: Path = RUNS) -> Record:
    """Run one baseline with one seed on the truth table and write its record below root.

    Raises:
        UserError: bad settings, missing truth or one of too few training lengths, or another process at the same run.
    """
    method = registry.baseline(name)
    settings: Any = registry.settings_of(board, name)
    truth = Truth.read(TRUTH_FILE)
    baseline.check_lengths(truth, method)
    identity = fingerprint(board, name, seed)
    folder = run_folder(name, seed, root)
    with run_lock(name, seed):
        finished = finished_run(folder, identity)
        if finished is not None:
            return finished
        check_place_of_folder(folder)
        started = time.perf_counter()
        operations = board.chosen.operations
        signal = baseline.search_signal(truth, settings.signal, operations, every_length=method.lengths > 1)
        rows = baseline.run_baseline(method, settings, seed, signal, operations)
        answer = str(rows["cell"].iloc[-1])
        content = Record(
            variant=name,
            seed=seed,
            kind="baseline",
            strategy=method.strategy,
            status="done",
            notes=list(signal.notes),
            protocol=board.protocol,
            settings=settings.model_dump(mode="json"),
            protocol_settings={"operations": list(board.chosen.operations)},
            truth=truth.provenance.name,
            fingerprint=identity,
            epochs=len(rows),
            cell=answer,
            derived={"best": answer},
            seconds=time.perf_counter() - started,
            peak_memory_bytes=0,
            forward_backward_passes=0.0,
            environment=current_environment("cpu", deterministic=True),
        )
        write_run(folder, content, rows)
        return content
