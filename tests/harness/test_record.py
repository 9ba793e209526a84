"""What is read of a run's folder is what the run wrote, or one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import UserError
from harness.record import CHECKSUMS, SCHEMA_VERSION, read_record, read_table, run_folder, write_run
from tests.harness.tracking.runs import alpha_table, epochs_table, record_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = run_folder("darts", 0, tmp_path / "runs")
    write_run(folder, record_of("darts", 0), epochs_table(0), alpha_table(0))
    return folder


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    path.write_text('{"schema_version": 2}')


DAMAGES = [truncate, flip_a_bit, empty, replace_by_text, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["record.json", "epochs.parquet", "alpha.parquet", CHECKSUMS])
def test_any_damage_is_one_sentence(folder: Path, name: str, damage: Callable[[Path], None]) -> None:
    damage(folder / name)
    with pytest.raises(UserError, match="" if name == CHECKSUMS else name) as caught:
        read_record(folder)
        for table in ("epochs", "alpha"):
            read_table(folder, table)
    assert "\n" not in str(caught.value)


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_record(folder) == record_of("darts", 0)
    pd.testing.assert_frame_equal(read_table(folder, "epochs"), epochs_table(0))


def test_a_record_of_the_version_before_is_read(folder: Path) -> None:
    path = folder / "record.json"
    content = json.loads(path.read_text())
    (folder / CHECKSUMS).unlink()
    for version in (1, 0, SCHEMA_VERSION + 1, None):
        path.write_text(json.dumps(content | {"schema_version": version}))
        if version == 1:
            assert read_record(folder).cell == record_of("darts", 0).cell
            assert len(read_table(folder, "epochs")) == len(epochs_table(0))
            continue
        with pytest.raises(UserError, match=f"has schema version {version}, expected 1 or 2: run the search again"):
            read_record(folder)
