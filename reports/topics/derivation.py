"""The derivation study: which cell other rules read off the same finished searches, and what that is worth."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from harness.settings.protocol import Board
from harness.space.collapse import TRUTH
from harness.statistics import estimates as statistics
from harness.statistics.significance import DECIMALS
from reports.figures import style
from reports.figures.derivation import heat_map
from reports.results import Results
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.table import DASH, Entry, Table, number

OWN_RULE = "variant"
"""The rule that the variant itself answers by."""

DRAWS = "mean of draws"
"""Not a rule but what to expect of one draw: the mean truth of the cells drawn from the final op weights."""

RULES = {
    OWN_RULE: "the variant's answer",
    "argmax": "the largest op weight of each edge",
    "argmax-without-none": "the same over the four operations that pass something on",
    "skip-cap-2": "the argmax cell with at most two skip connections",
    "gumbel-mode": "the cell drawn most often from the final op weights",
    DRAWS: "what to expect of a single such draw",
    "best-of-draws": "the drawn cell with the best accuracy under the shared weights",
    "operation-strength": "the operation of each edge whose removal would raise the loss most, to first order",
}
"""The rules that every search with alpha is read by, and what each takes."""


def truth_by_rule(results: Results) -> pd.DataFrame:
    """Return the main truth of the cell of each rule: index (variant, seed), a column a rule, percent.

    Searches only. A rule that a run was not read by is NaN. Columns: those of `RULES` first, in their order.
    """
    key = results.main.key
    searches = results.derived[results.derived["kind"] == "search"]
    everything = pd.concat([searches, _expected_of_a_draw(results)], ignore_index=True)
    truths = everything.groupby(["variant", "seed", "rule"], sort=False)[key].first().astype(float).unstack("rule")
    shared = [rule for rule in RULES if rule in truths]
    return truths[[*shared, *(rule for rule in truths if rule not in RULES)]]


def _expected_of_a_draw(results: Results) -> pd.DataFrame:
    """Return the mean truth of each run's draws, as rows of `results.derived`."""
    key, draws = results.main.key, results.draws[results.draws["kind"] == "search"]
    weighed = draws.assign(total=draws[key] * draws["count"])
    sums = weighed.groupby(["variant", "seed"], sort=False)[["total", "count"]].sum()
    return (sums["total"] / sums["count"]).rename(key).reset_index().assign(rule=DRAWS)


def by_variant(truths: pd.DataFrame) -> pd.DataFrame:
    """Return a row a variant and rule it was read by; `truths` as of `truth_by_rule`.

    mean, sd (ddof 1), n        of the truth, percent
    pairs, difference           runs with both cells, and the mean truth minus that of the own rule over them, points
    better, equal, worse        how many of the pairs
    """
    differences = _differences(truths)
    frames = {
        name: table.groupby(level="variant", sort=False).agg(how).stack()
        for name, table, how in (
            ("mean", truths, "mean"),
            ("sd", truths, "std"),
            ("n", truths, "count"),
            ("pairs", differences, "count"),
            ("difference", differences, "mean"),
            ("better", differences > 0, "sum"),
            ("equal", differences == 0, "sum"),
            ("worse", differences < 0, "sum"),
        )
    }
    table = pd.DataFrame(frames).rename_axis(["variant", "rule"]).reset_index()
    return table[table["n"] > 0].astype({"n": int, "pairs": int}).reset_index(drop=True)


def _differences(truths: pd.DataFrame) -> pd.DataFrame:
    return truths.sub(truths[OWN_RULE], axis=0).round(DECIMALS)


