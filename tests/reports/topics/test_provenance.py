"""What the report says of platforms."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from harness.results.folder import load_results
from harness.space.cell import ALL_SKIP
from reports.section import Text
from reports.topics import overview, provenance
from reports.topics.provenance import repeatability
from tests.reports.simulate import Simulation


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


def test_the_page_names_the_table_of_true_accuracies_and_its_version(tmp_path: Path) -> None:
    board = Simulation(searches={"darts": (ALL_SKIP, 1.0)}, baselines=(), seeds=(0,), epochs=1).write(tmp_path)
    results = load_results(tmp_path)
    known = {**results.truth_source, "table": "NATS-Bench v1.0", "told_by": "the accuracies of 9 known cells"}
    named = replace(results, truth_source=known)
    rows = provenance.section(named).blocks[0].data.set_index("what")["value"]
    assert (rows["truth table"], rows["told by"]) == ("NATS-Bench v1.0", "the accuracies of 9 known cells")
    first = overview.section(named, board, ["darts"]).blocks[0]
    assert isinstance(first, Text)
    assert "looked up in NATS-Bench v1.0." in first.text
    unknown = provenance.section(results).blocks[0].data.set_index("what")["value"]
    assert (unknown["truth table"], results.truth_name) == ("not known", "simulated")
