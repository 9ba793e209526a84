"""The search cells through PyTorch's compiler: the same function, with fewer passes over memory.

All cells of one shape share one compiled form, whatever their weights, seed or supernet. A form is compiled when it
is first met, on copies of its inputs and before it is used; on later starts it comes from the cache on disk. Forms
are kept few: a pass whose edges differ in their operations runs operator by operator, and so does every new form
once there are `LIMIT`, and dropout of skip connections in bfloat16. docs/speed.md says what this gains.
"""

import os
import shutil
import sys
import time
from collections.abc import Hashable
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from harness.base.errors import UserError
from harness.base.files import STATE
from harness.networks.mixed_cell import CellControls, MixedCell, OpWeights

CACHE = STATE / "compiled"
"""Where compiled code is kept, unless TORCHINDUCTOR_CACHE_DIR names a folder."""

LIMIT = 32
"""Compiled forms of one process. Three cell shapes need three for the weights' step and four for alpha's."""

BACKEND = "inductor"
"""PyTorch's own compiler; tests name one that only traces."""

_forms: set[Hashable] = set()


class CompiledCells:
    """Runs the cells of a search, compiled where a form of them is; and knows how long compiling took."""

    def __init__(self, device: torch.device):
        """Prepare the compiler.

        Raises:
            UserError: this machine has none.
        """
        check_compiler(device)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(CACHE.absolute()))
        self.seconds = 0.0
        """Spent on compiling, or on loading what was compiled before."""

    def __call__(self, cell: MixedCell, features: Tensor, op_weights: OpWeights, controls: CellControls) -> Tensor:
        """Return `cell(features, op_weights, controls)`, up to rounding."""
        if not torch.is_grad_enabled() or not is_regular(controls.active) or not cell.blocks[0]:
            return plain(cell, features, op_weights, controls)
        if controls.skip_mask is not None and torch.is_autocast_enabled(features.device.type):
            # PyTorch 2.13 builds code for it whose gradients are nan on CPUs, in cells of 32 channels of 8x8 pixels.
            return plain(cell, features, op_weights, controls)
        form = form_of(cell, features, op_weights.matrix, controls)
        if form not in _forms:
            if len(_forms) >= LIMIT:
                return plain(cell, features, op_weights, controls)
            self._compile(cell, features, op_weights.matrix, controls)
            _forms.add(form)
        return _compiled_form()(cell, features, op_weights.matrix, controls)

    def _compile(self, cell: MixedCell, features: Tensor, matrix: Tensor, controls: CellControls) -> None:
        """Run a form forward and backward once, on copies: nothing but the compiled code is left of it."""
        started = time.perf_counter()
        statistics = [(buffer, buffer.clone()) for buffer in cell.buffers()]
        copies = CellControls(**{field.name: _copy(getattr(controls, field.name)) for field in fields(controls)})
        inputs = (_copy(features), _copy(matrix), copies)
        removed: set[str] = set()
        try:
            while not _runs(cell, *inputs, removed):
                pass
        finally:
            for buffer, kept in statistics:
                buffer.copy_(kept)
            self.seconds += time.perf_counter() - started


def _runs(cell: MixedCell, features: Tensor, matrix: Tensor, controls: CellControls, removed: set[str]) -> bool:
    """Run the compiled code forward and backward; False if a damaged file had to be removed from the cache.

    A process that is killed while it compiles leaves half a library behind, which would stop every later one.
    """
    try:
        output = _compiled_form()(cell, features, matrix, controls)
        given = (features, matrix, controls.edge_weights, controls.edge_shift)
        differentiable = [one for one in (*given, *cell.parameters()) if _has_gradient(one)]
        if differentiable and output.requires_grad:  # edges that pass nothing on give a constant
            torch.autograd.grad(output, differentiable, torch.ones_like(output), allow_unused=True)
    except torch._dynamo.exc.TorchDynamoException as error:
        library = getattr(getattr(error, "inner_exception", None), "path", None)
        if library is None or library in removed:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"protocol network.compile: compiling a search cell failed here ({reason})") from error
        Path(library).unlink(missing_ok=True)
        removed.add(library)
        return False
    return True


def plain(cell: MixedCell, features: Tensor, op_weights: OpWeights, controls: CellControls) -> Tensor:
    """Run a cell operator by operator."""
    output: Tensor = cell(features, op_weights, controls)
    return output


def is_regular(active: tuple[tuple[bool, ...], ...]) -> bool:
    """Whether, by `Controls.active`, all edges compute the same operations, at least one.

    Sets of operations that differ from edge to edge are drawn or learned: there are too many to compile each.
    """
    return len(set(active)) == 1 and any(active[0])


def form_of(cell: MixedCell, features: Tensor, matrix: Tensor, controls: CellControls) -> Hashable:
    """Return all that the compiled code of a cell depends on, beside the numbers in its tensors."""
    block = next(iter(cell.blocks[0].values()))
    weight, norm = block.convolution.weight, block.norm
    tensors = (features, matrix, weight, *(getattr(controls, field.name) for field in fields(controls)[2:]))
    device = features.device
    return (
        *(_layout(tensor) for tensor in tensors),
        isinstance(weight, nn.Parameter),
        (controls.operations, controls.active),
        (cell.partial_channels, cell.training, norm.affine, norm.track_running_stats, norm.momentum),
        (device, torch.is_autocast_enabled(device.type), torch.get_autocast_dtype(device.type)),
    )


def _layout(tensor: Tensor | None) -> Hashable:
    return None if tensor is None else (tensor.shape, tensor.stride(), tensor.dtype, tensor.requires_grad)


def _has_gradient(tensor: Tensor | None) -> TypeGuard[Tensor]:
    return tensor is not None and tensor.requires_grad


def _copy(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone(memory_format=torch.preserve_format).requires_grad_(value.requires_grad)


@cache
def _compiled_form() -> Any:
    # One entry a form; PyTorch's own limit would be met sooner and ends in an error.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, LIMIT)
    return torch.compile(_from_matrix, fullgraph=True, dynamic=False, backend=BACKEND)


def _from_matrix(cell: MixedCell, features: Tensor, matrix: Tensor, controls: CellControls) -> Tensor:
    return plain(cell, features, OpWeights(matrix, cell.selected, controls.operations), controls)


def check_compiler(device: torch.device) -> None:
    """Check that PyTorch's compiler finds what it builds code with on this device.

    Raises:
        UserError: no C++ compiler for a CPU; no Triton or C compiler for CUDA.
    """
    needed = [_cpp_compiler()] if device.type == "cpu" else [os.environ.get("CC", "gcc"), _cpp_compiler()]
    missing = [program for program in needed if shutil.which(program) is None]
    if missing:
        _refuse(f"the compiler {missing[0]!r}", "install it, or name another by the environment variable CXX (C: CC)")
    if device.type == "cuda" and find_spec("triton") is None:
        _refuse("the package triton", "install it")


def _cpp_compiler() -> str:
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def _refuse(what: str, cure: str) -> None:
    raise UserError(f"protocol network.compile: {what} is missing on this machine: {cure}, or set compile: false")