def by_rule(truths: pd.DataFrame, collapse_below: float | None) -> pd.DataFrame:
    """Return a row a rule of `RULES`, over all runs that have its cell and the own rule's.

    variants, pairs             variants and runs compared
    difference, low, high       mean truth minus that of the own rule, points, with its 95 % bootstrap interval
                                (stratified by variant)
    better, equal, worse        how many of the pairs
    highest                     variants read by several rules in which this has the highest mean, alone or tied
    collapsed, rescued          pairs whose own cell is below `collapse_below` (percent), and how many the rule lifts
    sound, ruined               pairs whose own cell is not, and how many the rule brings below
    `DRAWS` is no cell, so it neither wins nor rescues: NaN. Without `collapse_below` nothing is collapsed: NaN.
    """
    differences, bad = _differences(truths), truths < (collapse_below or 0.0)
    means = (
        by_variant(truths).pivot(index="variant", columns="rule", values="mean").drop(columns=DRAWS, errors="ignore")
    )
    means = means[means.count(axis=1) > 1]
    highest = means.round(DECIMALS).eq(means.max(axis=1).round(DECIMALS), axis=0).sum()
    rows = []
    for rule in (rule for rule in RULES if rule in truths):
        paired = differences[rule].dropna()
        own, ruled = bad.loc[paired.index, OWN_RULE], bad.loc[paired.index, rule]
        row: dict[str, Any] = {"rule": rule, "variants": paired.index.unique("variant").size, "pairs": len(paired)}
        row |= dict(zip(("difference", "low", "high"), _interval(paired), strict=True))
        row |= {"better": (paired > 0).sum(), "equal": (paired == 0).sum(), "worse": (paired < 0).sum()}
        if rule != DRAWS:
            row["highest"] = highest[rule]
        if rule != DRAWS and collapse_below is not None:
            row |= {"collapsed": own.sum(), "rescued": (own & ~ruled).sum()}
            row |= {"sound": (~own).sum(), "ruined": (~own & ruled).sum()}
        rows.append(row)
    columns = ["highest", "collapsed", "rescued", "sound", "ruined"]
    return pd.DataFrame(rows, columns=[*(name for name in rows[0] if name not in columns), *columns])


def collapse_mark(results: Results) -> float | None:
    """Return the truth below which a cell counts as collapsed; None on a column where most cells lie below it."""
    return TRUTH if results.main.median > TRUTH else None


def _interval(paired: pd.Series) -> tuple[float, float, float]:
    if paired.empty:
        return (float("nan"),) * 3
    strata = [group.to_numpy() for _, group in paired.groupby("variant")]
    return statistics.bootstrap_interval(strata, statistics.pooled(np.mean), resamples=2000)


# Tables


def section(results: Results, board: Board, order: list[str]) -> Section | None:
    """Return the section, None without a search that has a cell."""
    if results.derived.empty or not results.derived["kind"].eq("search").any():
        return None
    truths = truth_by_rule(results)
    if OWN_RULE not in truths or truths[OWN_RULE].isna().all():
        return None
    variants, rules = by_variant(truths), by_rule(truths, collapse_mark(results))
    own_rules = variants[~variants["rule"].isin(RULES)]
    blocks: list[Block] = [Text(" ".join(sentences(rules)))]
    if len(rules) > 1:
        blocks.append(_figure(results, variants, order))
        blocks.append(rules_table(results, rules))
    blocks.append(truth_table(results, variants, order))
    if len(rules) > 1:
        blocks.append(Folded("Difference from the variant's own rule", [difference_table(results, variants, order)]))
    if len(own_rules):
        blocks.append(own_rules_table(results, own_rules, order))
    return Section("derivation", "Other cells from the same searches: the derivation rules", "Derivation", blocks)


def _figure(results: Results, variants: pd.DataFrame, order: list[str]) -> Figures:
    title = f"Truth by derivation rule: {results.main.label}"
    labels = {rule: _name(rule) for rule in RULES if rule in set(variants["rule"])}
    caption = (
        f"Mean true accuracy ({results.main.label}, percent) of the cell that each rule reads off a variant's "
        "searches. Colour: difference from the variant's own rule, points, on a scale that is logarithmic beyond ±1. A "
        "dash: the variant was not read by the rule."
    )
    return Figures([("", style.Picture("derivation-rules", title, heat_map, variants, order, labels))], caption)


def sentences(rules: pd.DataFrame) -> list[str]:
    """Return what the table of the rules shows, in words."""
    table = rules.set_index("rule")
    runs, variants = (int(table[name].to_dict()[OWN_RULE]) for name in ("pairs", "variants"))
    others = table.drop(index=OWN_RULE)
    found = [
        f"Each rule reads its cell off the same {_count(runs, 'finished search', 'finished searches')} of "
        f"{_count(variants, 'variant', 'variants')}, without any further training."
    ]
    if others.empty:
        return [*found, "No run was read by a second rule."]
    found += [_highest(table), _extremes(others), *_rescues(others)]
    if DRAWS in others.index:
        found.append(_draws(others["difference"].to_dict()[DRAWS]))
    if runs == variants:
        found.append("With one seed a variant, nothing here shows how much chance decides.")
    return found


