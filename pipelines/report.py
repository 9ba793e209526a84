"""DVC stage `report`: results/ as finished pages, tables and figures."""

from pathlib import Path

from harness.lookup import RESULTS
from harness.protocol import load_board
from harness.tracked import read_tracked
from pipelines import stage
from reports.page import build_report

GENERATED, THEORY = Path("reports/generated"), Path("data/theory")


@stage
def main() -> None:
    """Build the report and say where it is."""
    print(build_report(RESULTS, load_board(), GENERATED, read_tracked(), THEORY))


if __name__ == "__main__":
    main()
