"""The decoded data set: what is in it, and what happens when it is stale or damaged."""

import json
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.base.errors import UserError
from harness.images.decoded import SCHEMA_VERSION, check_cached, data_hash, decode, load_cached, write_cached
from harness.settings.protocol import DataSettings

ROOT = Path(__file__).resolve().parents[3]


def data_settings(**changes):
    values = {
        "name": "digits",
        "path": None,
        "download": False,
        "image_size": 8,
        "limit": None,
        "split": {"kind": "random"},
        "crop_padding": 0,
        "flip": False,
        "cutout": 0,
        "cutout_ramp": False,
    }
    return DataSettings(**(values | changes))


@pytest.fixture
def cached(tmp_path):
    folder = tmp_path / "images"
    write_cached(folder, decode(data_settings(limit=20)))
    return folder


def test_limit_takes_the_first_images_of_each_class_in_file_order():
    whole, limited = decode(data_settings()), decode(data_settings(limit=3))
    seen = dict.fromkeys(range(10), 0)
    expected = []
    for position, label in enumerate(whole.train_labels):
        if seen[label] < 3:
            seen[label] += 1
            expected.append(position)
    np.testing.assert_array_equal(limited.train_images, whole.train_images[expected])
    np.testing.assert_array_equal(limited.train_labels, whole.train_labels[expected])


def test_channel_statistics_are_those_of_all_pixels():
    arrays = decode(data_settings())
    pixels = arrays.train_images.astype(np.float64) / 255
    np.testing.assert_allclose(arrays.description.mean, [pixels.mean()], rtol=1e-12)
    np.testing.assert_allclose(arrays.description.sd, [pixels.std()], rtol=1e-12)


def test_images_of_another_size_are_resized():
    arrays = decode(data_settings(image_size=12, limit=2))
    assert arrays.train_images.shape == (20, 12, 12, 1) and arrays.train_images.dtype == np.uint8


def test_one_colour_cannot_be_normalised(tmp_path):
    from PIL import Image

    for label in "ab":
        (tmp_path / "train" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "train" / label / "x.png")
    with pytest.raises(UserError, match="all of one colour"):
        decode(data_settings(name="folder", path=str(tmp_path)))


def test_a_cached_data_set_reads_back(cached):
    arrays, again = decode(data_settings(limit=20)), load_cached(cached)
    np.testing.assert_array_equal(again.train_images, arrays.train_images)
    np.testing.assert_array_equal(again.train_labels, arrays.train_labels)
    assert again.test_images is None and again.description == arrays.description
    assert again.train_labels.dtype == np.int64 and again.train_images.dtype == np.uint8
    check_cached(cached, data_settings(limit=20))
    assert sorted(path.name for path in cached.parent.iterdir()) == ["images"]


def test_writing_twice_gives_the_same_bytes(cached):
    before = {path.name: path.read_bytes() for path in cached.iterdir()}
    write_cached(cached, decode(data_settings(limit=20)))
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == before


def test_a_failed_write_leaves_the_old_folder(cached, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    before = {path.name: path.read_bytes() for path in cached.iterdir()}
    arrays = decode(data_settings(limit=2))
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match="could not be written: No space left"):
        write_cached(cached, arrays)
    assert {path.name: path.read_bytes() for path in cached.iterdir()} == before
    assert sorted(path.name for path in cached.parent.iterdir()) == ["images"]


@pytest.mark.parametrize(
    ("change", "said"),
    [({"limit": None}, "data.limit 20, not None"), ({"limit": 20, "image_size": 12}, "data.image_size 8, not 12")],
)
def test_a_cache_of_other_settings_is_refused(cached, change, said):
    with pytest.raises(UserError, match=said):
        check_cached(cached, data_settings(**change))


def test_a_cache_of_another_data_set_is_refused(cached):
    with pytest.raises(UserError, match=r"data\.name 'digits', not 'folder'"):
        check_cached(cached, data_settings(name="folder", path="x", limit=20))


def test_settings_that_do_not_touch_the_arrays_keep_the_cache(cached):
    check_cached(cached, data_settings(limit=20, crop_padding=1, flip=True, cutout=4, split={"kind": "halves"}))


@pytest.mark.parametrize("name", ["train_images.npy", "train_labels.npy", "description.json"])
def test_missing_and_truncated_files_are_named(cached, name):
    path = cached / name
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        if name == "description.json" and length == len(whole) - 1:
            continue  # the last byte is a newline
        with pytest.raises(UserError, match=name) as caught:
            check_cached(cached, data_settings(limit=20))
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(UserError, match=rf"{name} is missing: run `dvc repro data`"):
        check_cached(cached, data_settings(limit=20))


