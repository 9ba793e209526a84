"""What the theory stage measured, as data frames and tables."""

import math
from typing import Any

import pandas as pd

from reports.analysis.theory import KINDS, PROBLEMS, TWINS, Theory
from reports.tables.table import DASH, Entry, Table


def significant(value: Any, digits: int = 3) -> str:
    """Format a number with so many significant digits, a dash for NaN."""
    if pd.isna(value):
        return DASH
    return f"{value:.{digits}g}" if value == 0 or abs(value) < 10**digits else f"{value:,.0f}"


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


def twins_table(theory: Theory) -> Table:
    """Return how far the slopes of twins and of the tangent are from the exact ones."""
    groups = []
    for activations, own in theory.twins.groupby("activations", sort=False):
        rows = [
            [
                Entry(str(row["estimate"])),
                Entry(significant(row["mu"])),
                *(Entry(significant(row[name])) for name in ("size", "error", "correlation")),
            ]
            for _, row in own.iterrows()
        ]
        groups.append((str(activations), rows))
    count = theory.twins["directions"].max()
    steps, channels = (theory.constant(TWINS, name) for name in ("steps of a twin", "channels of the first stage"))
    caption = (
        f"Slopes along n = {count} orthonormal directions of the validation loss after {steps:g} steps of the weights, "
        "against the exact ones by differentiating through the steps. Size: root mean square of the estimates over "
        "that of the exact slopes. Error: the same of their difference. Correlation: of both over the directions. One "
        f"supernet of {channels:g} channels, float64."
    )
    return Table("theory-twins", caption, ["estimate", "μ", "size", "error", "correlation"], groups, theory.twins)


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
