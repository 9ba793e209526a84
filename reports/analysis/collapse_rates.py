"""How many runs of each variant collapse, by which criterion, and when."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from harness.space.cell import EDGES, POOL, SKIP
from harness.space.collapse import SKIPS, TRUTH
from harness.space.drawing import OPERATION_COLOURS
from harness.statistics.estimates import proportion_interval
from reports.figures import style
from reports.results import Results
from reports.tables.table import DASH, Entry, Table

ROW = 0.27
"""Height of a row, inches."""
LANE = 0.11
"""Height of one criterion within the row of a variant, inches."""
NAMED = 6
"""Variants that a sentence names; the others are counted."""


class Look(NamedTuple):
    """How a criterion is drawn and named."""

    colour: str
    marker: str
    phrase: str
    """After "runs ...": what happened to them."""


LOOKS = {
    "skip": Look(OPERATION_COLOURS[SKIP], "o", f"collapse to skip (at least {SKIPS} of {len(EDGES)} edges)"),
    "pool": Look(OPERATION_COLOURS[POOL], "s", f"collapse to pool (at least {SKIPS} of {len(EDGES)} edges)"),
    "none": Look("#777777", "^", f"collapse to none (at least {SKIPS} of {len(EDGES)} edges)"),
    "truth": Look(style.INK, "D", f"end in an argmax cell below {TRUTH:g} % truth"),
}


def criteria(results: Results) -> list[str]:
    """Return the criteria that can tell runs apart: `truth` only where some cell of the space reaches its threshold."""
    return [name for name in LOOKS if name != "truth" or results.main.best >= TRUTH]


def finished_searches(results: Results) -> pd.DataFrame:
    """Return the rows of collapse.parquet of runs with a result, for the criteria that can tell runs apart."""
    finished = results.finished[["variant", "seed"]]
    table = results.collapse[results.collapse["criterion"].isin(criteria(results))]
    return table.merge(finished, on=["variant", "seed"])


def rates(collapse: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return a row per variant, in the given order, and criterion.

    `collapse`: a row per run and criterion. Columns: variant, criterion, runs, collapsed, share, low, high (95 % Wilson
    interval of the share), epoch_median, epoch_first, epoch_last: of the collapsed runs, NaN where there is none.
    """
    rows = []
    groups = dict(iter(collapse.groupby(["variant", "criterion"])))
    for variant in order:
        for criterion in LOOKS:
            own = groups.get((variant, criterion))
            if own is not None:
                collapsed = own[own["collapsed"].astype(bool)]
                interval = proportion_interval(len(collapsed), len(own))
                epochs = collapsed["epoch"]
                rows.append(
                    (
                        variant,
                        criterion,
                        len(own),
                        len(collapsed),
                        *interval,
                        epochs.median(),
                        epochs.min(),
                        epochs.max(),
                    )
                )
    columns = ["variant", "criterion", "runs", "collapsed", "share", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "epoch_median", "epoch_first", "epoch_last"])


def rates_table(found: pd.DataFrame, label: str) -> Table:
    """Return `rates` as a table: a row per variant, a block per criterion."""
    shown = list(dict.fromkeys(found["criterion"]))
    cells = found.set_index(["variant", "criterion"])
    rows = []
    for variant in dict.fromkeys(found["variant"]):
        entries = [Entry(variant), Entry(str(cells.loc[(variant, shown[0]), "runs"]))]
        for criterion in shown:
            row = cells.loc[(variant, criterion)]
            share = f"{100 * row['low']:.0f} to {100 * row['high']:.0f} %"
            entries.append(Entry(f"{row['collapsed']:.0f}", share, bold=row["collapsed"] > 0))
            entries.append(_when(row))
        rows.append(entries)
    caption = (
        "Finished searches that collapse, with the 95 % Wilson interval of the share. To skip, pool, none: at least "
        f"{SKIPS} of the {len(EDGES)} edges of the argmax cell are that operation; truth: its {label} accuracy is "
        f"below {TRUTH:g} %. Epoch: the first from which on that holds until the end, median over the collapsed runs "
        "(first to last). A run that recovers has not collapsed."
    )
    header = ["variant", "runs", *["collapsed", "epoch"] * len(shown)]
    blocks = [("", 2), *((criterion, 2) for criterion in shown)]
    return Table("collapse", caption, header, [("", rows)], found, blocks)


def _when(row: pd.Series) -> Entry:
    if not row["collapsed"]:
        return Entry(DASH)
    spread = f"{row['epoch_first']:.0f} to {row['epoch_last']:.0f}" if row["epoch_first"] < row["epoch_last"] else ""
    return Entry(f"{row['epoch_median']:g}", spread)


def sentences(found: pd.DataFrame, label: str) -> list[str]:
    """Say, a sentence per criterion, how many runs collapse, of which variants and when."""
    return [_sentence(own, LOOKS[str(criterion)], label) for criterion, own in found.groupby("criterion", sort=False)]


def _sentence(own: pd.DataFrame, look: Look, label: str) -> str:
    phrase = look.phrase.replace("truth", f"{label} accuracy")
    collapsed, runs = int(own["collapsed"].sum()), int(own["runs"].sum())
    if not collapsed:
        return f"None of the {runs} finished searches {_singular(phrase)}."
    low, high = proportion_interval(collapsed, runs)[1:]
    hit = own[own["collapsed"] > 0].sort_values("share", ascending=False, kind="stable")
    named = [_counted(row) for _, row in hit.head(NAMED).iterrows()]
    if len(hit) > NAMED:
        named.append(f"{len(hit) - NAMED} more variants")
    verb = _singular(phrase) if collapsed == 1 else phrase
    interval = f"{100 * collapsed / runs:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
    return f"{collapsed} of {runs} finished searches {verb}, {interval}: {'; '.join(named)}."


