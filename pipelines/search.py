"""DVC stages `search` and `baseline`: one run. Its failure is a record, so that the rest of the board goes on."""

import sys

from harness.fleet.repro import obtain
from harness.settings.protocol import load_board
from pipelines import stage


@stage
def main(name: str, seed: int) -> None:
    """Bring one method's run with one seed to its folder, or run it here."""
    board = load_board()
    status = obtain(board, name, seed)
    if status is None:
        run_here(name, seed)
    else:
        print(f"{name} seed {seed}: {status}, made beside other runs")


def run_here(name: str, seed: int) -> None:
    """Run one method with one seed in this process."""
    from harness.base.progress import show_progress
    from harness.board.runner import run_method
    from harness.search import registry  # imports torch, which a run that is there already needs not

    board = load_board()
    registry.check_board(board)  # a mistake anywhere on the board shows before the first search
    with show_progress(f"{name} seed {seed}") as on_epoch:
        record = run_method(board, name, seed, on_epoch)
    print(f"{name} seed {seed}: {record.status}, {record.reason or record.cell}, {record.seconds:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