def _highest(table: pd.DataFrame) -> str:
    counts = table["highest"].dropna()
    leaders = ["its own rule" if rule == OWN_RULE else str(rule) for rule in counts.index[counts == counts.max()]]
    return (
        f"The highest mean of a variant's rules, alone or tied, is most often that of {_enumeration(leaders)}: in "
        f"{_count(counts.max(), 'variant', 'variants')}{' each' if len(leaders) > 1 else ''}."
    )


def _extremes(others: pd.DataFrame) -> str:
    rules = others.drop(index=DRAWS, errors="ignore").sort_values("difference", ascending=False, kind="stable")
    parts = [_against_own(str(rule), row) for rule, row in rules.iloc[[0, -1][: len(rules)]].iterrows()]
    verbs = ["rises most" if rules["difference"].iloc[0] > 0 else "changes least"]
    verbs.append("falls most" if rules["difference"].iloc[-1] < 0 else "least")
    ends = [f"{verb} with {part}" for verb, part in zip(verbs, parts, strict=False)]
    return f"Against the variants' own rules, the mean {', and '.join(ends)}."


def _against_own(rule: str, row: pd.Series) -> str:
    return (
        f"{rule}, by {signed(row['difference'])} points (95 % interval {signed(row['low'])} to {signed(row['high'])}; "
        f"better in {row['better']:.0f}, equal in {row['equal']:.0f}, worse in {row['worse']:.0f} of "
        f"{_count(row['pairs'], 'run', 'runs')})"
    )


def signed(value: float) -> str:
    """Format a difference with its sign; one that rounds to zero has none."""
    return f"{value:+.2f}" if round(value, 2) else "0.00"


def _rescues(others: pd.DataFrame) -> list[str]:
    rules = others.dropna(subset=["rescued"])
    if rules.empty:
        return [f"On this column most cells are below {TRUTH:g} %, so that is no sign of collapse here."]
    if not rules["collapsed"].any():
        return [f"No own cell is below {TRUTH:g} %, so there is no collapse to rescue."]
    first = rules.sort_values(["rescued", "ruined"], ascending=[False, True], kind="stable").iloc[0]
    if not first["rescued"]:
        return [f"No rule lifts a run whose own cell is below {TRUTH:g} % above that."]
    ruined = f"{first['ruined']:.0f} of {_count(first['sound'], 'other', 'others')}"
    return [
        f"Of the {_count(first['collapsed'], 'run', 'runs')} whose own cell is below {TRUTH:g} %, {first.name} lifts "
        f"most above it, {first['rescued']:.0f}; it brings {ruined} below."
    ]


def _draws(difference: float) -> str:
    return f"A single draw from the final op weights changes the mean by {signed(difference)} points in expectation."


def _count(number_of: float, one: str, many: str) -> str:
    return f"{number_of:,.0f} {one if number_of == 1 else many}"


