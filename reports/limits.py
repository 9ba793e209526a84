"""What a board cannot show, found out from its numbers: protocol, seeds, noise, lost runs, missing columns."""

from collections.abc import Callable

import pandas as pd

from harness.board.compare import LEVEL
from harness.results.folder import FINISHED, Results
from harness.settings.protocol import Board
from harness.statistics.significance import detectable_difference, fewest_pairs
from reports.analysis.trainings import has_trainings, spreads
from reports.facts import Facts, Name, Number, Sentence

POWER = 0.8

PUBLISHED = {"image_size": 32, "channels": 16, "cells_per_stage": 5, "epochs": 50}
"""The setting of the benchmark's own searches: Dong and Yang, NAS-Bench-201, ICLR 2020, section 5."""

DATA_SETS = {
    "digits": "scikit-learn's digits", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100",
    "imagenet16-120": "ImageNet16-120", "folder": "images of the user's own",
}  # fmt: skip

Limit = tuple[str, Sentence, bool]
"""Title, sentence, and whether it is bad news."""


def limits(facts: Facts, results: Results, board: Board) -> list[Limit]:
    """Return the limits that this board has, the gravest first."""
    sources: tuple[Callable[[Facts, Results, Board], Limit | None], ...] = (
        _lost_runs, _setting, _images, _few_seeds, _small_differences, _noise, _training_noise, _constant,
        _missing_columns, _controls, _machines, _little_room,
    )  # fmt: skip
    found = [source(facts, results, board) for source in sources]
    return [limit for limit in found if limit is not None]


def _lost_runs(facts: Facts, results: Results, board: Board) -> Limit | None:
    lost = results.runs[~results.runs["status"].isin(FINISHED)]
    if lost.empty:
        return None
    sentence: Sentence = (
        facts.number("runs without a result", len(lost), "runs.csv"), " of ",
        facts.number("runs", len(results.runs), "runs.csv"), " runs, of ",
        facts.number("variants with lost runs", lost["variant"].nunique(), "runs.csv"), " variants, stand in no mean. "
        "A method that fails on hard seeds looks better than it is.",
    )  # fmt: skip
    return "Lost runs", sentence, True


def _setting(facts: Facts, results: Results, board: Board) -> Limit | None:
    protocol = board.chosen
    own = {
        "image_size": protocol.data.image_size,
        "channels": protocol.network.channels,
        "cells_per_stage": protocol.network.cells_per_stage,
        "epochs": protocol.epochs,
    }
    if "search" not in set(results.runs["kind"]) or all(own[name] >= PUBLISHED[name] for name in own):
        return None
    sentence: Sentence = (
        "The searches had ", *_described(facts, own, "protocol.csv"), "; the published setting is ",
        *_described(facts, PUBLISHED, "Dong and Yang 2020"), ". They speak for a net and images of that size.",
    )  # fmt: skip
    return "A small study, not the published setting", sentence, True


def _described(facts: Facts, setting: dict[str, int], origin: str) -> Sentence:
    def said(name: str) -> Number:
        return facts.number(f"{name} ({origin})", setting[name], origin, "d")

    size, cells, epochs = said("image_size"), said("cells_per_stage"), said("epochs")
    return (
        size, "×", size, " pixels, ", said("channels"), " channels, ", cells, f" cell{_s(cells)} a stage and ",
        epochs, f" epoch{_s(epochs)}",
    )  # fmt: skip


def _s(number: Number) -> str:
    return "" if number.value == 1 else "s"


def _images(facts: Facts, results: Results, board: Board) -> Limit | None:
    searched, judged = board.chosen.data.name, results.main.key.split("/")[1]
    if searched == judged or "search" not in set(results.runs["kind"]):
        return None
    sentence: Sentence = (
        "The searches saw ", Name(DATA_SETS[searched]), ", and their cells are judged by ", Name(results.main.label),
        ": a cell may be right for the images of the search and still score low here.",
    )  # fmt: skip
    return "Searched on other images", sentence, False


def _few_seeds(facts: Facts, results: Results, board: Board) -> Limit | None:
    seeds, compared = results.runs["seed"].nunique(), results.runs["variant"].nunique() - 1
    fewest = fewest_pairs(LEVEL)
    if seeds >= fewest or compared < 1:
        return None
    sentence: Sentence = (
        "With n = ", facts.number("seeds", seeds, "runs.csv"),
        ", the smallest p-value a paired comparison can have, a win on every seed, is ",
        facts.number("smallest p-value", 2.0 ** (1 - seeds), "runs.csv", ".2g"),
        ". To tell two methods apart at ", facts.number("level", 100 * LEVEL, "a convention", "g"), " % takes ",
        facts.number("fewest seeds for a comparison", fewest, "the level"), " seeds.",
    )  # fmt: skip
    return "Too few seeds for a test", sentence, True


