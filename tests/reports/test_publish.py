"""Publishing a finished board, and the report from its folder alone."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.board.lookup import look_up
from harness.board.status import board_status
from harness.publishing import folder as publishing_folder
from harness.publishing import tables
from harness.publishing.folder import read_published
from harness.publishing.manifest import Code
from harness.publishing.writing import manifest_of
from harness.records.record import read_record, run_folder, write_run
from harness.results.columns import RESULT_COLUMNS
from harness.results.folder import load_results
from harness.search import registry
from harness.settings.protocol import load_board
from harness.truth.table import Truth, write_truth
from reports.analysis.theory import Theory, read_theory
from reports.drawing.picture import Picture
from reports.page import build_report
from reports.publish import publish
from tests.commands import fails, succeeds
from tests.conftest import write_params
from tests.published import PARAMS, finish_board, manifest, rewrite

LOOK_UP = "run `dvc repro --force lookup`"
ANEW = "take the folder anew from where it came"


@pytest.fixture(scope="module")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board whose runs are all done, with its results and what was published of it."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(prepared, folder, dirs_exist_ok=True)
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.drawing.picture._drawn", _hash_of_what_is_drawn)
        finish_board()
        publish("tiny")
    return folder


@pytest.fixture(autouse=True)
def quick(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures hold a hash of what they would draw, which takes half a minute a page, and all cells are described."""
    space = pd.read_parquet(finished / "results" / "space.parquet")
    monkeypatch.setattr("reports.drawing.picture._drawn", _hash_of_what_is_drawn)
    monkeypatch.setattr("reports.publish.usable_cores", lambda: 1)
    monkeypatch.setattr("harness.board.lookup._space", lambda columns, operations: space)


def _hash_of_what_is_drawn(picture: Picture) -> tuple[str, bytes]:
    digest = hashlib.sha256(picture.title.encode())
    for argument in picture._arguments:
        digest.update((argument.to_csv() if isinstance(argument, pd.DataFrame) else repr(argument)).encode())
    return f"<svg>{digest.hexdigest()}</svg>", b"\x89PNG" + digest.digest()


