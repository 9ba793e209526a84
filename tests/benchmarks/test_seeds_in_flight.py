import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import seeds_in_flight
from benchmarks.seeds_in_flight import LoadedData, Watch, main, short
from benchmarks.step_ways import noise
from harness.images.split import split_images
from harness.settings.protocol import load_board
from tests.benchmarks.pages import quick_page
from tests.conftest import tiny_params, write_params
from tests.harness.fleet.test_group import Shown

HALVES = ("train", "valid")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    content = tiny_params()
    content["protocols"]["tiny"]["diagnostics"]["hessian_every"] = 1
    write_params(tmp_path, content)
    monkeypatch.setattr(seeds_in_flight, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_page_compares_and_says_how_it_was_made(place: Path) -> None:
    _, rows = quick_page(main, place, "--protocol", "tiny", "--images", "400")
    assert list(zip(rows["search"], rows["at once"], strict=True)) == [
        ("edge by edge, loaders of Pillow pictures", 1),
        ("edge by edge, images on the device", 1),
        ("this project", 1),
        ("this project", 2),
    ]
    steps = 3 * (400 // 2 // 8)  # three epochs, batches of eight
    hourly = rows["searches an hour"]
    assert list(hourly) == pytest.approx(list(3600 * rows["at once"] / (steps * rows["step, ms"] / 1000)), rel=1e-4)
    assert list(rows["times the first"]) == pytest.approx(list(hourly / hourly[0]), rel=1e-4)
    in_all = rows["at once"] * rows["memory a search, MB"]
    assert list(rows["memory in all, MB"]) == pytest.approx(list(in_all), rel=1e-4)
    assert (rows["memory a search, MB"] > 50).all()
    assert sorted(path.name for path in place.iterdir()) == ["params.yaml", "results"]


def test_only_epochs_beside_all_others_count(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(Shown())
    for title in ("one", "two"):
        watch.begin(title)
    ends = [
        ("one", 1.0),
        ("one", 2.0),
        ("two", 2.5),
        ("one", 3.0),
        ("one", 4.0),
        ("two", 4.1),
        ("one", 4.5),
        ("two", 9.0),
    ]
    for number, (title, moment) in enumerate(ends):
        monkeypatch.setattr(time, "monotonic", lambda moment=moment: moment)
        watch.advance(title, {"epoch": number, "seconds": float(number)}, 5)
    assert watch.seconds_together() == [4.0, 6.0, 5.0]  # from 2.5 to 4.5


def test_searches_that_do_not_meet_are_no_measurement() -> None:
    watch = Watch(Shown())
    for title in ("one", "two"):
        watch.begin(title)
        for epoch in (1, 2):
            watch.advance(title, {"epoch": epoch, "seconds": 1.0}, 2)
    assert not watch.seconds_together()


def test_a_short_board_measures_nothing_beside_the_search(place: Path) -> None:
    protocol = short(load_board(), 2).chosen
    assert protocol.epochs == 2
    assert protocol.diagnostics.hessian_every is None
    assert not protocol.derivation.one_shot


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--protocol", "tinny"], "there is no protocol 'tinny'"),
        (["--protocol", "tiny", "--in-flight", "1,0"], "--in-flight '1,0': expected numbers"),
    ],
)
def test_a_mistake_is_one_sentence(place: Path, options: list[str], sentence: str) -> None:
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 1
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_the_loaders_give_the_images_and_labels_of_their_half(place: Path) -> None:
    protocol = short(load_board(), 2).chosen
    arrays = noise(protocol, batches=2)
    data = LoadedData(
        arrays,
        protocol.data,
        batch_size=protocol.batch_size,
        device="cpu",
        dtype=torch.float64,
        seed=0,
        epochs=3,
        valid_batches="shuffled",
    )
    labels = {half: [label for _, batch in data.epoch(half, 0) for label in batch.tolist()] for half in HALVES}
    split = split_images(protocol.data.split, len(arrays.train_labels), 0)
    for half, positions in zip(HALVES, (split.train, split.valid), strict=True):
        assert sorted(labels[half]) == sorted(arrays.train_labels[positions])
    images, _ = next(data.epoch("train", 0))
    assert (images.dtype, images.shape) == (torch.float64, (20, 3, 8, 8))
    assert len(list(data.epoch("valid", 1))) == data.steps_per_epoch == 2
