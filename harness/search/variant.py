"""The contract of a variant. The defaults are first-order DARTS, so a variant's file states only its difference.

A variant changes what happens *around* the network: how op weights come from alpha, how the alpha gradient is
estimated, penalties, when to stop or rebuild, how a cell is derived. What it changes *inside* the network it
declares as data, by `supernet_spec` and `controls`.
"""

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from harness.base.named_tensors import Tensors
from harness.estimators import hypergradient
from harness.images.batches import Batch, SearchData
from harness.networks.supernet import Controls, Supernet, SupernetSpec
from harness.search.derivation import argmax_cell
from harness.search.meter import Meter
from harness.search.optimizers import SGD
from harness.settings.protocol import AlphaSettings, Protocol
from harness.settings.strategy import Family, Strategy
from harness.settings.validation import Settings as BaseSettings
from harness.space.cell import EDGES, Cell

Architecture = dict[str, Tensor]
"""The architecture parameters by name: `alpha` [6, operations], and what a variant adds."""


class Phase(Enum):
    """What op weights are asked for."""

    WEIGHTS = "weights"
    """A step of the network weights."""
    ALPHA = "alpha"
    """A step of alpha."""
    DERIVE = "derive"
    """Reading the current architecture: no randomness."""


@dataclass(frozen=True)
class Moment:
    """Where the search stands when a hook is called."""

    phase: Phase
    epoch: int
    """From 0."""
    epochs: int
    step: int
    steps: int
    """Steps an epoch."""
    batch_size: int
    device: torch.device
    dtype: torch.dtype
    stream: Callable[[str], np.random.Generator]
    """Random numbers by purpose; a purpose's generator goes on within an epoch and starts anew in the next."""

    @property
    def progress(self) -> float:
        """Share of the search that is done, from 0 to below 1, in steps."""
        return (self.epoch + self.step / self.steps) / self.epochs

    def on_device(self, values: np.ndarray | Sequence[bool] | Sequence[Sequence[bool]]) -> Tensor:
        """Return what was made on the host as a tensor on the search's device, without waiting for it."""
        return torch.as_tensor(values).to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Continue:
    """Go on with the next epoch."""


@dataclass(frozen=True)
class Stop:
    """End the search here."""

    reason: str


@dataclass(frozen=True)
class Rebuild:
    """Build the supernet anew before the next epoch.

    `epochs` is the length of the new stage, over which the learning rate falls again; None lets it go on falling as
    if nothing had happened. `transfer` receives the old and the new supernet and carries weights over; without it the
    weights start afresh. The optimiser of the weights always does. `fresh_alpha` draws alpha anew and resets its
    optimiser; otherwise both go on.
    """

    spec: SupernetSpec
    epochs: int | None
    fresh_alpha: bool = True
    transfer: Callable[[torch.nn.Module, torch.nn.Module], None] | None = None


@dataclass(frozen=True)
class Restart:
    """Begin the optimiser of the weights anew on the same network: its momentum is gone.

    Weights, alpha with its optimiser, and what is frozen go on. The learning rate is `lr_scale` times the protocol's
    from now on, and falls again over `epochs`; None lets it go on falling from where it is, scaled.
    """

    lr_scale: float
    epochs: int | None


Decision = Continue | Stop | Rebuild | Restart


@dataclass(frozen=True)
class SearchLength:
    """What the cost of a search depends on beside its method and its network."""

    epochs: int
    steps: int
    """Of an epoch."""
    batch_size: int

    @property
    def images(self) -> int:
        """Images of a half that an epoch takes."""
        return self.steps * self.batch_size


