import math

import pandas as pd

from harness.results.folder import TruthColumn
from harness.space.cell import ALL_CONV3, ALL_SKIP, OPERATIONS, RESIDUAL, all_cells
from reports.analysis import landscape

MAIN = "truth/cifar10/test"
COLUMN = TruthColumn(MAIN, "CIFAR-10 test", 200, 87.0, 12.9, 90.7, 94.37, str(RESIDUAL), ())


def test_truth_by_operation_count_is_that_of_all_cells():
    cells = all_cells()
    counts = pd.DataFrame([cell.counts for cell in cells]).add_prefix("count_")
    space = counts.assign(**{MAIN: 90.0 - 5.0 * counts["count_skip_connect"]})
    space.loc[0, MAIN] = math.nan
    runs = pd.DataFrame([cell.counts for cell in (ALL_SKIP, ALL_SKIP, ALL_CONV3)]).add_prefix("count_")
    found = landscape.by_operation_count(space, runs, MAIN)
    skip = found[found["operation"] == "skip_connect"].set_index("count")
    assert skip["mean"].tolist() == [90.0, 85.0, 80.0, 75.0, 70.0, 65.0, 60.0]
    assert skip["cells"].sum() == len(cells) - 1
    assert skip["runs"].tolist() == [1, 0, 0, 0, 0, 0, 2]
    assert set(found["operation"]) == set(OPERATIONS)
    said = landscape.count_sentence(found, COLUMN)
    assert "highest with 0 skip edges (90.00 %) and lowest with 6 (60.00 %)" in said
    assert "from 0 to 3 edges it moves within 15.00 points" in said
