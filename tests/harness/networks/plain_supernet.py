"""The supernet written a second time, from the formulas and nothing else: no layer, no shared code, loops only."""

from typing import Any

import torch
from torch import Tensor

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def batch_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    y = (x - mean) / torch.sqrt(variance + 1e-5)
    return y if weight is None else y * weight.view(1, -1, 1, 1) + bias.view(1, -1, 1, 1)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> Tensor:
    batch, _, height, width = x.shape
    outputs, _, kernel, _ = weight.shape
    pad = kernel // 2
    padded = x.new_zeros(batch, x.shape[1], height + 2 * pad, width + 2 * pad)
    padded[:, :, pad : pad + height, pad : pad + width] = x
    out_height, out_width = -(-height // stride), -(-width // stride)
    y = x.new_zeros(batch, outputs, out_height, out_width)
    for row in range(kernel):
        for column in range(kernel):
            window = padded[:, :, row::stride, column::stride][:, :, :out_height, :out_width]
            y = y + torch.einsum("bchw,oc->bohw", window, weight[:, :, row, column])
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def pool3(x: Tensor) -> Tensor:
    rows = []
    height, width = x.shape[2:]
    for i in range(height):
        row = [x[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].mean(dim=(2, 3)) for j in range(width)]
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)


def block(x: Tensor, w: dict[str, Tensor], name: str, stride: int = 1) -> Tensor:
    y = convolve(x.clamp(min=0), w[f"{name}.convolution.weight"], w.get(f"{name}.convolution.bias"), stride)
    return batch_norm(y, w.get(f"{name}.norm.weight"), w.get(f"{name}.norm.bias"))


def operation(x: Tensor, w: dict[str, Tensor], cell: int, edge: int, column: int) -> Tensor:
    name = OPERATIONS[column]
    if name == "none":
        return 0 * x
    if name == "skip_connect":
        return x
    if name == "avg_pool_3x3":
        return pool3(x)
    source, target = EDGES[edge]
    return block(x, w, f"cells.{cell}.edges.{source}_{target}.{name}")


def mixture(x: Tensor, w: dict[str, Tensor], cell: int, edge: int, weights: Tensor, controls: Any) -> Tensor:
    """Return sum_o p[o] * s[o, b] * o(x), where skip_connect's output is masked, over the active operations o."""
    y = torch.zeros_like(x)
    for column, name in enumerate(OPERATIONS):
        if controls is not None and controls.active is not None and not controls.active[edge][column]:
            continue
        value = operation(x, w, cell, edge, column)
        if controls is not None and controls.skip_masks is not None and name == "skip_connect":
            value = value * controls.skip_masks[cell][edge]
        value = weights[column] * value
        if controls is not None and controls.operation_scale is not None:
            value = torch.stack([controls.operation_scale[cell, edge, column, b] * v for b, v in enumerate(value)])
        y = y + value
    return y


def partial(x: Tensor, mix: Any, keys: Tensor | None, groups: int) -> Tensor:
    """Mix 1/groups of the channels, pass on the others: PC-DARTS.

    Without keys the first channels are mixed, and the groups are interleaved afterwards; with keys the channels of
    the smallest keys are mixed and stay where they are.
    """
    channels = x.shape[1]
    size = channels // groups
    chosen = list(range(size)) if keys is None else sorted(range(channels), key=lambda c: float(keys[c]))[:size]
    mixed = mix(torch.stack([x[:, c] for c in chosen], dim=1))
    if keys is not None:
        return torch.stack([mixed[:, chosen.index(c)] if c in chosen else x[:, c] for c in range(channels)], dim=1)
    # One channel of each group in turn: of the mixed group first.
    order = [group * size + member for member in range(size) for group in range(groups)]
    return torch.stack([mixed[:, c] if c < size else x[:, c] for c in order], dim=1)


def edge_output(
    x: Tensor, w: dict[str, Tensor], cell: int, edge: int, weights: Tensor, controls: Any, groups: int
) -> Tensor:
    def mix(features: Tensor) -> Tensor:
        return mixture(features, w, cell, edge, weights, controls)

    if groups == 1:
        y = mix(x)
    else:
        order = None if controls is None else controls.channel_order
        y = partial(x, mix, None if order is None else order[cell, edge], groups)
    if controls is not None and controls.edge_weights is not None:
        y = controls.edge_weights[edge] * y
    return y if controls is None or controls.edge_shift is None else y + controls.edge_shift[edge]


def supernet(
    w: dict[str, Tensor],
    images: Tensor,
    p: Tensor,
    cells_per_stage: int,
    controls: Any = None,
    partial_channels: int = 1,
) -> Tensor:
    """Logits by the definition: h_j = sum_i sum_o p[ij, o] * o(h_i), with batch statistics everywhere."""
    x = batch_norm(convolve(images, w["stem.0.weight"]), w["stem.1.weight"], w["stem.1.bias"])
    for cell in range(3 * cells_per_stage):
        if cell and cell % cells_per_stage == 0:
            name = f"reductions.{cell // cells_per_stage - 1}"
            halved = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
            x = convolve(halved, w[f"{name}.shortcut.weight"]) + block(
                block(x, w, f"{name}.first", stride=2), w, f"{name}.second"
            )
        weights = p if p.dim() == 2 else p[cell]
        nodes = [x]
        for target in (1, 2, 3):
            total = torch.zeros_like(x)
            for edge, (source, end) in enumerate(EDGES):
                if end == target:
                    total = total + edge_output(nodes[source], w, cell, edge, weights[edge], controls, partial_channels)
            nodes.append(total)
        x = nodes[3]
    x = batch_norm(x, w["head.norm.weight"], w["head.norm.bias"]).clamp(min=0).mean(dim=(2, 3))
    return x @ w["head.classifier.weight"].T + w["head.classifier.bias"]
