"""DVC stage `track`: mirror the records into MLflow. A store that cannot be used stops nothing, the report says so."""

from harness.base.errors import UserError
from harness.board.lookup import RESULTS, read_results
from harness.board.status import searches_in_progress
from harness.settings.protocol import load_board
from harness.tracking.mirror import SyncSummary, sync
from harness.tracking.tracked import write_tracked
from pipelines import stage


@stage
def main() -> None:
    """Bring MLflow up to date and note where each run is, as `dartsboard sync` does at any time."""
    epochs, runs = read_results(RESULTS, "epochs"), read_results(RESULTS, "runs")
    try:
        summary = sync(load_board(), truth_rows=epochs, final_truth_rows=runs, in_progress=searches_in_progress())
    except UserError as error:
        summary = SyncSummary(uri="no store", message=str(error))
    print(summary)
    write_tracked(summary)


if __name__ == "__main__":
    main()
