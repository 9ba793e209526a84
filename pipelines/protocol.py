"""DVC stage `protocol`: the settings that all searches share, as one small file."""

from harness.board.protocol_file import write_protocol
from harness.settings.protocol import load_board
from pipelines import stage


@stage
def main() -> None:
    """Write the protocol that params.yaml chooses."""
    write_protocol(load_board())


if __name__ == "__main__":
    main()