@pytest.fixture
def board(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it as the current folder."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def alone(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the published folder where nothing else is."""
    shutil.copytree(finished / "boards" / "tiny", tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    return Path("tiny")


class TestPublish:
    def test_the_folder_holds_the_tables_as_they_are_and_says_where_they_come_from(self, board: Path) -> None:
        folder = board / "boards" / "tiny"
        for name in RESULT_COLUMNS:
            ours = pd.read_parquet(folder / "results" / f"{name}.parquet")
            pd.testing.assert_frame_equal(ours, pd.read_parquet(board / "results" / f"{name}.parquet"))
        content = manifest(folder)
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert set(content["files"]) == files - {"published.json"}
        assert content["code"] == {"git_revision": None, "has_changes": None}  # outside git
        assert (folder / "params.yaml").read_text() == (board / "params.yaml").read_text()
        record = read_record(run_folder("darts-2nd", 0))
        (machine,) = (each for each in content["machines"] if "darts-2nd" in each["runs"])
        assert machine["runs"]["darts-2nd"] == [0, 1]
        assert machine["torch"] == record.environment.torch
        assert content["checksums"]["truth"] == json.loads((board / "results" / "truth.json").read_text())["sha256"]
        assert ["radius", "0.01"] in [setting[:2] for setting in content["methods"]["darts-2nd"]["settings"]]
        assert str(board) not in (folder / "README.md").read_text() + (folder / "published.json").read_text()

    def test_the_page_says_what_the_numbers_say(self, board: Path) -> None:
        page = (board / "boards" / "tiny" / "README.md").read_text()
        runs = load_results(board / "results").finished
        for name, own in runs.groupby("variant"):
            (line,) = re.findall(rf"^\| {name} .*$", page, re.MULTILINE)
            values = own["truth/cifar10/test"]
            assert f"{values.mean():.2f} ± {values.std():.2f}" in line
            assert "| 2 of 2 |" in line
        assert "The tests tell nothing apart here: no method shares more than 2 seeds" in page
        assert "2 finished searches collapse" in page
        assert "4 runs: 4 done." in page
        assert "from code that is not in git" in page
        assert "dartsboard report --board boards/tiny" in page
        assert "dvc repro search@darts-2nd-0" in page
        for name in re.findall(r"\]\((figures/[^)]+)\)", page):
            assert (board / "boards" / "tiny" / name).read_bytes().startswith(b"\x89PNG")

    def test_failed_runs_are_published_and_counted(self, board: Path) -> None:
        record = read_record(run_folder("random-search", 1))
        lost = record.model_copy(update={"status": "failed", "reason": "it broke", "cell": None, "epochs": 0})
        epochs = pd.read_parquet(run_folder("random-search", 1) / "epochs.parquet")
        write_run(run_folder("random-search", 1), lost, epochs.head(0))
        assert "results is older than the runs" not in fails("publish", "lost")  # the same fingerprint, another table
        look_up(load_board(), Truth.read(), Path("results"))
        Path("data/theory").mkdir()
        for name in Theory.__dataclass_fields__:
            pd.DataFrame({"value": [0.5]}).to_parquet(f"data/theory/{name}.parquet")
        succeeds("publish", "lost", "--output", "elsewhere")
        assert len(read_published(Path("elsewhere/lost")).load().finished) == 3
        assert read_theory(Path("elsewhere/lost/theory")) is not None
        page = Path("elsewhere/lost/README.md").read_text()
        assert "Without a result, so in no mean: random-search seed 1 failed (it broke)." in page
        assert "| 1 of 2 |" in page

    def test_uncommitted_changes_are_said(self, board: Path) -> None:
        def git(*arguments: str) -> str:
            name = ("-c", "user.name=a", "-c", "user.email=a@b")
            return subprocess.run(["git", *name, *arguments], check=True, capture_output=True, text=True).stdout.strip()

        git("init", "--quiet")
        Path("code.py").touch()
        git("add", "params.yaml", "code.py")
        git("commit", "--quiet", "-m", "board")
        board_here, commit = load_board(), git("rev-parse", "HEAD")
        with Path("params.yaml").open("a") as file:
            file.write("# a remark, and published with the rest\n")
        assert manifest_of("clean", board_here, [], {}).code == Code(git_revision=commit, has_changes=False)
        Path("code.py").write_text("pass\n")
        publish("tiny", replace=True)
        assert manifest(Path("boards/tiny"))["code"] == {"git_revision": commit, "has_changes": True}
        page = Path("boards/tiny/README.md").read_text()
        assert f"at commit `{commit[:12]}` **with uncommitted changes**" in page
        assert f"git worktree add ../again {commit}" in page

    def test_a_board_goes_on_from_published_runs(self, board: Path) -> None:
        succeeds("publish", "more", "--runs")
        assert "cp -r boards/more/runs boards/more/params.yaml ." in Path("boards/more/README.md").read_text()
        shutil.rmtree("runs")
        shutil.copytree("boards/more/runs", "runs")
        write_params(board, {**PARAMS, "seeds": [0, 1, 2]})
        states = {(run.variant, run.seed): run.state for run in board_status(load_board())}
        assert [run for run, state in states.items() if state != "done"] == [("darts-2nd", 2), ("random-search", 2)]

    def test_published_runs_are_checked_too(self, board: Path) -> None:
        folder = publish("more", with_runs=True)
        seed = folder / "runs" / "darts-2nd" / "seed-1"
        seed.rename(board / "seed-1")
        seed.symlink_to(board / "seed-1")
        with pytest.raises(UserError, match=r"runs/darts-2nd/seed-1/\S+ is a link, which no published board has"):
            read_published(folder)
        seed.unlink()
        (board / "seed-1").rename(seed)
        (seed / "alpha.parquet").write_bytes((seed / "alpha.parquet").read_bytes()[:-1])
        with pytest.raises(UserError, match=r"runs/darts-2nd/seed-1/alpha\.parquet is damaged \(its size differs\)"):
            read_published(folder)

    def test_runs_that_would_make_the_folder_unreadable_are_refused(
        self, board: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("harness.publishing.writing.LARGEST", 10_000)
        with pytest.raises(UserError, match=r"with its runs .* at most 0: publish it without --runs"):
            publish("more", with_runs=True)
        assert [path.name for path in Path("boards").iterdir()] == ["tiny"]

    def test_a_board_of_this_name_stays_unless_it_shall_be_replaced(self, board: Path) -> None:
        assert fails("publish", "tiny") == "boards/tiny is there already: take another name, or --replace it"
        Path("boards/mine").mkdir()
        sentence = "boards/mine is there and no published board: take another name, or move it away"
        assert fails("publish", "mine", "--replace") == sentence

    @pytest.mark.parametrize("name", ["..", "a/b", "-x", "", "a" * 61])
    def test_a_name_that_could_lead_elsewhere_is_refused(self, board: Path, name: str) -> None:
        assert "is no name for a board" in fails("publish", "--", name)


def _lose(board: Path) -> None:
    shutil.rmtree(run_folder("darts-2nd", 1))


def _change_settings(board: Path) -> None:
    write_params(board, {**PARAMS, "variants": {"darts-2nd": {"radius": 0.02}}})


def _damage(board: Path) -> None:
    (run_folder("random-search", 0) / "epochs.parquet").write_bytes(b"PAR1")


def _older_results(board: Path) -> None:
    table = pd.read_parquet("results/runs.parquet")
    table.loc[(table["variant"] == "random-search") & (table["seed"] == 0), "fingerprint"] = "0" * 64
    table.to_parquet("results/runs.parquet")


def _edit(board: Path) -> None:
    table = pd.read_parquet("results/runs.parquet")
    table["truth/cifar10/test"] += 0.01
    table.to_parquet("results/runs.parquet")


def _other_truth(board: Path) -> None:
    content = json.loads(Path("results/truth.json").read_text())
    Path("results/truth.json").write_text(json.dumps({**content, "sha256": "0" * 64}))


def _fewer_runs(board: Path) -> None:
    write_params(board, {**PARAMS, "seeds": [0]})


def _other_file(board: Path) -> None:
    write_params(board, {**PARAMS, "truth": {"source": "nats-bench", "path": "elsewhere"}})


def _other_source(board: Path) -> None:
    truth = Truth.read()
    write_truth(Truth(truth.frame, truth.provenance.model_copy(update={"source": "table"})))


def _secret(board: Path) -> None:
    write_params(board, {**PARAMS, "tracking": {"uri": "https://me:secret@host", "experiment": "dartsboard"}})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_lose, "the board is not finished, 1 of 4 runs have no result of now: darts-2nd seed 1 is missing; run `dvc"),
        (_change_settings, "2 of 4 runs have no result of now: darts-2nd seed 0 is stale, darts-2nd seed 1 is stale;"),
        (_damage, "1 of 4 runs have no result of now: random-search seed 0 is damaged"),
        (_older_results, f"results is older than the runs: it has not random-search seed 0 as now; {LOOK_UP}"),
        (_edit, "results/runs.parquet is not what a look-up of these runs gives now (the column truth/cifar10/test"),
        (
            _other_truth,
            f"results/truth.json is not what a look-up of these runs gives now (sha256 is another): {LOOK_UP}",
        ),
        (_fewer_runs, "results has runs that the board does not name: darts-2nd seed 1, random-search seed 1;"),
        (_other_file, "truth.path: elsewhere is not what `dvc repro` last worked with: run `dvc repro`"),
        (_other_source, "data/truth.parquet comes from table, not from analog-nasbench: run `dvc repro`"),
        (_secret, "params.yaml: tracking.uri has a user or a password"),
    ],
)
def test_what_is_no_finished_board_is_refused_and_leaves_nothing(board: Path, spoil: Any, sentence: str) -> None:
    spoil(board)
    assert sentence in fails("publish", "new")
    assert [path.name for path in Path("boards").iterdir()] == ["tiny"]


