"""What the theory stage measured, as data frames."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.base.parquet import read_parquet

QUADRATIC, SUPERNET, TWINS = "quadratic", "supernet", "twins over mu"

PROBLEMS = {QUADRATIC: "Quadratic problem", SUPERNET: "Supernets"}

KINDS = {
    "filled": "every convolution has an input",
    "empty node": "a convolution reads an empty node",
    "cut off": "the output is cut off",
}
"""The kinds of cells as the report names them."""


@dataclass(frozen=True)
class Theory:
    """The files of the theory stage, one frame each; harness/theory_*.py says what the columns are."""

    setup: pd.DataFrame
    distances: pd.DataFrame
    fits: pd.DataFrame
    underflow: pd.DataFrame
    estimates: pd.DataFrame
    terms: pd.DataFrame
    solutions: pd.DataFrame
    twins: pd.DataFrame

    def constant(self, part: str, quantity: str) -> float:
        """Return one constant of the measurements."""
        found = self.setup[(self.setup["part"] == part) & (self.setup["quantity"] == quantity)]
        return float(found["value"].iloc[0])


def read_theory(folder: Path) -> Theory | None:
    """Read the folder of the theory stage, or return None where there is none.

    Raises:
        UserError: a file is missing or damaged.
    """
    if not folder.is_dir():
        return None
    frames = {}
    for name in Theory.__dataclass_fields__:
        frames[name] = read_parquet(folder / f"{name}.parquet", again=": run `dvc repro --force theory`")
    return Theory(**frames)


def limit_rates(theory: Theory) -> pd.DataFrame:
    """Summarise the cells of each kind: cells, and median, min and max of slope, factor and reached."""
    found = theory.fits.groupby("kind")[["slope", "factor", "reached"]].agg(["median", "min", "max"])
    found.columns = pd.Index(["_".join(name) for name in found.columns])
    found.insert(0, "cells", theory.fits.groupby("kind").size())
    one_hot = theory.distances[theory.distances["logit_gap"] == math.inf]
    found["rounding_max"] = one_hot.groupby("kind")["distance"].max()
    return found.reindex([kind for kind in KINDS if kind in found.index]).rename_axis("kind").reset_index()


def over_networks(data: pd.DataFrame, keys: list[str], values: list[str]) -> pd.DataFrame:
    """Return median, min and max of `values` over the networks, and n: columns `<value>_median` and so on."""
    grouped = data.groupby(keys, sort=False)
    found = grouped[values].agg(["median", "min", "max"])
    found.columns = pd.Index(["_".join(name) for name in found.columns])
    found.insert(0, "n", grouped.size())
    return found.reset_index()


def error_terms(theory: Theory) -> pd.DataFrame:
    """Return lag, bias and error of first order over the networks, by problem, step size and inner steps."""
    values = ["distance", "lag", "lag_bound", "bias", "bias_bound", "error"]
    return over_networks(theory.terms, ["problem", "step_share", "inner_steps"], values)


def estimates(theory: Theory) -> pd.DataFrame:
    """Return angle and norm ratio of every estimator over the networks, by problem, step size and inner steps.

    angle_low, angle_mid and angle_high: 5 %, 50 % and 95 % of the single directions of the zeroth-order estimate.
    """
    data = theory.estimates.rename(columns={"angle_median": "angle_mid"})
    keys = ["problem", "step_share", "inner_steps", "estimator"]
    found = over_networks(data, keys, ["angle", "norm_ratio", "error"])
    single = data.groupby(keys, sort=False)[["angle_low", "angle_mid", "angle_high", "directions"]].median()
    return found.merge(single.reset_index(), on=keys)
