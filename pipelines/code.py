"""DVC stage `code`: the version of the code of each method, so that a change reruns only what it can affect."""

import json
from pathlib import Path

from harness.base.files import whole_folder
from harness.board.runner import method_code_hash
from harness.search import registry
from pipelines import stage

CODE = Path("data/code")


@stage
def main() -> None:
    """Write data/code/NAME.json for every registered method."""
    with whole_folder(CODE) as folder:
        for name in registry.methods():
            (folder / f"{name}.json").write_text(json.dumps({"code": method_code_hash(name)}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
