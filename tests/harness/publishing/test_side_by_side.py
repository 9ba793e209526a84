"""Two published boards side by side."""

import json
import math
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.publishing.side_by_side import Difference, compare_boards, differences
from harness.results.folder import TruthColumn
from harness.space.cell import ALL_CONV3
from harness.statistics.significance import sign_flip_test
from reports.publish import publish
from tests.commands import fails, succeeds
from tests.published import finish_board, manifest, rewrite

KEY = "truth/cifar10/test"
COLUMN = TruthColumn(KEY, "CIFAR-10 test", 200, 87.0, 10.0, 90.0, 94.4, str(ALL_CONV3), ())


@pytest.fixture(scope="module")
def published(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published board of two baselines on two seeds."""
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.drawing.picture._drawn", lambda picture: ("<svg></svg>", b""))
        baselines = {"random-search": {"evaluations": 5}, "local-search": {"evaluations": 5}}
        finish_board(variants={}, baselines=baselines, reference="random-search")
        return (folder / publish("tiny")).resolve()


@pytest.fixture
def two(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two copies of it in the current folder, read without processes of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.publishing.folder.read_limited", lambda read, files: map(read, files))
    for name in ("a", "b"):
        shutil.copytree(published, name)
    return Path("a"), Path("b")


def runs(truths: dict[str, dict[int, float]]) -> pd.DataFrame:
    rows = [
        {"variant": name, "seed": seed, KEY: value, "cell_index": np.nan}
        for name, values in truths.items()
        for seed, value in values.items()
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", KEY, "cell_index"])


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def one(first: dict[int, float], second: dict[int, float]) -> Difference:
    (found,) = differences(runs({"a": first}), runs({"a": second}), ["a"], COLUMN)
    return found


EIGHT = [93.0, 93.5, 92.8, 94.0, 93.3, 93.9, 92.5, 93.1]


class TestDifferences:
    def test_they_are_paired_by_seed_second_minus_first(self) -> None:
        found = one({0: 90.0, 1: 91.0, 2: 50.0}, {0: 92.0, 1: 90.0, 3: 10.0})
        assert (found.pairs, found.first_runs, found.second_runs) == (2, 3, 3)
        assert found.difference == pytest.approx(0.5)
        assert found.low <= 0.5 <= found.high

    def test_of_one_method_the_p_value_is_that_of_the_sign_flips(self) -> None:
        second = [value + shift for value, shift in zip(EIGHT, [1, 1.2, 0.8, 1, -0.2, 1.1, 0.9, 1], strict=True)]
        found = one(seeds(*EIGHT), seeds(*second))
        assert found.p_adjusted == pytest.approx(sign_flip_test(np.subtract(second, EIGHT)))
        assert found.matters
        assert "points higher on the second board" in found.verdict()
        assert (
            "this matters: chance would seldom do it (p = 0.0156 among all methods, 8 shared seeds)" in found.verdict()
        )

    def test_of_many_methods_it_is_adjusted_for_all(self) -> None:
        generator = np.random.default_rng(0)
        names = [f"m{number}" for number in range(20)]
        first = {name: seeds(*(90 + generator.normal(0, 1, 8))) for name in names}
        second = {name: seeds(*(90 + generator.normal(0, 1, 8))) for name in names}
        together = differences(runs(first), runs(second), names, COLUMN)
        alone = {name: one(first[name], second[name]).p_adjusted for name in names}
        assert min(alone.values()) < 0.05
        assert min(found.p_adjusted for found in together) > 0.05
        assert all(found.p_adjusted >= alone[found.method] for found in together)

    @pytest.mark.parametrize(
        ("shift", "count", "reason"),
        [
            (0.0, 8, "equal on 8 shared seeds; nothing changed"),
            (0.1, 8, "does not count as a change: it is less than the noise floor of 0.18"),
            (1.0, 5, "does not count as a change: 5 shared seeds cannot reach p < 0.05 even if all agree (6 needed)"),
        ],
    )
    def test_what_does_not_matter_says_why(self, shift: float, count: int, reason: str) -> None:
        first = EIGHT[:count]
        found = one(seeds(*first), seeds(*(value + shift for value in first)))
        assert not found.matters
        assert reason in found.verdict()

    def test_chance_is_named(self) -> None:
        found = one(seeds(*EIGHT), seeds(*EIGHT[::-1]))
        assert not found.matters
        assert "less than the noise floor" in found.verdict()
        swung = one(seeds(*EIGHT), {seed: value + (3 if seed % 2 else -2) for seed, value in enumerate(EIGHT)})
        assert "chance can explain it (p = " in swung.verdict()

    def test_without_a_shared_seed_means_differ_and_nothing_is_tested(self) -> None:
        found = one({0: 90.0, 1: 92.0}, {2: 95.0, 3: 95.0})
        assert found.difference == pytest.approx(4.0)
        assert (found.low, found.high) == (3.0, 5.0)
        assert math.isnan(found.p_adjusted) and not found.matters
        assert "the boards share no seed of it, so no test was made" in found.verdict()

    def test_a_method_without_a_result_is_said(self) -> None:
        assert one({}, {0: 90.0}).verdict() == "a: no result on the first board."
        assert one({0: 90.0}, {}).verdict() == "a: no result on the second board."


class TestCommand:
    def test_a_board_beside_itself_has_changed_nothing_and_nothing_matters(self, two: tuple[Path, Path]) -> None:
        content = json.loads(succeeds("compare-boards", "a", "a", "--json"))
        assert content["changes"] == content["warnings"] == []
        assert content["verdict"] == "0 of 2 methods of both boards differ in a way that matters."
        for row in content["differences"]:
            assert (row["pairs"], row["difference"], row["p_adjusted"], row["matters"]) == (2, 0.0, 1.0, False)
        text = succeeds("compare-boards", "a", "b")
        assert "Nothing differs but, perhaps, the results." in text
        assert "random-search: equal on 2 shared seeds; nothing changed." in text

    def test_another_protocol_is_named_setting_by_setting(self, two: tuple[Path, Path]) -> None:
        params = Path("b/params.yaml")
        params.write_text(
            params.read_text().replace("epochs: 3", "epochs: 4").replace("evaluations: 5", "evaluations: 6")
        )
        rewrite(two[1], methods=_with_settings(two[1], "evaluations", "6"))
        content = json.loads(succeeds("compare-boards", "a", "b", "--json"))
        changed = {
            (change["kind"], change["what"]): (change["first"], change["second"]) for change in content["changes"]
        }
        assert changed == {
            ("protocol", "epochs"): ("3", "4"),
            ("setting", "random-search.evaluations"): ("5", "6"),
            ("setting", "local-search.evaluations"): ("5", "6"),
        }
        assert content["warnings"] == [
            "They have other protocols: a difference is that of the protocols too, not of the methods alone."
        ]
        assert content["verdict"].endswith("on numbers that are not of the same thing.")
        assert "Not of the same thing: They have other protocols" in " ".join(
            succeeds("compare-boards", "a", "b").split()
        )

    def test_another_truth_and_what_else_is_in_the_manifest_is_named(self, two: tuple[Path, Path]) -> None:
        truth = Path("b/results/truth.json")
        truth.write_text(json.dumps(json.loads(truth.read_text()) | {"sha256": "0" * 64}))
        content = manifest(two[1])
        code = {"git_revision": "abc", "has_changes": True}
        machines = [each | {"device": "a GPU"} for each in content["machines"]]
        methods = {name: method for name, method in content["methods"].items() if name != "local-search"}
        assert methods != content["methods"]
        rewrite(two[1], code=code, machines=machines, versions=content["versions"] | {"torch": "\x1b[31m9.9"})
        found = compare_boards(*two)
        assert {(change.kind, change.what) for change in found.changes} == {
            *{("code", "commit"), ("version", "torch"), ("hardware", "device of the runs"), ("truth", "SHA-256")}
        }
        assert "\\x1b[31m9.9" in [change.second for change in found.changes]  # no colour on a terminal
        assert found.warnings == ["They have other true accuracies: the same cell has another number on each."]

    def test_boards_without_a_column_in_common_are_one_sentence(self, two: tuple[Path, Path]) -> None:
        for path in Path("b/results").iterdir():
            if path.suffix == ".parquet":
                table = pd.read_parquet(path)
                table.columns = [str(name).replace("cifar10/test", "cifar100/test") for name in table.columns]
                table.to_parquet(path)
            else:
                path.write_text(
                    path.read_text().replace("cifar10/test", "cifar100/test").replace("CIFAR-10", "CIFAR-100")
                )
        rewrite(two[1])
        sentence = "the boards have no truth column in common: CIFAR-10 test and CIFAR-100 test"
        assert fails("compare-boards", "a", "b") == sentence

    def test_what_is_no_board_is_one_sentence(self, two: tuple[Path, Path]) -> None:
        assert fails("compare-boards", "a", "c") == "c is no published board: it has no published.json"

    def test_two_methods_of_a_published_board_are_compared(self, two: tuple[Path, Path]) -> None:
        arguments = ["compare", "random-search", "local-search", "--board", "a"]
        (found,) = json.loads(succeeds(*arguments, "--json"))
        assert found["label"] == "CIFAR-10 test"
        assert found["row"]["pairs"] == 2.0
        assert found["verdict"] in " ".join(succeeds(*arguments).split())
        assert "a/results has no variant or baseline 'x'" in fails("compare", "x", "local-search", "--board", "a")
        assert "b/published.json is damaged" in _with_damage(two[1])


def _with_damage(folder: Path) -> str:
    (folder / "published.json").write_text("[")
    return fails("compare", "random-search", "local-search", "--board", str(folder))


def _with_settings(folder: Path, key: str, value: str) -> dict[str, Any]:
    methods = manifest(folder)["methods"]
    for method in methods.values():
        method["settings"] = [[name, value if name == key else old, text] for name, old, text in method["settings"]]
    return methods
