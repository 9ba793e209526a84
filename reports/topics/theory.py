"""The section on theory: every cell is a limit of the relaxation, and first-order gradients are biased."""

import math
from pathlib import Path

import pandas as pd

from harness.space.cell import CELL_COUNT, OPERATIONS
from reports.analysis.theory import QUADRATIC, SUPERNET, Theory, error_terms, estimates, limit_rates, read_theory
from reports.drawing.picture import Picture
from reports.figures import theory as figures
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables import theory as tables
from reports.tables.table import Table
from reports.tables.theory import significant

FLOOR = 0.01
"""The smallest distance of the twins in the zeroth-order methods here, unless params.yaml has another."""


def section(folder: Path) -> Section | None:
    """Return the section, or None where the theory stage has not run.

    Args:
        folder: the folder that the stage `theory` wrote.

    Raises:
        UserError: a file of it is missing or damaged.
    """
    theory = read_theory(folder)
    if theory is None:
        return None
    lead = Text(
        "Two statements stand behind every search of this kind: that the supernet contains every cell, and that "
        "the gradient of alpha points downhill. Both are measured here on problems small enough for the exact answer. "
        "Neither says anything of the cells that the searches of this report found."
    )
    blocks = [lead, *_limits(theory), *_gradients(theory)]
    blocks.append(Folded("Constants of the measurements", [tables.setup_table(theory)]))
    return Section("theory", "What theory says, measured on small problems", "Theory", blocks)


def _limits(theory: Theory) -> list[Block]:
    rates = limit_rates(theory)
    picture = Picture("theory-limits", "Distance to discrete cells over the logit gap", figures.limits_figure, theory)
    statement = (
        "Every cell is a limit of the relaxation. Alpha with t on a cell's operations and 0 elsewhere leaves the other "
        f"operations of an edge together less than (O − 1) exp(−t) of the weight, with O = {len(OPERATIONS)}: the "
        "leak. If the operations are bounded on the images and the network is Lipschitz continuous in their outputs, "
        "the supernet's output tends to that of the cell's own network with the same weights, at the rate of the leak. "
        f"So each of the {CELL_COUNT:,} cells lies in the closure of what the supernet can express."
    )
    limits = (
        "The statement holds in the limit only: in exact arithmetic no finite alpha attains a cell. It says that a "
        "good cell can be expressed, not that search finds it. The relaxed family is larger than the set of cells, so "
        "its smallest loss is at most that of the best cell, and nothing bounds from above what is lost when each edge "
        "keeps one operation only. Nor does it follow that a found cell is at least as good as one with the same "
        "operation everywhere."
    )
    caption = (
        f"Each line is one of n = {len(theory.fits)} cells, drawn uniformly. Weights and images are drawn and never "
        "trained; float64. Right: constant where the distance falls as the leak does."
    )
    underflow = Text(_underflow_sentence(theory))
    return [
        Text(statement),
        Text(rates_text(rates)),
        Figures([("", picture)], caption),
        tables.limits_table(theory, rates),
        Folded("What the statement does not say", [Text(limits), underflow, tables.underflow_table(theory)]),
    ]


def rates_text(rates: pd.DataFrame) -> str:
    """Say how fast the cells of each kind are approached."""
    by_kind = {row["kind"]: row for _, row in rates.iterrows()}
    sentences = []
    if (row := by_kind.get("filled")) is not None:
        sentences.append(
            f"Measured on {row['cells']} cells in which every convolution has an input: the logarithm of the distance "
            f"falls with the slope {row['slope_median']:.3f} ({row['slope_min']:.3f} to {row['slope_max']:.3f}), and "
            f"the distance is {significant(row['factor_median'])} times the leak in the median, at most "
            f"{significant(row['factor_max'])} times."
        )
    if (row := by_kind.get("empty node")) is not None:
        sentences.append(
            f"Batch norm makes the limit late in {row['cells']} cells, where a convolution reads a node whose true "
            "input is zero: it divides by the standard deviation of its input and so scales the leak up again, until "
            "the leak's variance is far below batch norm's epsilon. From there the slope is "
            f"{row['slope_median']:.3f} as well, but the distance is {significant(row['factor_median'])} times the "
            f"leak in the median, at most {significant(row['factor_max'])} times."
        )
    if {"filled", "empty node"} <= set(by_kind):
        late, early = (significant(by_kind[kind]["reached_median"]) for kind in ("empty node", "filled"))
        sentences.append(f"The same small distance takes a logit gap of {late} instead of {early} in the median.")
    if (row := by_kind.get("cut off")) is not None:
        sentences.append(
            f"In {row['cells']} cells no path leads to the output, and the leak must pass one cell after another: in "
            f"the end it falls faster than exp(−t), with slopes of {row['slope_min']:.3f} to {row['slope_max']:.3f}."
        )
    return " ".join(sentences)


