"""The search split: its properties, and the files it is read from."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import UserError
from harness.images.split import split_images
from harness.settings.protocol import SplitSettings

RANDOM = SplitSettings(kind="random")
HALVES = SplitSettings(kind="halves")


@given(count=st.integers(2, 3000), settings=st.sampled_from([RANDOM, HALVES]))
def test_two_equal_halves_that_share_no_image(count, settings):
    split = split_images(settings, count, 0)
    both = np.concatenate([split.train, split.valid])
    assert len(split.train) == len(split.valid) == count // 2
    assert len(np.unique(both)) == len(both) and both.min() >= 0 and both.max() < count
    assert not split.valid_from_test
    assert all((np.diff(half) > 0).all() for half in (split.train, split.valid))


@given(count=st.integers(2, 3000))
def test_halves_are_the_first_and_the_second(count):
    split = split_images(HALVES, count, 0)
    assert split.train[-1] < split.valid[0] and split.train[0] == 0


def test_the_random_split_is_fixed():
    # A change here changes the split of every search there ever was.
    assert split_images(RANDOM, 10, 0).train.tolist() == [1, 4, 5, 7, 8]
    np.testing.assert_array_equal(split_images(RANDOM, 500, 0).train, split_images(RANDOM, 500, 9).train)


@pytest.mark.parametrize("settings", [RANDOM, HALVES])
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images(settings, count):
    with pytest.raises(UserError, match=f"at least 2 training images, there are {count}"):
        split_images(settings, count, 0)


@pytest.fixture
def split_file(tmp_path):
    path = tmp_path / "split.json"

    def write(content, kind="file"):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return SplitSettings(kind=kind, file=str(path))

    return write


@pytest.mark.parametrize(
    "content",
    [
        {"train": [4, 0, 2], "valid": [1]},
        {"train": ["int", ["0", "2", "4"]], "valid": ["int", ["1"]]},
        {"train": ["int", [0, 2, 4]], "valid": [1], "more": None},
    ],
)
def test_both_forms_of_the_file(split_file, content):
    split = split_images(split_file(content), 5, 0)
    assert split.train.tolist() == [0, 2, 4] and split.valid.tolist() == [1]


@pytest.mark.parametrize("content", [{"xvalid": ["int", ["3", "1"]], "xtest": ["int", ["0"]]}, {"valid": [1, 3]}])
def test_alpha_on_listed_test_images(split_file, content):
    split = split_images(split_file(content, "test-file"), 5, 4)
    assert split.train.tolist() == [0, 1, 2, 3, 4] and split.valid.tolist() == [1, 3] and split.valid_from_test


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ([1], "is no JSON mapping"),
        ({"train": [0]}, "expected 'valid' to be a list"),
        ({"train": [0], "valid": []}, "with at least one"),
        ({"train": [0], "valid": 1}, "expected 'valid' to be a list"),
        ({"train": [0], "valid": [1.0]}, "expected 'valid' to be a list"),
        ({"train": [0], "valid": [True]}, "expected 'valid' to be a list"),
        ({"train": ["int", ["x"]], "valid": [1]}, "expected 'train' to be a list"),
        ({"train": ["int", None], "valid": [1]}, "expected 'train' to be a list"),
        ({"train": [0], "valid": [5]}, "position 5, expected 0 to 4"),
        ({"train": [-1], "valid": [0]}, "position -1, expected 0 to 4"),
        ({"train": [10**30], "valid": [0]}, "expected 0 to 4"),
        ({"train": [0, 1], "valid": [1, 2]}, "position 1 stands in both"),
        ({"train": [0, 3, 3], "valid": [1]}, "position 3 2 times"),
    ],
)
def test_wrong_files_are_one_sentence(split_file, content, said):
    with pytest.raises(UserError, match=said) as caught:
        split_images(split_file(content), 5, 0)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="absent is missing"):
        split_images(SplitSettings(kind="file", file=str(tmp_path / "absent")), 5, 0)


def test_the_test_file_needs_test_images(split_file):
    with pytest.raises(UserError, match="needs test images"):
        split_images(split_file({"valid": [0]}, "test-file"), 5, 0)
    with pytest.raises(UserError, match=r"expected 0 to 1 \(test images\)"):
        split_images(split_file({"valid": [2]}, "test-file"), 5, 2)


@pytest.mark.parametrize(("kind", "file"), [("random", "x"), ("file", None), ("test-file", None), ("halves", "x")])
def test_the_file_belongs_to_its_kinds(kind, file):
    with pytest.raises(ValueError, match=r"split\.file belongs to"):
        SplitSettings(kind=kind, file=file)


@pytest.mark.parametrize("count", [1, 7])
def test_a_single_level_search_sees_all_images_twice(count):
    split = split_images(SplitSettings(kind="same"), count, 5)
    assert split.train.tolist() == split.valid.tolist() == list(range(count))
    assert not split.valid_from_test
