"""Random search: the control for every search that claims to be one."""

from harness.api import Baseline, Cell, random_cell


class RandomSearch(Baseline):
    """Draw cells uniformly and keep the one with the best score."""

    name = "random-search"
    citation = "Li and Talwalkar. Random Search and Reproducibility for NAS. UAI 2019, arXiv 1902.07638."
    axis = "multi-trial, no model"
    family = "multi-trial"
    strategy = "random"

    def propose(self) -> Cell:
        """Return a uniform draw from all cells."""
        return random_cell(self.random, self.operations)
