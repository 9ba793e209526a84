"""Each data set is read from small files in its real form; what is wrong is told in one sentence."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from harness.base.errors import UserError
from harness.images.decoded import decode
from harness.images.sources import IMAGENET16_TEST_FILE, IMAGENET16_TRAIN_FILES, read_source
from tests.harness.images.image_sources import RANDOM, data_settings, fails
from tests.harness.untrusted.payload import Payload


def test_digits_are_the_embedded_ones_with_all_grey_levels():
    source = read_source(data_settings("digits"))
    assert source.train.images.shape == (1797, 8, 8, 1) and source.train.images.dtype == np.uint8
    assert source.test is None and source.classes == tuple("0123456789")
    assert set(np.unique(source.train.images)) == {round(level * 255 / 16) for level in range(17)}
    assert source.train.labels[:5].tolist() == [0, 1, 2, 3, 4]


# ImageNet16-120


def write_imagenet16(folder, protocol=2, images=12):
    contents = {}
    for file in [*IMAGENET16_TRAIN_FILES, IMAGENET16_TEST_FILE]:
        content = {
            "data": RANDOM.integers(0, 256, (images, 768), dtype=np.uint8),
            "labels": [1, 120, 121, 1000, *RANDOM.integers(1, 1001, images - 4).tolist()],
            "mean": RANDOM.random(768),
        }
        contents[file] = content
        (folder / file).write_bytes(pickle.dumps(content, protocol=protocol))
    return contents


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_imagenet16_keeps_the_first_120_classes(tmp_path, protocol):
    contents = write_imagenet16(tmp_path, protocol)
    source = read_source(data_settings("imagenet16-120", tmp_path, image_size=16))
    expected_images, expected_labels = [], []
    for file in IMAGENET16_TRAIN_FILES:
        for row, label in zip(contents[file]["data"], contents[file]["labels"], strict=True):
            if label <= 120:
                expected_images.append(np.stack([row[:256], row[256:512], row[512:]], axis=-1).reshape(16, 16, 3))
                expected_labels.append(label - 1)
    np.testing.assert_array_equal(source.train.images, np.stack(expected_images))
    assert source.train.labels.tolist() == expected_labels
    assert len(source.classes) == 120 and source.test is not None


def test_imagenet16_pickled_by_python_2_is_read(tmp_path):
    write_imagenet16(tmp_path)
    rows = RANDOM.integers(0, 256, (2, 768), dtype=np.uint8)
    path = tmp_path / "train_data_batch_1"
    # Python 2 wrote byte strings (opcode T) where Python 3 writes text, and numpy under its old name.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01bt"
        b"R(K\x01K\x02M\x00\x03\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + (2 * 768).to_bytes(4, "little") + rows.tobytes() + b"tb"
    )
    path.write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x01K\x02eu.")
    source = read_source(data_settings("imagenet16-120", tmp_path, image_size=16))
    np.testing.assert_array_equal(source.train.images[0].transpose(2, 0, 1).ravel(), rows[0])


def test_a_malicious_batch_does_not_run(tmp_path):
    write_imagenet16(tmp_path)
    trap = tmp_path / "ran"
    path = tmp_path / "train_data_batch_3"
    path.write_bytes(pickle.dumps({"data": Payload(trap)}))
    fails(data_settings("imagenet16-120", tmp_path), path, "mkdir, which such a file never holds")
    assert not trap.exists()


@pytest.mark.parametrize("module_and_name", [b"builtins\neval", b"numpy\nload", b"numpy.core.multiarray\nfromfile"])
def test_a_batch_that_names_anything_but_numpy_arrays_is_refused(tmp_path, module_and_name):
    write_imagenet16(tmp_path)
    path = tmp_path / IMAGENET16_TEST_FILE
    path.write_bytes(b"c" + module_and_name + b"\n.")
    fails(data_settings("imagenet16-120", tmp_path), path, module_and_name.decode().replace("\n", "."))


def test_a_missing_batch_says_what_to_get(tmp_path):
    write_imagenet16(tmp_path)
    (tmp_path / "train_data_batch_10").unlink()
    fails(data_settings("imagenet16-120", tmp_path), "train_data_batch_10 is missing", "Imagenet16_train", tmp_path)


def test_truncated_batches_name_their_file(tmp_path):
    write_imagenet16(tmp_path)
    path = tmp_path / "train_data_batch_7"
    whole = path.read_bytes()
    for length in (0, 1, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        fails(data_settings("imagenet16-120", tmp_path), path, "is damaged")


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"labels": [1]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [1, 2]},
        {"data": np.zeros((2, 768)), "labels": [1, 2]},
        {"data": np.zeros((2, 768), np.uint8), "labels": [1]},
        {"data": np.zeros((2, 768), np.uint8), "labels": [0, 1]},
        {"data": np.zeros((2, 768), np.uint8), "labels": [1, 1001]},
        {"data": np.zeros((2, 768), np.uint8), "labels": ["x", None]},
        {"data": np.zeros((2, 768), np.uint8), "labels": [1, 10**30]},
        {"data": np.zeros((0, 768), np.uint8), "labels": []},
    ],
)
def test_batches_of_another_form_are_refused(tmp_path, content):
    write_imagenet16(tmp_path)
    path = tmp_path / "train_data_batch_1"
    path.write_bytes(pickle.dumps(content))
    fails(data_settings("imagenet16-120", tmp_path), path, "is damaged: expected")


# folder


def picture(size=(8, 8), suffix=".png", mode="RGB"):
    pixels = RANDOM.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG" if suffix == ".png" else "JPEG")
    return buffer.getvalue()


def write_folder(folder):
    for part, names in (("train", ("b.png", "a.PNG", "c.jpg", "d.jpeg")), ("test", ("a.png",))):
        for label in ("zebra", "ant"):
            (folder / part / label).mkdir(parents=True)
            for name in names:
                (folder / part / label / name).write_bytes(picture(suffix=Path(name).suffix.lower()))
    return folder


def test_the_real_images_of_cifar_as_an_image_folder(tmp_path, reference_data):
    table = pd.read_parquet(reference_data / "cifar10-jpeg.parquet").groupby(["split", "label"]).head(15)
    for row in table.itertuples():
        path = tmp_path / row.split / row.label / row.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row.jpeg)
    arrays = decode(data_settings("folder", tmp_path, image_size=32, limit=12))
    assert arrays.train_images.shape == (120, 32, 32, 3) and arrays.test_images.shape == (150, 32, 32, 3)
    assert arrays.description.classes == tuple(sorted(table["label"].unique()))
    first = min(row.name for row in table.itertuples() if row.split == "train" and row.label == "airplane")
    expected = np.asarray(Image.open(tmp_path / "train" / "airplane" / first))
    np.testing.assert_array_equal(arrays.train_images[0], expected)
    # The published statistics of CIFAR-10 are 0.49, 0.48, 0.45 and 0.25, 0.24, 0.26.
    np.testing.assert_allclose(arrays.description.mean, [0.49, 0.48, 0.45], atol=0.05)
    np.testing.assert_allclose(arrays.description.sd, [0.25, 0.24, 0.26], atol=0.05)


def test_folder_sorts_classes_and_files_by_name(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "zebra" / ".DS_Store").write_bytes(b"")
    (tmp_path / "train" / "LICENSE").write_text("free")
    source = read_source(data_settings("folder", tmp_path))
    assert source.classes == ("ant", "zebra")
    assert [path.name for path in source.train.images] == ["a.PNG", "b.png", "c.jpg", "d.jpeg"] * 2
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4
    assert source.test.labels.tolist() == [0, 1]


def test_folder_decodes_every_mode_and_resizes(tmp_path):
    write_folder(tmp_path)
    for number, mode in enumerate(("L", "RGBA", "P", "1", "LA")):
        (tmp_path / "train" / "ant" / f"mode{number}.png").write_bytes(picture((20, 11), mode=mode))
    (tmp_path / "train" / "ant" / "mode9.jpg").write_bytes(picture((7, 7), ".jpg", "CMYK"))
    arrays = decode(data_settings("folder", tmp_path))
    assert arrays.train_images.shape == (14, 8, 8, 3)
    path = tmp_path / "train" / "ant" / "mode1.png"
    expected = Image.open(path).convert("RGB").resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(arrays.train_images[5], np.asarray(expected))


def test_folder_without_test_images(tmp_path):
    write_folder(tmp_path)
    for path in sorted((tmp_path / "test").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "test").rmdir()
    assert decode(data_settings("folder", tmp_path)).test_images is None


def test_folder_that_is_missing_or_has_one_class(tmp_path):
    fails(data_settings("folder", tmp_path / "nowhere"), "nowhere/train is missing", "CLASS")
    write_folder(tmp_path)
    (tmp_path / "train" / "zebra").rename(tmp_path / "zebra")
    fails(data_settings("folder", tmp_path), "holds 1 class folders", "at least 2")


def test_folder_with_damaged_images(tmp_path):
    write_folder(tmp_path)
    for name, content in (
        ("b.png", picture()[:-40]),
        ("b.png", b""),
        ("b.png", b"text"),
        ("c.jpg", picture((64, 64), ".jpg")[:400]),
    ):
        path = tmp_path / "train" / "ant" / name
        whole = path.read_bytes()
        path.write_bytes(content)
        fails(data_settings("folder", tmp_path), path, "is damaged")
        path.write_bytes(whole)


def test_folder_refuses_deep_images_and_other_formats(tmp_path):
    write_folder(tmp_path)
    path = tmp_path / "train" / "ant" / "b.png"
    Image.fromarray(np.full((8, 8), 40000, dtype=np.uint16)).save(path)
    fails(data_settings("folder", tmp_path), path, "more than 8 bits")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, "TIFF")
    fails(data_settings("folder", tmp_path), path, "no PNG or JPEG")


def test_folder_refuses_what_is_no_image_file(tmp_path):
    write_folder(tmp_path)
    odd = tmp_path / "train" / "ant" / "notes.txt"
    odd.write_text("x")
    fails(data_settings("folder", tmp_path), odd, "is no image file", ".jpeg")
    odd.unlink()
    (tmp_path / "train" / "ant" / "folder.png").mkdir()
    fails(data_settings("folder", tmp_path), "folder.png is no image file")


def test_folder_refuses_links_that_lead_out(tmp_path):
    folder = write_folder(tmp_path / "data")
    outside = tmp_path / "secret.png"
    outside.write_bytes(picture())
    link = folder / "train" / "ant" / "link.png"
    link.symlink_to(outside)
    fails(data_settings("folder", folder), link, "leads out of", outside)
    link.unlink()
    link.symlink_to(folder / "train" / "zebra" / "b.png")
    assert len(decode(data_settings("folder", folder)).train_labels) == 9
    link.unlink()
    link.symlink_to(link)
    fails(data_settings("folder", folder), link, "leads nowhere")
    link.unlink()
    (tmp_path / "elsewhere").mkdir()
    (folder / "train" / "moth").symlink_to(tmp_path / "elsewhere")
    fails(data_settings("folder", folder), "moth", "leads out of")


def test_folder_with_an_empty_or_an_unknown_class(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "train" / "moth").mkdir()
    fails(data_settings("folder", tmp_path), "moth is empty")
    (tmp_path / "train" / "moth").rmdir()
    (tmp_path / "test" / "zebras").mkdir()
    fails(data_settings("folder", tmp_path), "zebras is no class", "did you mean 'zebra'?")


# What holds for all


def test_path_belongs_to_all_but_digits():
    with pytest.raises(ValueError, match=r"data\.path"):
        data_settings("cifar10")
    with pytest.raises(ValueError, match=r"data\.path"):
        data_settings("digits", "somewhere")


def test_reading_imports_torchvision_only_for_cifar(tmp_path):
    write_folder(tmp_path)
    program = (
        "import sys; from harness.images.decoded import decode; from harness.settings.protocol import DataSettings;"
        f"decode(DataSettings(**{data_settings('folder', tmp_path).model_dump()!r}));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'torchvision', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_torchvision_loads_and_leaves_torch_as_it_was():
    program = (
        "import torch; register = torch.library.register_fake;"
        "from harness.images.torchvision_import import load_torchvision; torchvision = load_torchvision();"
        "assert torch.library.register_fake is register and load_torchvision() is torchvision;"
        "assert torchvision.datasets.CIFAR10.base_folder == 'cifar-10-batches-py'"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("name", ["folder", "cifar10"])
def test_a_path_longer_than_names_may_be_is_one_sentence(name):
    with pytest.raises(UserError, match="is no name of a file: File name too long"):
        read_source(data_settings(name, "x" * 300))
