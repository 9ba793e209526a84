"""Further ways to read a cell off a finished search: they draw, or ask the trained supernet."""

from collections import Counter

from harness.base.streams import stream
from harness.images.batches import Batch
from harness.search.derivation import argmax_without_none, gumbel_cells
from harness.search.operation_strength import best_of_k, operation_strength
from harness.search.variant import SearchView
from harness.space.cell import Cell


def draw_cells(search: SearchView) -> Counter[Cell]:
    """Return cells drawn with the final op weights as probabilities, and how often each came up.

    The draws come from a stream of their own, so they move nothing else. A search without alpha has none.
    """
    if not search.architecture:
        return Counter()
    draws, random = search.protocol.derivation.draws, stream(search.seed, "derivation/gumbel")
    return Counter(gumbel_cells(search.derived_op_weights(), draws, random, search.variant.operations))


def studied_cells(search: SearchView, draws: Counter[Cell]) -> dict[str, Cell]:
    """Return the cells of the rules that go beyond the op weights, by the name of the rule.

    `gumbel-mode` is the cell drawn most often, the first of equal ones. With `derivation.one_shot`,
    `operation-strength` and `best-of-draws` ask the supernet about all validation images, or about as many as
    `derivation.images` says; that is no cost of the search, so passes are not counted.
    """
    if not draws:
        return {}
    cells = {"gumbel-mode": draws.most_common(1)[0][0]}
    if search.protocol.derivation.one_shot:
        passes = search.passes
        batches = _batches(search)
        cells["operation-strength"] = argmax_without_none(
            operation_strength(search, batches), search.variant.operations
        )
        cells["best-of-draws"] = best_of_k(search, draws, batches)
        search.passes = passes
    return cells


def _batches(search: SearchView) -> list[Batch]:
    size = search.data.batch_size  # larger ones would take more memory than a step
    if (number := search.protocol.derivation.images) is None:
        return list(search.data.mixed_batches("valid", size))
    images, labels = search.data.probe_batch("valid", number)
    return list(zip(images.split(size), labels.split(size), strict=True))
