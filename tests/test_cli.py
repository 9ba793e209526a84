"""Every command of `dartsboard`; a mistake of the user is one line on stderr and exit status 2."""

import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

from harness.board.sources import write_sources
from harness.cli import main
from harness.images.decoded import IMAGES
from harness.records.record import read_record
from harness.settings.protocol import load_board
from harness.space.cell import RESIDUAL, Shape
from harness.tracking.tracked import read_tracked
from harness.truth.table import TRUTH_FILE
from tests.commands import dartsboard, fails, in_a_process, set_in_params, succeeds
from tests.conftest import ROOT, tiny_params, write_params

HEAVY = {"torch", "mlflow", "pandas", "pyarrow", "matplotlib", "sklearn", "torchvision", "dvc"}
IN_A_PROJECT = (
    *(["status"], ["plan"], ["prune"], ["sync"], ["ui"], ["sweep"], ["sweep", "--dry-run"], ["new-variant", "mine"]),
    *(["compare", "darts", "darts-2nd"], ["search", "darts", "--seed", "0"], ["search", "darts", "--seeds", "0,1"]),
    *(["truth", "show", "0"], ["truth", "import", "analog-nasbench"], ["publish", "mine"]),
)
"""Commands that have to do with a project."""


class TestHelp:
    def test_it_answers_at_once(self, tmp_path: Path) -> None:
        spent = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert in_a_process(tmp_path, "--help")[0] == 0
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(spent) < 0.5  # of a processor, so that a busy machine does not count

    def test_it_imports_nothing_heavy(self, tmp_path: Path) -> None:
        code = textwrap.dedent("""
            import sys
            from harness.cli import main
            main(["--help"], standalone_mode=False)
            print(*sys.modules, file=sys.stderr)
        """)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        assert not HEAVY & set(result.stderr.split())
        for name in main.commands:
            assert f"  {name} " in result.stdout

    def test_every_command_explains_itself(self) -> None:
        def walk(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
            yield words
            for name, inner in getattr(command, "commands", {}).items():
                assert inner.help, name
                yield from walk(inner, (*words, name))

        for words in walk(main, ()):
            assert "Usage:" in succeeds(*words, "--help")


class TestCell:
    def test_it_is_described(self) -> None:
        content = json.loads(succeeds("cell", "9930", "--json"))
        assert content["string"] == str(RESIDUAL)
        assert content["parameters"] == RESIDUAL.parameters(Shape())
        assert json.loads(succeeds("cell", content["string"], "--json")) == content
        assert f"parameters: {content['parameters']}" in succeeds("cell", "9930")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("15625", "cell index 15625 is out of range, expected 0 to 15624"),
            ("hello", "'hello' is no cell, expected the form |"),
            ("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|sep_conv~2|", "edge 2>3: 'sep_conv' is no operation"),
            ("|skip_connect~0|+|none~0|none~0|+|none~0|none~1|none~2|", "edge 0>2 stands twice"),
            ("", "'' is no cell"),
        ],
    )
    def test_what_is_no_cell_is_told(self, text: str, sentence: str) -> None:
        assert sentence in fails("cell", text)


