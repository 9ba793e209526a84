"""published.json: what a published board was made from, and the checksum of each of its files."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from harness.base.errors import UserError, in_one_line
from harness.base.files import open_file
from harness.base.versions import check_version
from harness.records.run_folders import METHOD_NAME
from harness.settings.strategy import Strategy
from harness.settings.validation import validate

MANIFEST = "published.json"
README = "README.md"
PARAMS = "params.yaml"
RESULTS, THEORY, FIGURES, RUNS = "results", "theory", "figures", "runs"
FILE = re.compile(
    rf"README\.md|params\.yaml|{RESULTS}/[a-z_]+\.(parquet|json)|{THEORY}/[a-z_]+\.parquet|{FIGURES}/[A-Za-z0-9-]+\.png"
    rf"|{RUNS}/{METHOD_NAME.pattern}/seed-[0-9]+/[a-z_]+\.(parquet|json)"
)
"""What else may stand in the folder of a published board."""

SCHEMA_VERSION = 2
READABLE_VERSIONS = (1, SCHEMA_VERSION)
"""Version 1 had no runs."""
LARGEST_MANIFEST = 4 * 2**20
AGAIN = "take the folder anew from where it came"
"""How a published board that is damaged is mended, as the end of a sentence."""

Checksum = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=f"^{METHOD_NAME.pattern}$")]
"""Of a method, and of a board: it can name a folder, and nothing outside it."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Code(_Part):
    """The code that published the board, and so looked up its runs."""

    git_revision: str | None
    """Commit of the project; null outside git."""
    has_changes: bool | None
    """Whether tracked files other than the board's own differed from that commit; null outside git."""


class Machine(_Part):
    """An environment that runs were computed in, as their records tell it, and these runs."""

    device: str
    processor: str
    threads: int | None
    deterministic: bool | None
    python: str
    torch: str
    numpy: str
    git_revision: str | None
    """Commit of the project that the runs were made with, with `+changes` as in `Environment.git_revision`."""
    runs: dict[Name, list[int]]
    """The seeds by method."""


class Checksums(_Part):
    """What the board's numbers come from, each as a SHA-256; null: the board needed no such thing."""

    data: Checksum | None
    """Of the decoded images, their classes, and the split into both halves; null for a board of baselines."""
    images: Checksum | None
    """Of the files that `data.path` of the protocol names."""
    split: Checksum | None
    """Of the file that `data.split.file` of the protocol names."""
    truth: Checksum
    """Of the source of the true accuracies."""
    costs: Checksum | None
    """Of the table of costs."""


class Method(_Part):
    """What a method said of itself when the board was published."""

    summary: str
    axis: str
    strategy: Strategy | None
    citation: str
    departures: tuple[str, ...]
    settings: list[tuple[str, str, str]]
    """Key, value and meaning, with the defaults of those that params.yaml leaves out."""


class Listed(_Part):
    """A file of the folder."""

    bytes: int = Field(ge=0)
    sha256: Checksum


class Manifest(_Part):
    """published.json."""

    schema_version: int = SCHEMA_VERSION
    name: Name
    """That of its folder when it was published."""
    date: str
    """Day of its publication."""
    code: Code
    versions: dict[str, str]
    """Of Python and of the packages that the tables were made with."""
    protocol: str
    checksums: Checksums
    machines: list[Machine]
    methods: dict[Name, Method]
    files: dict[str, Listed]
    """All files of the folder but this one, by their path in it."""


def read_manifest(folder: Path) -> Manifest:
    """Read and validate published.json of a folder from outside.

    Raises:
        UserError: it is missing, too large, damaged, or of another schema version.
    """
    path = folder / MANIFEST
    try:
        with open_file(path) as file:
            text = file.read(LARGEST_MANIFEST + 1)
        if len(text) > LARGEST_MANIFEST:
            raise UserError(f"{path} is larger than that of any published board")
        content: Any = json.loads(text.decode())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{in_one_line(folder)} is no published board: it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({in_one_line(error)}): {AGAIN}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (expected an object): {AGAIN}")
    check_version(path, content.get("schema_version"), READABLE_VERSIONS, again=AGAIN)
    manifest = validate(Manifest, content, where=str(path))
    for name in manifest.files:
        if not FILE.fullmatch(name):
            raise UserError(f"{path} lists the file {in_one_line(ascii(name), 80)}, which no published board has")
    return manifest