def _underflow_sentence(theory: Theory) -> str:
    parts = [f"{row['logit_gap']} in {row['precision']}" for _, row in theory.underflow.iterrows()]
    return f"On a computer the softmax underflows to exactly one-hot at a logit gap of {' and '.join(parts)}."


def _gradients(theory: Theory) -> list[Block]:
    terms, found = error_terms(theory), estimates(theory)
    problem = (
        "First-order gradients are biased. Search wants the gradient of F(α) = L_valid(w*(α), α), where w*(α) "
        "minimises L_train(w, α); first-order DARTS takes g₁ = ∂L_valid/∂α at the current w. If L_train is m-strongly "
        "convex in w, |g₁ − ∇F| ≤ l |w − w*| + (|C| / m) |∂L_valid/∂w|, with l the Lipschitz constant of ∂L_valid/∂α "
        "in w, C = ∂²L_train/∂w∂α, and the last factor taken at w*. The first term, the lag, goes to zero with more "
        "inner steps, if they are small enough. The second, the bias, comes from how w* moves with α: no step size and "
        "no number of inner steps removes it. It vanishes where ∂L_valid/∂w is zero at w*, as with one loss for both "
        "or a validation set that is fitted perfectly, and where C is zero."
    )
    terms_picture = Picture("theory-error-terms", "Lag and bias of first order", figures.terms_figure, terms)
    pictures = []
    for name in (QUADRATIC, SUPERNET):
        for quantity, label in (("angle", "angle"), ("norm_ratio", "norm")):
            title = f"Estimators against the exact gradient, {name}: {label}"
            picture = Picture(f"theory-{name}-{label}", title, figures.estimates_figure, theory, name, quantity)
            pictures.append((f"{name}: {label}", picture))
    terms_caption = (
        "Both terms of the first-order error over the exact gradient's norm; L is the largest curvature. Band: "
        "smallest and largest of the n problems. w* is the inner solution itself, where the lag is zero."
    )
    estimates_caption = (
        "Below 90 degrees a small enough step against the estimate still lowers F; the norm is right at 1. Zeroth "
        "order is the mean over orthonormal directions times the number of architecture parameters; its twins make "
        "their own steps after those on the axis. One direction, 90 %: from 5 % to 95 % of the single directions. "
        f"n = 1 quadratic problem; n = {len(theory.solutions)} networks, with zeroth order on one of them at one point."
    )
    return [
        Text(problem),
        Text(terms_text(terms)),
        Figures([("", terms_picture)], terms_caption),
        Text(quadratic_text(found)),
        Text(supernet_text(found)),
        Figures(pictures, estimates_caption),
        tables.estimates_table(found),
        Text(twins_text(theory)),
        tables.twins_table(theory),
        Folded("Both terms in numbers, with their bounds", [tables.terms_table(terms)]),
        Folded("Where the assumptions fail, and how well the supernets were solved", [*_assumptions(theory)]),
    ]


def terms_text(terms: pd.DataFrame) -> str:
    """Say what inner steps remove and what stays, for each problem at its largest step size."""
    sentences = []
    for problem, own in terms.groupby("problem", sort=False):
        share = own["step_share"].max()
        rows = own[(own["step_share"] == share) & (own["inner_steps"] != math.inf)].sort_values("inner_steps")
        first = rows.iloc[0]
        small = rows[rows["lag_median"] < 0.01 * first["lag_median"]]
        later = small.iloc[0] if len(small) else rows.iloc[-1]
        where = "On the quadratic problem" if problem == QUADRATIC else f"On {first['n']} small supernets (medians)"
        sentences.append(
            f"{where}, {later['inner_steps']:g} inner steps of size {share:g} / L, with L the largest curvature, bring "
            f"the lag from {significant(first['lag_median'])} to {significant(later['lag_median'])} of the exact "
            f"gradient's norm; the bias stays at {significant(first['bias_median'])}, whatever the step size."
        )
    return " ".join(sentences)


