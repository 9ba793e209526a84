import bz2
import pickle
from pathlib import Path

import nats_bench
import numpy as np
import pytest
import torch

from benchmarks.synthetic_nas_bench_201 import cell_results, write_folder, write_pth
from benchmarks.truth_import import main, measure
from tests.benchmarks.pages import quick_page


@pytest.mark.slow
def test_the_page_has_memory_and_time_and_both_ways(tmp_path: Path) -> None:
    page, rows = quick_page(main, tmp_path)
    assert "For 4700 MB, by straight lines" in page
    assert list(rows["way"][:4]) == ["this project", "nas-bench-201"] * 2
    assert (rows["CPU seconds"] > 0.1).all()
    assert rows["MiB"].between(50, 2000).all()


def test_memory_is_that_of_a_process_and_of_those_that_it_starts() -> None:
    block = "block = bytearray(100 * 2**20)"
    wait = "import time; time.sleep(0.3)"
    alone = measure(f"{block}; {wait}")
    child = f"import subprocess; subprocess.run([sys.executable, '-c', '{block}; {wait}'])"
    together = measure(f"{block}; {child}")
    assert 100 < alone["MiB"] < 150
    assert 200 < together["MiB"] < 300


def test_a_file_has_the_size_that_was_asked_for_and_the_structure_of_real_cells(
    tmp_path: Path, reference_data: Path
) -> None:
    cells = write_pth(tmp_path / "bench.pth", 6 * 10**6)
    assert (tmp_path / "bench.pth").stat().st_size == pytest.approx(6e6, rel=0.2)
    infos = torch.load(tmp_path / "bench.pth", weights_only=False)["arch2infos"]
    assert infos == {index: cell_results(index) for index in range(cells)}
    folder = reference_data / "nats-real-cells" / "NATS-tss-v1_0-3ffb9-simple"
    real = pickle.loads(bz2.decompress((folder / "000011.pickle.pbz2").read_bytes()))
    made = next(info for info in infos.values() if len(info["full"]["dataset_seed"]["cifar10"]) == 3)
    for name, epochs in (("less", "12"), ("full", "200")):
        assert shape(made[name]) == shape(real[epochs])


def shape(content: object) -> object:
    """Keys and types, without the numbers; lists and the texts of a cell by their type."""
    if isinstance(content, dict):
        return type(content), {key: shape(value) for key, value in content.items()}
    return type(content)


def test_a_folder_is_read_by_the_package(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", 2)
    api = nats_bench.create(str(tmp_path / "folder"), "tss", fast_mode=True, verbose=False)
    found = api.get_more_info(1, "cifar10", hp="200", is_random=777)["test-accuracy"]
    trial = cell_results(1)["full"]["all_results"]["cifar10", 777]
    assert found == trial["eval_acc1es"]["ori-test@199"]
    assert np.isfinite(found)
