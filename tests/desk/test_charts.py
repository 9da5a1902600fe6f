"""Charts of evolution, migration and genes: what they count, and that they draw all of it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from pages import chart_names, drawn

import islands as isl
from islands.desk import genes, routes
from islands.desk.canvas import MOST_IN_LEGEND, family_marks
from islands.desk.charts import convergence, diversity, hypervolume, pareto, stagnations
from islands.strategies.genome import Gene, Integer, LogReal, Real, choice

FAMILIES = ["sma_trend", "rsi_mean_reversion"]


def history(islands: int = 2, **columns: pl.Expr) -> pl.DataFrame:
    """Two epochs of two generations on each island."""
    rows = [(1 + g // 2, i, g, 0.1 * g + i, 0.05 * g, 1.0 / (1 + g)) for i in range(islands) for g in range(4)]
    names = ["epoch", "island", "generation", "best", "median", "diversity"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(**columns)


def front(rows: int = 6) -> pl.DataFrame:
    rank = np.arange(1, rows + 1)
    return pl.DataFrame(
        {
            "rank": rank,
            "family": [FAMILIES[i % 2] for i in range(rows)],
            "genes": [f"fast={i} slow=<b> band=0.1 direction=long" for i in range(rows)],
            "born": ["0.1.2"] * rows,
            "sharpe": rank / 10.0,
            "max_drawdown": rank / 100.0,
            "turnover": rank[::-1] * 1.0,
        }
    )


def edges(islands: int, accepted: int = 3) -> pl.DataFrame:
    ways = [(a, b) for a in range(islands) for b in range(islands) if a != b]
    came = pl.DataFrame(
        {"source": [0] * accepted, "target": [1] * accepted, "outcome": ["accepted"] * accepted},
        schema={"source": pl.Int64, "target": pl.Int64, "outcome": pl.String},
    )
    return routes.edges_of(came, ways)


def test_an_objective_with_columns_of_its_own_is_drawn_from_them() -> None:
    wide = history(best_turnover=-pl.col("best"), median_turnover=pl.col("median") + 7.0)
    assert chart_names(convergence(wide, "turnover")) == ["convergence-turnover"]
    best, median = drawn(convergence(wide, "turnover"), "convergence-turnover")[:2]
    assert best["y"].tolist() == pytest.approx([0.0, -0.1, -0.2, -0.3])
    assert median["y"].tolist() == pytest.approx([7.0, 7.05, 7.1, 7.15])
    assert drawn(convergence(history(), "turnover"), "convergence")[0]["y"].tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_an_epochs_stagnation_is_marked_once_where_the_island_stood() -> None:
    rule = pl.when((pl.col("epoch") == 2) & (pl.col("island") == 1)).then(pl.lit("renewed <half>")).otherwise(None)
    events = stagnations(history(stagnation_rule=rule))
    assert events.select("island", "epoch", "generation").rows() == [(1, 2, 2)]
    mark = drawn(convergence(history(stagnation_rule=rule), "sharpe"), "convergence")[-1]
    assert (mark["name"], mark["x"].tolist(), mark["y"].tolist()) == ("stagnation", [2], pytest.approx([1.2]))
    assert mark["customdata"] == [[1, 2, "renewed &lt;half&gt;"]]


def test_no_stagnation_leaves_no_mark() -> None:
    for frame in (history(), history(stagnation_rule=pl.lit(None, dtype=pl.String))):
        assert stagnations(frame).is_empty()
        assert len(drawn(convergence(frame, "sharpe"), "convergence")) == 4


def test_diversity_and_hypervolume_have_a_line_for_each_island() -> None:
    frame = history(MOST_IN_LEGEND + 1, hypervolume=pl.col("generation") * 2.0)
    assert len(drawn(diversity(frame), "diversity")) == MOST_IN_LEGEND + 1
    assert drawn(hypervolume(frame), "hypervolume")[0]["y"].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert '"showlegend":false' in diversity(frame) and '"showlegend":true' in diversity(history())


def test_a_front_of_two_objectives_is_one_scatter_with_the_families_marks() -> None:
    fragment = pareto(front(), [("sharpe", "max"), ("max_drawdown", "min")], ["other", *FAMILIES])
    first, second = drawn(fragment, "pareto")
    marks = family_marks(["other", *FAMILIES])
    assert (first["name"], second["name"]) == tuple(FAMILIES)
    assert first["marker"]["color"] == marks["sma_trend"].colour and second["marker"]["symbol"] == marks[FAMILIES[1]].shape
    assert first["x"].tolist() == [0.1, 0.3, 0.5] and second["y"].tolist() == [0.02, 0.04, 0.06]
    assert first["text"][0] == "#1 sma_trend, born 0.1.2<br>fast=0 slow=&lt;b&gt; band=0.1<br>direction=long"
    assert "Sharpe (more is better)" in fragment and "drawdown (less is better)" in fragment


def test_a_front_of_three_objectives_has_a_scatter_for_each_pair() -> None:
    fragment = pareto(front(), [("sharpe", "max"), ("max_drawdown", "min"), ("turnover", "min")])
    assert chart_names(fragment) == ["pareto-sharpe-max_drawdown", "pareto-sharpe-turnover", "pareto-max_drawdown-turnover"]


def test_families_differ_in_colour_and_in_shape() -> None:
    marks = family_marks([f"family {i}" for i in range(10)])
    assert len({mark.colour for mark in marks.values()}) == len({mark.shape for mark in marks.values()}) == 10


def test_an_edge_that_nobody_came_along_is_there_with_zeros() -> None:
    table = edges(3)
    assert table.columns == ["source", "target", "sent", "accepted", "already there"]
    assert table.rows()[:2] == [(0, 1, 3, 3, 0), (0, 2, 0, 0, 0)] and len(table) == 6


def test_edges_count_who_survived_where_that_is_known() -> None:
    arrivals = pl.DataFrame(
        {
            "source": [1, 1, 0],
            "target": [0, 0, 1],
            "outcome": ["accepted", "already there", "accepted"],
            "survived": [True, False, False],
        }
    )
    assert routes.edges_of(arrivals, [(0, 1)]).rows(named=True) == [
        {"source": 0, "target": 1, "sent": 1, "accepted": 1, "already there": 0, "survived": 0},
        {"source": 1, "target": 0, "sent": 2, "accepted": 1, "already there": 1, "survived": 1},
    ]


def test_sums_by_island_tell_those_who_left_and_those_who_came() -> None:
    assert routes.by_island(edges(3), 4).rows() == [(0, 3, 0, 0, 0), (1, 0, 3, 3, 0), (2, 0, 0, 0, 0), (3, 0, 0, 0, 0)]


@pytest.mark.parametrize("islands", [2, 4, 8])
def test_few_edges_are_arrows_each_with_its_numbers(islands: int) -> None:
    table = edges(islands)
    traces = drawn(routes.chart(table, [FAMILIES] * islands, FAMILIES), "migration")
    arrows = [trace for trace in traces if trace["mode"] == "lines+markers"]
    assert len(arrows) == len(table) == islands * (islands - 1)
    widest = max(arrows, key=lambda trace: trace["line"]["width"])
    assert widest["hovertemplate"] == "<b>0 → 1</b><br>sent 3<br>accepted 3<br>already there 0<extra></extra>"
    assert {trace["line"]["dash"] for trace in arrows if trace is not widest} == {"dot"}
    assert [trace["name"] for trace in traces[-2:]] == FAMILIES


def test_an_arrow_ends_outside_both_islands() -> None:
    for islands in (2, 4, 12, 20):
        ring = routes.edges_of(
            edges(2).clear().with_columns(outcome=pl.lit("accepted")), [(i, (i + 1) % islands) for i in range(islands)]
        )
        traces = drawn(routes.chart(ring, [FAMILIES] * islands, FAMILIES), "migration")
        centres = next(np.column_stack([t["x"], t["y"]]) for t in traces if t["mode"] == "markers+text")
        for arrow in traces:
            if arrow["mode"] == "lines+markers":
                path = np.column_stack([arrow["x"], arrow["y"]])
                assert len(path) > 2
                assert np.hypot(*(path[:, None] - centres[None]).transpose(2, 0, 1)).min() > 0.07


@pytest.mark.parametrize("islands", [12, 50])
def test_many_edges_are_a_matrix(islands: int) -> None:
    (heat,) = drawn(routes.chart(edges(islands), [FAMILIES] * islands, FAMILIES), "migration")
    assert heat["type"] == "heatmap" and heat["z"].shape == (islands, islands)
    assert heat["z"][0, 1] == 3.0 and heat["z"][1, 0] == 0.0 and np.isnan(np.diag(heat["z"])).all()


WHOLE = Integer("n", 2, 200, 10)
TERNARY = choice("side", ("long", "short", "both"), "both")


@pytest.mark.parametrize(
    ("gene", "values", "bins", "ends"),
    [
        (Integer("n", 2, 5, 3), [2, 2, 5], 4, (1.5, 5.5)),
        (WHOLE, [2, 200, 100], 40, (1.5, 200.5)),
        (Real("x", -1.0, 1.0, 0.0), [-1.0, 1.0, 0.0], 41, (-1.0, 1.0)),
        (Real("x", 0.0, 1.0, 0.5, step=0.25), [0.25, 0.25, 1.0], 5, (-0.125, 1.125)),
        (LogReal("x", 0.01, 1.0, 0.1), [0.01, 0.1, 1.0], 41, (0.01, 1.0)),
        (TERNARY, [0, 0, 2], 3, (-0.5, 2.5)),
    ],
)
def test_bins_cover_the_bounds_and_hold_everyone(gene: Gene, values: list[float], bins: int, ends: tuple[float, float]) -> None:
    found = genes.histogram(gene, np.array(values, dtype=np.float64))
    assert found.counts.sum() == len(values)
    assert len(found.counts) == len(found.edges) - 1 and abs(len(found.counts) - bins) <= 1
    assert (found.edges[0], found.edges[-1]) == pytest.approx(ends, rel=1e-3, abs=1e-3)
    assert np.all(np.diff(found.edges) > 0)


def test_bins_of_a_whole_gene_hold_as_many_values_each() -> None:
    found = genes.histogram(WHOLE, np.arange(2.0, 201.0))
    assert set(found.counts[:-1].tolist()) == {5}


def test_bins_of_a_logarithmic_gene_are_even_in_its_logarithm() -> None:
    widths = np.diff(np.log(genes.histogram(LogReal("x", 0.01, 1.0, 0.1), np.array([0.1])).edges))
    assert widths[:-1] == pytest.approx(widths[0], rel=1e-3)


def test_champions_are_marked_at_their_values_once_each() -> None:
    bars, marks = drawn(genes.chart(WHOLE, np.array([5.0, 7.0]), [(1, 5.0), (3, 5.0), (2, 7.0)], "gene"), "gene")
    assert bars["y"].sum() == 2 and bars["text"][0] == "n 2 to 6"
    assert marks["x"].tolist() == [5.0, 7.0] and marks["text"] == ["champions 1, 3: 5", "champion 2: 7"]


def test_a_restricted_choice_shows_the_options_that_are_left() -> None:
    fragment = genes.chart(TERNARY.restricted(("long", "both")), np.array([2.0, 2.0]), [(1, 2.0)], "gene")
    bars, marks = drawn(fragment, "gene")
    assert bars["y"].tolist() == [0, 2] and marks["x"].tolist() == [1.0]
    assert '"ticktext":["long","both"]' in fragment


def test_a_gene_that_is_fixed_is_not_searched() -> None:
    assert not genes.is_searched(WHOLE.bounded(5, 5)) and genes.is_searched(WHOLE)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(1e-4, 1e-2, [1e-4, 1e-3, 1e-2]), (0.3, 6.0, [0.5, 1.0, 2.0, 5.0]), (0.01, 0.09, [0.01, 0.02, 0.05])],
)
def test_a_logarithmic_axis_has_round_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert genes.log_ticks(low, high) == ticks


def test_no_two_of_all_families_are_drawn_alike() -> None:
    assert len(set(family_marks(isl.families()).values())) == len(isl.families())
