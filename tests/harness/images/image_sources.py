"""What the tests of image sources share."""

import numpy as np
import pytest

from harness.base.errors import UserError
from harness.images.decoded import decode
from harness.settings.protocol import DataSettings

RANDOM = np.random.default_rng(0)


def data_settings(name, path=None, **changes):
    values = {
        "name": name,
        "path": None if path is None else str(path),
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


def fails(settings, *parts):
    """The settings give one sentence that holds these parts."""
    with pytest.raises(UserError) as caught:
        decode(settings)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message
