"""Short trajectories of every variant, pinned: a change of any number on the way shows here first.

In float64 they agree between processors to many digits. After a change that is meant, write them anew:

    python -m tests.variants.test_golden
"""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.search import registry
from harness.search.baseline import Baseline
from harness.testing import tiny_search

GOLDEN = Path(__file__).with_name("golden.json")
EPOCHS = 4
VARIANTS = [name for name, method in registry.methods().items() if not issubclass(method, Baseline)]


def trajectory(name: str) -> dict[str, list[float]]:
    """Return losses of each epoch, and in the end alpha and a sum over the weights."""
    search = tiny_search(registry.variant(name), epochs=EPOCHS, precision="float64", diagnostics__every=None)
    rows = [search.run_epoch() for _ in range(EPOCHS)]
    weights = sum(float(value.detach().abs().sum()) for value in search.supernet.parameters())
    return {
        "train_loss": [row["train_loss"] for row in rows],
        "alpha": search.architecture["alpha"].detach().double().flatten().tolist() if search.architecture else [],
        "weights": [weights],
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_trajectory_is_the_pinned_one(name: str) -> None:
    pinned = json.loads(GOLDEN.read_text())[name]
    found = trajectory(name)
    assert found.keys() == pinned.keys()
    for quantity, values in found.items():
        np.testing.assert_allclose(values, pinned[quantity], rtol=1e-6, atol=1e-9, err_msg=quantity)


if __name__ == "__main__":
    golden = {name: trajectory(name) for name in VARIANTS}
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"') + "\n")