class TestParams:
    @pytest.mark.parametrize(
        ("keys", "value", "sentence"),
        [
            ("seedz", [0], "params.yaml: unknown key 'seedz', did you mean 'seeds'?"),
            (
                "protocols/tiny/network/chanels",
                4,
                "unknown key 'protocols.tiny.network.chanels', did you mean 'channels'?",
            ),
            ("protocols/tiny/epochs", "three", "protocols.tiny.epochs: expected a number, not 'three'"),
            (
                "protocols/tiny/batch_size",
                1,
                "protocols.tiny.batch_size: input should be greater than or equal to 2, not 1",
            ),
            ("seeds", [0, 0], "seeds: expected distinct numbers from 0 up"),
            ("protocol", "tinny", "there is no protocol 'tinny', did you mean 'tiny'?"),
            ("variants", {"dart": {}}, "there is no variant 'dart', did you mean 'darts'?"),
            (
                "variants",
                {"darts-2nd": {"radius": "big"}},
                "variants.darts-2nd: radius: expected a number",
            ),
            (
                "baselines",
                {"random-search": {"evaluations": 0}},
                "baselines.random-search: evaluations: input should be",
            ),
            ("baselines", {"random-serch": {}}, "there is no variant 'random-serch', did you mean 'random-search'?"),
            ("truth", {"source": "table", "path": None}, "the source 'table' needs a path"),
        ],
    )
    def test_a_mistake_is_told_with_its_place(self, project: Path, keys: str, value: Any, sentence: str) -> None:
        set_in_params(keys, value)
        assert sentence in fails("status")
        assert not (project / "runs").exists()

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("", "is empty or no mapping"),
            ("a: [1", "is no YAML"),
            ("- 1", "is empty or no mapping"),
            ("\x00", "is no YAML"),
        ],
    )
    def test_a_file_that_is_no_mapping_is_told(self, project: Path, text: str, sentence: str) -> None:
        Path("params.yaml").write_text(text)
        for command in (["status"], ["search", "darts", "--seed", "0"], ["prune"]):
            assert sentence in fails(*command)

    def test_a_missing_file_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        for command in IN_A_PROJECT:
            assert fails(*command) == "params.yaml is missing: run dartsboard in the project's folder"
        assert not list(tmp_path.iterdir())

    def test_in_a_folder_of_the_project_its_place_is_told(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (project / "dvc.yaml").touch()
        (project / "a" / "b").mkdir(parents=True)
        monkeypatch.chdir(project / "a" / "b")
        for command in IN_A_PROJECT:
            place = "params.yaml is missing: run dartsboard in the project's folder, which is "
            assert fails(*command) == f"{place}{project}"
        assert not list((project / "a" / "b").iterdir())


class TestSearch:
    def test_a_search_and_a_baseline_leave_their_records(self, project: Path) -> None:
        for name in ("darts", "random-search"):
            assert succeeds("search", name, "--seed", "0").startswith("done: |")
            assert read_record(project / "runs" / name / "seed-0").status == "done"

    def test_an_unknown_variant_is_told_with_the_nearest(self, project: Path) -> None:
        assert fails("search", "dart", "--seed", "0") == "there is no variant 'dart', did you mean 'darts'?"

    @pytest.mark.parametrize(
        ("variant", "key", "value", "sentence"),
        [
            ("darts-pt", "epochs", 1, "protocol epochs: darts-pt needs at least 2 epochs"),
            ("lambda-darts", "precision", "bfloat16", "protocol precision: expected float32 or float64"),
        ],
    )
    def test_a_protocol_that_a_method_cannot_work_under_is_told_by_every_command(
        self, project: Path, variant: str, key: str, value: Any, sentence: str
    ) -> None:
        content = tiny_params(variants={variant: {}})
        content["protocols"]["tiny"][key] = value
        write_params(project, content)
        search = ["search", variant]
        for command in (["status"], ["plan"], [*search, "--seed", "0"], [*search, "--seeds", "0,1"]):
            told = fails(*command)
            assert told.startswith(f"params.yaml: {variant} cannot search under the protocol tiny: {sentence}")
        assert not Path("runs").exists()

    def test_options_are_checked(self, project: Path) -> None:
        for arguments in (["darts"], ["darts", "--seed", "-1"], ["darts", "--seed", "x"], []):
            result = dartsboard("search", *arguments)
            assert result.exit_code == 2
            assert "Error: " in result.stderr

    def test_missing_images_are_told(self, project: Path) -> None:
        shutil.rmtree(IMAGES)
        assert "is missing: run `dvc repro data`" in fails("search", "darts", "--seed", "0")
        assert not Path("runs").exists()

    def test_a_truncated_cache_is_told(self, project: Path) -> None:
        largest = max(IMAGES.iterdir(), key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[:-10])
        assert f"{largest} is damaged" in fails("search", "darts", "--seed", "0")
        assert not Path("runs").exists()

    def test_images_of_another_protocol_are_told(self, project: Path) -> None:
        set_in_params("protocols/tiny/data/limit", 9)
        assert "was decoded with data.limit 8, not 9: run `dvc repro data`" in fails("search", "darts", "--seed", "0")

    @pytest.mark.parametrize("damage", ["missing", "truncated", "text", "another table"])
    def test_truth_that_cannot_be_read_is_told(self, project: Path, damage: str) -> None:
        content = TRUTH_FILE.read_bytes()
        if damage == "missing":
            TRUTH_FILE.unlink()
        elif damage == "truncated":
            TRUTH_FILE.write_bytes(content[: len(content) // 2])
        elif damage == "text":
            TRUTH_FILE.write_text("cell,accuracy\n0,90\n")
        else:
            pd.DataFrame({"cell": [0], "accuracy": [90.0]}).to_parquet(TRUTH_FILE)
        for command in (["truth", "show", "0"], ["search", "random-search", "--seed", "0"]):
            sentence = fails(*command)
            assert sentence.startswith("data/truth.parquet")
            assert "`dvc repro truth`" in sentence
        assert not Path("runs").exists()


class TestStatusAndPrune:
    def test_a_clone_without_data_or_runs_lacks_its_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_params(tmp_path, tiny_params())
        assert succeeds("status").endswith("\n6 missing\n")
        assert succeeds("prune", "--dry-run") == "nothing to remove\n"

    @pytest.mark.parametrize("state", [".dartsboard", ".dartsboard/locks"])
    def test_a_file_in_place_of_a_folder_of_state_is_told(self, project: Path, state: str) -> None:
        Path(state).parent.mkdir(exist_ok=True)
        Path(state).touch()
        assert ".dartsboard" in fails("search", "darts", "--seed", "0")
        assert succeeds("status").endswith("\n6 missing\n")

    def test_what_is_no_lock_is_told(self, project: Path) -> None:
        lock = Path(".dartsboard/locks/darts-seed-0.lock")
        lock.mkdir(parents=True)
        assert fails("status").endswith(f"{lock} is no lock (Is a directory): remove it")
        assert fails("search", "darts", "--seed", "0") == f"{lock} could not be written: Is a directory"

    @pytest.mark.parametrize("state", [".dartsboard", ".dartsboard/sweep.lock"])
    def test_a_sweep_without_a_place_for_its_lock_is_told(self, project: Path, state: str) -> None:
        Path(state).parent.mkdir(exist_ok=True)
        Path(state).symlink_to("nowhere/at/all")
        assert fails("sweep").startswith(".dartsboard/sweep.lock could not be written: ")

    def test_the_states_of_a_board(self, project: Path) -> None:
        def states() -> dict[tuple[str, int], str]:
            return {(run["variant"], run["seed"]): run["state"] for run in json.loads(succeeds("status", "--json"))}

        assert set(states().values()) == {"missing"}
        assert len(states()) == 6
        succeeds("search", "darts", "--seed", "0")
        succeeds("search", "random-search", "--seed", "1")
        assert states()["darts", 0] == states()["random-search", 1] == "done"
        assert succeeds("status").endswith("\n2 done, 4 missing\n")
        record = project / "runs" / "darts" / "seed-0" / "record.json"
        record.write_text(record.read_text()[:-20])
        assert states()["darts", 0] == "damaged"
        set_in_params("baselines/random-search/evaluations", 6)
        assert states()["random-search", 1] == "stale"

    def test_prune_removes_what_the_board_does_not_name(self, project: Path) -> None:
        assert succeeds("prune") == "nothing to remove\n"
        for seed in ("0", "1"):
            succeeds("search", "random-search", "--seed", seed)
        write_params(project, tiny_params(seeds=[0]))
        assert succeeds("prune", "--dry-run") == "would remove runs/random-search/seed-1\n"
        assert (project / "runs" / "random-search" / "seed-1").exists()
        assert succeeds("prune") == "removed runs/random-search/seed-1\n"
        assert [path.name for path in (project / "runs" / "random-search").iterdir()] == ["seed-0"]

    def test_prune_leaves_what_is_no_run_of_the_project(self, project: Path, tmp_path_factory: Any) -> None:
        elsewhere = tmp_path_factory.mktemp("elsewhere") / "seed-7"
        succeeds("search", "random-search", "--seed", "0")
        runs = project / "runs"
        shutil.copytree(runs / "random-search" / "seed-0", elsewhere)
        (runs / "linked").symlink_to(elsewhere.parent)
        (runs / "random-search" / "seed-7").symlink_to(elsewhere)
        (runs / "random-search" / "seed-9").write_text("a note")
        for name in ("seed-0-backup", "seed-00"):
            shutil.copytree(runs / "random-search" / "seed-0", runs / "random-search" / name)
        (runs / "darts" / "seed-5").mkdir(parents=True)
        (runs / "darts" / "seed-5" / "thesis.txt").write_text("mine")
        before = sorted(project.rglob("*"))
        assert succeeds("prune") == "nothing to remove\n"
        assert sorted(project.rglob("*")) == before
        assert sorted(path.name for path in elsewhere.iterdir()) == sorted(
            path.name for path in (runs / "random-search" / "seed-0").iterdir()
        )

    def test_a_folder_that_holds_more_than_runs_stays(self, project: Path) -> None:
        succeeds("search", "random-search", "--seed", "1")
        (project / "runs" / "random-search" / "notes.txt").write_text("mine")
        write_params(project, tiny_params(seeds=[0]))
        assert succeeds("prune") == "removed runs/random-search/seed-1\n"
        assert [path.name for path in (project / "runs" / "random-search").iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize("price", ["nan", "inf", "1e308"])
    def test_a_price_is_a_number(self, project: Path, price: str) -> None:
        assert fails("plan", "--price", price) == "--price: expected a number up to 1e+09"


class TestOtherCommands:
    def test_variants(self) -> None:
        content = json.loads(succeeds("variants", "--json"))
        assert content["darts"]["passes a step"] == 2
        assert content["random-search"]["passes a step"] is None
        assert content["darts"]["times DARTS"] == 1
        assert content["darts"]["published"] and not content["ostr-darts"]["published"]
        assert [content[name]["family"] for name in ("darts", "random-search")] == ["gradient estimator", "multi-trial"]
        lines = succeeds("variants").splitlines()
        assert max(map(len, lines)) <= 100
        row = next(line for line in lines if line.startswith("  darts-2nd "))
        assert row.split(maxsplit=3) == ["darts-2nd", "2.5", "yes", "alpha gradient: one unrolled step"]
        heading = lines.index("SELECTION: how operations are chosen, at the end or on the way")
        assert "darts-pt" in lines[heading + 2]
        assert {name for name in content if any(line.startswith(f"  {name} ") for line in lines)} == set(content)

    def test_doctor_says_what_is_missing_and_how_to_get_it(self, project: Path) -> None:
        TRUTH_FILE.unlink()
        result = dartsboard("doctor", "--json")
        assert result.exit_code == 1
        findings = {finding["subject"]: finding for finding in json.loads(result.stdout)}
        assert findings["params.yaml"]["works"]
        assert findings["images"]["works"]
        assert not findings["truth"]["works"]
        assert "`dvc repro truth`" in findings["truth"]["detail"]
        assert not findings["pipeline"]["works"]
        assert "dvc init" in findings["pipeline"]["detail"]

    def test_doctor_reads_the_table_of_costs_before_searches_that_need_hours_do(self, project: Path) -> None:
        assert "costs" not in {finding["subject"] for finding in json.loads(dartsboard("doctor", "--json").stdout)}
        columns = {"latency": {"label": "latency on a phone", "unit": "ms"}}
        set_in_params("costs", {"path": "costs.csv", "cell_column": "cell", "columns": columns})
        result = dartsboard("doctor")
        assert "MISSING  costs            costs.csv is missing, expected a file" in result.stdout
        Path("costs.csv").write_text("cell,latency\n" + "".join(f"{cell},1.5\n" for cell in range(15_625)))
        write_sources(load_board())
        assert "ok       costs            latency on a phone of 15,625 cells" in dartsboard("doctor").stdout

    def test_doctor_survives_a_broken_params_file(self, project: Path) -> None:
        Path("params.yaml").write_text("a: [1")
        result = dartsboard("doctor")
        assert result.exit_code == 1
        assert "MISSING  params.yaml" in result.stdout
        assert "is no YAML" in result.stdout

    def test_sync_with_a_dead_server_says_so_and_stops_nothing(self, project: Path) -> None:
        set_in_params("tracking", {"uri": "http://127.0.0.1:9", "experiment": "dartsboard"})
        result = dartsboard("sync")
        assert result.exit_code == 1
        assert "127.0.0.1:9" in result.stdout
        assert "127.0.0.1:9" in read_tracked().message
        assert "Traceback" not in result.output

    def test_ui_checks_its_port(self, project: Path) -> None:
        result = dartsboard("ui", "--port", "0")
        assert result.exit_code == 2
        assert "0 is not in the range" in result.stderr


def test_a_clock_beyond_what_python_counts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late() -> float:
        raise OverflowError("timestamp too large to convert to C _PyTime_t")

    monkeypatch.setattr("time.time", too_late)
    assert fails("status").startswith("the clock of this machine is past the year 2262")
