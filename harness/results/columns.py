"""What the tables of results/ hold: each column, and what it means."""

from pathlib import Path
from typing import get_args

from harness.records.record import EPOCH_COLUMNS
from harness.settings.strategy import Strategy
from harness.space.cell import OPERATIONS
from harness.truth.columns import SPREADS

RESULTS = Path("results")

SCHEMA_VERSION = 1
"""Of the folder; `provenance.json` states it, since version 1."""
READABLE_VERSIONS = (SCHEMA_VERSION,)

CELL_MEASURES = (*(f"count_{operation}" for operation in OPERATIONS), "depth", "width", "parameters", "flops")

_RUN = {"variant": "name of the method", "seed": "seed of the run", "kind": "`search` or `baseline`"}
_CELL = {"cell": "the cell as a string of the benchmark", "cell_index": "its official index, 0 to 15,624"}
_MEASURES = {
    **{f"count_{operation}": f"edges of the cell with {operation}" for operation in OPERATIONS},
    "depth": "edges on the longest path from input to output that meets no none",
    "width": "paths from input to output that share no edge, at most",
    "parameters": "trainable weights of the benchmark's network around the cell on CIFAR-10",
    "flops": "multiply-adds of that network on one image",
}
_CANONICAL = {"canonical": "a form that cells share which compute the same function"}
_TRUTH = {"truth/DATA_SET/SPLIT": "true accuracy of the cell: mean over its trainings, percent"}
_PERCENTILE = {"percentile/DATA_SET/SPLIT": "percent of the cells of the protocol's space that are worse"}
_COSTS = {"cost/NAME": "cost of the cell on a device, in the unit that params.yaml names; only with `costs` there"}
_SPREADS = {
    f"{name}/DATA_SET/SPLIT": meaning
    for name, meaning in zip(
        SPREADS,
        (
            "single trainings of the cell in the table of true accuracies",
            "sd of their accuracies (ddof 1), points",
            "standard error of the cell's mean, points",
            "degrees of freedom of that error",
        ),
        strict=True,
    )
}

RESULT_COLUMNS: dict[str, dict[str, str]] = {
    "runs": {
        **_RUN,
        "strategy": f"one of: {', '.join(get_args(Strategy))}",
        "status": "done, stopped (by the method's own rule), failed, diverged or missing",
        "reason": "why it is not `done`",
        "notes": "what else a reader must know about the run",
        "epochs": "epochs completed; of a baseline the evaluations",
        **_CELL,
        **_CANONICAL,
        **_MEASURES,
        "seconds": "wall time of the epochs without diagnostics, and of the method's own answer; all sittings together",
        "diagnostics_seconds": "wall time of its diagnostics",
        "peak_memory_bytes": "largest memory use",
        "forward_backward_passes": "passes of one batch through the supernet, forward and backward",
        "fingerprint": "of all that the run depends on",
        "device": "where it ran: cpu, or the name of the GPU",
        "processor": "name of the processor",
        "threads": "CPU threads",
        "deterministic": "whether it gives the same bits again",
        **_TRUTH,
        **_PERCENTILE,
        **_SPREADS,
        **_COSTS,
    },
    "epochs": {
        **_RUN,
        **EPOCH_COLUMNS,
        "cell_index": _CELL["cell_index"],
        **_MEASURES,
        "train_valid_gap": "train_accuracy minus valid_accuracy, points",
        **_TRUTH,
    },
    "alpha": {
        "variant": _RUN["variant"],
        "seed": _RUN["seed"],
        "epoch": "counts from 1",
        "cells": "which cells of the network share this alpha: `all`, or a group of them",
        "edge": "such as 0>1",
        "operation": "one of the protocol's",
        "alpha": "architecture parameter after the epoch",
        "weight": "op weight that the method makes of it",
    },
    "derived": {**_RUN, "rule": "derivation rule", **_CELL, **_TRUTH, **_SPREADS, **_COSTS},
    "draws": {**_RUN, **_CELL, "count": "how often it was drawn from the final op weights", **_TRUTH},
    "collapse": {
        **_RUN,
        "criterion": "of collapse, see docs/diagnostics.md",
        "collapsed": "whether the run ended in it",
        "epoch": "the first epoch from which on it held; empty without a collapse",
        "epochs": "epochs of the run",
    },
    "one_shot": {
        "variant": _RUN["variant"],
        "seed": _RUN["seed"],
        "epoch": "counts from 1",
        "cell_index": _CELL["cell_index"],
        "accuracy": "of the shared weights under this cell, percent",
        **_TRUTH,
    },
    "rank_correlation": {
        "variant": _RUN["variant"],
        "seed": _RUN["seed"],
        "epoch": "counts from 1",
        "column": "truth column that the one-shot accuracies are compared with",
        "cells": "how many cells are compared",
        "kendall": "Kendall's tau-b",
        "spearman": "Spearman's rho",
        "kendall_best_fifth": "Kendall's tau-b among the best fifth by truth",
        "precision_at_10": "share of the ten best by one-shot accuracy that are among the ten best by truth",
    },
    "space": {**_CELL, **_CANONICAL, **_MEASURES, **_TRUTH, **_SPREADS, **_COSTS},
    "landmarks": {"name": "what the cell is called", **_CELL, **_TRUTH, **_PERCENTILE, **_SPREADS},
    "trainings": {
        "column": "truth column",
        "cell_index": _CELL["cell_index"],
        "trial": "counts the trainings of a cell from 1",
        "training_seed": "empty where the source does not state it",
        "accuracy": "of this one training, percent",
    },
}
"""Tables and their columns. A name with DATA_SET/SPLIT stands for one column a truth column."""
