"""The kinds of search that lists, tables and the frontier of cost and quality tell apart."""

from typing import Literal

Strategy = Literal["gradient", "reinforcement learning", "evolution", "local search", "model-based", "random"]
"""What moves a method's choice of a cell. Zeroth-order estimates of a gradient count as gradient; a search that asks a
model of the scores so far is model-based."""

Family = Literal[
    "gradient estimator",
    "relaxation",
    "regulariser",
    "selection",
    "schedule",
    "supernet",
    "weight-sharing control",
    "multi-trial",
]
"""Where a method departs from DARTS; one that departs in several places belongs where its paper sees the point."""

FAMILIES: dict[Family, str] = {
    "gradient estimator": "How alpha is told where to go",
    "relaxation": "How op weights come from alpha, and what is mixed by them",
    "regulariser": "What is added to a loss or a step so that alpha or the weights stay well-behaved",
    "selection": "How operations are chosen, at the end or on the way",
    "schedule": "When to begin, to stop, or to change the network",
    "supernet": "What the network that is searched looks like inside",
    "weight-sharing control": "Weights trained on drawn cells, and the best of many by one-shot accuracy",
    "multi-trial": "Cells are trained one after another, here by a look at the table of accuracies",
}
"""What the methods of a family change, in the order in which families are listed."""
