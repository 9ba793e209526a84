"""The chosen protocol as one small file, in the place of its sixty settings among the inputs of each search.

DVC writes down what each stage was given, and reads all of that again at every stage: with this file dvc.lock is a
third as long.
"""

import json
from pathlib import Path

from harness.base.files import whole_file
from harness.settings.protocol import Board

PROTOCOL = Path("data/protocol.json")


def write_protocol(board: Board) -> None:
    """Write the protocol that the board chooses.

    Raises:
        UserError: it cannot be written.
    """
    content = {"protocol": board.protocol, "settings": board.chosen.model_dump(mode="json")}
    with whole_file(PROTOCOL) as staging:
        staging.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
