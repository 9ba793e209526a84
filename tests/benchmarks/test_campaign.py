import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement
from PIL import Image

from benchmarks.campaign import ROOT, WHEELS, importable, main, read_images
from harness.base.errors import UserError
from harness.board.runner import run_search
from harness.images.decoded import IMAGES, read_description
from harness.records.checkpoint import CHECKPOINTS, unfinished
from harness.records.record import read_record
from harness.settings.protocol import load_board
from harness.space.cell import CELL_COUNT, Cell
from tests.conftest import tiny_params, write_params
from tests.harness.fleet.test_group import assert_same_record, record_of

BASE = ("torch", "numpy", "pandas", "pyarrow")
"""What a lent machine has, with what these need."""
CARRIED = ("annotated-types", "filelock", "pydantic", "pydantic-core", "ruamel.yaml")
CARRIED += ("typing-extensions", "typing-inspection")


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


def write_parquet(path: Path, train: int = 8) -> None:
    rows = [
        {"split": split, "label": label, "name": f"{number}.jpg", "jpeg": jpeg(100 * position + number)}
        for split, numbers in (("train", range(train)), ("test", range(train, train + 2)))
        for position, label in enumerate(("truck", "cat", "dog", "ship", "frog"))
        for number in reversed(numbers)
    ]
    pd.DataFrame(rows).to_parquet(path)


