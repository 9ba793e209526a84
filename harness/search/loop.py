"""The bilevel loop of one search (Liu, Simonyan and Yang, ICLR 2019, algorithm 1)."""

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.base.streams import stream, torch_seed
from harness.images.batches import Batch, SearchData
from harness.networks.compiled import CompiledCells
from harness.networks.cuda_graphs import GraphedPasses
from harness.networks.supernet import (
    Supernet,
    SupernetSpec,
    evaluation_mode,
    nonzero_operations,
    statistics_untouched,
)
from harness.search import diagnostics
from harness.search.alpha_rows import alpha_rows
from harness.search.derivation import CHEAP_RULES
from harness.search.meter import Meter
from harness.search.optimizers import SGD, Adam, Optimizer
from harness.search.steps import Step
from harness.search.variant import Moment, Phase, Rebuild, Restart, Stop, Variant
from harness.settings.protocol import Protocol
from harness.space.cell import Cell, Shape

DTYPES = {"float64": torch.float64, "float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.float32}


class Search:
    """The state of one search, and the steps that move it."""

    network: type[Supernet] = Supernet
    """What is searched; benchmarks put a plainer one in its place."""

    def __init__(self, variant: Variant, protocol: Protocol, data: SearchData, seed: int):
        self.variant = variant
        self.protocol = protocol
        self.data = data
        self.seed = seed
        self.device = data.device
        self.dtype = DTYPES[protocol.precision]
        self.epoch = 0
        self.passes = 0.0
        self.frozen: set[str] = set()
        self.meter = Meter()
        self.stop_reason: str | None = None
        self._streams: dict[str, np.random.Generator] = {}
        self._stage_start, self._stage_epochs, self._lr_scale = 0, variant.first_stage_epochs(), 1.0
        self.alpha_rows: list[dict[str, Any]] = []
        """Alpha and op weights at the end of the last epoch, before any rebuild, as rows of alpha.parquet."""
        self.one_shot_rows: list[dict[str, Any]] = []
        """What the last epoch adds to one_shot.parquet."""
        self.seconds_of_answer = 0.0
        """Of the last `derive`, which may be all that a method does."""
        self.cell: str | None = None
        """The argmax cell at the end of the last epoch."""
        self._compiled = CompiledCells(self.device) if protocol.network.compile else None
        self.supernet = self._build(variant.supernet_spec(protocol_spec(protocol, data)))
        self.architecture = self._draw_architecture()
        self.weight_optimizer, self.alpha_optimizer = self._optimizers()

    # Building

    def _build(self, spec: SupernetSpec) -> Supernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed(self.seed, "weights", self.epoch))
            supernet = self.network(spec)
        supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        supernet.compiled = self._compiled
        supernet.to(device=self.device, dtype=self.dtype).train()
        if self.protocol.network.cuda_graphs:
            supernet.graphs = GraphedPasses(supernet)
        return supernet

    def _draw_architecture(self) -> dict[str, Tensor]:
        parameters = {}
        for name, shape in self.variant.architecture_shapes().items():
            noise = stream(self.seed, f"architecture/{name}", self.epoch).standard_normal(shape)
            values = torch.as_tensor(self.protocol.alpha.init_scale * noise, dtype=self.dtype, device=self.device)
            parameters[name] = values.requires_grad_()
        return parameters

    def _optimizers(self) -> tuple[SGD, Optimizer]:
        weights, alpha = self.protocol.weights, self.variant.alpha_settings(self.protocol.alpha)
        weight_optimizer = SGD(
            self.supernet.parameters(),
            lr=weights.lr,
            momentum=weights.momentum,
            nesterov=weights.nesterov,
            weight_decay=weights.weight_decay,
        )
        moved = self.architecture.values()
        if alpha.optimizer == "sgd":
            return weight_optimizer, SGD(moved, lr=alpha.lr, weight_decay=alpha.weight_decay)
        return weight_optimizer, Adam(moved, lr=alpha.lr, betas=alpha.betas, weight_decay=alpha.weight_decay)

    def _rebuild(self, decision: Rebuild) -> None:
        old = self.supernet
        self.supernet = self._build(decision.spec)
        self._lr_scale = 1.0
        if decision.transfer is not None:
            decision.transfer(old, self.supernet)
        self.frozen = set()
        old.graphs = None  # their memory is the card's, and a cycle of references would keep it for a while
        if decision.fresh_alpha:
            self.architecture = self._draw_architecture()
        self._begin_stage(decision.epochs)
        self.weight_optimizer, alpha_optimizer = self._optimizers()
        if decision.fresh_alpha:
            self.alpha_optimizer = alpha_optimizer

    def _restart(self, decision: Restart) -> None:
        self._lr_scale = decision.lr_scale
        self._begin_stage(decision.epochs)
        self.weight_optimizer, _ = self._optimizers()

    def _begin_stage(self, epochs: int | None) -> None:
        if epochs is not None:
            self._stage_start, self._stage_epochs = self.epoch, epochs

    # Steps

    def moment(self, phase: Phase, step: int = 0, batch_size: int = 0) -> Moment:
        """Return where the search stands, for a variant's hooks."""
        return Moment(
            phase=phase,
            epoch=self.epoch,
            epochs=self.protocol.epochs,
            step=step,
            steps=self.data.steps_per_epoch,
            batch_size=batch_size,
            device=self.device,
            dtype=self.dtype,
            stream=self._stream,
        )

    def _stream(self, purpose: str) -> np.random.Generator:
        if purpose not in self._streams:
            self._streams[purpose] = stream(self.seed, f"variant/{purpose}", self.epoch)
        return self._streams[purpose]

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Run the networks in the protocol's precision."""
        enabled = self.protocol.precision == "bfloat16"
        # No weight is used twice in a pass, and a graph must not find its copies in a cache.
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled, cache_enabled=False):
            yield

    def run_epoch(self) -> dict[str, Any]:
        """Search for one epoch and return its row of epochs.parquet.

        Its `seconds` are those of the steps and of what the method does after them; compiling and diagnostics do not
        count.
        """
        started = self._seconds
        self.meter = Meter()
        self._streams = {}
        batches = zip(self.data.epoch("train", self.epoch), self.data.epoch("valid", self.epoch), strict=True)
        for index, (train_batch, valid_batch) in enumerate(batches):
            self.run_step(index, train_batch, valid_batch)
        self.epoch += 1
        row = self._row()
        row["seconds"] = self._seconds - started
        row["peak_memory_bytes"] = peak_memory_bytes(self.device)
        # Before a rebuild: the epoch's alpha belongs to the network that it was searched with.
        self.alpha_rows = alpha_rows(self)
        measures, self.one_shot_rows = diagnostics.measure(self)
        row |= measures
        self.cell = row["cell"]
        started = self._seconds
        if self.finite:  # a diverged search has no next epoch to decide about
            self._follow(self.variant.end_of_epoch(self))
        row["seconds"] += self._seconds - started
        return row

    @property
    def _seconds(self) -> float:
        """Of a clock that stands still while the network is compiled."""
        return time.perf_counter() - (0.0 if self._compiled is None else self._compiled.seconds)

    def run_step(self, index: int, train_batch: Batch, valid_batch: Batch) -> None:
        """Move the weights and alpha once; `index` is that of the step in its epoch."""
        step = Step(self, index, train_batch, valid_batch)
        alpha_first = self.protocol.order == "alpha-then-weights"
        self._set_learning_rate(index)
        if alpha_first:
            self._alpha_step(step)
        self._weight_step(step)
        if not alpha_first:
            self._alpha_step(step)

    def _follow(self, decision: object) -> None:
        if isinstance(decision, Stop):
            self.stop_reason = decision.reason
        elif isinstance(decision, Rebuild):
            self._rebuild(decision)
        elif isinstance(decision, Restart):
            self._restart(decision)

    def _set_learning_rate(self, step: int) -> None:
        settings = self.protocol.weights
        progress = (self.epoch - self._stage_start + step / self.data.steps_per_epoch) / self._stage_epochs
        cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        self.weight_optimizer.settings["lr"] = self._lr_scale * (
            settings.lr_min + (settings.lr - settings.lr_min) * cosine
        )

    def _alpha_step(self, step: Step) -> None:
        gradients = self.variant.alpha_gradient(step)
        if gradients is None:
            return
        for name, parameter in self.architecture.items():
            parameter.grad = gradients.get(name)
        self.alpha_optimizer.step()

    def _weight_step(self, step: Step) -> None:
        self.variant.before_weight_step(step)
        gradients = self.variant.weight_gradients(step)
        for name, weight in step.weights.items():
            weight.grad = None if name in self.frozen else gradients.get(name)
        clip = self.protocol.weights.clip
        norm = torch.nn.utils.clip_grad_norm_(self.supernet.weights.values(), math.inf if clip is None else clip)
        self.meter.count("gradient norm", norm)
        self.meter.count("clipped", (norm > clip) if clip is not None else 0.0)
        self.meter.count("weight steps", 1.0)
        self.weight_optimizer.step()
        self.variant.after_weight_step(step)

    def freeze(self, names: Iterable[str]) -> None:
        """Let the optimiser leave these weights alone from now on: no gradient, decay or momentum moves them.

        Raises:
            ValueError: the supernet has no weight of such a name.
        """
        chosen = set(names)
        unknown = sorted(chosen - self.supernet.weights.keys())
        if unknown:
            raise ValueError(f"there is no weight {unknown[0]!r} to freeze")
        self.frozen |= chosen
        for name in chosen:
            self.weight_optimizer.state.pop(self.supernet.weights[name], None)

    # Reading

    def derived_op_weights(self) -> np.ndarray:
        """Return the op weights [6, operations] that cells are derived from; the mean where cells have their own."""
        with torch.no_grad():
            values = self.variant.op_weights(self.architecture, self.moment(Phase.DERIVE))
        matrix = values.detach().cpu().double().numpy()
        return matrix if matrix.ndim == 2 else matrix.mean(axis=0)

    def derive(self) -> tuple[Cell, dict[str, Cell]]:
        """Return the variant's own answer, and the cells of every cheap rule and of the variant's further names.

        `seconds_of_answer` is what it took; compiling does not count.
        """
        self._streams = {}  # the answer is the same however often it is asked for
        started = self._seconds
        rules = {}
        if self.architecture:
            op_weights = self.derived_op_weights()
            rules = {name: rule(op_weights, self.variant.operations) for name, rule in CHEAP_RULES.items()}
        answer = self.variant.derive(self), {**rules, **self.variant.derived_cells(self)}
        self.seconds_of_answer = self._seconds - started
        return answer

    def one_shot_accuracy(
        self, op_weights: Tensor, batches: Iterable[Batch], *, running_statistics: bool = False
    ) -> float:
        """Return the accuracy (percent) of the shared weights under op weights: one matrix, or one a cell.

        Batch norms use the statistics of each batch, for the running ones mix all cells; with `running_statistics`,
        they use those where they keep them. Nothing is learned. As many images as a batch of the search has count as a
        third of a forward-backward pass.
        """
        correct, images = 0, 0
        own = self.variant.controls(self.architecture, self.moment(Phase.DERIVE))
        controls = replace(own, active=nonzero_operations(op_weights))
        statistics = evaluation_mode if running_statistics else statistics_untouched
        with torch.no_grad(), statistics(self.supernet), self.arithmetic():
            for inputs, labels in batches:
                predicted = self.supernet(inputs, op_weights, controls).argmax(dim=1)
                correct += int((predicted == labels).sum())
                images += len(labels)
                self.passes += len(labels) / self.data.batch_size / 3
        return 100 * correct / images

    def one_hot(self, cell: Cell) -> Tensor:
        """Return the op weights [6, operations] that select one cell."""
        operations = self.variant.operations
        columns = torch.tensor(cell.columns(operations), device=self.device)
        return F.one_hot(columns, len(operations)).to(self.dtype)

    @property
    def finite(self) -> bool:
        """Whether loss and alpha are still numbers."""
        losses = self.meter.ratio("train/loss", "train/batches")
        return math.isfinite(losses) and all(bool(value.isfinite().all()) for value in self.architecture.values())

    def _row(self) -> dict[str, Any]:
        meter = self.meter
        return {
            "epoch": self.epoch,
            "train_loss": meter.ratio("train/loss", "train/batches"),
            "train_accuracy": 100 * meter.ratio("train/correct", "train/images"),
            "valid_loss": meter.ratio("valid/loss", "valid/batches"),
            "valid_accuracy": 100 * meter.ratio("valid/correct", "valid/images"),
            "learning_rate": self.weight_optimizer.settings["lr"],
            "gradient_norm": meter.ratio("gradient norm", "weight steps"),
            "clipped_share": meter.ratio("clipped", "weight steps"),
        }

    # Resuming

    def state(self) -> dict[str, Any]:
        """Return everything that the next epoch depends on."""
        return {
            "epoch": self.epoch,
            "passes": self.passes,
            "stage": [self._stage_start, self._stage_epochs, self._lr_scale],
            "spec": asdict(self.supernet.spec),
            "stop_reason": self.stop_reason,
            "cell": self.cell,
            "frozen": sorted(self.frozen),
            "weights": self.supernet.state_dict(),
            "architecture": {name: value.detach() for name, value in self.architecture.items()},
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "alpha_optimizer": self.alpha_optimizer.state_dict(),
            "variant": self.variant.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.epoch, self.passes = state["epoch"], state["passes"]
        self._stage_start, self._stage_epochs, self._lr_scale = state["stage"]
        self.stop_reason, self.cell = state["stop_reason"], state["cell"]
        self.supernet = self._build(SupernetSpec.from_plain(state["spec"]))
        self.supernet.load_state_dict(state["weights"])
        self.architecture = {
            name: value.to(self.device).clone().requires_grad_() for name, value in state["architecture"].items()
        }
        self.weight_optimizer, self.alpha_optimizer = self._optimizers()
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.alpha_optimizer.load_state_dict(state["alpha_optimizer"])
        self.frozen = set(state["frozen"])
        self.variant.load_state(on_device(state["variant"], self.device))


def protocol_spec(protocol: Protocol, data: SearchData) -> SupernetSpec:
    """Return the supernet that the protocol asks for on these images."""
    network = protocol.network
    return SupernetSpec(
        shape=Shape(
            channels=network.channels,
            cells_per_stage=network.cells_per_stage,
            classes=data.classes,
            image_channels=data.image_channels,
            image_size=data.image_size,
        ),
        batch_statistics=network.batch_statistics,
        affine=network.affine,
        gradient_checkpointing=network.gradient_checkpointing,
        operations=protocol.operations,
    )


def on_device(content: Any, device: torch.device) -> Any:
    """Return plain content with a copy of each of its tensors on the device."""
    if isinstance(content, Tensor):
        return content.to(device, copy=True)
    if isinstance(content, dict):
        return {key: on_device(value, device) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return type(content)(on_device(value, device) for value in content)
    return content


def peak_memory_bytes(device: torch.device) -> int:
    """Return the largest memory use so far: of the device on CUDA, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))  # what graphs set aside does not count as allocated
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
