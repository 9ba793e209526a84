from pathlib import Path

import pytest

from benchmarks.truth_lookups import EMBEDDED, FULL, full_truth, main
from harness.space.cell import CELL_COUNT
from harness.truth.table import REPORT_COLUMNS
from tests.benchmarks.pages import quick_page


def test_the_full_table_has_all_that_papers_show() -> None:
    truth = full_truth(seeds=2)
    assert truth.report_columns() == dict.fromkeys(REPORT_COLUMNS, True)
    assert len(truth.frame) == 6 * 2 * CELL_COUNT
    assert len(truth.trials([7], data_set="cifar100", split="test", epochs=200)) == 2


def test_the_page_compares_the_tables(tmp_path: Path) -> None:
    _, rows = quick_page(main, tmp_path)
    by_table = {label: set(group["what"]) for label, group in rows.groupby("table")}
    assert by_table[EMBEDDED] == by_table[FULL]
    assert {"cell string to Cell and index", "canonical form"} <= set(rows["what"])
    rates = rows["cells"] / (rows["ms"] / 1000)
    assert list(rows["cells a second"]) == pytest.approx(list(rates), rel=1e-3)
    seconds = rows.set_index(["table", "what"])["cells a second"]
    for table in (EMBEDDED, FULL):
        assert seconds[table, "all at once, one column"] > 10 * seconds[table, "one by one, by Cell"]
