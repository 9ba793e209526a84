from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.tracking.runs import quiet_mlflow, reader_of


@pytest.fixture(scope="session", autouse=True)
def mlflow_settings() -> Iterator[None]:
    with quiet_mlflow():
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without experiments, made once: making one takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    reader_of(folder).client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Path:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    return tmp_path