def _small_differences(facts: Facts, results: Results, board: Board) -> Limit | None:
    key = results.main.key
    searches = results.finished[results.finished["kind"] == "search"]
    grouped = searches.groupby("variant")[key]
    spreads, counts = grouped.std().dropna(), grouped.count()
    if spreads.empty or spreads.median() == 0:
        return None
    spread, n = float(spreads.median()), int(counts[spreads.index].median())
    missed = detectable_difference(spread, n, level=LEVEL, power=POWER)
    sentence: Sentence = (
        "The runs of a typical variant scatter by ",
        facts.number("median sd of the search variants", spread, "runs.csv", ".2f"), " points (sd). With n = ",
        facts.number("median n of the search variants", n, "runs.csv"), ", a true difference below ",
        facts.number("smallest difference that is found", missed, "runs.csv", ".1f"),
        " points is overlooked by more than ",
        facts.number("share overlooked", 100 * (1 - POWER), "a convention", ".0f"), " % of such boards.",
    )  # fmt: skip
    return "Differences it would overlook", sentence, False


def _noise(facts: Facts, results: Results, board: Board) -> Limit | None:
    measured = [column for column in results.columns if column.noise is not None]
    if not measured:
        return None
    parts: Sentence = ()
    for column in measured:
        quantity = "noise floor" if column is results.main else f"noise floor of {column.key}"
        floor = facts.number(quantity, column.noise or 0.0, "truth-columns.csv", ".2f")
        parts += (", " if parts else "", floor, " points on ", Name(column.label))
    sentence = (
        "Cells that compute the same function do not have the same measured accuracy; they scatter by ", *parts,
        " (sd). A smaller gap says nothing about architecture.",
    )  # fmt: skip
    return "Gaps inside the noise floor", sentence, False


def _training_noise(facts: Facts, results: Results, board: Board) -> Limit | None:
    title, main = "Cells that were trained a few times", results.main
    if not has_trainings(results, main):
        sentence: Sentence = (
            "The truth source has only means over trainings on ", Name(main.label), ": how far a cell scatters when "
            "it is trained again is not known here, and can be more than the searches do.",
        )  # fmt: skip
        return title, sentence, False
    found = spreads(results, main, list(dict.fromkeys(results.runs["variant"]))).dropna(subset=["training_sd", "error"])
    if found.empty:
        return None
    origin = f"trainings-{main.slug}.csv"
    sentence = (
        "The cells that a typical method found scatter by ",
        facts.number("median sd over trainings", found["training_sd"].median(), origin, ".2f"),
        " points (sd) from one training to the next, which leaves an error of ",
        facts.number("median error by training", found["error"].median(), origin, ".2f"),
        " points in its mean on ", Name(main.label), ". More seeds that find the same cells do not make it smaller.",
    )  # fmt: skip
    return title, sentence, False


def _constant(facts: Facts, results: Results, board: Board) -> Limit | None:
    grouped = results.finished.dropna(subset=["canonical"]).groupby("variant")["canonical"].agg(["count", "nunique"])
    constant = grouped.index[(grouped["count"] > 1) & (grouped["nunique"] == 1)]
    if constant.empty:
        return None
    sentence: Sentence = (
        facts.number("variants with one cell for all seeds", len(constant), "runs.csv"),
        " variants" if len(constant) > 1 else " variant",
        " found the same cell with every seed. An sd of zero is then no certainty about a further seed.",
    )  # fmt: skip
    return "Seeds that agree", sentence, False


def _missing_columns(facts: Facts, results: Results, board: Board) -> Limit | None:
    if not results.missing_columns:
        return None
    named: Sentence = ()
    for label in results.missing_columns:
        named += (", " if named else "", Name(label))
    return "Columns without truth", ("The truth source has no accuracies for: ", *named, "."), False


def _controls(facts: Facts, results: Results, board: Board) -> Limit | None:
    kinds, finished = set(results.runs["kind"]), set(results.finished["variant"])
    parts: Sentence = ()
    if "search" not in kinds:
        parts += ("The board has no search variant. ",)
    elif board.reference not in finished:
        parts += ("The reference variant ", Name(board.reference), " has no result, so nothing is compared with it. ")
    if "baseline" not in kinds:
        parts += ("The board has no baseline: whether a search is worth more than drawing cells stays open. ",)
    return ("What is not on the board", parts, False) if parts else None


def _machines(facts: Facts, results: Results, board: Board) -> Limit | None:
    machines = results.finished[["device", "processor"]].dropna().drop_duplicates()
    if len(machines) < 2:
        return None
    sentence: Sentence = (
        "The runs were made on ", facts.number("kinds of machine", len(machines), "runs.csv"),
        " kinds of machine: their times do not compare.",
    )  # fmt: skip
    return "Times of different machines", sentence, True


def _little_room(facts: Facts, results: Results, board: Board) -> Limit | None:
    main = results.main
    by_hand = results.landmarks[~results.landmarks["name"].str.startswith("best of ")]
    best = by_hand[main.key].max()
    if pd.isna(best):
        return None
    sentence: Sentence = (
        "The best of the hand-made cells reaches ",
        facts.number("best hand-made cell", best, "landmarks.csv", ".2f"), " % on ", Name(main.label), ", ",
        facts.number("room above the hand-made cells", main.best - best, "landmarks.csv", ".2f"),
        " points below the best of all. A space with so little room above it tells good methods from bad ones, "
        "and hardly good ones from each other.",
    )  # fmt: skip
    return "One space, with little room at its top", sentence, False
