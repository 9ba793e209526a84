"""The official file, read piece by piece, says what its package says of the whole."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.synthetic_nas_bench_201 import cell_results, write_folder, write_pth
from harness.base.errors import UserError
from harness.settings.tables import TruthSettings
from harness.space.cell import CELL_COUNT, Cell
from harness.truth import nas_bench_201
from harness.truth.nas_bench_201 import import_nas_bench_201
from harness.truth.nats_bench import import_nats_bench
from harness.truth.sources import import_truth
from harness.truth.table import Truth
from harness.untrusted import torch_file
from tests.harness.untrusted.payload import Payload

ARCHS = [str(Cell.from_index(index)) for index in range(CELL_COUNT)]
CONTAINERS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])


def content(cells: int = 3) -> dict[str, Any]:
    """What the file holds, whole; the texts are those of the list of all cells."""
    infos = {index: cell_results(index) for index in range(cells)}
    for index, info in infos.items():
        info["full"]["arch_str"] = ARCHS[index]
    return {"meta_archs": ARCHS, "total_archs": CELL_COUNT, "arch2infos": infos, "evaluated_indexes": list(infos)}


def write(path: Path, what: Any, *, zipped: bool = False) -> Path:
    torch.save(what, path, _use_new_zipfile_serialization=zipped)
    return path


def read(path: Path, **options: Any) -> Truth:
    return import_nas_bench_201(path, allow_partial=True, **options)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("file") / "bench.pth", content())


@pytest.fixture(scope="module")
def truth(file: Path) -> Truth:
    return read(file)


@CONTAINERS
@pytest.mark.parametrize("chunk", [100_001, 10**6])
def test_every_value_is_that_of_the_package(
    zipped: bool, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas_201_api import NASBench201API

    monkeypatch.setattr(torch_file, "CHUNK", chunk)
    monkeypatch.setattr(nas_bench_201, "read_limited", lambda read, files: map(read, files))  # in this process
    path = write(tmp_path / "bench.pth", content(4), zipped=zipped)
    api = NASBench201API(torch.load(path, weights_only=False), verbose=False)
    truth = read(path)
    assert sorted(truth.frame["cell"].unique()) == api.evaluated_indexes == [0, 1, 2, 3]
    for row in truth.frame.itertuples():
        one = api.get_more_info(row.cell, row.data_set, hp=str(row.epochs), is_random=int(row.training_seed))
        assert row.accuracy == one[f"{row.split}-accuracy"]
        assert row.loss == one[f"{row.split}-loss"]
        assert row.seconds == one["train-all-time"]
        trial = api.arch2infos_dict[row.cell][str(row.epochs)].query(row.data_set, int(row.training_seed))
        assert row.latency == trial.get_latency()
    for index in api.evaluated_indexes:
        for hp in ("12", "200"):
            held = api.arch2infos_dict[index][hp]
            expected = {(name, seed) for name, seeds in held.dataset_seed.items() for seed in seeds}
            rows = truth.frame[(truth.frame["cell"] == index) & (truth.frame["epochs"] == int(hp))]
            assert set(zip(rows["data_set"], rows["training_seed"], strict=True)) == expected


def test_dictionaries_may_be_ordered(tmp_path: Path, truth: Truth) -> None:
    what = content()
    what["arch2infos"] = OrderedDict((index, OrderedDict(info)) for index, info in what["arch2infos"].items())
    pd.testing.assert_frame_equal(read(write(tmp_path / "bench.pth", OrderedDict(what))).frame, truth.frame)


def test_another_process_gives_the_same(file: Path, truth: Truth) -> None:
    pd.testing.assert_frame_equal(read(file, processes=1).frame, truth.frame)


@pytest.mark.slow
def test_large_files_are_read_like_small_ones(tmp_path: Path) -> None:
    # What cells share lies in another group of cells, and memo numbers pass 65,536.
    write_pth(tmp_path / "bench.pth", 8 * 10**6)
    whole = torch.load(tmp_path / "bench.pth", weights_only=False)
    assert whole["arch2infos"] == {index: cell_results(index) for index in whole["arch2infos"]}
    large = read(tmp_path / "bench.pth")
    assert large.provenance.cells == len(whole["arch2infos"]) > 10
    again = read(write(tmp_path / "again.pth", whole | {"evaluated_indexes": []}, zipped=True))
    pd.testing.assert_frame_equal(large.frame, again.frame)


@CONTAINERS
def test_weights_in_the_file_are_not_read(zipped: bool, tmp_path: Path, truth: Truth) -> None:
    heavy = content()
    for info in heavy["arch2infos"].values():
        for trial in info["full"]["all_results"].values():
            trial["net_state_dict"] = torch.nn.Linear(200, 200).state_dict()
    path = write(tmp_path / "bench.pth", heavy, zipped=zipped)
    pd.testing.assert_frame_equal(read(path).frame, truth.frame)
    lean = tmp_path / "lean.pth"
    if zipped:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(lean, "w") as new:
            new.writestr("lean/data.pkl", old.read("bench/data.pkl"))
    else:
        end = path.read_bytes().rindex(b"\x80\x02]")  # the list of the weights' keys, and then the weights
        lean.write_bytes(path.read_bytes()[:end])
    assert lean.stat().st_size < path.stat().st_size / 1.5
    pd.testing.assert_frame_equal(read(lean).frame, truth.frame)


def test_the_bar_on_a_terminal(file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    read(file)
    assert capfd.readouterr().err == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    read(file)
    assert "reading bench.pth" in capfd.readouterr().err


# ---- files that are not what they should be


@pytest.mark.parametrize("place", ["cell", "training", "outline", "key", "shared"])
@CONTAINERS
def test_nothing_runs_wherever_it_lies(place: str, zipped: bool, tmp_path: Path) -> None:
    payload = Payload(tmp_path / "proof")
    what = content()
    infos = what["arch2infos"]
    match place:
        case "cell":
            infos[1] = payload
        case "training":
            infos[1]["less"]["all_results"]["cifar10", 111]["flop"] = payload
        case "outline":
            what["total_archs"] = payload
        case "key":
            infos[payload] = infos.pop(1)
        case "shared":
            infos[0]["full"]["clear_net_done"] = infos[1]["full"]["clear_net_done"] = payload
    assert "mkdir, which such a file never holds" in refusal(write(tmp_path / "bench.pth", what, zipped=zipped))
    assert not payload.path.exists()


def test_nothing_runs_in_another_process(tmp_path: Path) -> None:
    payload = Payload(tmp_path / "proof")
    what = content()
    what["arch2infos"][1]["less"]["clear_net_done"] = payload
    with pytest.raises(UserError, match="mkdir, which such a file never holds"):
        read(write(tmp_path / "bench.pth", what), processes=1)
    assert not payload.path.exists()


@pytest.mark.parametrize("share", [0.01, 0.9])
@CONTAINERS
def test_a_truncated_file(share: float, zipped: bool, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.pth", content(2), zipped=zipped).read_bytes()
    path = tmp_path / "bench.pth"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "is no NAS-Bench-201 file, it is damaged or of another kind: " in refusal(path)


def test_a_cell_under_the_index_of_another(tmp_path: Path) -> None:
    what = content()
    what["arch2infos"][7] = what["arch2infos"].pop(1)
    message = refusal(write(tmp_path / "bench.pth", what))
    assert "cell 7 of" in message
    assert message.endswith("does not describe the cell of that index, but cell 1")
    what = content()
    what["arch2infos"][1]["full"]["arch_index"] = 7
    assert f"does not describe {ARCHS[7]}" in refusal(write(tmp_path / "bench.pth", what))


@pytest.mark.parametrize("missing", ["less", "full", "arch_index", "all_results", "train_losses", "everything"])
def test_a_cell_that_lacks_something_is_named(missing: str, tmp_path: Path) -> None:
    what = content()
    info = what["arch2infos"][1]
    match missing:
        case "less" | "full":
            info[missing] = info.pop(missing)["arch_str"]
        case "arch_index" | "all_results":
            del info["full"][missing]
        case "train_losses":
            del info["full"]["all_results"]["cifar10", 777][missing]
        case "everything":
            what["arch2infos"][1] = {"full": None, "less": None}
    assert "cell 1 of" in refusal(write(tmp_path / "bench.pth", what))


@pytest.mark.parametrize("cells", [None, [1, 2], {0: None, 1: None}, {0: {"full": 1}, 1: {}}])
def test_what_is_no_cell(cells: Any, tmp_path: Path) -> None:
    assert "holds no" in refusal(write(tmp_path / "bench.pth", content() | {"arch2infos": cells}))


class StandIn:
    """Pickled as the importer marks a part that it has cut out."""


class ForgingPickler(pickle.Pickler):
    def persistent_id(self, entry: Any) -> Any:
        return (9,) if isinstance(entry, StandIn) else None


def test_a_forged_mark_of_a_part_that_there_is_not(tmp_path: Path) -> None:
    what = content()
    what["arch2infos"][1] = {StandIn(): None}
    path = tmp_path / "bench.pth"
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {}, what):
            ForgingPickler(file, 2).dump(part)
    assert "holds no results under arch2infos, 1" in refusal(path)


def test_a_failed_import_leaves_the_old_table_and_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "bench.pth", content())
    output = tmp_path / "data" / "truth.parquet"
    settings = TruthSettings(source="nas-bench-201", path=str(path), partial=True)
    import_truth(settings, output)
    before = output.read_bytes()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(UserError):
        import_truth(settings, output)
    assert output.read_bytes() == before
    assert [entry.name for entry in output.parent.iterdir()] == ["truth.parquet"]
    path.write_bytes(data)
    import_truth(settings, output)
    assert output.read_bytes() == before


# ---- the folder


def test_several_processes_read_a_folder_as_one_does(tmp_path: Path, file: Path, truth: Truth) -> None:
    write_folder(tmp_path / "folder", 3)
    alone = import_nats_bench(tmp_path / "folder", allow_partial=True, processes=0)
    together = import_nats_bench(tmp_path / "folder", allow_partial=True, processes=2)
    pd.testing.assert_frame_equal(together.frame, alone.frame)
    assert together.provenance == alone.provenance
    pd.testing.assert_frame_equal(alone.frame, truth.frame)
    (tmp_path / "folder" / "000001.pickle.pbz2").write_bytes(b"text")
    with pytest.raises(UserError, match=r"000001\.pickle\.pbz2 is damaged or of another kind"):
        import_nats_bench(tmp_path / "folder", allow_partial=True, processes=2)


def test_values_are_numbers(truth: Truth) -> None:
    assert np.isfinite(truth.frame[["accuracy", "loss", "seconds", "latency"]].to_numpy()).all()