class SearchView(typing.Protocol):
    """What a hook may see of a running search. It reads; only `passes`, `meter` and `freeze` are there to change it."""

    variant: "Variant"
    protocol: Protocol
    data: SearchData
    seed: int
    device: torch.device
    dtype: torch.dtype
    epoch: int
    """Completed epochs."""
    passes: float
    """Forward-backward passes of the supernet so far: the cost that tables show."""
    meter: Meter
    """What the current epoch adds up."""
    supernet: Supernet
    architecture: Architecture
    weight_optimizer: SGD
    frozen: set[str]
    """Names of the weights that the optimiser leaves alone."""
    cell: str | None
    """The argmax cell at the end of the last epoch."""

    @property
    def finite(self) -> bool:
        """Whether loss and alpha are still numbers."""

    def moment(self, phase: Phase, step: int = 0, batch_size: int = 0) -> Moment:
        """Return where the search stands, for a variant's hooks."""

    def freeze(self, names: Iterable[str]) -> None:
        """Let the optimiser leave these weights alone from now on: no gradient, decay or momentum moves them.

        They take part in every pass as before. That stays so when the search is resumed, and ends with a rebuild,
        which brings other weights.

        Raises:
            ValueError: the supernet has no weight of such a name.
        """

    def arithmetic(self) -> AbstractContextManager[None]:
        """Run the networks in the protocol's precision."""

    def derived_op_weights(self) -> np.ndarray:
        """Return the op weights [6, operations] that cells are derived from; the mean where cells have their own."""

    def one_hot(self, cell: Cell) -> Tensor:
        """Return the op weights [6, operations] that select one cell."""

    def one_shot_accuracy(
        self, op_weights: Tensor, batches: Iterable[Batch], *, running_statistics: bool = False
    ) -> float:
        """Return the accuracy (percent) of the shared weights under op weights: one matrix, or one a cell.

        Batch norms use the statistics of the batch; with `running_statistics`, their running ones where they keep them.
        """


class StepView(typing.Protocol):
    """What a hook may see of the current step: two batches, and pure functions of (weights, architecture) on them."""

    search: SearchView
    train_batch: Batch
    valid_batch: Batch

    @property
    def weights(self) -> Tensors:
        """The supernet's weights by name."""

    @property
    def architecture(self) -> Architecture:
        """The architecture parameters by name."""

    @property
    def learning_rate(self) -> float:
        """The weights' current learning rate."""

    @property
    def momentum_buffers(self) -> dict[str, Tensor]:
        """The weight optimiser's momentum buffers by weight name; a weight that never moved has none."""

    def moment(self, phase: Phase) -> Moment:
        """Return where the search stands."""

    def train_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """Return the cross-entropy on this step's training batch."""

    def valid_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """Return the cross-entropy on this step's validation batch, plus the variant's penalty on alpha."""

    def weight_gradients(self) -> dict[str, Tensor | None]:
        """Return the gradient of the training loss by weight name; None for a weight that took no part.

        This pass is the one whose loss and accuracy are recorded, and that moves running statistics.
        """

    def training_gradients(self, architecture: Tensors) -> tuple[dict[str, Tensor | None], dict[str, Tensor]]:
        """Return what `weight_gradients` returns, and in the same pass the training loss's slope along `architecture`.

        Args:
            architecture: what `op_weights` is given, by name; it may hold more than alpha. The slope is taken along
                what requires a gradient, and is zero where the loss does not depend on it.
        """


