"""The project's own files: params.yaml as the user wrote it, and what DVC is told of work done outside it."""

import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness.errors import UserError
from harness.files import whole_file
from harness.protocol import PARAMS_FILE


def set_params(changes: dict[str, Any], path: Path = PARAMS_FILE) -> None:
    """Replace top-level keys of params.yaml; comments and the order of the rest stay.

    Raises:
        UserError: the file is missing or cannot be written.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    try:
        content = yaml.load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run dartsboard in the project's folder") from None
    content.update(changes)
    with whole_file(path) as staging:
        yaml.dump(content, staging)


def dvc_commit(stage: str) -> None:
    """Tell DVC that a stage's outputs are up to date, so that `dvc repro` does not make them again.

    Outside a DVC project there is nobody to tell.
    """
    if not Path(".dvc").is_dir():
        return
    subprocess.run(["dvc", "commit", "--force", "--quiet", stage], capture_output=True, check=False)
