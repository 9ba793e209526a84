"""A disk that is full at any write: one sentence, nothing half-written, and afterwards the search goes on."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.records.record import read_record
from tests.commands import in_a_process
from tests.faults.searching import REFUSED, assert_nothing_half_written, assert_same, finish, prepare, result, start

EPOCHS = 3


@pytest.fixture
def undisturbed(project: Path):
    prepare(EPOCHS)
    finish(project)
    found = result()
    shutil.rmtree("runs")
    return found


@pytest.mark.parametrize("largest_file", [0, pytest.param(100, marks=pytest.mark.slow), 5_000, 20_000])
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


@pytest.mark.parametrize(
    "room",
    [0, 8_192, pytest.param(65_536, marks=pytest.mark.slow), 131_072, pytest.param(262_144, marks=pytest.mark.slow)],
)
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


# By the command


def assert_told(status: int, errors: str, beginning: str, end: str) -> None:
    assert status == 2
    assert errors.startswith(beginning)
    assert errors.endswith(end)
    assert errors.count("\n") == 1


class TestByTheCommand:
    """Nothing half-written is left, and with space again the run goes through."""

    @pytest.mark.slow
    def test_a_file_size_limit_while_a_record_is_written(self, project: Path) -> None:
        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        status, errors = in_a_process(project, "search", "random-search", "--seed", "0", prepare=limited)
        assert_told(status, errors, "error: runs/random-search/seed-0 could not be written: ", "File too large\n")
        assert not list((project / "runs").rglob("*.*"))
        assert in_a_process(project, "search", "random-search", "--seed", "0")[0] == 0

    @pytest.mark.slow
    def test_a_full_disk_while_a_record_is_written(self, project: Path) -> None:
        runs = project / "runs"
        runs.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(runs)], capture_output=True)
        if mounted.returncode:
            pytest.skip("needs the right to mount a file system of 1 MB")
        try:
            self._fill(runs / "filler", left=8192)
            status, errors = in_a_process(project, "search", "darts", "--seed", "0")
            assert_told(status, errors, "error: runs/darts/seed-0 could not be written: ", "No space left on device\n")
            assert [path.name for path in runs.rglob("*") if path.is_file()] == ["filler"]
            (runs / "filler").unlink()
            assert in_a_process(project, "search", "darts", "--seed", "0") == (0, "")
            assert read_record(runs / "darts" / "seed-0").status == "done"
        finally:
            subprocess.run(["umount", str(runs)], check=True)

    @staticmethod
    def _fill(path: Path, left: int) -> None:
        with path.open("wb") as file:
            file.write(bytes(shutil.disk_usage(path.parent).free - left))
