import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.results.folder import Results, load_results
from harness.settings.protocol import Board
from reports.analysis import ranking as ranking_analysis
from reports.section import Figures, Folded, Section, Text
from reports.tables import latex, markdown
from reports.tables import table as tables
from reports.topics import ranking
from tests.reports.simulate import Simulation

NAN = math.nan
TEST, OTHER = "truth/cifar10/test", "truth/cifar100/test"


def correlations(rows: list[tuple[str, int, int, float, float, float]]) -> pd.DataFrame:
    """Variant, seed, epoch, tau, tau within the best fifth, precision; of one truth column and 100 cells."""
    columns = ["variant", "seed", "epoch", "kendall", "kendall_best_fifth", "precision_at_10"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(spearman=table["kendall"] * 1.2, column=TEST, cells=100)


EXAMPLE = correlations(
    [
        ("a", 0, 10, 0.1, 0.0, 0.1), ("a", 0, 20, 0.5, 0.3, 0.3),
        ("a", 1, 10, 0.3, 0.1, 0.1), ("a", 1, 20, 0.7, 0.1, 0.5),
        ("b", 0, 10, 0.6, 0.1, 0.2), ("b", 0, 20, 0.4, -0.2, 0.2),
        ("b", 1, 10, 0.2, -0.3, 0.0),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> tuple[Results, Board]:
    folder = tmp_path_factory.mktemp("results")
    board = Simulation(seeds=(0, 1), epochs=20, evaluations=3, columns=(TEST, OTHER)).write(folder)
    return load_results(folder), board


@pytest.fixture(scope="module")
def built(simulated) -> Section:
    section = ranking.section(*simulated, ["drnas", "gdas", "darts", "random-search"])
    assert section is not None
    return section


def shown(section: Section) -> dict[str, tables.Table]:
    blocks = [
        *section.blocks,
        *(inner for block in section.blocks if isinstance(block, Folded) for inner in block.blocks),
    ]
    return {block.name: block for block in blocks if isinstance(block, tables.Table)}


def test_over_the_epochs_median_and_range_are_those_of_the_seeds() -> None:
    table = ranking_analysis.over_epochs(EXAMPLE).set_index(["variant", "epoch"])
    row = table.loc[("a", 20)]
    assert (row["kendall"], row["kendall_low"], row["kendall_high"], row["seeds"]) == (0.6, 0.5, 0.7, 2)
    assert table.loc[("b", 20), "seeds"] == 1


def test_what_is_drawn_over_the_epochs_is_what_the_table_holds() -> None:
    courses = ranking_analysis.over_epochs(EXAMPLE)
    drawn = ranking_analysis.taus(courses)
    assert len(drawn) == 2 * len(courses)
    for name, own in drawn.groupby("statistic"):
        expected = courses[[f"{name}_low", name, f"{name}_high"]].to_numpy()
        assert np.array_equal(own[["low", "median", "high"]].to_numpy(), expected, equal_nan=True)


def test_the_end_is_the_last_measurement_of_each_run() -> None:
    table = ranking_analysis.at_the_end(EXAMPLE).set_index("variant")
    # Seed 1 of b stopped early.
    assert table.loc["b", ["kendall_low", "kendall_high", "epoch", "seeds"]].tolist() == [0.2, 0.4, 15, 2]
    assert table.loc["a", "kendall_best_fifth"] == pytest.approx(0.2)


def test_chance_is_the_point_that_one_unrelated_ranking_of_twenty_exceeds() -> None:
    ranks = np.random.default_rng(0).permuted(np.tile(np.arange(20), (4000, 1)), axis=1)
    pairs = np.triu_indices(20, 1)
    taus = np.sign(ranks[:, pairs[1]] - ranks[:, pairs[0]]).mean(axis=1)
    assert (taus > ranking_analysis.chance_tau(20)).mean() == pytest.approx(0.05, abs=0.012)
    assert ranking_analysis.chance_tau(20) == pytest.approx(1.6449 * math.sqrt(90 / 3420), rel=1e-4)
    assert math.isnan(ranking_analysis.chance_tau(1))
    assert ranking_analysis.at_the_end(EXAMPLE)["chance_best_fifth"].tolist() == [ranking_analysis.chance_tau(20)] * 2


def test_cells_of_the_scatter_are_medians_over_the_last_measurements() -> None:
    rows = [
        ("a", seed, epoch, cell, 10.0 * cell + seed if epoch == 20 else 0.0, 90.0 + cell)
        for seed in (0, 1, 5)
        for epoch in (10, 20)
        for cell in range(10)
    ]
    one_shot = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "cell_index", "accuracy", TEST])
    table = ranking_analysis.last_accuracies(one_shot, TEST)
    assert table["accuracy"].tolist() == [10 * cell + 1 for cell in range(10)]
    assert table["seeds"].unique().tolist() == [3]
    assert table.loc[table["best_fifth"], "cell_index"].tolist() == [8, 9]


def test_sentences_say_what_the_table_says() -> None:
    main, courses = ranking_analysis.at_the_end(EXAMPLE), ranking_analysis.over_epochs(EXAMPLE)
    text = " ".join(ranking.sentences(main, courses))
    assert "list of 100 cells, a variant's last measurement has a median tau between 0.30 and 0.60." in text
    assert "best truth the median is between -0.25 and 0.20. Unrelated" in text
    assert "exceed 0.27 in one case of 20; the median of 2 of 2 variants does not." in text
    assert "has a median between 0.10 and 0.40; chance is 0.10." in text
    assert "tau over all cells grows in 1 of 2 variants." in text


def test_equal_accuracies_rank_nothing_and_one_epoch_has_no_course() -> None:
    constant = EXAMPLE.assign(kendall=NAN, kendall_best_fifth=NAN, precision_at_10=NAN)
    text = " ".join(ranking.sentences(ranking_analysis.at_the_end(constant), ranking_analysis.over_epochs(constant)))
    assert text == "Under the shared weights all measured cells are equally accurate, so they rank nothing."
    once = EXAMPLE[EXAMPLE["epoch"] == 10]
    assert "From the first" not in " ".join(
        ranking.sentences(ranking_analysis.at_the_end(once), ranking_analysis.over_epochs(once))
    )


def test_the_table_follows_the_order_and_the_correlations_of_the_cells(simulated, built) -> None:
    results, _ = simulated
    table = shown(built)["one-shot"]
    rows = table.groups[0][1]
    assert [row[0].text for row in rows] == ["drnas", "gdas", "darts"]
    last = results.one_shot[(results.one_shot["variant"] == "gdas") & (results.one_shot["epoch"] == 20)]
    taus = [stats.kendalltau(run["accuracy"], run[TEST]).statistic for _, run in last.groupby("seed")]
    assert rows[1][3].text == f"{sum(taus) / 2:.2f}"
    assert rows[1][3].note == f"{min(taus):.2f} to {max(taus):.2f}"
    assert [row[1].text for row in rows] == ["20"] * 3


def test_what_is_no_better_than_chance_is_marked(built) -> None:
    table = shown(built)["one-shot"]
    for row, (_, numbers) in zip(table.groups[0][1], table.data.iterrows(), strict=True):
        assert row[5].alarm == (numbers["kendall_best_fifth"] <= numbers["chance_best_fifth"])
        assert not row[3].alarm


def test_every_truth_column_and_every_epoch_stand_in_folded_tables(built) -> None:
    found = shown(built)
    assert found["one-shot-columns"].blocks == [("", 1), ("CIFAR-10 test", 2), ("CIFAR-100 test", 2)]
    assert found["one-shot-epochs"].header == ["variant", "epoch 10", "epoch 20"]
    assert set(found["one-shot-epochs"].data["column"]) == {TEST, OTHER}
    for table in found.values():
        markdown.to_markdown(table)
        latex.to_latex(table)


def test_figures_have_a_panel_a_variant(built) -> None:
    figures = [picture for block in built.blocks if isinstance(block, Figures) for _, picture in block.pictures]
    assert [picture.name for picture in figures] == ["one-shot-epochs", "one-shot-scatter"]
    for picture in figures:
        assert all(f">{variant}<" in picture.svg for variant in ("drnas", "gdas", "darts"))


def test_a_single_constant_measurement_renders(simulated) -> None:
    results, board = simulated
    shot = results.one_shot
    one = shot[(shot["variant"] == "darts") & (shot["seed"] == 0) & (shot["epoch"] == 10)].assign(accuracy=50.0)
    ranks = results.rank_correlation
    ranks = ranks[(ranks["variant"] == "darts") & (ranks["seed"] == 0) & (ranks["epoch"] == 10)]
    ranks = ranks.assign(**dict.fromkeys(ranking_analysis.STATISTICS, NAN))
    section = ranking.section(replace(results, one_shot=one, rank_correlation=ranks), board, ["darts"])
    assert section is not None
    assert isinstance(section.blocks[0], Text)
    assert "rank nothing" in section.blocks[0].text
    assert [entry.text for entry in shown(section)["one-shot"].groups[0][1][0][3:7]] == ["–"] * 4


def test_without_a_measurement_there_is_no_section(simulated) -> None:
    results, board = simulated
    empty = replace(results, one_shot=results.one_shot.iloc[:0], rank_correlation=results.rank_correlation.iloc[:0])
    assert ranking.section(empty, board, ["darts"]) is None
