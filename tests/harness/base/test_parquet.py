"""Reading Parquet: a damaged file ends a process with its status, whatever thread still runs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from harness.base.errors import UserError
from harness.base.parquet import read_parquet, write_parquet

READ = """
import os, sys
from pathlib import Path
import pyarrow.parquet
from harness.base.errors import UserError
from harness.base.parquet import read_parquet

threads = len(os.listdir("/proc/self/task"))
try:
    read_parquet(Path(sys.argv[1]))
except UserError:
    print(len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    write_parquet(pd.DataFrame(np.random.default_rng(0).random((5000, 9)), columns=list("abcdefghi")), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def test_a_damaged_page_is_one_sentence(damaged: Path) -> None:
    with pytest.raises(UserError, match=r"table\.parquet is damaged: make it anew"):
        read_parquet(damaged, again=": make it anew")


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not show its threads")
def test_no_thread_is_left_that_could_abort_the_end_of_the_process(damaged: Path) -> None:
    # One in a hundred processes ended with SIGABRT as long as pyarrow's threads read a file of Python's.
    ended = subprocess.run([sys.executable, "-c", READ, damaged], capture_output=True, text=True, check=True)
    assert ended.stdout == "0\n"
