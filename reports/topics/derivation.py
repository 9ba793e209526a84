"""The derivation study: which cell other rules read off the same finished searches, and what that is worth."""

import pandas as pd

from harness.results.folder import Results
from harness.settings.protocol import Board
from harness.space.collapse import TRUTH
from reports.analysis.derivation import DRAWS, OWN_RULE, RULES, by_rule, by_variant, collapse_mark, truth_by_rule
from reports.drawing.picture import Picture
from reports.figures.derivation import heat_map
from reports.section import Block, Figures, Folded, Section, Text
from reports.tables.derivation import difference_table, own_rules_table, rule_name, rules_table, truth_table
from reports.tables.table import signed


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
    labels = {rule: rule_name(rule) for rule in RULES if rule in set(variants["rule"])}
    caption = (
        f"Mean true accuracy ({results.main.label}, percent) of the cell that each rule reads off a variant's "
        "searches. Colour: difference from the variant's own rule, points, on a scale that is logarithmic beyond ±1. A "
        "dash: the variant was not read by the rule."
    )
    return Figures([("", Picture("derivation-rules", title, heat_map, variants, order, labels))], caption)


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
