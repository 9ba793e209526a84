"""Batches of a search: equal to a plain image-by-image reference, and the same whatever came before."""

import dataclasses
import itertools
import json
import random

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from harness.base.errors import UserError
from harness.base.streams import stream
from harness.images.batches import SearchData, crop, cut_out
from harness.images.decoded import Description, ImageArrays
from harness.settings.protocol import DataSettings

SIZE = 8
BATCH = 6


def image_arrays(train=53, test=0, channels=3, size=SIZE):
    draw = np.random.default_rng(5)
    images = draw.integers(0, 256, (train, size, size, channels), dtype=np.uint8)
    return ImageArrays(
        train_images=images,
        train_labels=np.arange(train),  # the label of an image tells which it is
        test_images=draw.integers(0, 256, (test, size, size, channels), dtype=np.uint8) if test else None,
        test_labels=np.arange(test) + 1000 if test else None,
        description=Description(
            name="folder",
            path="x",
            limit=None,
            image_size=size,
            channels=channels,
            classes=tuple(str(label) for label in range(train)),
            train_count=train,
            test_count=test,
            mean=(0.49, 0.48, 0.45)[:channels],
            sd=(0.25, 0.24, 0.26)[:channels],
            sha256={},
            source="random numbers",
        ),
    )


def data_settings(**changes):
    values = {
        "name": "folder",
        "path": "x",
        "download": False,
        "image_size": SIZE,
        "limit": None,
        "split": {"kind": "random"},
        "crop_padding": 2,
        "flip": True,
        "cutout": 4,
        "cutout_ramp": False,
    }
    return DataSettings(**(values | changes))


PLAIN = data_settings(crop_padding=0, flip=False, cutout=0)


def search_data(arrays=None, settings=None, **changes):
    arguments = {
        "batch_size": BATCH,
        "device": "cpu",
        "dtype": torch.float32,
        "seed": 3,
        "epochs": 5,
        "valid_batches": "shuffled",
    } | changes
    return SearchData(arrays or image_arrays(), settings or data_settings(), **arguments)


def seen(batches):
    """Labels of all images of an iterator, in order."""
    return torch.cat([labels for _, labels in batches]).tolist()


def same(one, two):
    return all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in itertools.zip_longest(one, two, fillvalue=None)
    )


def reference(arrays, settings, half, epoch, position, image, seed=3, epochs=5, dtype=np.float32):
    """Augment one image, the `position`th of the epoch, with Pillow and loops."""

    def draws(purpose):
        return stream(seed, f"augment/{half}/{purpose}", epoch)

    count = position + 1
    picture = Image.fromarray(image)
    if padding := settings.crop_padding:
        top, left = draws("crop").integers(0, 2 * padding + 1, size=(count, 2))[position]
        padded = ImageOps.expand(picture, padding, fill=(0, 0, 0))
        picture = padded.crop((left, top, left + SIZE, top + SIZE))
    if settings.flip and draws("flip").random(count)[position] < 0.5:
        picture = ImageOps.mirror(picture)
    pixels = np.asarray(picture)
    result = np.empty((3, SIZE, SIZE), dtype=dtype)
    for channel, row, column in np.ndindex(result.shape):
        value = dtype(pixels[row, column, channel]) / dtype(255)
        value = value - dtype(arrays.description.mean[channel])
        result[channel, row, column] = value / dtype(arrays.description.sd[channel])
    probability = epoch / (epochs - 1) if settings.cutout_ramp else 1
    if settings.cutout and draws("cutout-applied").random(count)[position] < probability:
        row, column = draws("cutout").integers(0, SIZE, size=(count, 2))[position]
        top, left = row - settings.cutout // 2, column - settings.cutout // 2
        for y, x in itertools.product(range(top, top + settings.cutout), range(left, left + settings.cutout)):
            if 0 <= y < SIZE and 0 <= x < SIZE:
                result[:, y, x] = 0
    return result


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"crop_padding": 0},
        {"flip": False},
        {"cutout": 0},
        {"cutout": 3},
        {"cutout": 8},
        {"cutout_ramp": True},
        {"crop_padding": 8, "cutout": 0},
        {"crop_padding": 0, "flip": False, "cutout": 0},
    ],
)
@pytest.mark.parametrize(("dtype", "numpy_dtype"), [(torch.float32, np.float32), (torch.float64, np.float64)])
def test_batches_equal_the_plain_reference_exactly(changes, dtype, numpy_dtype):
    arrays, settings = image_arrays(), data_settings(**changes)
    data = search_data(arrays, settings, dtype=dtype)
    for half, epoch in (("train", 0), ("valid", 2)):
        for step, (images, labels) in enumerate(data.epoch(half, epoch)):
            assert images.dtype == dtype and labels.dtype == torch.int64
            for place, label in enumerate(labels.tolist()):
                position, image = step * BATCH + place, arrays.train_images[label]
                expected = reference(arrays, settings, half, epoch, position, image, dtype=numpy_dtype)
                np.testing.assert_array_equal(images[place].numpy(), expected)


