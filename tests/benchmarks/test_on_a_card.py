import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import on_a_card
from benchmarks.on_a_card import ARCHIVE, IMAGES, main
from tests.benchmarks.test_campaign import BASE, CARRIED, ROOT, bare_site, wheels, write_parquet

TRAVELLING = (*CARRIED, "click", "rich", "markdown-it-py", "mdurl", "pygments", "tabulate")
PAGES = ("card_checks.md", "card_steps.md", "seeds_in_flight.md")


def test_only_training_images_travel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path / "images.parquet")
    assert main(["pack", str(tmp_path / "images.parquet"), str(tmp_path / "card")]) == 0
    packed = pd.read_parquet(tmp_path / "card" / IMAGES)
    assert (len(packed), set(packed["split"])) == (40, {"train"})
    assert "40 images; all of it " in capsys.readouterr().out


class Started:
    """Stands in for a process."""

    returncode = 0

    def __init__(self, words: list[str]):
        self.words = words
        work = Path(words[words.index("run") + 2])
        (work / "runs" / "darts").mkdir(parents=True, exist_ok=True)
        (work / "runs" / "darts" / "record.json").write_text("{}")
        (work / "data").mkdir(exist_ok=True)
        (work / "data" / "image").write_text("large")

    def poll(self) -> int:
        return 0


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run."""
    found: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        found.append(command[2:])
        Path(command[-1]).write_text("measured")
        return subprocess.CompletedProcess(command, 0)

    def start(command: list[str]) -> Started:
        found.append(command[2:])
        return Started(command)

    monkeypatch.setattr(on_a_card.subprocess, "run", run)
    monkeypatch.setattr(on_a_card.subprocess, "Popen", start)
    return found


def test_it_checks_first_and_a_second_call_goes_on(
    tmp_path: Path, called: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card").mkdir()
    assert main(["run", "card", "results"]) == 0
    assert [words[0] for words in called] == [f"benchmarks.{name[:-3]}" for name in PAGES] + 2 * ["benchmarks.campaign"]
    with tarfile.open(Path("results") / ARCHIVE) as file:
        names = file.getnames()
    assert "campaign/runs/darts/record.json" in names
    assert not [name for name in names if "data" in name]

    called.clear()
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    for path in Path("results").iterdir():
        if path.is_file():
            path.rename(fetched / path.name)
    assert main(["run", "card", "fetched"]) == 0
    assert [words[0] for words in called] == 2 * ["benchmarks.campaign"]
    assert (fetched / "campaign" / "runs" / "darts" / "record.json").exists()


def test_what_there_is_no_time_for_is_left(
    tmp_path: Path, called: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "card", "results", "--minutes", "0.01"]) == 0
    assert not called


def test_a_part_that_fails_is_named_and_does_not_stop_the_others(
    tmp_path: Path, called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = on_a_card.subprocess.run

    def failing(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        run(command, **options)
        return subprocess.CompletedProcess(command, int("card_steps" in command[2]))

    monkeypatch.setattr(on_a_card.subprocess, "run", failing)
    assert main(["run", "card", "results"]) == 1
    assert len(called) == len(PAGES) + 2
    assert capsys.readouterr().out.endswith("; not well: card_steps\n")


@pytest.mark.slow
def test_all_of_it_on_a_bare_machine_at_a_tiny_size(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    site = next((tmp_path / "bare" / "lib").glob("python3*")) / "site-packages"
    bare_site(site, (*BASE, "torchvision"), TRAVELLING)
    write_parquet(tmp_path / "images.parquet", train=30)
    assert main(["pack", str(tmp_path / "images.parquet"), str(tmp_path / "card")]) == 0
    wheels(tmp_path / "card", TRAVELLING)
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
    command = [str(python), "-m", "benchmarks.on_a_card", "run", str(tmp_path / "card"), str(tmp_path / "results")]
    command += ["--quick", "--device", "cpu", "--minutes", "15", "--workers", "2"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    for page in PAGES:
        assert (tmp_path / "results" / page).exists()
    with tarfile.open(tmp_path / "results" / ARCHIVE) as file:
        records = [name for name in file.getnames() if name.endswith("record.json")]
    assert len(records) == 4