def _singular(phrase: str) -> str:
    verb, rest = phrase.split(" ", 1)
    return f"{verb}s {rest}"


def _counted(row: pd.Series) -> str:
    return f"{row['variant']} {row['collapsed']} of {row['runs']}, from epoch {row['epoch_median']:g}"


def rates_figure(found: pd.DataFrame) -> Figure:
    """Return a panel per criterion: P(collapse) of each variant with its interval."""
    shown = list(dict.fromkeys(found["criterion"]))
    variants = list(dict.fromkeys(found["variant"]))
    height = ROW * len(variants) + 0.85
    figure = Figure(figsize=(style.WIDTH, height))
    left, gap = 2.05, 0.62
    width = (style.WIDTH - left - gap * len(shown)) / len(shown)
    for place, criterion in enumerate(shown):
        box = ((left + place * (width + gap)) / style.WIDTH, 0.48 / height, width / style.WIDTH, 1 - 0.78 / height)
        panel = figure.add_axes(box)
        own = found[found["criterion"] == criterion].set_index("variant").reindex(variants)
        _draw_rates(panel, own, LOOKS[criterion])
        if place == 0:
            name_rows(panel, variants)
        panel.set_title(
            f"to {criterion}" if criterion != "truth" else f"truth below {TRUTH:g} %", loc="left", fontweight="bold"
        )
    figure.text(
        0.5,
        0.05 / height,
        "share of the finished runs that collapse, with its 95 % Wilson interval",
        ha="center",
    )
    return figure


def _draw_rates(panel: Axes, own: pd.DataFrame, look: Look) -> None:
    rows = range(len(own))
    panel.set(xlim=(-0.04, 1.04), ylim=(len(own) - 0.4, -0.6), xticks=[0, 0.5, 1], yticks=[])
    panel.grid(True, axis="x")
    panel.spines["left"].set_visible(False)
    panel.hlines(rows, own["low"], own["high"], color=look.colour, lw=1.6, alpha=0.65)
    panel.plot(own["share"], rows, ls="", marker=look.marker, ms=5, mec="white", mew=0.5, color=look.colour)
    for row, (collapsed, runs) in enumerate(zip(own["collapsed"], own["runs"], strict=True)):
        colour = style.INK if collapsed else style.FAINT
        panel.annotate(
            f"{collapsed:.0f} of {runs:.0f}", (1, row), (6, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", color=colour, fontsize=7.5,
        )  # fmt: skip


def name_rows(panel: Axes, variants: list[str]) -> None:
    """Write the variants left of a panel, a row each."""
    panel.set_yticks(range(len(variants)), [style.shorten(variant, 30) for variant in variants])
    panel.tick_params(axis="y", length=0)


def times_figure(collapse: pd.DataFrame, order: list[str]) -> Figure:
    """Return when the runs of each variant collapse: a row per variant that has one, a lane per criterion.

    `collapse`: a row per run and criterion.
    """
    hit = collapse[collapse["collapsed"].astype(bool)]
    shown = [criterion for criterion in LOOKS if criterion in set(hit["criterion"])]
    variants = [variant for variant in order if variant in set(hit["variant"])]
    row = max(ROW, LANE * len(shown) + 0.1)
    figure, axes = style.sheet(row * len(variants) + 0.85, left=2.05, right=0.3, top=0.35, bottom=0.48)
    lengths = collapse.groupby("variant")["epochs"].max().reindex(variants)
    axes.barh(range(len(variants)), lengths, height=0.9, color=style.SHADE, zorder=0)
    for lane, criterion in enumerate(shown):
        own, look = hit[hit["criterion"] == criterion], LOOKS[criterion]
        offset = (lane - (len(shown) - 1) / 2) * LANE / row
        rows = own["variant"].map({variant: place + offset for place, variant in enumerate(variants)})
        spans = own.groupby(rows)["epoch"].agg(["min", "median", "max"])
        axes.hlines(spans.index, spans["min"], spans["max"], color=look.colour, lw=1)
        axes.plot(own["epoch"], rows, ls="", marker=look.marker, ms=3.6, mfc="white", mec=look.colour, mew=0.9)
        axes.plot(spans["median"], spans.index, ls="", marker="|", ms=9, mew=2, color=look.colour)
    axes.set(xlim=(0, 1.01 * lengths.max() + 0.5), ylim=(len(variants) - 0.4, -0.6))
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.spines["left"].set_visible(False)
    name_rows(axes, variants)
    axes.set_xlabel("epoch from which on the run stays collapsed (grey: length of the longest run)")
    handles = [
        Line2D([], [], ls="", marker=LOOKS[name].marker, mfc="white", mec=LOOKS[name].colour, ms=4.5,
               label=f"{name}, n = {(hit['criterion'] == name).sum()}")
        for name in shown
    ]  # fmt: skip
    handles.append(Line2D([], [], ls="", marker="|", ms=9, mew=2, color=style.FAINT, label="median"))
    figure.legend(handles=handles, loc="upper center", ncols=len(handles), bbox_to_anchor=(0.5, 1.0), borderaxespad=0.3)
    return figure