def test_crops_reach_every_corner_and_the_padding_is_black():
    images = torch.full((9, 1, 4, 4), 7, dtype=torch.uint8)
    corners = torch.tensor(list(itertools.product((0, 1, 2), repeat=2)))
    cropped = crop(images, corners, 1)
    assert cropped[0, 0].tolist() == [[0, 0, 0, 0], [0, 7, 7, 7], [0, 7, 7, 7], [0, 7, 7, 7]]
    assert cropped[5, 0].tolist() == [[7, 7, 7, 0]] * 4
    assert torch.equal(cropped[4], images[4])


def test_cutout_is_clipped_at_the_border():
    cut = cut_out(torch.ones(2, 3, 6, 6), torch.tensor([[0, 5], [3, 3]]), 4, torch.tensor([True, False]))
    assert (cut[0] == 0).sum() == 3 * 2 * 3 and cut[0, :, 0, 3:].sum() == 0
    assert cut[1].min() == 1


def test_cutout_ramp_rises_from_never_to_always():
    settings = data_settings(crop_padding=0, flip=False, cutout=4, cutout_ramp=True)
    data = search_data(image_arrays(800), settings, epochs=5)
    shares = []
    for epoch in range(5):
        images = torch.cat([images for images, _ in data.epoch("train", epoch)])
        shares.append((images == 0).all(dim=1).flatten(1).any(dim=1).float().mean().item())
    np.testing.assert_allclose(shares, [0, 0.25, 0.5, 0.75, 1], atol=0.08)
    assert shares[0] == 0 and shares[4] == 1


def test_one_channel_and_another_size():
    data = search_data(image_arrays(channels=1, size=16), data_settings(image_size=16, crop_padding=4))
    images, _ = next(data.epoch("train", 0))
    assert images.shape == (BATCH, 1, 16, 16) and (data.image_channels, data.image_size) == (1, 16)
    assert data.classes == 53


# Halves and passes


def test_an_epoch_sees_each_training_image_at_most_once():
    data = search_data()
    assert data.steps_per_epoch == 26 // BATCH == 4
    train, valid = seen(data.epoch("train", 0)), seen(data.epoch("valid", 0))
    assert len(train) == len(set(train)) == 24 and len(valid) == len(set(valid)) == 24
    assert not set(train) & set(valid)
    assert set(train) <= set(seen(data.mixed_batches("train", 5)))


def test_a_short_valid_half_starts_again_with_a_fresh_order(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"train": list(range(40)), "valid": list(range(40, 53))}))
    settings = data_settings(split={"kind": "file", "file": str(file)})
    data = search_data(settings=settings)
    valid = seen(data.epoch("valid", 1))
    passes = [valid[:12], valid[12:24], valid[24:]]
    assert data.steps_per_epoch == 6 and len(valid) == 36
    assert all(len(set(images)) == 12 and set(images) <= set(range(40, 53)) for images in passes)
    assert len({tuple(images) for images in passes}) == 3


def test_a_single_level_search_shows_both_all_images_in_orders_of_their_own():
    data = search_data(settings=data_settings(split={"kind": "same"}))
    assert data.steps_per_epoch == 53 // BATCH
    train, valid = (seen(data.epoch(half, 0)) for half in ("train", "valid"))
    assert len(set(train)) == len(set(valid)) == 53 // BATCH * BATCH
    assert train != valid
    assert sorted(seen(data.mixed_batches("train", 9))) == sorted(seen(data.mixed_batches("valid", 9)))
    assert len(seen(data.mixed_batches("valid", 9))) == 53


def test_alpha_on_test_images(tmp_path):
    file = tmp_path / "split.json"
    file.write_text('{"xvalid": ["int", ["1", "3", "4", "6", "8", "9", "11"]], "xtest": ["int", ["0"]]}')
    arrays = image_arrays(test=12)
    data = search_data(arrays, data_settings(split={"kind": "test-file", "file": str(file)}, cutout=0))
    assert data.steps_per_epoch == 53 // BATCH
    assert sorted(seen(data.mixed_batches("valid", 100))) == [1001, 1003, 1004, 1006, 1008, 1009, 1011]
    assert len(set(seen(data.epoch("train", 0)))) == 48
    images, labels = next(data.epoch("valid", 0))
    expected = reference(arrays, data_settings(cutout=0), "valid", 0, 0, arrays.test_images[labels[0] - 1000])
    np.testing.assert_array_equal(images[0].numpy(), expected)


