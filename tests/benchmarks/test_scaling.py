from pathlib import Path

import pandas as pd
import pytest

from benchmarks.scaling import BASE, FACTORS, MULTIPLES, exponents, main, sizes
from benchmarks.step_ways import Size
from tests.benchmarks.pages import quick_page


def test_one_factor_varies_at_a_time() -> None:
    found = sizes(Size(2, 8, 4, 8), (0.5, 1, 2))
    assert found["channels", 16] == Size(2, 16, 4, 8)
    assert found["cells_per_stage", 1] == Size(1, 8, 4, 8)
    assert [value for key, value in found if key == "batch"] == [2, 4, 8]
    assert len(sizes(BASE, MULTIPLES)) == len(FACTORS) * len(MULTIPLES)


def test_the_exponents_are_those_of_power_laws() -> None:
    values = [1, 2, 4, 8]
    table = pd.DataFrame(
        {
            "factor": "images a batch",
            "value": values,
            "per edge, ms": [3 * value**2 for value in values],
            "fused, ms": [10, 10, 10, 20],
        }
    )
    slopes = exponents(table).set_index("way")
    assert slopes.loc["per edge", "exponent"] == pytest.approx(2)
    assert slopes.loc["per edge", "of the last two values"] == pytest.approx(2)
    assert 0 < slopes.loc["fused", "exponent"] < 1
    assert slopes.loc["fused", "of the last two values"] == pytest.approx(1)


def test_the_page_has_every_factor(tmp_path: Path) -> None:
    page, table = quick_page(main, tmp_path)
    assert list(table["factor"]) == [factor for factor in FACTORS.values() for _ in range(2)]
    ratio = table["per edge, ms"] / table["fused, ms"]
    assert list(table["times faster"]) == pytest.approx(list(ratio), rel=1e-4)
    base = table[table["factor"] == FACTORS["cells_per_stage"]].iloc[0]  # batches of 8, 3 cells
    assert base["fused, µs an image and cell"] == pytest.approx(1000 * base["fused, ms"] / 24, rel=1e-4)
    assert "exponent" in page
