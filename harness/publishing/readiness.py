"""Whether a board can be published: it is finished, and results/ is what its runs and its truth say."""

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from harness.base.errors import UserError, first_of
from harness.base.files import read_json
from harness.base.masking import masked_address
from harness.base.parquet import read_parquet
from harness.board.lookup import look_up, read_results
from harness.board.sources import changed_sources
from harness.board.status import board_status
from harness.publishing.folder import STATUSES
from harness.records.record import Record, read_record, run_folder
from harness.results.columns import RESULT_COLUMNS, RESULTS
from harness.settings.protocol import Board
from harness.settings.validation import PARAMS_FILE
from harness.truth.table import TRUTH_FILE, Truth

TRUTH_KEYS = ("source", "table", "told_by", "file", "sha256", "cells", "missing_columns", "costs")
PROVENANCE_KEYS = ("schema_version", "protocol", "operations")
"""What truth.json and provenance.json must agree in with a look-up of today; the rest tells when and where it was."""
AGAIN = "run `dvc repro --force lookup`"
CLOSE = 1e-9
"""Relative difference that two machines may leave in a number of the same records."""


def check_board(board: Board) -> list[Record]:
    """Check that a board can be published as it is now, and return the records of its runs.

    Failed and diverged runs are results.

    Raises:
        UserError: it is unfinished, stale or damaged, its tables are not those of its runs, or a setting holds what is
            not for others.
    """
    uri = board.tracking.uri
    if uri is not None and masked_address(uri) != uri:
        raise UserError(
            f"{PARAMS_FILE}: tracking.uri has a user or a password, which a published board would show: set them in "
            "the environment (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD)"
        )
    for sentence in changed_sources(board):
        raise UserError(f"{sentence}: run `dvc repro`")
    _check_states(board)
    records = [read_record(run_folder(name, seed)) for name, seed in board.runs]
    truth = Truth.read(TRUTH_FILE)
    if truth.provenance.source != board.truth.source:
        raise UserError(
            f"{TRUTH_FILE} comes from {truth.provenance.source}, not from {board.truth.source}: run `dvc repro`"
        )
    _check_runs(board, records)
    _check_results(board, truth)
    return records


def _check_states(board: Board) -> None:
    unfinished = [run for run in board_status(board) if run.state not in STATUSES]
    if unfinished:
        named = first_of([f"{run.variant} seed {run.seed} is {run.state}" for run in unfinished])
        count = f"{len(unfinished)} of {len(board.runs)} runs"
        raise UserError(f"the board is not finished, {count} have no result of now: {named}; run `dvc repro`")


def _check_runs(board: Board, records: Iterable[Record]) -> None:
    """Check that results/ has the runs of today: a quick check, which can name those that it has otherwise."""
    table = read_results(RESULTS, "runs")
    known = {(row["variant"], row["seed"]): row["fingerprint"] for _, row in table.iterrows()}
    others = [
        f"{record.variant} seed {record.seed}"
        for record in records
        if known.pop((record.variant, record.seed), None) != record.fingerprint
    ]
    if others:
        raise UserError(f"{RESULTS} is older than the runs: it has not {first_of(others)} as now; {AGAIN}")
    if known:
        surplus = first_of([f"{name} seed {seed}" for name, seed in known])
        raise UserError(f"{RESULTS} has runs that the board does not name: {surplus}; {AGAIN}")


def _check_results(board: Board, truth: Truth) -> None:
    """Look the runs up again, and compare: what was changed by hand or by other code shows too."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / RESULTS.name
        look_up(board, truth, fresh)
        for name, keys in (("truth", TRUTH_KEYS), ("provenance", PROVENANCE_KEYS)):
            here, now = (read_json(place / f"{name}.json", again=f": {AGAIN}") for place in (RESULTS, fresh))
            for key in keys:
                if here.get(key) != now.get(key):
                    raise _out_of_date(f"{name}.json", f"{key} is another")
        for name in RESULT_COLUMNS:
            tables = [read_parquet(place / f"{name}.parquet", again=f": {AGAIN}") for place in (RESULTS, fresh)]
            difference = _difference(*tables)
            if difference:
                raise _out_of_date(f"{name}.parquet", difference)


def _out_of_date(file: str, difference: str) -> UserError:
    return UserError(f"{RESULTS / file} is not what a look-up of these runs gives now ({difference}): {AGAIN}")


def _difference(here: pd.DataFrame, now: pd.DataFrame) -> str:
    """Say what differs first; empty where nothing does."""
    if list(here) != list(now):
        return "it has other columns"
    if len(here) != len(now):
        return f"{len(here)} rows instead of {len(now)}"
    for column in here:
        if not _equal(here[column], now[column]):
            return f"the column {column} differs"
    return ""


def _equal(here: pd.Series, now: pd.Series) -> bool:
    if here.equals(now):
        return True
    if here.dtype == now.dtype == float:
        apart = (here - now).abs() > CLOSE * now.abs()
        return not apart.any() and bool((here.isna() == now.isna()).all())
    return all(map(_same, here, now))


def _same(one: Any, other: Any) -> bool:
    missing = [
        value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) for value in (one, other)
    ]
    return missing[0] and missing[1] if any(missing) else bool(one == other)
