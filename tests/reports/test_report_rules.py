import pandas as pd
import pytest

from reports.results import load_results
from reports.rules import by_rule, rules_table
from tests.reports.simulate import Simulation


def test_each_rule_has_its_own_mean_and_a_missing_one_is_a_dash(tmp_path) -> None:
    Simulation(seeds=(0, 1)).write(tmp_path)
    results = load_results(tmp_path)
    key = results.main.key
    rows = [
        {"variant": "darts", "seed": seed, "kind": "search", "rule": rule, "cell": "", key: value}
        for rule, values in {"variant": (90.0, 92.0), "argmax": (50.0, 60.0)}.items()
        for seed, value in enumerate(values)
    ]
    rows.append({"variant": "gdas", "seed": 0, "kind": "search", "rule": "variant", "cell": "", key: 80.0})
    rows.append({"variant": "random-search", "seed": 0, "kind": "baseline", "rule": "best", "cell": "", key: 93.0})
    object.__setattr__(results, "derived", pd.DataFrame(rows))
    drawn = [(0, 80.0, 3), (0, 40.0, 1), (1, 90.0, 4)]
    draws = [{"variant": "darts", "seed": s, "kind": "search", "cell": "", "count": n, key: v} for s, v, n in drawn]
    object.__setattr__(results, "draws", pd.DataFrame(draws))
    assert by_rule(results).loc[("darts", "argmax")].tolist() == [55.0, pytest.approx(50**0.5), 2]
    table = rules_table(results, ["darts", "gdas", "random-search"])
    assert table.header == ["variant", "its own rule", "argmax", "mean of draws"]
    texts = [[entry.text for entry in row] for row in table.groups[0][1]]
    assert texts == [["darts", "91.00 ± 1.41", "55.00 ± 7.07", "80.00 ± 14.14"], ["gdas", "80.00", "–", "–"]]
