"""Which benchmark's numbers a table holds, and in which version: three tables share one space, names and landmarks.

NATS-Bench (Dong, Liu, Musial and Gabrys, TPAMI 2021) took over the trainings of NAS-Bench-201 v1.1 (Dong and Yang, ICLR
2020) and added some to nearly every cell that had been trained once: the means of 2,416 cells moved, by up to 2.2
points.
"""

from typing import NamedTuple

import numpy as np

from harness.space.cell import CELL_COUNT
from harness.truth.table import Column, Truth

V1_0, V1_1, NATS, ANALOG = "NAS-Bench-201 v1.0", "NAS-Bench-201 v1.1", "NATS-Bench v1.0", "analog-nasbench"

KNOWN = Column("cifar10", "test", 200)
"""The column of `MOVED` and `SHARED`."""

MOVED = {
    4164: (76.34, 78.565),
    9326: (78.26, 80.285),
    8481: (52.65, 54.405),
    11223: (84.54, 86.185),
    10483: (73.93, 75.29),
    15202: (78.31, 79.635),
    15564: (85.70, 86.925),
    12749: (60.11, 61.255),
}
"""Cells whose means moved most: percent in NAS-Bench-201 v1.1 and in NATS-Bench."""

SHARED = {1835: 54.2967, 1462: 93.76, 9930: 94.3633, 6111: 94.3733}
"""Cells trained three times, whose means are the same in both: percent."""

ROUNDED = 0.0051
"""Points by which a table of two decimals may differ."""

TRAININGS = {1: 2225, 2: 5439, 3: 7961}
"""How many cells of NAS-Bench-201 v1.1 were trained once, twice and three times for 200 epochs."""


class Which(NamedTuple):
    """The name of a table, None where nothing tells it, and what tells it or why nothing does."""

    table: str | None
    told_by: str


def which_table(truth: Truth) -> Which:
    """Tell a table from its content, and where that is the same in several, from the kind of its source.

    Of a table that somebody made of two, this tells the one, and that there is another.
    """
    found = _known_table(truth)
    if found.table is None or not _has_trainings_and_means(truth):
        return found
    told_by = f"{found.told_by}; some of its columns hold single trainings, others only means"
    return Which(f"{found.table} and another source", told_by)


def _has_trainings_and_means(truth: Truth) -> bool:
    # No known table has both.
    trainings = truth.frame.groupby(list(Column._fields), dropna=False)["trial"].count()
    return trainings.gt(0).nunique() > 1


def _known_table(truth: Truth) -> Which:
    kind = truth.provenance.source
    if kind == "analog-nasbench":
        return Which(ANALOG, "the kind of the source")
    agreeing, cells = _agreeing(truth)
    if not agreeing:
        return Which(None, f"it has other accuracies of {_counted(cells)} than any known table")
    if len(agreeing) == 1:
        name = _version(truth) if kind == "nas-bench-201" and agreeing == [V1_1] else agreeing[0]
        return Which(name, f"the accuracies of {_counted(cells)}")
    if _trained_as_often(truth):
        return Which(V1_1, "the number of trainings of each cell")
    match kind:
        case "nas-bench-201":
            return Which(_version(truth), "the data sets of its trainings of 12 epochs")
        case "nats-bench":
            return Which(NATS, "the kind of the source")
    return Which(None, "it holds no accuracy that is not the same in several tables")


def _agreeing(truth: Truth) -> tuple[list[str], int]:
    """Return the tables that the known cells leave possible, and how many known cells there are."""
    if KNOWN not in truth.columns():
        return [V1_1, NATS], 0
    cells = np.array([*SHARED, *MOVED])
    found = truth.accuracy(cells, **KNOWN._asdict())
    there = ~np.isnan(found)
    names = []
    for number, name in enumerate((V1_1, NATS)):
        expected = np.array([*SHARED.values(), *(means[number] for means in MOVED.values())])
        if (np.abs(found - expected)[there] <= ROUNDED).all():
            names.append(name)
    return names, int(there.sum())


def _counted(cells: int) -> str:
    return f"{cells} known cell{'' if cells == 1 else 's'}"


def _version(truth: Truth) -> str:
    """Return the version of an official file: the first had short trainings on half of CIFAR-10 alone."""
    short = {column.data_set for column in truth.columns() if column.epochs == 12}
    return V1_1 if short - {"cifar10-valid"} else V1_0


def _trained_as_often(truth: Truth) -> bool:
    """Whether all cells have as many full trainings, on some data set, as in NAS-Bench-201 v1.1."""
    for column in truth.columns():
        rows = truth.trials(range(CELL_COUNT), **column._asdict())
        trainings = rows.dropna(subset="trial").groupby("cell").size()
        if column.epochs == KNOWN.epochs and trainings.value_counts().to_dict() == TRAININGS:
            return True
    return False
