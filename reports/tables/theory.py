"""What the theory stage measured, as data frames and tables."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.base.parquet import read_parquet
from reports.tables.table import DASH, Entry, Table

QUADRATIC, SUPERNET = "quadratic", "supernet"
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


def significant(value: Any, digits: int = 3) -> str:
    """Format a number with so many significant digits, a dash for NaN."""
    if pd.isna(value):
        return DASH
    return f"{value:.{digits}g}" if value == 0 or abs(value) < 10**digits else f"{value:,.0f}"


def limit_rates(theory: Theory) -> pd.DataFrame:
    """Summarise the cells of each kind: cells, and median, min and max of slope, factor and reached."""
    found = theory.fits.groupby("kind")[["slope", "factor", "reached"]].agg(["median", "min", "max"])
    found.columns = pd.Index(["_".join(name) for name in found.columns])
    found.insert(0, "cells", theory.fits.groupby("kind").size())
    one_hot = theory.distances[theory.distances["logit_gap"] == math.inf]
    found["rounding_max"] = one_hot.groupby("kind")["distance"].max()
    return found.reindex([kind for kind in KINDS if kind in found.index]).rename_axis("kind").reset_index()


def limits_table(theory: Theory, rates: pd.DataFrame) -> Table:
    """Return the table of `limit_rates`."""
    start, end = (theory.constant("cells", f"fit {side} logit gap") for side in ("from", "to"))
    small = theory.constant("cells", "distance that counts as reached")
    rows = []
    for _, row in rates.iterrows():
        entries = [Entry(KINDS[row["kind"]]), Entry(str(row["cells"])), _range(row, "slope", ".3f")]
        # Where the output is cut off, the distance falls faster than the leak: there is no factor.
        entries.append(Entry(DASH) if row["kind"] == "cut off" else _range(row, "factor"))
        entries += [_range(row, "reached"), Entry(significant(row["rounding_max"], 1))]
        rows.append(entries)
    header = ["cells", "n", "slope", "distance / leak", f"gap for {small:g}", "at one-hot"]
    caption = (
        "Largest difference of a logit between the supernet at alpha = t · one-hot and the cell's own network with the "
        f"same weights. Slope: of the logarithm of the distance over t, fitted from t = {start:g} to {end:g}; −1 is "
        f"exp(−t). Gap for {small:g}: t from which on the distance stays below. At one-hot: largest distance with "
        "one-hot op weights, which is rounding. Median over the cells, smallest and largest behind it."
    )
    return Table("theory-limits", caption, header, [("", rows)], rates)


def _range(row: pd.Series, name: str, form: str = "") -> Entry:
    """Return a median with the smallest and the largest value behind it."""
    values = [row[f"{name}_{part}"] for part in ("median", "min", "max")]
    middle, low, high = (format(value, form) if form else significant(value) for value in values)
    return Entry(middle) if low == high else Entry(middle, f"{low} to {high}")


def underflow_table(theory: Theory) -> Table:
    """Return the logit gaps at which the softmax is one-hot."""
    rows = [[Entry(str(row["precision"])), Entry(str(row["logit_gap"]))] for _, row in theory.underflow.iterrows()]
    caption = "Smallest whole logit gap at which the softmax over the operations is exactly one-hot, by underflow."
    return Table("theory-underflow", caption, ["precision", "logit gap"], [("", rows)], theory.underflow)


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


def terms_table(terms: pd.DataFrame) -> Table:
    """Return the table of `error_terms` at the numbers of inner steps that all problems have."""
    common = set.intersection(*(set(own["inner_steps"]) for _, own in terms.groupby("problem")))
    groups = []
    for problem, own in terms.groupby("problem", sort=False):
        shown = own[own["inner_steps"].isin(common)]
        rows = [_terms_row(row) for _, row in shown.iterrows()]
        groups.append((f"{PROBLEMS[str(problem)]} (n = {own['n'].max()})", rows))
    header = ["inner step size", "inner steps", "|w − w*|", "lag", "its bound", "bias", "its bound", "error"]
    caption = (
        "The error of the first-order gradient, in units of the exact gradient's norm, as the sum of two vectors: what "
        "the weights lag behind, and the bias. Step sizes are shares of 1 / largest curvature. Bounds: l |w − w*| and "
        "(|C| / m) |∂L_valid/∂w|, where the constants are known. Median over n problems, smallest and largest behind "
        "it. The CSV file has every number of inner steps."
    )
    return Table("theory-error-terms", caption, header, groups, terms)


def _terms_row(row: pd.Series) -> list[Entry]:
    steps = "w*" if row["inner_steps"] == math.inf else f"{row['inner_steps']:g}"
    values = [_range(row, name) for name in ("distance", "lag", "lag_bound", "bias", "bias_bound", "error")]
    return [Entry(f"{row['step_share']:g}"), Entry(steps), *values]


def estimates(theory: Theory) -> pd.DataFrame:
    """Return angle and norm ratio of every estimator over the networks, by problem, step size and inner steps.

    angle_low, angle_mid and angle_high: 5 %, 50 % and 95 % of the single directions of the zeroth-order estimate.
    """
    data = theory.estimates.rename(columns={"angle_median": "angle_mid"})
    keys = ["problem", "step_share", "inner_steps", "estimator"]
    found = over_networks(data, keys, ["angle", "norm_ratio", "error"])
    single = data.groupby(keys, sort=False)[["angle_low", "angle_mid", "angle_high", "directions"]].median()
    return found.merge(single.reset_index(), on=keys)


def estimates_table(found: pd.DataFrame) -> Table:
    """Return the table of `estimates` at the inner solution."""
    settled = found[found["inner_steps"] == math.inf]
    columns = list(dict.fromkeys(zip(settled["problem"], settled["step_share"], strict=True)))
    cells = {(row["estimator"], row["problem"], row["step_share"]): row for _, row in settled.iterrows()}
    rows = []
    for estimator in dict.fromkeys(found["estimator"]):
        entries = [Entry(str(estimator))]
        for problem, share in columns:
            row = cells.get((estimator, problem, share))
            entries += [Entry(DASH) if row is None else _range(row, name) for name in ("angle", "norm_ratio")]
        rows.append(entries)
    rows.append(_single_direction(settled, columns))
    blocks = [("", 1)]
    for problem, share in columns:
        count = settled.loc[(settled["problem"] == problem) & (settled["step_share"] == share), "n"].max()
        blocks.append((f"{problem}, step {share:g} / L, n = {count}", 2))
    single = settled.dropna(subset=["directions"])
    counts = dict(zip(single["problem"], single["directions"], strict=True))
    sizes = " and ".join(f"{count:.0f} ({problem})" for problem, count in counts.items())
    caption = (
        "Estimate against the exact hyper-gradient at the inner solution w*: angle in degrees, and norm over the "
        "exact norm. The step size, as a share of 1 / L with L the largest curvature, is that of the unrolled step, of "
        f"the Neumann series and of the twins. Zeroth order: mean over {sizes} orthonormal directions, times "
        "the number of architecture parameters; on the supernets of one of them. One direction: median, and 5 % and "
        "95 % of the directions. Else the median over n problems, smallest and largest behind it. The CSV file has "
        "every number of inner steps."
    )
    header = ["estimator", *["angle", "norm"] * len(columns)]
    return Table("theory-estimates", caption, header, [("", rows)], found, blocks)


def _single_direction(settled: pd.DataFrame, columns: list[tuple[str, float]]) -> list[Entry]:
    """Return the row of what one direction alone gives."""
    single = {(row["problem"], row["step_share"]): row for _, row in settled.dropna(subset=["directions"]).iterrows()}
    entries = [Entry("zeroth order, one direction")]
    for key in columns:
        if key in single:
            row = single[key]
            ends = f"{significant(row['angle_low'])} to {significant(row['angle_high'])}"
            entries += [Entry(significant(row["angle_mid"]), ends), Entry(DASH)]
        else:
            entries += [Entry(DASH), Entry(DASH)]
    return entries


SOLUTION_ROWS = {
    "weights": "weights",
    "images": "images of each half",
    "damping": "damping",
    "moved": "|w* − start|",
    "gradient": "norm of the training gradient at w*",
    "relu_gradient": "the same with ReLU",
    "cg_residual": "residual of the linear solve, relative",
    "cg_products": "Hessian products it took",
    "smallest_curvature": "smallest curvature met",
    "smallest_undamped": "the same without the damping",
    "largest_curvature": "largest curvature met",
    "train_cross_entropy": "training cross-entropy (nats)",
    "valid_cross_entropy": "validation cross-entropy (nats)",
    "exact_norm": "norm of the exact gradient",
    "finite_difference": "the same by finite differences",
}
"""What the table of solutions shows, and how it is named."""


def solutions_table(theory: Theory) -> Table:
    """Return how well each supernet problem was solved: a row a quantity, a column a network."""
    data = theory.solutions
    rows = [
        [Entry(label), *(Entry(significant(value, 4)) for value in data[name])] for name, label in SOLUTION_ROWS.items()
    ]
    header = ["quantity", *(f"network {number}" for number in data["network"])]
    caption = (
        "How well the inner problem and the linear system for the exact gradient were solved. Curvatures are Ritz "
        "values of the solve: the smallest eigenvalue of the Hessian is at most the first of them, the largest at "
        "least the last."
    )
    return Table("theory-solutions", caption, header, [("", rows)], data)


def setup_table(theory: Theory) -> Table:
    """Return the constants of the measurements."""
    groups = [
        (str(part), [[Entry(str(row["quantity"])), Entry(significant(row["value"]))] for _, row in own.iterrows()])
        for part, own in theory.setup.groupby("part", sort=False)
    ]
    return Table("theory-setup", "Constants of the measurements.", ["quantity", "value"], groups, theory.setup)