def quadratic_text(found: pd.DataFrame) -> str:
    """Say what the estimators give at the inner solution of the quadratic problem, by step size."""
    own = _settled(found, QUADRATIC)
    shares = sorted(own["step_share"].unique())
    small, large = (own[own["step_share"] == share].set_index("estimator") for share in (shares[0], shares[-1]))
    longest = [name for name in large.index if name.startswith("Neumann")][-1]
    mean = "zeroth order, mean"
    return (
        f"At the inner solution of the quadratic problem, first order is {_angle(large, 'first order')} off the exact "
        "gradient. Second order unrolls one step, and is the exact gradient of L_valid after that one step: "
        f"{_angle(large, 'second order')} off with a step of {shares[-1]:g} / L, {_angle(small, 'second order')} with "
        f"{shares[0]:g} / L. The Neumann series tends to the exact gradient with more terms, the slower the smaller "
        f"the step: {longest} is {_angle(large, longest)} and {_angle(small, longest)} off. The mean of zeroth-order "
        f"estimates is {_angle(large, mean)} and {_angle(small, mean)} off; a single direction, which is what one step "
        f"of alpha uses, is {_angle(large, mean, 'angle_mid')} off in the median."
    )


def supernet_text(found: pd.DataFrame) -> str:
    """Say the same of the supernets, at the largest step size."""
    own = _settled(found, SUPERNET)
    share = own["step_share"].max()
    # Zeroth order was asked on one network only.
    shown = own[(own["step_share"] == share) & own["directions"].isna()]
    parts = [
        f"{row['estimator']} {significant(row['angle_median'])}° ({significant(row['angle_min'])}° to "
        f"{significant(row['angle_max'])}°)"
        for _, row in shown.iterrows()
    ]
    return (
        f"On the supernets, at w* with a step of {share:g} / L, median over {shown['n'].max()} networks and range: "
        f"{'; '.join(parts)}."
    )


def twins_text(theory: Theory) -> str:
    """Say how near a twin must stand, and what the tangent gives."""
    of_twins = theory.twins[theory.twins["estimate"] == "twin"]
    kinked, smooth = (of_twins[of_twins["activations"] == one].set_index("mu") for one in ("ReLU", "softplus"))
    tangent = theory.twins[(theory.twins["estimate"] == "tangent") & (theory.twins["activations"] == "ReLU")]
    near, far = kinked.index.min(), FLOOR if FLOOR in kinked.index else kinked.index.max()
    return (
        "A zeroth-order search asks for the slope of the validation loss after its steps, and a twin answers with a "
        "difference over μ. ReLU has kinks, and a twin that stands on another side of them than the search measures "
        f"that instead. At μ = {far:g} its slopes have {significant(kinked.at[far, 'size'])} times the size of the "
        f"exact ones, at a correlation of {significant(kinked.at[far, 'correlation'])}; at μ = {near:g} they have "
        f"{significant(kinked.at[near, 'size'])} times. On the same network with softplus for ReLU it is "
        f"{significant(smooth.at[far, 'size'])} times at μ = {far:g}. The tangent, which carries the derivative of the "
        f"weights through the steps, has no μ: its error is {significant(tangent['error'].item())} with ReLU."
    )


def _settled(found: pd.DataFrame, problem: str) -> pd.DataFrame:
    return found[(found["problem"] == problem) & (found["inner_steps"] == math.inf)]


def _angle(rows: pd.DataFrame, estimator: str, column: str = "angle_median") -> str:
    return f"{significant(rows.at[estimator, column])}°"


def _assumptions(theory: Theory) -> list[Text | Table]:
    facts = theory.solutions
    damping = significant(float(facts["damping"].iloc[0]))
    apart = (facts["finite_difference"] / facts["exact_norm"] - 1).abs().max()
    fails = (
        "The quadratic problem fulfils every assumption, the supernet of a search none. Its training loss is not "
        "strongly convex in w: without the damping, the smallest curvature met at w* is "
        f"{_ends(facts['smallest_undamped'])}. Batch norm makes the loss blind to the scale of a convolution's "
        "weights, so weight decay towards zero does not help: it shrinks the weights, and the curvature grows. "
        "Therefore the inner problem here is pulled towards the weights it starts from, with a curvature of "
        f"{damping}, the damping. ReLU has kinks, and a minimum tends to sit on them, where there is no Hessian: with "
        f"ReLU the solver stops at a gradient norm of {_ends(facts['relu_gradient'])}, with softplus in its place at "
        f"{_ends(facts['gradient'])}. The angles are therefore those of a damped and smoothed supernet on a few "
        "images, and the lag is small because the damping keeps w* near. They show that the bias is there, not how "
        "large it is in a search."
    )
    solved = (
        "The exact gradient comes from conjugate gradients with exact Hessian-vector products: relative residual "
        f"{_ends(facts['cg_residual'])} after {_ends(facts['cg_products'])} products. Its norm and the slope of F "
        "along it, by finite differences of two more inner solutions, differ by at most "
        f"{significant(100 * apart, 2)} %."
    )
    return [Text(fails), Text(solved), tables.solutions_table(theory)]


def _ends(values: pd.Series) -> str:
    low, high = significant(values.min()), significant(values.max())
    return low if low == high else f"{low} to {high}"