def test_valid_batches_with_replacement():
    data = search_data(image_arrays(400), valid_batches="with-replacement")
    valid = seen(data.epoch("valid", 0))
    assert len(valid) == data.steps_per_epoch * BATCH
    assert 0.5 < len(set(valid)) / len(valid) < 0.75  # 1 - 1/e of the half is expected
    train = seen(data.epoch("train", 0))
    assert len(train) == len(set(train)) and not set(train) & set(valid)


def test_a_half_smaller_than_a_batch_is_refused():
    with pytest.raises(UserError, match="the train half has 26 images, fewer than a batch of 27"):
        search_data(batch_size=27)
    assert search_data(batch_size=26).steps_per_epoch == 1


def test_evaluation_gives_every_image_once_without_augmentation():
    arrays = image_arrays()
    data = search_data(arrays)
    batches = list(data.mixed_batches("valid", 10))
    assert [len(labels) for _, labels in batches] == [10, 10, 6]
    assert len(set(seen(batches))) == 26 and same(batches, data.mixed_batches("valid", 10))
    images, labels = batches[0]
    expected = reference(arrays, PLAIN, "valid", 0, 0, arrays.train_images[labels[0]])
    np.testing.assert_array_equal(images[0].numpy(), expected)


def test_batches_of_images_that_lie_class_by_class_have_more_than_one_class():
    arrays = image_arrays()
    order = np.sort(np.arange(len(arrays.train_labels)) % 2).astype(arrays.train_labels.dtype)
    data = search_data(dataclasses.replace(arrays, train_labels=order))
    # In the order of files all images of the first class would come first, in every batch but one.
    assert [len(labels.unique()) for _, labels in data.mixed_batches("valid", 10)] == [2, 2, 2]
    _, probe = data.probe_batch("valid", 10)
    assert torch.equal(probe, next(data.mixed_batches("valid", 10))[1])


def test_the_probe_batch_is_fixed_by_the_seed():
    data = search_data()
    images, labels = data.probe_batch("valid", 9)
    assert len(set(labels.tolist())) == 9 and same([(images, labels)], [search_data().probe_batch("valid", 9)])
    assert set(labels.tolist()) <= set(seen(data.mixed_batches("valid", 9)))
    assert labels.tolist() != search_data(seed=4).probe_batch("valid", 9)[1].tolist()
    assert len(data.probe_batch("train", 1000)[1]) == 26


# Draws by name


@pytest.mark.parametrize("valid_batches", ["shuffled", "with-replacement"])
def test_an_epoch_depends_on_seed_and_epoch_alone(valid_batches):
    fresh = list(search_data(valid_batches=valid_batches).epoch("valid", 3))
    used = search_data(valid_batches=valid_batches)
    for epoch in range(3):
        next(used.epoch("valid", epoch))
    train = used.epoch("train", 3)
    next(train)
    used.probe_batch("valid", 4)
    valid = used.epoch("valid", 3)
    next(train)
    assert same(fresh, valid)


def test_seeds_and_epochs_and_halves_differ():
    data = search_data()
    orders = [seen(data.epoch("train", 0)), seen(data.epoch("train", 1)), seen(search_data(seed=4).epoch("train", 0))]
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(seen(search_data(seed=seed).mixed_batches("train", 9)))) for seed in range(4)}) == 1


def test_changing_one_augmentation_moves_no_other_draw():
    with_crop = search_data(settings=data_settings(cutout=0, flip=False))
    without = search_data(settings=PLAIN)
    assert seen(with_crop.epoch("train", 0)) == seen(without.epoch("train", 0))


def test_another_seed_on_the_same_images():
    data = search_data()
    other = data.for_seed(7)
    assert same(other.epoch("valid", 1), search_data(seed=7).epoch("valid", 1))
    assert same(data.epoch("valid", 1), search_data(seed=3).epoch("valid", 1))
    assert other._halves["train"].images.data_ptr() == data._halves["train"].images.data_ptr()


def test_global_random_states_stay_untouched():
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    data = search_data()
    for _ in zip(data.epoch("train", 0), data.epoch("valid", 0), strict=True):
        pass
    list(data.mixed_batches("train", 5))
    data.probe_batch("train", 5)
    assert states() == before


def test_a_batch_is_the_callers_own():
    data = search_data()
    images, labels = next(data.epoch("train", 0))
    images.zero_()
    labels.zero_()
    assert same(data.epoch("train", 0), search_data().epoch("train", 0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_the_same_batches():
    for (images, labels), (other_images, other_labels) in zip(
        search_data().epoch("train", 1), search_data(device="cuda").epoch("train", 1), strict=True
    ):
        assert torch.equal(images, other_images.cpu()) and torch.equal(labels, other_labels.cpu())
