"""The supernet's passes as CUDA graphs: the same kernels, launched together instead of one by one.

A step launches thousands of small kernels, and a fast card waits for the host that launches them. A graph keeps the
kernels of a forward pass, another those of its backward pass, with the memory that they read and write; each is then
one launch. Every kind of pass has graphs of its own: the weight step differentiates by the weights, the alpha step by
the op weights. What is new or rare runs kernel by kernel. The way is that of `torch.cuda.make_graphed_callables`, with
three differences: weights that are not the network's have memory of their own, gradients that were given out stay what
they are, and a pass whose memory was used again refuses its backward pass. Weights must not change between the two.

The recording and replaying on a card (`CudaGraphs`) has never run on one. Tests put in its place a recorder of
operators, which shows that a replay depends on nothing but the memory of a pass.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from harness.base.collector import collector_paused
from harness.base.errors import UserError
from harness.base.named_tensors import Tensors
from harness.networks.compiled import is_regular
from harness.networks.supernet import Controls, Supernet, with_weights

LIMIT = 8
"""Kinds of passes of one supernet that are kept as graphs."""

RECORDED_AT = 2
"""The meeting at which a kind is recorded: one that comes once is not worth it."""

WARM_UPS = 3
"""Passes before the recording, in which libraries choose algorithms and allocate what they keep."""


class Graph(Protocol):
    """Recorded work."""

    def replay(self) -> None:
        """Do it again, on what its memory now holds."""


class Graphs(Protocol):
    """Records work. All that one of them records shares its memory."""

    def warm_up(self) -> AbstractContextManager[None]:
        """Surround passes that are not recorded."""

    def record(self) -> AbstractContextManager[Graph]:
        """Record what is launched inside."""


class CudaGraphs:
    """PyTorch's graphs, with memory that nothing else uses."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()

    @contextmanager
    def warm_up(self) -> Iterator[None]:
        """Run on the stream of the recording."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    @contextmanager
    def record(self) -> Iterator[Graph]:
        """Record without running."""
        graph = torch.cuda.CUDAGraph()
        # A graph among the garbage, of an earlier network, would end the recording when it is collected.
        with collector_paused(), torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            yield graph


@dataclass
class _Turn:
    """Whose pass it is: all passes of a network share their memory."""

    token: object = None
    """Of the pass whose memory is still there for its gradients."""


class GraphedPasses:
    """Runs the passes of one supernet, as graphs where their kind is known."""

    recorder: type[Graphs] = CudaGraphs

    def __init__(self, supernet: Supernet):
        """Know the supernet; nothing is recorded yet."""
        self.supernet = supernet
        self._own = {name: weight.data_ptr() for name, weight in supernet.weights.items()}
        self._graphs: Graphs | None = None
        self._met: Counter[Hashable] = Counter()
        self._known: dict[Hashable, _Pass] = {}
        self._turn = _Turn()

    def __call__(self, weights: Tensors, images: Tensor, op_weights: Tensor, controls: Controls) -> Tensor:
        """Return the logits of the supernet with these weights: the same numbers, differentiable once."""
        inputs = {"images": images, "op_weights": op_weights, **_tensors_of(controls), **_prefixed(weights)}
        differentiated = torch.is_grad_enabled() and any(one.requires_grad for one in inputs.values())
        if not differentiated or not (controls.active is None or is_regular(controls.active)):
            return with_weights(self.supernet, weights, images, op_weights, controls)
        # Memory that is the network's must stay so, and other weights must not be written into it.
        own = all(weight.data_ptr() == self._own[name] for name, weight in weights.items())
        kind = self._kind(inputs, controls, own)
        if kind not in self._known:
            self._met[kind] += 1
            if self._met[kind] < RECORDED_AT or len(self._known) >= LIMIT:
                return with_weights(self.supernet, weights, images, op_weights, controls)
            self._graphs = self._graphs or self.recorder()
            with _statistics_kept(self.supernet.norms):
                self._known[kind] = _Pass(self.supernet, self._turn, self._graphs, inputs, controls, own)
        logits: Tensor = _Replay.apply(self._known[kind], *inputs.values())
        return logits

    def _kind(self, inputs: Tensors, controls: Controls, own: bool) -> Hashable:
        """Return all that a recording depends on, beside the numbers in its tensors."""
        layouts = tuple((name, one.shape, one.stride(), one.dtype, one.requires_grad) for name, one in inputs.items())
        device = inputs["images"].device.type
        return (
            *(layouts, controls.active, own, self.supernet.training),
            *(tuple(norm.momentum for norm in self.supernet.norms), self.supernet.compiled is None),
            *(torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)),
        )


class _Pass:
    """One kind of pass: its graphs, and the memory that they read and write."""

    def __init__(
        self,
        supernet: Supernet,
        turn: _Turn,
        graphs: Graphs,
        inputs: Tensors,
        controls: Controls,
        own_weights: bool,
    ):
        self._supernet = supernet
        self._turn = turn
        self._inputs = {
            name: _memory_for(one, shared=own_weights and name.startswith(WEIGHT)) for name, one in inputs.items()
        }
        self._wanted = [position for position, one in enumerate(self._inputs.values()) if one.requires_grad]
        for _ in range(WARM_UPS):
            self._warm_up(graphs, controls)
        with graphs.record() as self._forward_graph:
            logits = self._forward(controls)
        self._slope = torch.empty_like(logits)
        with graphs.record() as self._backward_graph:
            self._gradients = self._backward(logits, self._slope)
        self._logits = logits.detach()

    def _warm_up(self, graphs: Graphs, controls: Controls) -> None:
        with graphs.warm_up():
            logits = self._forward(controls)
            self._backward(logits, torch.ones_like(logits))

    def _forward(self, controls: Controls) -> Tensor:
        held = replace(controls, **_controls_from(self._inputs, controls))
        weights = {name.removeprefix(WEIGHT): one for name, one in self._inputs.items() if name.startswith(WEIGHT)}
        images, op_weights = self._inputs["images"], self._inputs["op_weights"]
        return with_weights(self._supernet, weights, images, op_weights, held)

    def _backward(self, logits: Tensor, slope: Tensor) -> tuple[Tensor | None, ...]:
        inputs = list(self._inputs.values())
        # As outside of a graph: losses are differentiated in their own precision.
        with torch.autocast(logits.device.type, enabled=False):
            return torch.autograd.grad(logits, [inputs[at] for at in self._wanted], slope, allow_unused=True)

    def run(self, inputs: Sequence[Tensor]) -> tuple[Tensor, object]:
        """Return the logits, and a token of this pass."""
        pairs = zip(self._inputs.values(), inputs, strict=True)
        moved = [(held, given) for held, given in pairs if held.data_ptr() != given.data_ptr()]
        torch._foreach_copy_([held.detach() for held, _ in moved], [given.detach() for _, given in moved])
        self._forward_graph.replay()
        self._turn.token = object()
        return self._logits.clone(), self._turn.token

    def gradients(self, slope: Tensor, token: object) -> list[Tensor | None]:
        """Return the gradient for each input of the pass with this token; None for one that is not differentiated by.

        Raises:
            RuntimeError: what the pass left for its gradients is used up, by them or by another pass.
        """
        if token is not self._turn.token:
            raise RuntimeError(
                "network.cuda_graphs: a pass was differentiated twice, or after another one; differentiate the first "
                "before the second begins"
            )
        self._turn.token = None
        self._slope.copy_(slope)
        self._backward_graph.replay()
        found = [gradient for gradient in self._gradients if gradient is not None]
        given_out = [torch.empty_like(gradient) for gradient in found]
        torch._foreach_copy_(given_out, found)
        remaining = iter(given_out)
        by_position = {
            at: None if gradient is None else next(remaining)
            for at, gradient in zip(self._wanted, self._gradients, strict=True)
        }
        return [by_position.get(at) for at in range(len(self._inputs))]


class _Replay(torch.autograd.Function):
    """A recorded pass, as one operator."""

    @staticmethod
    def forward(ctx: Any, recorded: _Pass, *inputs: Tensor) -> Tensor:
        """Return the logits."""
        logits, ctx.token = recorded.run(inputs)
        ctx.recorded = recorded
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of all inputs."""
        return (None, *ctx.recorded.gradients(slope, ctx.token))


