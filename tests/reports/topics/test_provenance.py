"""What the report says of platforms."""

import re

import pandas as pd
import pytest

from reports.topics.provenance import repeatability


@pytest.mark.parametrize(
    ("device", "deterministic", "said"),
    [
        ("cpu", True, "On a processor, 2 threads, a search made again with the same software gives the same numbers"),
        ("a GPU", True, "On a GPU, a search made again with the same software gives the same numbers, to the last bit"),
        ("a GPU", False, "On a GPU, some algorithms add up in no fixed order"),
        ("a GPU", None, r"do not tell whether a search repeats on a processor \(a GPU\)"),
    ],
)
def test_every_platform_is_said_to_repeat_or_not(device: str, deterministic: bool | None, said: str) -> None:
    platform = {"device": device, "processor": "a processor", "threads": 2.0, "deterministic": deterministic}
    runs = pd.DataFrame([{"kind": "search", **platform}] * 2 + [{"kind": "baseline", **platform, "threads": 1.0}])
    (sentence,) = repeatability(runs)
    assert re.search(said, sentence)
