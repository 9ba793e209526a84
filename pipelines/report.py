"""DVC stage `report`: results/ as a finished page, tables and figures."""

from pathlib import Path

from harness.lookup import RESULTS
from harness.protocol import load_board
from pipelines import stage
from reports.page import build_report

GENERATED = Path("reports/generated")


@stage
def main() -> None:
    """Build the report and say where it is."""
    print(build_report(RESULTS, load_board(), GENERATED))


if __name__ == "__main__":
    main()
