"""DVC stage `lookup`: the true accuracy of every cell that the runs found, into results/."""

from harness.board.lookup import look_up
from harness.results.columns import RESULTS
from harness.settings.protocol import load_board
from harness.truth.table import Truth
from pipelines import stage


@stage
def main() -> None:
    """Join the records of the board with the truth."""
    look_up(load_board(), Truth.read(), RESULTS)


if __name__ == "__main__":
    main()
