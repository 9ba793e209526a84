"""DARTS, first order: the reference that every other variant is a difference from."""

from harness.api import Variant


class Darts(Variant):
    """Alternate a step of alpha on a validation batch and a step of the weights on a training batch."""

    name = "darts"
    citation = "Liu, Simonyan and Yang. DARTS: Differentiable Architecture Search. ICLR 2019, arXiv 1806.09055."
    axis = "none (the reference)"
    family = "gradient estimator"
    departures = (
        "The learning rate of the weights falls with every step; the codes of the benchmark and of DrNAS hold it for "
        "an epoch.",
    )
