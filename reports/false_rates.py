"""How often the page names a difference on simulated boards whose methods are all equal.

Measured by `python -m benchmarks.null_boards`. Where the spreads of the methods are symmetric or the same, no more than
the level; here stand the highest rates, in percent, where the spreads are skewed and differ sixtyfold.
"""

BEST = 15
REFERENCE = 25
BASELINE = 17
REPAIR = 10
"""Of single differences to the reference, from six seeds on."""
PREDICTORS = 7
"""Of unrelated diagnostics in bold, the mean over all kinds of boards."""

_PAGE = "benchmarks/results/null_boards.md"


def of_boards(rate: int) -> str:
    """Say what is tested, and on how many boards of equal means it goes wrong; `rate` in percent."""
    return (
        "Sign flips test whether differences lie symmetrically around zero: of simulated boards of equal means, 5 % "
        f"name a difference, and up to {rate} % where the spreads are skewed and differ sixtyfold ({_PAGE})."
    )


def of_diagnostics() -> str:
    """Say how often a diagnostic that has nothing to do with the truth is bold."""
    return f"Of diagnostics that have nothing to do with the truth, {PREDICTORS} % are bold ({_PAGE})."
