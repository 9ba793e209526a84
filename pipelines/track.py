"""DVC stage `track`: mirror the records into MLflow. A store that cannot be used stops nothing, the report says so."""

from harness.base.errors import UserError
from harness.base.masking import masked
from harness.settings.protocol import load_board
from harness.tracking.apart import mirror_project
from harness.tracking.summary import SyncSummary
from harness.tracking.tracked import write_tracked
from pipelines import stage


@stage
def main() -> None:
    """Bring MLflow up to date and note where each run is, as `dartsboard sync` does at any time."""
    board = load_board()
    try:
        summary = mirror_project(board)
    except UserError as error:
        summary = SyncSummary(uri="no store", message=masked(str(error)))
    print(summary)
    write_tracked(summary)


if __name__ == "__main__":
    main()
