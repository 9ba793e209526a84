"""DVC stage `sources`: what the files hold by now that params.yaml names. It always runs, for only it can tell."""

from harness.board.sources import write_sources
from harness.settings.protocol import load_board
from pipelines import stage


@stage
def main() -> None:
    """Bring sources.json up to date."""
    write_sources(load_board())


if __name__ == "__main__":
    main()
