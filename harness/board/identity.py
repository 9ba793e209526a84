"""The fingerprint of a run: the hash of everything that its result depends on."""

from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.images.decoded import IMAGES, data_hash
from harness.settings.protocol import Board
from harness.settings.validation import content_hash
from harness.truth.table import TRUTH_FILE, Truth


class Method(BaseModel):
    """What the runs of a method depend on beside protocol, data and truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Any]
    """With its defaults where params.yaml is silent, as JSON has them."""
    code: str
    """Hash of the code that it reaches."""
    on_truth: bool
    """Whether it searches on the truth table and not on images: a baseline."""


class Inputs:
    """Hashes of what the runs of a board read; each is made when first asked for, and then holds for all of them."""

    def __init__(self, board: Board):
        self._board = board

    @cached_property
    def data(self) -> str:
        """Of the images and their split; UserError if they are missing or damaged."""
        return data_hash(IMAGES, self._board.chosen.data)

    @cached_property
    def truth(self) -> str:
        """Of the source of the true accuracies; UserError if they are missing or damaged."""
        return Truth.read(TRUTH_FILE).provenance.sha256


def fingerprint_of(board: Board, name: str, method: Method, seed: int, inputs: Inputs) -> str:
    """Return the fingerprint of the run of a method, which goes by this name, with one seed.

    Raises:
        UserError: its data or truth is missing or damaged.
    """
    content: dict[str, Any] = {"variant": name, "settings": method.settings, "seed": seed, "code": method.code}
    if method.on_truth:
        content |= {"truth": inputs.truth, "operations": list(board.chosen.operations)}
    else:
        content |= {"protocol": board.chosen.model_dump(mode="json"), "data": inputs.data}
    return content_hash(content)
