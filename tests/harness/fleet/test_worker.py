import json
import shutil
from pathlib import Path

import pytest

from harness.base.source_tree import TEMPLATE
from harness.board.stage_code import code_version
from harness.fleet import worker
from harness.settings.protocol import load_board
from tests.conftest import tiny_params, write_params


def test_a_worker_asks_for_what_was_made_with_its_own_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the clone says of the head's release must not bring back what that made."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, tiny_params())
    shutil.copy(TEMPLATE / "stages.yaml", tmp_path / "dvc.yaml")
    Path("sources.json").write_text(json.dumps({"code": {"path": None, "sha256": "of the head"}}))
    asked = []

    def restore(*names: str, from_remote: bool) -> list[str]:
        asked.append(json.loads(Path("sources.json").read_text())["code"]["sha256"])
        return []

    monkeypatch.setattr(worker.dvc_stages, "restore", restore)
    worker._fetch_inputs(load_board())
    assert asked == [code_version()]
