"""Killed in any stage, the pipeline ends with the files that it would have had. `make torture` goes on for longer."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.faults.torture import BAD
from tests.faults.torture_pipeline import STAGES, Pipeline

pytestmark = pytest.mark.slow

KILLS = 50


def test_kills_at_random_moments_of_every_stage(tmp_path: Path) -> None:
    pipeline, counts, random = Pipeline(tmp_path), Counter[str](), np.random.default_rng(0)
    kills = 0
    while kills < KILLS:
        for stage in STAGES:
            pipeline.kill(stage, random, counts)
        kills = sum(count for what, count in counts.items() if what.startswith("kills"))
    assert not {what: counts[what] for what in BAD if counts[what]}
    assert all(counts[f"kills of the stage {stage.partition('@')[0]}"] for stage in STAGES)
