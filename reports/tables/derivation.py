"""The tables of the derivation study."""

from collections.abc import Callable

import pandas as pd

from harness.results.folder import Results
from harness.space.collapse import TRUTH
from reports.analysis.derivation import DRAWS, OWN_RULE, RULES
from reports.tables.table import DASH, Entry, Table, number, signed


def rule_name(rule: str) -> str:
    """Return what a rule is called."""
    return "own rule" if rule == OWN_RULE else rule


def rules_table(results: Results, rules: pd.DataFrame) -> Table:
    """Return the table with a row a rule; `rules` as of `by_rule`."""
    rows = []
    for _, row in rules.iterrows():
        own = row["rule"] == OWN_RULE
        interval = "" if own else f"{signed(row['low'])} to {signed(row['high'])}"
        entries = [
            Entry(rule_name(row["rule"]), RULES[row["rule"]]),
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
    return ["variant", *(rule_name(rule) for rule in rules)], rows


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