def test_a_changed_pixel_is_noticed(cached):
    path = cached / "train_images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="checksum differs"):
        load_cached(cached)


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_an_array_of_objects_is_never_unpickled(cached, tmp_path):
    np.save(cached / "train_labels.npy", np.array([Trap(tmp_path / "ran")], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"train_labels\.npy is damaged"):
        load_cached(cached)
    assert not (tmp_path / "ran").exists()


def test_a_description_without_arrays_is_refused(cached):
    path = cached / "description.json"
    path.write_text(json.dumps(of_version_1(path) | {"sha256": {}}))
    with pytest.raises(UserError, match="its sha256 has no 'train_images'"):
        load_cached(cached)


def of_version_1(path):
    return {
        key: value for key, value in json.loads(path.read_text()).items() if key not in ("schema_version", "checksum")
    }


def test_a_changed_description_is_noticed(cached):
    """The mean and the sd of the images decide every result, and no hash of an array covers them."""
    path = cached / "description.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"mean": [0.5]}))
    with pytest.raises(UserError, match=r"description\.json is damaged \(its checksum differs\)"):
        load_cached(cached)
    path.write_text(json.dumps(content | {"mean": [float("nan")]}))
    with pytest.raises(UserError, match=r"mean\.0: input should be a finite number"):
        load_cached(cached)


@pytest.mark.parametrize("version", [{}, {"schema_version": 1}])
def test_a_description_that_damage_made_older_is_noticed(cached, version):
    path = cached / "description.json"
    checksum = json.loads(path.read_text())["checksum"]
    content = of_version_1(path)
    path.write_text(json.dumps(content | {"checksum": checksum, "classes": content["classes"][1:]} | version))
    with pytest.raises(UserError, match=r"description\.json is damaged \(its checksum differs\)"):
        load_cached(cached)


def test_a_cache_of_the_version_before_is_read_and_one_of_a_later_asks_for_an_update(cached):
    path = cached / "description.json"
    expected, content = load_cached(cached).description, json.loads(path.read_text())
    path.write_text(json.dumps(of_version_1(path)))
    assert load_cached(cached).description == expected
    path.write_text(json.dumps(content | {"schema_version": SCHEMA_VERSION + 1}))
    with pytest.raises(UserError, match=r"newer Dartsboard .*: update Dartsboard, or run `dvc repro data` again"):
        load_cached(cached)


def test_another_kind_of_file_in_the_place_of_an_array_is_told(cached):
    images = load_cached(cached).train_images
    with (cached / "train_images.npy").open("wb") as file:
        np.savez(file, images)
    with pytest.raises(UserError, match=r"train_images\.npy is damaged"):
        load_cached(cached)


def test_a_header_that_claims_more_than_the_file_holds_takes_no_memory(cached):
    path = cached / "train_images.npy"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(200, 8, 8, 1), }      ", b"(999999999, 8, 8, 1), }"))
    assert path.read_bytes() != content
    tracemalloc.start()
    with pytest.raises(UserError, match=r"train_images\.npy is damaged"):
        load_cached(cached)
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_data_hash_follows_the_images_and_the_split_only(cached, tmp_path):
    settings = data_settings(limit=20)
    first = data_hash(cached, settings)
    assert first == data_hash(cached, data_settings(limit=20, flip=True, cutout=2))
    assert first != data_hash(cached, data_settings(limit=20, split={"kind": "halves"}))
    other = tmp_path / "other"
    write_cached(other, decode(data_settings(limit=19)))
    assert first != data_hash(other, settings)
    moved = tmp_path / "moved"
    cached.rename(moved)
    assert first == data_hash(moved, settings)


def test_data_hash_follows_the_content_of_the_split_file(cached, tmp_path):
    file = tmp_path / "split.json"
    settings = data_settings(limit=20, split={"kind": "file", "file": str(file)})
    hashes = set()
    for content in (
        {"train": [0], "valid": [1]},
        {"train": [0], "valid": [2]},
        {"valid": [2], "train": ["int", ["0"]]},
    ):
        file.write_text(json.dumps(content))
        hashes.add(data_hash(cached, settings))
    assert len(hashes) == 2  # the last two list the same images


def test_decoding_leaves_the_global_random_states_alone(tmp_path):
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    write_cached(tmp_path / "images", decode(data_settings(image_size=12, limit=5)))
    data_hash(tmp_path / "images", data_settings())
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


PARAMS = """
protocol: quick
seeds: [0]
reference: darts
truth: {source: analog-nasbench, path: null}
variants: {darts: {}}
baselines: {}
tracking: {uri: null, experiment: x}
protocols:
  quick:
    operations: [none, skip_connect]
    data:
      {name: digits, path: null, download: false, image_size: 8, limit: 6, split: SPLIT,
       crop_padding: 0, flip: false, cutout: 0, cutout_ramp: false}
    network:
      {channels: 2, cells_per_stage: 1, batch_statistics: true, affine: false, gradient_checkpointing: false,
       compile: false, cuda_graphs: false, drop_path: 0.0}
    epochs: 1
    batch_size: 4
    order: alpha-then-weights
    weights: {lr: 0.1, lr_min: 0.0, momentum: 0.9, nesterov: false, weight_decay: 0.0, clip: null}
    alpha: {lr: 0.1, betas: [0.5, 0.999], weight_decay: 0.0, init_scale: 0.001, batches: shuffled}
    derivation: {draws: 1, one_shot: false}
    diagnostics: {images: 8, every: null, hessian_images: 8, hessian_every: null, one_shot_every: null}
    precision: float32
    device: cpu
    threads: 1
    deterministic: true
"""


def run_stage(folder):
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", "pipelines.data"], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_stage_writes_the_folder(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS.replace("SPLIT", "{kind: random}"))
    done = run_stage(tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("60 training and 0 test images: "), done.stderr
    assert len(load_cached(tmp_path / "data" / "images").train_labels) == 60


def test_the_stage_checks_the_split_first(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS.replace("SPLIT", "{kind: file, file: absent.json}"))
    done = run_stage(tmp_path)
    assert done.returncode == 2 and done.stderr == "error: data.split.file: absent.json is missing\n"
    assert not (tmp_path / "data").exists()
