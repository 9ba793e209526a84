"""A disk that is full at any write: one sentence, nothing half-written, and afterwards the search goes on."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.searching import REFUSED, assert_nothing_half_written, assert_same, finish, prepare, result, start

EPOCHS = 3


@pytest.fixture
def undisturbed(project: Path):
    prepare(EPOCHS)
    finish(project)
    found = result()
    shutil.rmtree("runs")
    return found


@pytest.mark.parametrize("largest_file", [0, 100, 5_000, 20_000])
def test_no_file_may_grow(project: Path, undisturbed, largest_file: int) -> None:
    process = start(project, largest_file=largest_file)
    process.join(60)
    assert process.exitcode == REFUSED
    assert not Path("runs/darts/seed-0").exists()
    assert_nothing_half_written()
    finish(project)
    assert_same(result(), undisturbed)


@pytest.fixture
def small_disk(project: Path) -> Iterator[Path]:
    """A file system of one megabyte under .dartsboard and runs."""
    disk = project / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 8_192, 65_536, 131_072, 262_144])
def test_a_small_file_system(undisturbed, small_disk: Path, project: Path, room: int) -> None:
    for name in (".dartsboard", "runs"):
        shutil.rmtree(name, ignore_errors=True)
        (small_disk / name).mkdir()
        Path(name).symlink_to(small_disk / name, target_is_directory=True)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"0" * (shutil.disk_usage(small_disk).free - room))
    process = start(project)
    process.join(60)
    assert process.exitcode in (0, REFUSED)
    assert not list(small_disk.rglob("*.partial"))
    if process.exitcode == 0:
        assert room > 0
    ballast.unlink()
    finish(project)
    assert_same(result(), undisturbed)
