"""What methods are built from, and what notebooks read results with: the only names that Dartsboard promises to keep.

Everything else below `harness` may move between two versions. Built-in methods import from here alone, and so does what
`dartsboard new-variant` writes.
"""

from harness.base.errors import UserError
from harness.base.named_tensors import Tensors, constant, gradient
from harness.base.streams import stream
from harness.estimators.hypergradient import (
    Loss,
    first_order,
    mixed_product,
    neumann,
    unrolled,
    zeroth_order,
)
from harness.images.batches import Batch, SearchData
from harness.networks.net2wider import widen
from harness.networks.probe import Probed, probe
from harness.networks.supernet import (
    Controls,
    Supernet,
    SupernetSpec,
    every_operation,
    nonzero_operations,
    twice_differentiable,
)
from harness.results.columns import RESULT_COLUMNS
from harness.results.folder import Results, TruthColumn, load_results
from harness.search.baseline import Baseline, Training
from harness.search.derivation import argmax_cell, argmax_without_none, gumbel_cells, skip_cap
from harness.search.diagnostics import alpha_hessian
from harness.search.moved_weights import Tangent, Twin
from harness.search.operation_strength import best_of_k, operation_strength, removal_effect
from harness.search.relaxations import gumbel_softmax, running_sums, sparsemax, straight_through
from harness.search.stages import Stages, keep_largest
from harness.search.variant import (
    Architecture,
    Continue,
    Decision,
    Moment,
    Phase,
    Rebuild,
    Restart,
    SearchLength,
    SearchView,
    StepView,
    Stop,
    Variant,
)
from harness.settings.protocol import AlphaSettings, Board, Protocol, load_board
from harness.settings.strategy import Family, Strategy
from harness.settings.validation import Settings
from harness.space.cell import (
    ALL_CONV3,
    ALL_SKIP,
    CELL_COUNT,
    CONV1,
    CONV3,
    EDGE_NAMES,
    EDGES,
    KERNEL_AREA,
    NONE,
    OPERATIONS,
    POOL,
    RESIDUAL,
    SKIP,
    Cell,
    Shape,
    all_cells,
    random_cell,
)
from harness.truth.table import Truth

__all__ = [  # noqa: RUF022 (by topic)
    # Contracts
    "Variant",
    "Baseline",
    "Training",
    "Settings",
    "Strategy",
    "Family",
    # What hooks are given, and what they return
    "Architecture",
    "Moment",
    "Phase",
    "StepView",
    "SearchView",
    "SearchLength",
    "Continue",
    "Stop",
    "Rebuild",
    "Restart",
    "Decision",
    # The network, as data
    "SupernetSpec",
    "Controls",
    "every_operation",
    "nonzero_operations",
    "Supernet",
    "twice_differentiable",
    "widen",
    "probe",
    "Probed",
    # Estimators of the alpha gradient, and its Hessian
    "Loss",
    "first_order",
    "unrolled",
    "mixed_product",
    "neumann",
    "zeroth_order",
    "Twin",
    "Tangent",
    "alpha_hessian",
    # Relaxations
    "sparsemax",
    "gumbel_softmax",
    "straight_through",
    "running_sums",
    # Stages
    "Stages",
    "keep_largest",
    # Derivation of the cell
    "argmax_cell",
    "argmax_without_none",
    "skip_cap",
    "gumbel_cells",
    "operation_strength",
    "removal_effect",
    "best_of_k",
    # The space
    "Cell",
    "Shape",
    "random_cell",
    "all_cells",
    "CELL_COUNT",
    "EDGES",
    "EDGE_NAMES",
    "OPERATIONS",
    "NONE",
    "SKIP",
    "CONV1",
    "CONV3",
    "POOL",
    "KERNEL_AREA",
    "ALL_SKIP",
    "ALL_CONV3",
    "RESIDUAL",
    # What a board left behind, for notebooks
    "load_results",
    "Results",
    "TruthColumn",
    "RESULT_COLUMNS",
    "Truth",
    "load_board",
    "Board",
    # What they stand on
    "Protocol",
    "AlphaSettings",
    "SearchData",
    "Batch",
    "Tensors",
    "gradient",
    "constant",
    "stream",
    "UserError",
]
