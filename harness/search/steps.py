"""One step of the search: two batches, and pure functions of (weights, architecture) on them."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.base.named_tensors import Tensors, constant
from harness.images.batches import Batch
from harness.networks.supernet import Controls, statistics_untouched, with_weights
from harness.search.variant import Moment, Phase, SearchView
from harness.space.cell import EDGES, SKIP


class Step:
    """What a variant's hooks see of the current step."""

    def __init__(self, search: SearchView, index: int, train_batch: Batch, valid_batch: Batch):
        self.search = search
        self.index = index
        self.train_batch = train_batch
        self.valid_batch = valid_batch
        self._controls: dict[Phase, Controls] = {}

    @property
    def weights(self) -> Tensors:
        """The supernet's weights by name."""
        return self.search.supernet.weights

    @property
    def architecture(self) -> dict[str, Tensor]:
        """The architecture parameters by name."""
        return self.search.architecture

    @property
    def learning_rate(self) -> float:
        """The weights' current learning rate."""
        return float(self.search.weight_optimizer.settings["lr"])

    @property
    def momentum_buffers(self) -> dict[str, Tensor]:
        """The weight optimiser's momentum buffers by weight name; a weight that never moved has none."""
        state = self.search.weight_optimizer.state
        found = {name: state.get(weight, {}).get("momentum_buffer") for name, weight in self.weights.items()}
        return {name: buffer for name, buffer in found.items() if buffer is not None}

    def moment(self, phase: Phase) -> Moment:
        """Return where the search stands."""
        return self.search.moment(phase, self.index, batch_size=len(self.train_batch[1]))

    def train_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """Return the cross-entropy on this step's training batch."""
        with statistics_untouched(self.search.supernet):
            return self._loss(self.train_batch, Phase.WEIGHTS, weights, architecture)[0]

    def valid_loss(self, weights: Tensors, architecture: Tensors) -> Tensor:
        """Return the cross-entropy on this step's validation batch, plus the variant's penalty on alpha."""
        with statistics_untouched(self.search.supernet):
            loss, logits = self._loss(self.valid_batch, Phase.ALPHA, weights, architecture)
        self.search.meter.add("valid", loss, logits, self.valid_batch[1])
        penalty = self.search.variant.alpha_penalty(dict(architecture), self.moment(Phase.ALPHA))
        return loss if penalty is None else loss + penalty

    def weight_gradients(self) -> dict[str, Tensor | None]:
        """Return the gradient of the training loss by weight name; None for a weight that took no part."""
        return self.training_gradients(constant(self.architecture))[0]

    def training_gradients(self, architecture: Tensors) -> tuple[dict[str, Tensor | None], dict[str, Tensor]]:
        """Return what `weight_gradients` returns, and in the same pass the slope along `architecture`."""
        free = {name: weight for name, weight in self.weights.items() if name not in self.search.frozen}
        along = {name: value for name, value in architecture.items() if value.requires_grad}
        wanted = [*free.values(), *along.values()]
        with torch.set_grad_enabled(bool(wanted)):
            loss, logits = self._loss(self.train_batch, Phase.WEIGHTS, self.weights, architecture)
        self.search.meter.add("train", loss, logits, self.train_batch[1])
        found = iter(torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else ())
        of_weights = {name: next(found) if name in free else None for name in self.weights}
        slopes = zip(along.items(), found, strict=True)
        return of_weights, {
            name: torch.zeros_like(value) if slope is None else slope for (name, value), slope in slopes
        }

    def _loss(self, batch: Batch, phase: Phase, weights: Tensors, architecture: Tensors) -> tuple[Tensor, Tensor]:
        images, labels = batch
        search = self.search
        search.passes += 1
        op_weights = search.variant.op_weights(dict(architecture), self.moment(phase))
        controls = self.controls(phase)
        if not any(value.requires_grad for value in architecture.values()):
            controls = controls.detached()
        with search.arithmetic():
            if search.supernet.graphs is not None:
                logits = search.supernet.graphs(weights, images, op_weights, controls)
            elif weights is self.weights:
                logits = search.supernet(images, op_weights, controls)
            else:
                logits = with_weights(search.supernet, weights, images, op_weights, controls)
        logits = logits.to(search.dtype)
        return F.cross_entropy(logits, labels), logits

    def controls(self, phase: Phase) -> Controls:
        """Return the other inputs of the passes of one phase; drawn once, so that repeated passes agree."""
        if phase not in self._controls:
            own = self.search.variant.controls(self.architecture, self.moment(phase))
            self._controls[phase] = _with_drop_path(own, self.moment(phase), self.search)
        return self._controls[phase]


def _with_drop_path(controls: Controls, moment: Moment, search: SearchView) -> Controls:
    # Drop-path (Larsson et al. 2017; scheduled: Zoph et al. 2018) on every operation but the identity.
    probability = search.protocol.network.drop_path * moment.progress
    if probability == 0:
        return controls
    operations = search.supernet.spec.operations
    shape = (search.supernet.spec.shape.cells, len(EDGES), len(operations), moment.batch_size)
    kept = moment.stream(f"drop-path/{moment.phase.value}").random(shape) >= probability
    scale = moment.on_device(kept / (1 - probability)).to(moment.dtype)
    if SKIP in operations:
        scale[:, :, operations.index(SKIP)] = 1.0
    if controls.operation_scale is not None:
        scale = scale * controls.operation_scale
    return replace(controls, operation_scale=scale)
