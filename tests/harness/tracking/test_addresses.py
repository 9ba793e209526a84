"""Where the mirror may be: addresses, files and names, and what of them is never shown."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.base.errors import UserError
from harness.base.masking import masked, masked_address, without_credentials
from harness.settings.protocol import Board
from harness.tracking.store import find_store
from harness.tracking.summary import SyncSummary
from harness.tracking.tracked import read_tracked, write_tracked
from tests.harness.tracking.runs import board_of, counts, reader_of, synced, write_one

# Passwords


@pytest.mark.parametrize(
    "address",
    [
        "http://user:S3CRET@host/x",
        "http://S3CRET@host",
        "http://user:two S3CRET words@host:5000",
        "http://user:S3C@RET/S3CRET@host",
        "http://user:12 S3CRET@host",
        "http:///user:S3CRET@host",
        "http:/user:S3CRET@host",
        "http:user:S3CRET@host",
        "user:S3CRET@host",
        "user:S3CRET with blanks@host",
        "//user:S3CRET@host",
        "http://host?api_key=S3CRET",
        "http://host/x?a=1&sig=S3CRET x",
        "http://host/#S3CRET",
        "http://user:S3CRET?S3CRET#S3CRET@host/?S3CRET",
        "postgresql://host/db?passfile=S3CRET",
        "http://user:S3CRET@[x",
    ],
)
def test_an_address_is_shown_without_what_is_secret_in_it(address: str, tmp_path: Path) -> None:
    assert "S3CRET" not in masked_address(address)
    try:
        store = find_store(board_of(address), tmp_path)
    except UserError as error:
        assert "S3CRET" not in str(error) and "\n" not in str(error)
    else:
        assert "S3CRET" not in store.shown + store.page


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:two words@host/x could not", "http://***@host/x could not"),
        ("(http://host/x?api_key=abc): nothing", "(http://host/x?***): nothing"),
        ("see 'http://host/#/a'.", "see 'http://host/#***'."),
        ("user:pw@host is none", "user:***@host is none"),
        ("http://a:1 and http://u:p@h", "http://a:1 and http://***@h"),
        ("sqlite:////home/me@work/x.db is damaged", "sqlite:////home/me@work/x.db is damaged"),
        ("stage search@darts-0 failed: again", "stage search@darts-0 failed: again"),
    ],
)
def test_addresses_in_a_text_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown == masked(shown)


def test_a_page_is_the_address_without_credentials() -> None:
    assert without_credentials("https://u:two w@rds@host:1/m/?x=1#y") == "https://host:1/m"


# Addresses that are none


@pytest.mark.parametrize(
    "uri",
    [
        "http://[::1",
        "https://[x]/",
        "http://user:pw@/",
        "http://user:pw@/[x",
        "http://user:pw@[x",
        "http://host:port",
        "http://host:99999",
        "http://host:0",
        "http://:5000",
        "http://a b",
        "http://host\n.example",
        "http://host\\x",
        "http://user:p/w@host",
        "http:///x",
        "postgresql://host:x/db",
        "sqlite://x.db",
        "sqlite:///",
        "sqlite:///folder/",
        "sqlite:///a%00b",
    ],
)
def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: tracking\.uri: .* is no store of MLflow") as caught:
        find_store(board_of(uri), tmp_path)
    assert "\n" not in str(caught.value) and "pw@" not in str(caught.value)


@pytest.mark.parametrize("uri", ["http://[::1]:5000", "https://u:p@host/mlflow/", "http://127.0.0.1", "mysql://h/d"])
def test_an_address_that_is_one_is_taken(tmp_path: Path, uri: str) -> None:
    assert find_store(board_of(uri), tmp_path).uri == uri.rstrip("/")


@pytest.mark.parametrize(
    "summary",
    [
        SyncSummary("http://x", page="http:///"),
        SyncSummary("http://x", experiment_id='1"><script>'),
        SyncSummary("http://x", experiment_id="1", run_ids={"a/seed-0": "../" * 99}),
        SyncSummary("\ud800", message="\ud800\n\x1b[31m" * 10_000),
        SyncSummary("http://x", experiment_id=5),  # type: ignore[arg-type]
    ],
)
def test_what_a_server_says_never_keeps_the_file_from_being_written(tmp_path: Path, summary: SyncSummary) -> None:
    write_tracked(summary, tmp_path / "tracked.json")
    tracked = read_tracked(tmp_path / "tracked.json")
    assert "damaged" not in tracked.message and tracked.runs == {} and len(tracked.message) < 2000


# Experiments


@pytest.mark.parametrize(
    ("uri", "name"),
    [(None, ""), (None, " "), (None, "x" * 501), ("http://host", ""), (None, "Default"), ("sqlite:///x.db", "Default")],
)
def test_a_name_that_no_experiment_can_have_is_one_sentence(tmp_path: Path, uri: str | None, name: str) -> None:
    board = Board.model_validate(board_of().model_dump() | {"tracking": {"uri": uri, "experiment": name}})
    with pytest.raises(UserError, match=r"^params\.yaml: tracking\.experiment: ") as caught:
        find_store(board, tmp_path)
    assert len(str(caught.value)) < 250


def test_a_server_may_use_mlflows_own_experiment(tmp_path: Path) -> None:
    content = board_of().model_dump() | {"tracking": {"uri": "http://host", "experiment": "Default"}}
    assert find_store(Board.model_validate(content), tmp_path).is_server


# Files


@pytest.mark.parametrize("content", [b"taxes of 2025", b"PK\3\4" * 999, b"SQLite format 2\0" * 99])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, content: bytes) -> None:
    write_one(tmp_path, "darts", 0)
    (tmp_path / "taxes.xlsx").write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    summary = synced(tmp_path, board_of(f"sqlite:///{tmp_path}/taxes.xlsx"))
    assert "taxes.xlsx is no SQLite file: nothing was changed" in summary.message
    assert (tmp_path / "taxes.xlsx").read_bytes() == content
    assert {path.name for path in set(tmp_path.rglob("*")) - set(before)} <= {"taxes.xlsx-sync.lock"}


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    with closing(sqlite3.connect(tmp_path / "places.sqlite")) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    content = (tmp_path / "places.sqlite").read_bytes()
    summary = synced(tmp_path, board_of("sqlite:///places.sqlite"))
    assert "is a database of something else than MLflow: nothing was changed" in summary.message
    assert (tmp_path / "places.sqlite").read_bytes() == content


def test_a_damaged_database_of_another_name_is_put_aside_and_that_is_said(tmp_path: Path) -> None:
    write_one(tmp_path, "darts", 0)
    damaged = b"SQLite format 3\0" + b"x" * 5000
    (tmp_path / "runs.db").write_bytes(damaged)
    summary = synced(tmp_path, board_of("sqlite:///runs.db"))
    assert counts(summary) == {"created": 1}
    assert "was damaged" in summary.note and "is now runs.db-damaged-1" in summary.note
    assert (tmp_path / "runs.db-damaged-1").read_bytes() == damaged


def test_what_is_no_regular_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    assert "mlflow.db is no regular file" in synced(tmp_path).message


@pytest.mark.parametrize("name", ["feature%2Fboard", "a?b%3F", pytest.param("100% #é;&", marks=pytest.mark.slow)])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    project = tmp_path / name
    project.mkdir()
    write_one(project, "darts", 0)
    assert counts(synced(project)) == {"created": 1}
    assert counts(synced(project)) == {"skipped": 1}
    assert (project / "mlflow.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    store = find_store(board_of(), project)
    reader = reader_of(project, store.uri)
    assert "record.json" in reader.artifacts(reader.runs["darts/seed-0"])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_address_of_a_file_is_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def file(uri: str) -> Path | None:
        return find_store(board_of(uri), tmp_path).database

    assert file("sqlite:///~/x.db") == tmp_path / "home/x.db"
    assert file("sqlite:///a%20b%2525.db") == tmp_path / "a b%25.db"
    assert file(f"sqlite:///{quote(str(tmp_path / 'é?.db'))}") == tmp_path / "é?.db"
    assert file("sqlite:///x.db?timeout=3") == tmp_path / "x.db"


def test_the_environments_store_counts_for_nothing_and_that_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write_one(project, "darts", 0)
    summary = synced(project)
    assert counts(summary) == {"created": 1}
    assert "MLFLOW_TRACKING_URI counts for nothing here" in str(summary)