def _enumeration(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _name(rule: str) -> str:
    return "own rule" if rule == OWN_RULE else rule


def rules_table(results: Results, rules: pd.DataFrame) -> Table:
    """Return the table with a row a rule; `rules` as of `by_rule`."""
    rows = []
    for _, row in rules.iterrows():
        own = row["rule"] == OWN_RULE
        interval = "" if own else f"{signed(row['low'])} to {signed(row['high'])}"
        entries = [
            Entry(_name(row["rule"]), RULES[row["rule"]]),
            Entry(f"{row['pairs']:.0f}", f"{row['variants']:.0f}"),
        ]
        entries.append(Entry(DASH) if own else Entry(signed(row["difference"]), interval))
        entries += [Entry(DASH if own else f"{row[name]:.0f}") for name in ("better", "equal", "worse")]
        entries.append(Entry(number(row["highest"], 0), bold=row["highest"] == rules["highest"].max()))
        for part, whole in (("rescued", "collapsed"), ("ruined", "sound")):
            known = not own and pd.notna(row[part])
            entries.append(Entry(f"{row[part]:.0f} of {row[whole]:.0f}" if known else DASH))
        rows.append(entries)
    header = [
        "rule", "runs (variants)", "mean difference (95 % interval)", "better", "equal", "worse",
        "highest mean in variants", "collapses rescued", "others ruined",
    ]  # fmt: skip
    caption = (
        f"Each rule against the variants' own, paired run by run: difference in true accuracy ({results.main.label}, "
        "points) with its bootstrap interval, stratified by variant. Highest mean: alone or tied. Rescued: runs whose "
        f"own cell is below {TRUTH:g} % and the rule's is not; ruined: the reverse."
    )
    return Table("derivation-rules", caption, header, [("", rows)], rules)


def truth_table(results: Results, variants: pd.DataFrame, order: list[str]) -> Table:
    """Return the table of variants by rule; rules that a variant was not read by are dashes."""
    noise = results.main.noise or 0.0

    def entry(row: pd.Series, best: float) -> Entry:
        return _mean(row, bold=row["mean"] >= best - noise)

    caption = (
        f"True accuracy ({results.main.label}, percent) of the cell that each rule reads off the same finished "
        "searches; mean ± sample standard deviation over seeds. Bold: highest mean of the variant's rules"
        + (", and means within the noise floor below it." if noise else ".")
    )
    header, rows = _grid(variants, order, entry)
    return Table("derivation", caption, header, [("", rows)], variants)


def difference_table(results: Results, variants: pd.DataFrame, order: list[str]) -> Table:
    """Return the table of differences from the own rule, variants by rule."""

    def entry(row: pd.Series, _: float) -> Entry:
        if row["rule"] == OWN_RULE:
            return Entry(number(row["mean"]), f"n = {row['n']}")
        return _difference(row)

    caption = (
        f"True accuracy ({results.main.label}) minus that of the variant's own rule, points: mean over the seeds that "
        "have both, then in how many of them it is better/equal/worse. The own rule's column is its mean, percent."
    )
    header, rows = _grid(variants, order, entry)
    return Table("derivation-differences", caption, header, [("", rows)], variants)


def _grid(
    variants: pd.DataFrame, order: list[str], entry: Callable[[pd.Series, float], Entry]
) -> tuple[list[str], list[list[Entry]]]:
    shared = variants[variants["rule"].isin(RULES)]
    rules = [rule for rule in RULES if rule in set(shared["rule"])]
    best = shared[shared["rule"] != DRAWS].groupby("variant")["mean"].max()
    cells = {(row["variant"], row["rule"]): entry(row, best[row["variant"]]) for _, row in shared.iterrows()}
    present = set(shared["variant"])
    rows = [
        [Entry(variant), *(cells.get((variant, rule), Entry(DASH)) for rule in rules)]
        for variant in order
        if variant in present
    ]
    return ["variant", *(_name(rule) for rule in rules)], rows


def _mean(row: pd.Series, bold: bool = False) -> Entry:
    spread = "" if pd.isna(row["sd"]) else f" ± {number(row['sd'])}"
    return Entry(number(row["mean"]) + spread, f"n = {row['n']}", bold)


def _difference(row: pd.Series) -> Entry:
    if not row["pairs"]:
        return Entry(DASH)
    return Entry(signed(row["difference"]), f"{row['better']}/{row['equal']}/{row['worse']}")


def own_rules_table(results: Results, own_rules: pd.DataFrame, order: list[str]) -> Table:
    """Return the rules that belong to a variant alone, a row each."""
    places = {variant: place for place, variant in enumerate(order)}
    data = own_rules.sort_values("variant", key=lambda names: names.map(places), kind="stable")
    rows = []
    for _, row in data.iterrows():
        rows.append([Entry(row["variant"]), Entry(row["rule"]), _mean(row), _difference(row)])
    header = ["variant", "rule", "mean ± sd (%)", "difference from the own rule (points)"]
    caption = (
        f"Rules that only single variants bring with them: true accuracy, {results.main.label}; behind the difference, "
        "in how many seeds it is better/equal/worse."
    )
    return Table("derivation-own", caption, header, [("", rows)], data, text_columns=2)