WEIGHT = "weight/"


def _prefixed(weights: Tensors) -> dict[str, Tensor]:
    return {f"{WEIGHT}{name}": weight for name, weight in weights.items()}


def _tensors_of(controls: Controls) -> dict[str, Tensor]:
    """Return the tensors of the controls by name; those of a tuple by name and number."""
    found = {}
    for field in fields(controls):
        value = getattr(controls, field.name)
        if isinstance(value, Tensor):
            found[field.name] = value
        elif field.name == "skip_masks" and value is not None:
            found |= {f"{field.name}/{number}": mask for number, mask in enumerate(value)}
    return found


def _controls_from(inputs: Tensors, controls: Controls) -> dict[str, Any]:
    """Return the fields of the controls that hold tensors, with the tensors of `inputs`."""
    held: dict[str, Any] = {field.name: inputs[field.name] for field in fields(controls) if field.name in inputs}
    if controls.skip_masks is not None:
        held["skip_masks"] = tuple(inputs[f"skip_masks/{number}"] for number in range(len(controls.skip_masks)))
    return held


def _memory_for(given: Tensor, shared: bool) -> Tensor:
    held = given.detach() if shared else given.detach().clone(memory_format=torch.preserve_format)
    return held.requires_grad_(given.requires_grad)


@contextmanager
def _statistics_kept(norms: Sequence[nn.BatchNorm2d]) -> Iterator[None]:
    """Put the running statistics back that warming up changes."""
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


def check_cuda(device: torch.device) -> None:
    """Check that there can be CUDA graphs.

    Raises:
        UserError: this is another device.
    """
    if device.type != "cuda":
        raise UserError(f"protocol network.cuda_graphs: expected false on the device {device.type!r}, or device: cuda")
