"""DVC stage `track`: mirror the records into MLflow. A store that cannot be reached stops nothing."""

from pathlib import Path

from harness.lookup import RESULTS, read_results
from harness.protocol import load_board
from harness.tracking import sync
from pipelines import stage

SUMMARY = Path(".dartsboard/tracked.txt")


@stage
def main() -> None:
    """Bring MLflow up to date; `dartsboard sync` does the same by hand."""
    summary = sync(
        load_board(), truth_rows=read_results(RESULTS, "epochs"), final_truth_rows=read_results(RESULTS, "runs")
    )
    print(summary)
    SUMMARY.parent.mkdir(exist_ok=True)
    SUMMARY.write_text(f"{summary}\n")


if __name__ == "__main__":
    main()
