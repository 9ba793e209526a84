"""What is read of a run's folder is what the run wrote, or one sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from harness.base.errors import UserError
from harness.base.files import file_checksum
from harness.records.record import CHECKSUMS, SCHEMA_VERSION, read_record, read_table, run_folder, write_run
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


def test_a_record_that_calls_itself_older_is_compared_with_its_checksum_too(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 1, "cell": None}))
    with pytest.raises(UserError, match="is damaged: its content is not what the run wrote"):
        read_record(folder)


def test_what_was_written_is_read(folder: Path) -> None:
    assert read_record(folder) == record_of("darts", 0)
    pd.testing.assert_frame_equal(read_table(folder, "epochs"), epochs_table(0))


def as_version(folder: Path, version: object) -> None:
    """Write the record as a program of another version would have."""
    path = folder / "record.json"
    content = json.loads(path.read_text()) | {"schema_version": version}
    if version in (1, 2):
        content["environment"] = {key: value for key, value in content["environment"].items() if key not in NEW_IN_3}
    if version in (1, 2, 3):
        del content["truth"]
    path.write_text(json.dumps(content))
    checksums = json.loads((folder / CHECKSUMS).read_text()) | {path.name: file_checksum(path)}
    (folder / CHECKSUMS).write_text(json.dumps(checksums))


NEW_IN_3 = ("threads", "deterministic")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_record_of_an_earlier_version_is_read(folder: Path, version: int) -> None:
    as_version(folder, version)
    if version == 1:
        (folder / CHECKSUMS).unlink()
    record = read_record(folder)
    assert record.cell == record_of("darts", 0).cell
    assert record.environment.deterministic is None
    assert record.truth is None
    assert len(read_table(folder, "epochs")) == len(epochs_table(0))


@pytest.mark.parametrize("version", [0, None, "3", 1.5, True])
def test_a_record_of_no_known_version_is_to_be_made_again(folder: Path, version: object) -> None:
    as_version(folder, version)
    with pytest.raises(UserError, match=r"has schema version .*, expected 1 or 2 or 3 or 4: run the search again"):
        read_record(folder)


def test_a_record_of_a_later_version_asks_for_an_update(folder: Path) -> None:
    as_version(folder, SCHEMA_VERSION + 1)
    with pytest.raises(
        UserError, match=r"newer Dartsboard \(schema version 5, this one reads 1 or 2 or 3 or 4\): update"
    ):
        read_record(folder)


def test_a_checksum_is_asked_for_from_version_2_on(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()
    with pytest.raises(UserError, match=r"checksums\.json is missing"):
        read_record(folder)


def test_a_damaged_page_is_not_decoded_whoever_vouches_for_it(folder: Path) -> None:
    path = folder / "alpha.parquet"
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(content)
    checksums = json.loads((folder / CHECKSUMS).read_text()) | {path.name: file_checksum(path)}
    (folder / CHECKSUMS).write_text(json.dumps(checksums))
    with pytest.raises(UserError, match=r"alpha\.parquet is damaged \(.*CRC"):
        read_table(folder, "alpha")


def test_halves_of_letters_in_settings_become_what_can_be_written(folder: Path) -> None:
    path = folder / "record.json"
    odd = {"a\ud800": {"clip": ["\udfff", 1, None]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settings": odd, "protocol_settings": odd}))
    sums = json.loads((folder / CHECKSUMS).read_text())
    (folder / CHECKSUMS).write_text(json.dumps(sums | {path.name: file_checksum(path)}))
    record = read_record(folder)
    assert record.settings == record.protocol_settings == {"a?": {"clip": ["?", 1, None]}}
    assert record.model_dump_json()
