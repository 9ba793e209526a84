"""Alpha and the op weights as rows of alpha.parquet."""

from typing import Any

import torch

from harness.search.variant import Phase, SearchView
from harness.space.cell import EDGE_NAMES


def alpha_rows(search: SearchView) -> list[dict[str, Any]]:
    """Return a row for each group of cells, edge and operation; none for a method without alpha.

    Cells that share their alpha are one group: `all`, or `stage 1` to `stage 3`.
    """
    if not search.architecture:
        return []
    alpha = search.architecture["alpha"].detach().cpu().double().numpy()
    with torch.no_grad():
        op_weights = search.variant.op_weights(search.architecture, search.moment(Phase.DERIVE))
    weights = op_weights.cpu().double().numpy()
    groups = alpha[None] if alpha.ndim == 2 else alpha
    shown = weights[None] if weights.ndim == 2 else weights[:: len(weights) // len(groups)]
    names = ["all"] if len(groups) == 1 else [f"stage {number}" for number in range(1, len(groups) + 1)]
    return [
        {
            "epoch": search.epoch,
            "cells": names[group],
            "edge": edge,
            "operation": operation,
            "alpha": float(groups[group, row, column]),
            "weight": float(shown[min(group, len(shown) - 1), row, column]),
        }
        for group in range(len(groups))
        for row, edge in enumerate(EDGE_NAMES)
        for column, operation in enumerate(search.variant.operations)
    ]
