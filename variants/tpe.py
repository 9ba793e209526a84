"""The tree-structured Parzen estimator of Optuna: model where the good cells lie, and train what looks like them."""

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from harness.api import EDGE_NAMES, OPERATIONS, Baseline, Cell


class Tpe(Baseline):
    """Ask Optuna's sampler for the operation of each edge, and tell it the score.

    For each edge the sampler estimates how operations are distributed in the best cells so far, l, and in the others,
    g. Of some draws from l it takes that with the largest l / g.
    """

    name = "tpe"
    citation = (
        "Bergstra, Bardenet, Bengio and Kégl. Algorithms for Hyper-Parameter Optimization. NeurIPS 2011; the code is "
        "that of Akiba et al. Optuna: A Next-Generation Hyperparameter Optimization Framework. KDD 2019, "
        "arXiv 1907.10902."
    )
    axis = "multi-trial, density model"
    family = "multi-trial"
    strategy = "model-based"
    departures = (
        *Baseline.departures,
        "The sampler is Optuna's own, with its rule for how many cells count as the best and its weights; the paper "
        "splits at a fixed quantile.",
        "The edges are modelled one by one, as if they had nothing to do with each other: so does the paper, and so "
        "does Optuna by default.",
    )
    needs: ClassVar = {"optuna": "optuna"}

    class Settings(Baseline.Settings):
        """Settings of the sampler; the defaults are Optuna's."""

        startup: int = Field(default=10, ge=1)
        """Cells that are drawn uniformly before the model says what to train."""
        candidates: int = Field(default=24, ge=1, le=10_000)
        """Draws from l for each edge, of which the one with the largest l / g is taken."""

    def __init__(self, settings: Any, random: np.random.Generator, operations: tuple[str, ...] = OPERATIONS):
        super().__init__(settings, random, operations)
        import optuna  # here, since it takes a second, and the method is known without it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=settings.startup, n_ei_candidates=settings.candidates, seed=int(random.integers(2**32))
        )
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.edges = {name: optuna.distributions.CategoricalDistribution(operations) for name in EDGE_NAMES}

    def propose(self) -> Cell:
        """Return what the sampler suggests."""
        self.trial = self.study.ask(self.edges)
        return Cell(tuple(self.trial.params[name] for name in EDGE_NAMES))

    def observe(self, cell: Cell, score: float) -> None:
        """Tell the sampler."""
        self.study.tell(self.trial, score)
