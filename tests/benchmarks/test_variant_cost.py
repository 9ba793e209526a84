from pathlib import Path

import pytest

from benchmarks.step_ways import QUICK, noise, protocol
from benchmarks.variant_cost import Cost, cost_table, main, search_all
from harness.search import registry
from harness.search.variant import Continue, Decision, SearchLength, Stop, Variant
from tests.benchmarks.pages import quick_page
from variants.darts import Darts

VARIANTS = [name for name, method in registry.methods().items() if issubclass(method, Variant)]


class Halved(Darts):
    """Takes no alpha step, and stops after the second epoch."""

    name = "halved"
    passes_per_step = 1.0
    further_epochs = 0.5

    def alpha_gradient(self, step):  # type: ignore[no-untyped-def]
        return None

    def end_of_epoch(self, search) -> Decision:  # type: ignore[no-untyped-def]
        search.passes += 1 / 2
        return Stop("enough") if search.epoch == 2 else Continue()


def test_every_registered_variant_is_there(tmp_path: Path) -> None:
    _, table = quick_page(main, tmp_path)
    assert sorted(table["variant"]) == sorted(VARIANTS)
    rows = table.set_index("variant")
    assert rows.loc[Darts.name, "times DARTS"] == 1
    assert rows.loc[Darts.name, "passes a step, counted"] == rows.loc[Darts.name, "passes a step, declared"] == 2
    assert (table["step, ms"] > 0).all()
    assert table["times DARTS"].is_monotonic_increasing
    assert table["steps"].max() == 4
    declared, counted = (table[f"passes between epochs, {how}"] for how in ("declared", "counted"))
    assert (counted <= declared + 1e-9).all()
    assert set(table.loc[counted > 0, "variant"]) == set(table.loc[declared > 0, "variant"])


def test_costs_are_those_of_the_steps_that_were_taken() -> None:
    settings = protocol(QUICK).model_copy(update={"epochs": 3})
    costs = search_all({"darts": Darts, "halved": Halved}, settings, noise(settings, batches=2))
    assert (costs["darts"].steps, costs["darts"].passes) == (6, 12)
    assert (costs["halved"].steps, costs["halved"].passes) == (4, 4)
    assert (costs["darts"].further_passes, costs["halved"].further_passes) == (0, 1)
    assert costs["halved"].further_seconds > 0
    assert costs["darts"].step_seconds == pytest.approx(costs["darts"].seconds / 6)


def test_the_ratios_are_of_medians_over_the_rounds() -> None:
    rounds = [
        {"darts": Cost(seconds, 10, 20.0), "halved": Cost(half, 5, 5.0, further_seconds=half, further_passes=3.0)}
        for seconds, half in ((1.0, 0.25), (2.0, 0.3), (9.0, 0.9))
    ]
    length = SearchLength(epochs=5, steps=2, batch_size=8)
    table = cost_table({"darts": Darts, "halved": Halved}, rounds, length)
    assert list(table["variant"]) == ["halved", "darts"]
    halved = table.iloc[0]
    assert halved["step, ms"] == pytest.approx(60)
    assert halved["times DARTS"] == pytest.approx(0.06 / 0.2)
    assert halved["passes a step, counted"] == halved["passes a step, declared"] == 1
    assert halved["a pass, times DARTS"] == pytest.approx(0.06 / 0.1)
    assert halved["steps"] == 5
    assert halved["passes between epochs, declared"] == 0.5 * 2
    assert halved["passes between epochs, counted"] == 3
    assert halved["such a pass, times DARTS"] == pytest.approx(0.3 / 3 / 0.1)
