"""The report's figures one by one, for notebooks."""

from harness.base.errors import UserError, did_you_mean, quoted
from harness.results.folder import Results
from harness.settings.protocol import Board, load_board
from reports.analysis import summary
from reports.drawing.picture import Picture
from reports.page import TOPICS, blocks_of
from reports.section import Figures

BY_NAME = {topic.__name__.rpartition(".")[2]: topic for topic in TOPICS}


def pictures(results: Results, board: Board | None = None, topic: str | None = None) -> dict[str, Picture]:
    """Return the figures of the report's main page by the names of their files.

    None is drawn yet. A notebook shows the picture that a cell ends in; `figure()` gives it as a figure of matplotlib.

    Args:
        results: what `load_results` returns.
        board: what was compared; without it, params.yaml of the current folder says.
        topic: one of the page's topics, such as `epochs`; without it all of them, which compute their tables first.

    Raises:
        UserError: there is no such topic, or params.yaml cannot be read.
    """
    if topic is not None and topic not in BY_NAME:
        raise UserError(f"the report has no topic {quoted(topic)}, {did_you_mean(topic, BY_NAME)}")
    board = board or load_board()
    order = [str(variant) for variant in summary.comparison(results).index]
    found: dict[str, Picture] = {}
    for name in BY_NAME if topic is None else [topic]:
        section = BY_NAME[name].section(results, board, order)
        for block in blocks_of(section.blocks if section else []):
            if isinstance(block, Figures):
                found |= {picture.name: picture for _, picture in block.pictures}
    return found
