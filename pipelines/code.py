"""DVC stage `code`: the version of the code of each method, so that a change reruns only what it can affect.

And of each stage of a board whose code is that of an installed Dartsboard.
"""

import json

from harness.base.files import whole_folder
from harness.board.finished import CODE
from harness.board.runner import method_code_hash
from harness.board.stage_code import stage_code, stage_version
from harness.search import registry
from pipelines import stage


@stage
def main() -> None:
    """Write data/code/NAME.json for every registered method, and data/code/pipelines.NAME.json for such a stage."""
    versions = {name: method_code_hash(name) for name in registry.methods()}
    versions |= {f"pipelines.{name}": stage_version(parts) for name, parts in stage_code().items()}
    with whole_folder(CODE) as folder:
        for name, version in versions.items():
            (folder / f"{name}.json").write_text(json.dumps({"code": version}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
