"""The supernet written a second time, from the formulas and nothing else: no layer, no shared code, loops only."""

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


def supernet(w: dict[str, Tensor], images: Tensor, p: Tensor, cells_per_stage: int) -> Tensor:
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
                if end != target:
                    continue
                for column, operation in enumerate(OPERATIONS):
                    h = nodes[source]
                    if operation == "none":
                        value = 0 * h
                    elif operation == "skip_connect":
                        value = h
                    elif operation == "avg_pool_3x3":
                        value = pool3(h)
                    else:
                        value = block(h, w, f"cells.{cell}.edges.{source}_{end}.{operation}")
                    total = total + weights[edge, column] * value
            nodes.append(total)
        x = nodes[3]
    x = batch_norm(x, w["head.norm.weight"], w["head.norm.bias"]).clamp(min=0).mean(dim=(2, 3))
    return x @ w["head.classifier.weight"].T + w["head.classifier.bias"]