def write_truth(path: Path) -> None:
    values = [10.0 if index == 1651 else 50.0 + index % 40 for index in range(CELL_COUNT)]
    pd.DataFrame({"which": range(CELL_COUNT), "score": values}).to_csv(path, index=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images, settings and true accuracies, as the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    content = tiny_params(protocol="quick")
    content["protocols"]["quick"] = {**content["protocols"]["tiny"], "epochs": 99}
    content["protocols"]["tiny"]["data"] |= {"name": "cifar10", "path": "data/cifar10"}
    content["protocols"]["tiny"]["batch_size"] = 10
    write_params(tmp_path, content)
    write_parquet(tmp_path / "images.parquet")
    return tmp_path


def arguments(command: str, source: str, output: str, *more: str) -> list[str]:
    return [command, source, output, "--params", "params.yaml", "--protocol", "tiny", *more]


def run(*more: str, output: str = "campaign") -> int:
    return main(arguments("run", "images.parquet", output, "--variants", "darts", "--workers", "2", *more))


@pytest.mark.slow
def test_two_short_calls_end_where_the_plain_command_ends(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = 20
    content = load_board().model_dump(mode="json")
    content["protocols"]["tiny"]["epochs"] = epochs
    write_params(place, content)
    write_truth(place / "truth.csv")
    checkpoints = Path("campaign") / CHECKPOINTS
    minutes = 0.01
    while not list(checkpoints.glob("*/*.pt")):  # until there is time for some epochs, and not for all
        assert run("--seeds", "0-2", "--minutes", str(minutes)) == 0
        minutes *= 1.1
    begun = {found.seed: found.epochs for found in unfinished(checkpoints)}
    assert all(0 < count < epochs for count in begun.values())
    assert not list(Path("campaign/runs").rglob("record.json"))
    page = capsys.readouterr().out
    for seed in range(3):
        assert f"- darts seed {seed}: {begun.get(seed, 0)} of {epochs} epochs are done\n" in page

    truth = ("--truth", "truth.csv", "--cell-column", "which", "--column", "score=cifar10/test/200")
    assert run("--seeds", "0-2", *truth) == 0
    page = Path("campaign/campaign.md").read_text()
    assert capsys.readouterr().out.endswith(page + "\n")
    assert "Left to run:\n\n- nothing\n" in page
    monkeypatch.chdir(place / "campaign")
    together = [record_of(("darts", seed)) for seed in range(3)]
    for seed, (content, *_) in enumerate(together):
        accuracy = 50 + Cell.from_string(content["cell"]).index % 40
        shown = [line for line in page.splitlines() if line.startswith(f"| darts | {seed} | done | {epochs} | ")]
        assert len(shown) == 1
        assert shown[0].endswith(f"| {accuracy:.2f} |")
        assert content["cell"].replace("|", "\\|") in shown[0]
    assert f"torch {read_record(Path('runs/darts/seed-0')).environment.torch}" in page

    monkeypatch.chdir(place)
    content = tiny_params()
    content["protocols"]["tiny"] = load_board().protocols["tiny"].model_dump(mode="json")
    assert main(arguments("prepare", "images.parquet", f"plain/{IMAGES}")) == 0
    write_params(place / "plain", content)
    monkeypatch.chdir(place / "plain")
    run_search(load_board(), "darts", 0)
    assert_same_record(record_of(("darts", 0)), together[0])


def test_a_signal_writes_the_table_and_says_what_is_left(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = tiny_params()
    content["protocols"]["tiny"] = load_board().protocols["tiny"].model_dump(mode="json") | {"epochs": 1000}
    write_params(place, content)

    checkpoints = place / "campaign" / CHECKPOINTS

    def send() -> None:
        deadline = time.monotonic() + 60
        while not list(checkpoints.glob("*/*.pt")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    assert run("--seeds", "0") == 143
    sender.join()
    assert " of 1000 epochs are done" in capsys.readouterr().out
    assert "No search has ended yet." in Path("campaign/campaign.md").read_text()


def requirements(names: Iterable[str]) -> set[str]:
    """The distributions, and all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = map(Requirement, distribution(name).requires or [])
            waiting += [need.name for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def parts(found: Distribution) -> list[str]:
    return sorted({file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")})


def bare_site(folder: Path, base: Iterable[str] = BASE, carried: Iterable[str] = CARRIED) -> None:
    """The packages of a machine that has torch, numpy, pandas and pyarrow, and lacks what is carried."""
    folder.mkdir(exist_ok=True)
    for name in requirements(base) - set(carried):
        for part in parts(distribution(name)):
            if not (folder / part).exists():
                (folder / part).symlink_to(str(distribution(name).locate_file(part)))


def wheels(folder: Path, carried: Iterable[str] = CARRIED) -> None:
    """The installed packages as wheels again."""
    folder.mkdir(exist_ok=True)
    for name in carried:
        found = distribution(name)
        with zipfile.ZipFile(folder / f"{name}-{found.version}-py3-none-any.whl", "w") as archive:
            for part in parts(found):
                root = Path(str(found.locate_file(part)))
                for file in [root] if root.is_file() else sorted(root.rglob("*")):
                    if file.is_file() and file.suffix != ".pyc":
                        archive.write(file, file.relative_to(root.parent))


def test_what_can_be_imported_can_be_so_in_new_processes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    (tmp_path / "only_here.py").touch()
    process = [sys.executable, "-c", "import only_here"]
    with importable(tmp_path):
        import only_here  # noqa: F401

        assert subprocess.run(process, cwd="/", check=False).returncode == 0
    assert os.environ["PYTHONPATH"] == "elsewhere"
    assert str(tmp_path) not in sys.path
    assert subprocess.run(process, cwd="/", check=False, stderr=subprocess.DEVNULL).returncode == 1


@pytest.mark.slow
def test_a_bare_machine_needs_the_wheels_and_nothing_else(place: Path) -> None:
    bare_site(place / "site")
    wheels(place / "wheels")
    assert main(arguments("prepare", "images.parquet", "images")) == 0
    environment = {**os.environ, "PYTHONPATH": str(place / "site"), "OMP_NUM_THREADS": "1"}

    def on_the_machine(*more: str) -> subprocess.CompletedProcess[str]:
        script = str(ROOT / "benchmarks" / "campaign.py")
        options = ("--variants", "darts", "--seeds", "0", *more)
        command = [sys.executable, "-S", script, *arguments("run", "images", "campaign", *options)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    without = on_the_machine()
    assert without.returncode == 2
    assert without.stderr == f"error: {', '.join(WHEELS)} cannot be imported: give the wheels by --wheels DIR\n"
    result = on_the_machine("--wheels", "wheels")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "| darts | 0 | done | 3 | " in result.stdout
    assert not list(place.glob("wheels-*"))


class TestImages:
    def test_all_forms_give_the_same_images(self, place: Path) -> None:
        table = pd.read_parquet("images.parquet")
        for row in table.itertuples():
            file = place / "folder" / row.split / row.label / row.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(row.jpeg)
        for source in ("images.parquet", "folder"):
            assert main(arguments("prepare", source, f"decoded-{source}")) == 0
        one, other = read_description(Path("decoded-images.parquet")), read_description(Path("decoded-folder"))
        assert one.sha256 == other.sha256
        assert one.classes == other.classes == ("cat", "dog", "frog", "ship", "truck")
        assert (one.name, one.path, one.train_count, one.test_count) == ("cifar10", "data/cifar10", 40, 10)

    def test_a_folder_of_batches_goes_to_the_reader_of_cifar(self, place: Path) -> None:
        (place / "batches" / "cifar-10-batches-py").mkdir(parents=True)
        with pytest.raises(UserError, match="batches/cifar-10-batches-py/data_batch_1 is missing"):
            read_images(Path("batches"), load_board().protocols["tiny"].data)

    @pytest.mark.parametrize("damage", ["missing", "no parquet", "columns", "jpeg", "no train", "sizes"])
    def test_what_will_not_do_is_told(self, place: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
        table, path = pd.read_parquet("images.parquet"), Path("images.parquet")
        if damage == "missing":
            path.unlink()
        elif damage == "no parquet":
            path.write_text("nothing")
        elif damage == "columns":
            table.drop(columns="label").to_parquet(path)
        elif damage == "jpeg":
            table.assign(jpeg=[b"nothing", *table["jpeg"][1:]]).to_parquet(path)
        elif damage == "no train":
            table[table["split"] == "test"].to_parquet(path)
        else:
            file = io.BytesIO()
            Image.new("RGB", (9, 8)).save(file, "JPEG")
            table.assign(jpeg=[file.getvalue(), *table["jpeg"][1:]]).to_parquet(path)
        assert main(arguments("prepare", "images.parquet", "images")) == 2
        errors = capsys.readouterr().err
        assert errors.startswith("error: images.parquet")
        assert errors.count("\n") == 1
        assert not Path("images").exists()

    def test_a_folder_with_other_images_is_not_replaced(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(arguments("prepare", "images.parquet", f"campaign/{IMAGES}")) == 0
        assert run("--seeds", "0") == 2
        assert "holds other images" in capsys.readouterr().err
        shutil.rmtree("campaign")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--seeds", "x"], "--seeds 'x': expected numbers"),
        (["--seeds", "0", "--protocol", "tinny"], "there is no protocol 'tinny' in params.yaml, did you mean 'tiny'?"),
        (["--seeds", "0", "--variants", "dart"], "there is no variant 'dart', did you mean 'darts'?"),
        (["--seeds", "0", "--truth", "absent.csv", "--cell-column", "a", "--column", "b=cifar10/test/200"], "absent"),
        (["--seeds", "0", "--truth", "absent.csv"], "needs the keys cell_column and columns"),
    ],
)
def test_a_mistake_is_one_sentence(
    place: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*options) == 2
    errors = capsys.readouterr().err
    assert sentence in errors
    assert errors.count("\n") == 1
    assert not Path("campaign/runs").exists()
