"""DVC stage `report`: results/ as finished pages, tables and figures."""

from pathlib import Path

from harness.base.processes import usable_cores
from harness.board.finished import discard_taken
from harness.records.run_folders import RUNS
from harness.results.columns import RESULTS
from harness.settings.protocol import load_board
from harness.tracking.tracked import read_tracked
from pipelines import stage
from reports.page import build_report

GENERATED, THEORY = Path("reports/generated"), Path("data/theory")


@stage
def main() -> None:
    """Build the report and say where it is."""
    cores = usable_cores()
    processes = cores if cores > 1 else 0
    print(build_report(RESULTS, load_board(), GENERATED, read_tracked(), THEORY, processes))
    discard_taken(RUNS)  # DVC has them by now


if __name__ == "__main__":
    main()