class Variant:
    """First-order DARTS (Liu, Simonyan and Yang, ICLR 2019). Subclass it and override what differs."""

    name: ClassVar[str]
    """What users type."""
    citation: ClassVar[str]
    axis: ClassVar[str]
    """Which part of DARTS it changes, in a few words."""
    family: ClassVar[Family]
    """Where lists put it: the place at which it departs from DARTS."""
    strategy: ClassVar[Strategy] = "gradient"
    """What moves its choice of a cell; tables and the frontier of cost and quality are grouped by it."""
    departures: ClassVar[tuple[str, ...]] = ()
    """What differs from the paper, and why."""
    passes_per_step: ClassVar[float] = 2.0
    """Forward-backward passes of the supernet a step that the method should cost; tests compare it with the count."""
    further_epochs: ClassVar[float] = 0.0
    """What `end_of_epoch` should cost beside the steps in a whole search, however long it is: in forward-backward
    passes over the batches of one epoch. A forward pass alone is a third. Where it depends on more, a method overrides
    `further_passes` instead."""

    class Settings(BaseSettings):
        """The variant's own settings; DARTS has none."""

    def __init__(self, settings: Any, protocol: Protocol):
        """Prepare a search.

        Raises:
            UserError: the method cannot work under this protocol; it names the key. Every command that has to do with
                a board says so before anything runs, as it does for what `supernet_spec` refuses.
        """
        self.settings = settings
        self.protocol = protocol
        self.operations: tuple[str, ...] = protocol.operations
        """What an edge chooses from: the columns of alpha, of op weights and of masks."""

    @classmethod
    def further_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what `end_of_epoch` should cost at most in a whole search, in forward-backward passes of one batch."""
        return cls.further_epochs * length.steps

    @classmethod
    def answer_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what `derive` should cost at most, in forward-backward passes of one batch."""
        return 0.0

    @classmethod
    def search_passes(cls, settings: Any, length: SearchLength) -> float:
        """Return what a whole search should cost at most, in forward-backward passes of one batch."""
        steps = length.epochs * length.steps
        further, answer = cls.further_passes(settings, length), cls.answer_passes(settings, length)
        return cls.passes_per_step * steps + further + answer

    def supernet_spec(self, spec: SupernetSpec) -> SupernetSpec:
        """Return the supernet to begin with, given the protocol's."""
        return spec

    def first_stage_epochs(self) -> int:
        """Return over how many epochs the learning rate falls at first: all, unless it begins anew on the way."""
        return self.protocol.epochs

    def architecture_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each architecture parameter; each starts as small normal noise.

        A method without any returns {}: its epochs have no cell, no entropy and no alpha, only its answer counts.
        """
        return {"alpha": (len(EDGES), len(self.operations))}

    def alpha_settings(self, settings: AlphaSettings) -> AlphaSettings:
        """Return the settings of alpha's optimiser, given the protocol's."""
        return settings

    def op_weights(self, architecture: Architecture, moment: Moment) -> Tensor:
        """Return what multiplies the operations' outputs: [6, operations], or [cells, 6, operations]."""
        return torch.softmax(architecture["alpha"], dim=-1)

    def controls(self, architecture: Architecture, moment: Moment) -> Controls:
        """Return the other inputs of a forward pass."""
        return Controls()

    def alpha_gradient(self, step: StepView) -> Architecture | None:
        """Return the gradient that alpha's optimiser is given, or None for no alpha step."""
        return hypergradient.first_order(step.valid_loss, step.weights, step.architecture)

    def alpha_penalty(self, architecture: Architecture, moment: Moment) -> Tensor | None:
        """Return a scalar that is added to the validation loss of alpha."""
        return None

    def weight_gradients(self, step: StepView) -> Mapping[str, Tensor | None]:
        """Return the gradient that the weights' optimiser is given, by weight name, before it is clipped.

        A weight without one, left out or None, stays as it is: no decay and no momentum move it either.
        """
        return step.weight_gradients()

    def before_weight_step(self, step: StepView) -> None:
        """Act before the network weights move."""

    def after_weight_step(self, step: StepView) -> None:
        """Act after the network weights moved."""

    def end_of_epoch(self, search: SearchView) -> Decision:
        """Say how the search goes on."""
        return Continue()

    def derive(self, search: SearchView) -> Cell:
        """Return the cell that the finished search answers with."""
        return argmax_cell(search.derived_op_weights(), self.operations)

    def derived_cells(self, search: SearchView) -> dict[str, Cell]:
        """Return cells to record by name beside the answer, for a search that finds more than one."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return what a resumed search needs to know: tensors, numbers, strings, and lists and dicts of them."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned: a copy whose tensors are on the search's device."""