def test_tables_that_are_too_large_are_refused(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LARGEST", 1000)
    with pytest.raises(
        UserError, match=r"the tables would take 0\.\d MB, .* at most 0: space\.parquet alone has 0\.\d;"
    ):
        publish("new")
    assert [path.name for path in Path("boards").iterdir()] == ["tiny"]


class TestReport:
    def test_it_is_that_of_the_board(self, board: Path) -> None:
        theirs = build_report(Path("results"), load_board(), Path("theirs"))
        folder = Path("alone/tiny")
        shutil.copytree("boards/tiny", folder)
        for gone in ("runs", "results", "data", "params.yaml", "boards", ".dartsboard"):
            path = Path(gone)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        ours = Path(succeeds("report", "--board", "alone/tiny", "--output", "ours").strip())
        assert sorted(_files(ours.parent)) == sorted(_files(theirs.parent))
        for name in _files(ours.parent):
            one, other = ((path.parent / name).read_bytes() for path in (ours, theirs))
            assert _without_links(one) == _without_links(other), name

    def test_methods_that_this_code_knows_otherwise_or_not_at_all_break_nothing(
        self, alone: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = (alone / "params.yaml").read_text().replace("radius:", "reach:").replace("uri:", "address:")
        (alone / "params.yaml").write_text(text)
        rewrite(alone)
        known = {name: method for name, method in registry.methods().items() if name != "random-search"}
        monkeypatch.setattr(registry, "methods", lambda: known)
        main = Path(succeeds("report", "--board", "tiny").strip())
        assert main == Path("reports/published/tiny/report.html")
        page = (main.parent / "variants" / "darts-2nd.html").read_text()
        assert "radius" in page
        assert manifest(alone)["methods"]["random-search"]["summary"].split(".")[0] in (
            main.parent / "variants" / "random-search.html"
        ).read_text().replace("&#39;", "'")

    def test_no_published_board_gives_way_to_it(self, alone: Path) -> None:
        sentence = "tiny is a published board, expected another folder for its report"
        assert fails("report", "--board", "tiny", "--output", "tiny") == sentence
        assert read_published(alone).manifest.name == "tiny"


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _without_links(content: bytes) -> bytes:
    """A page without what it says of links to MLflow."""
    return re.sub(rb"No links to MLflow: [^.]*\.", b"", content)


def _cut(folder: Path) -> None:
    path = folder / "results" / "runs.parquet"
    path.write_bytes(path.read_bytes()[:-1])


def _flip(folder: Path) -> None:
    path = folder / "results" / "epochs.parquet"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def _remove(folder: Path) -> None:
    (folder / "results" / "alpha.parquet").unlink()


def _unlist(folder: Path) -> None:
    rewrite(folder, files={name: listed for name, listed in manifest(folder)["files"].items() if "runs" not in name})


def _newer(folder: Path) -> None:
    rewrite(folder, schema_version=3, more=1)


def _foreign_file(folder: Path) -> None:
    rewrite(folder, files=manifest(folder)["files"] | {"../secret": {"bytes": 1, "sha256": "0" * 64}})


def _link(folder: Path) -> None:
    (folder / "README.md").rename(folder.parent / "README.md")
    (folder / "README.md").symlink_to(folder.parent.resolve() / "README.md")


def _huge(folder: Path) -> None:
    files = manifest(folder)["files"]
    files["README.md"]["bytes"] = 2**40
    rewrite(folder, files=files)


def _hostile_name(folder: Path) -> None:
    rewrite(folder, methods={"../x": next(iter(manifest(folder)["methods"].values()))})


def _other_runs(folder: Path) -> None:
    path = folder / "results" / "runs.parquet"
    table = pd.read_parquet(path)
    table.loc[0, "variant"] = "<script>"
    table.to_parquet(path)
    rewrite(folder)


def _no_table(folder: Path) -> None:
    (folder / "results" / "runs.parquet").write_bytes(b"nothing of this kind")
    rewrite(folder)


def _no_accuracies(folder: Path) -> None:
    path = folder / "results" / "runs.parquet"
    pd.read_parquet(path).assign(**{"truth/cifar10/test": 1e300}).to_parquet(path)
    rewrite(folder)


def _odd_label(folder: Path) -> None:
    path = folder / "results" / "truth.json"
    path.write_text(path.read_text().replace('"CIFAR-10 test"', '"\\u001b[31mred"'))
    rewrite(folder)


def _no_epochs(folder: Path) -> None:
    path = folder / "results" / "epochs.parquet"
    pd.read_parquet(path).assign(epoch=10**15).to_parquet(path)
    rewrite(folder)


def _contradiction(folder: Path) -> None:
    path = folder / "results" / "epochs.parquet"
    pd.read_parquet(path).assign(cell="no cell").to_parquet(path)
    rewrite(folder)


def _no_manifest(folder: Path) -> None:
    (folder / "published.json").unlink()


def _no_json(folder: Path) -> None:
    (folder / "published.json").write_text("{" * 100_000)


DAMAGE = [
    (_cut, f"tiny/results/runs.parquet is damaged (its size differs): {ANEW}"),
    (_flip, f"tiny/results/epochs.parquet is damaged (its checksum differs): {ANEW}"),
    (_remove, f"tiny/results/alpha.parquet is missing: {ANEW}"),
    (_unlist, f"tiny/published.json is damaged: it lists no results/runs.parquet: {ANEW}"),
    (_newer, "tiny/published.json was written by a newer Dartsboard (schema version 3, this one reads 1 or 2): update"),
    (_foreign_file, "tiny/published.json lists the file '../secret', which no published board has"),
    (_link, f"tiny/README.md is a link, which no published board has: {ANEW}"),
    (_huge, "tiny is larger than any published board, 64 MB"),
    (_hostile_name, "tiny/published.json: methods.../x.[key]: "),
    (_other_runs, "tiny/results/runs.parquet is damaged: its runs are not those of a finished board of params.yaml"),
    (_no_table, "tiny/results/runs.parquet is damaged"),
    (_no_accuracies, "tiny/results/runs.parquet is damaged: truth/cifar10/test holds what is no accuracy"),
    (_odd_label, f"tiny/results/truth.json is damaged: a label cannot be read: {ANEW}"),
    (_no_epochs, f"tiny/results/epochs.parquet is damaged: it counts epochs that are none: {ANEW}"),
    (_contradiction, "tiny: 'no cell' is no cell"),
    (_no_manifest, "tiny is no published board: it has no published.json"),
    (_no_json, "tiny/published.json is damaged"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE)
def test_a_damaged_or_foreign_folder_is_one_sentence(alone: Path, damage: Any, sentence: str) -> None:
    damage(alone)
    assert sentence in fails("report", "--board", "tiny")
    assert not Path("reports").exists()


def test_a_table_that_takes_more_than_its_size_explains_is_refused(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing_folder, "MOST_ROWS", 1)
    with pytest.raises(UserError, match="rows, expected at most 1"):
        publishing_folder._read(alone / "results" / "space.parquet")
    assert read_published(alone).manifest.name == "tiny"
