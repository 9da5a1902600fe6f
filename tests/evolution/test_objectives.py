"""Scores of an aim: pooled over instruments, within limits, against figures worked out one by one."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from islands.kernels.metrics import METRICS
from worlds import tiny, tiny_market, tiny_world, world_of

import islands as isl
from islands.errors import SpecError
from islands.evolution.objectives import POOLS, Aim, Objective, make_aim
from islands.evolution.world import costs_of
from islands.spec import CostsSpec, PoolingSpec

SHARPE, TRADES, DRAWDOWN = (METRICS.index(name) for name in ("sharpe", "trades", "max_drawdown"))
THREE = {"instruments": {"a": {}, "b": {}, "c": {}}}


def aim(goal: str = "max", limits: tuple[tuple[str, float, bool], ...] = (), **pooling: Any) -> Aim:
    return Aim((Objective("sharpe", goal),), limits, PoolingSpec(**pooling), PoolingSpec())


def tables(sharpes: list[list[float]], trades: float = 10.0, drawdown: float = 0.1) -> list[np.ndarray]:
    """Rows of METRICS for each instrument, from the Sharpe ratio of each genome on each."""
    found = []
    for row in sharpes:
        table = np.full((len(row), len(METRICS)), 0.25)
        table[:, SHARPE], table[:, TRADES], table[:, DRAWDOWN] = row, trades, drawdown
        found.append(table)
    return found


def slow_quantile(values: list[float], share: float) -> float:
    """Linear between the two nearest of the sorted values, by the book."""
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (place - below) * (ranked[above] - ranked[below])


SLOW = {
    "mean": lambda worths, share: math.fsum(worths) / len(worths),
    "median": lambda worths, share: statistics.median(worths),
    "minimum": lambda worths, share: min(worths),
    "quantile": slow_quantile,
}


def test_every_pooling_rule_has_a_slow_twin() -> None:
    assert set(SLOW) == set(POOLS)


@pytest.mark.parametrize("goal", ["max", "min"])
@pytest.mark.parametrize("instruments", [2, 3, 4, 11])
@pytest.mark.parametrize("rule", list(POOLS))
def test_pooled_score_is_that_of_the_slow_twin(rule: str, instruments: int, goal: str) -> None:
    figures = np.random.default_rng(instruments).normal(size=(instruments, 6))
    sign = 1.0 if goal == "max" else -1.0
    for share in (0.0, 0.25, 0.6, 1.0) if rule == "quantile" else (0.25,):
        scores = aim(goal, rule=rule, quantile=share).scores(tables(figures.tolist()))
        worths = [SLOW[rule]((sign * column).tolist(), share) for column in figures.T]
        np.testing.assert_allclose(scores[:, 0], sign * np.array(worths), rtol=1e-13, atol=1e-15)
        assert scores[:, 1].tolist() == [0.0] * 6


BY_HAND: dict[str, tuple[dict[str, Any], float, float]] = {  # of figures 1, 2, 4, 9: with goal max, with goal min
    "mean": ({"rule": "mean"}, 4.0, 4.0),
    "median": ({"rule": "median"}, 3.0, 3.0),
    "minimum is the worst: the largest figure where a small one is wanted": ({"rule": "minimum"}, 1.0, 9.0),
    "quantile 0 is the minimum": ({"rule": "quantile", "quantile": 0.0}, 1.0, 9.0),
    "quantile 1 is the best": ({"rule": "quantile", "quantile": 1.0}, 9.0, 1.0),
    "lower third": ({"rule": "quantile", "quantile": 1 / 3}, 2.0, 4.0),
    "between two": ({"rule": "quantile", "quantile": 0.5}, 3.0, 3.0),
    "lower quarter": ({"rule": "quantile", "quantile": 0.25}, 1.75, 5.25),
}


@pytest.mark.parametrize("case", list(BY_HAND))
def test_pooled_score_by_hand(case: str) -> None:
    pooling, largest, smallest = BY_HAND[case]
    given = tables([[4.0], [1.0], [9.0], [2.0]])
    assert aim("max", **pooling).scores(given)[0, 0] == pytest.approx(largest, abs=1e-12)
    assert aim("min", **pooling).scores(given)[0, 0] == pytest.approx(smallest, abs=1e-12)


@pytest.mark.parametrize("rule", list(POOLS))
def test_score_of_a_genome_does_not_depend_on_who_is_scored_beside_it(rule: str) -> None:
    """To the last bit: an immigrant is scored alone, and its score enters a digest."""
    figures = np.random.default_rng(0).normal(size=(23, 40))
    whole = aim(rule=rule).scores(tables(figures.tolist()))
    alone = [aim(rule=rule).scores(tables(figures[:, [j]].tolist()))[0] for j in range(40)]
    assert np.array_equal(whole, np.array(alone))


@pytest.mark.parametrize("undefined", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rule", list(POOLS))
def test_genome_undefined_on_one_instrument_is_infinitely_far_from_feasible(rule: str, undefined: float) -> None:
    scores = aim(rule=rule).scores(tables([[1.0, 2.0], [undefined, 3.0], [5.0, 4.0]]))
    assert math.isnan(scores[0, 0])
    assert scores[0, 1] == math.inf
    assert scores[1].tolist() == [pytest.approx(3.0 if rule in ("mean", "median") else scores[1, 0]), 0.0]
    assert math.isfinite(scores[1, 0])


def test_one_instrument_is_not_pooled() -> None:
    for rule in POOLS:
        assert aim(rule=rule).scores(tables([[1.5, -0.5]])).tolist() == [[1.5, 0.0], [-0.5, 0.0]]


def test_limits_hold_on_each_instrument_by_itself() -> None:
    """20 trades and 0 trades are 10 in the mean, which would do; the second instrument has none all the same."""
    limited = aim(limits=(("trades", 10.0, True), ("max_drawdown", 0.2, False)))
    many, none = tables([[1.0]], trades=20.0, drawdown=0.1), tables([[1.0]], trades=0.0, drawdown=0.3)
    assert limited.scores([*many, *many])[0, 1] == 0.0
    assert limited.scores([*many, *none])[0, 1] == pytest.approx(10 / 10 + 0.1 / 0.2)
    assert limited.scores([*none, *none])[0, 1] == pytest.approx(2 * (10 / 10 + 0.1 / 0.2))


def test_every_objective_has_a_column_pooled_by_its_own_goal() -> None:
    several = Aim(
        (Objective("sharpe", "max"), Objective("max_drawdown", "min")), (), PoolingSpec(rule="minimum"), PoolingSpec()
    )
    given = [*tables([[1.0, 3.0]], drawdown=0.1), *tables([[2.0, 0.5]], drawdown=0.4)]
    assert several.scores(given).tolist() == [[1.0, 0.4, 0.0], [0.5, 0.4, 0.0]]
    assert several.signs.tolist() == [1.0, -1.0]
    given[0][1, DRAWDOWN] = math.nan
    assert several.scores(given)[:, 2].tolist() == [0.0, math.inf]


# On real instruments


def test_score_on_several_instruments_is_the_pool_of_backtests_with_each_ones_costs() -> None:
    dear = {"fee": 2e-3, "slippage": 1e-3}
    world = tiny_world({"instruments": {"a": {}, "b": {"costs": dear}, "c": {}}, "pooling.rule": "median"})
    strategies = [isl.Strategy("sma_trend", fast=fast, slow=40) for fast in (3, 7, 12, 20)]
    genomes = np.vstack([world.pad(s.genome[None, :]) for s in strategies])
    scores = world.score(world.markets, np.array([1] * 4), genomes)
    for strategy, (value, violation) in zip(strategies, scores.tolist(), strict=True):
        sharpes = []
        for number, market in enumerate(world.markets):
            bars = tiny_market(number)
            seen = bars.between(stop=bars.to_polars()["timestamp"][len(market.tape)])
            costs = costs_of(CostsSpec(**dear) if market.name == "b" else world.spec.costs)
            sharpes.append(isl.backtest(seen, strategy, costs, score_from=world.warmup).metrics["sharpe"])
        assert (value, violation) == (statistics.median(sharpes), 0.0)


@pytest.mark.parametrize("rule", [rule for rule in POOLS if rule != "mean"])
def test_pooling_rule_changes_who_is_best(rule: str) -> None:
    pooled, mean = ({"pooling.rule": name} for name in (rule, "mean"))
    strategies = [isl.Strategy("sma_trend", fast=fast, slow=slow).genome for fast in range(2, 20) for slow in range(22, 60, 4)]
    worlds = [tiny_world({**THREE, **pooling}) for pooling in (pooled, mean)]
    first, second = (w.score(w.markets, np.array([1] * len(strategies)), w.pad(np.vstack(strategies)))[:, 0] for w in worlds)
    assert not np.array_equal(np.argsort(first), np.argsort(second))


# What is refused

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown pooling rule": (
        {"pooling.rule": "medium"},
        "pooling.rule = 'medium' (did you mean 'median'?); known: mean, median, minimum, quantile",
    ),
    "unknown metric of several": (
        {"objective": [{"name": "sharpe"}, {"name": "sortin"}]},
        "objective[1].name = 'sortin' (did you mean 'sortino'?); known: " + ", ".join(METRICS),
    ),
    "metric twice": (
        {"objective": [{"name": "sharpe"}, {"name": "sharpe", "goal": "min"}]},
        "objective: sharpe is listed twice; give each metric once",
    ),
    "metric without a natural reference": (
        {"objective": [{"name": "sharpe"}, {"name": "turnover", "goal": "min"}]},
        "objective[1] (turnover, min): needs a reference, the worst value of interest, since the hypervolume of several "
        "objectives is measured from there; give reference = ... beside its name",
    ),
    "metric with an unusual goal": (
        {"objective": [{"name": "sharpe", "goal": "min"}, {"name": "cagr"}]},
        "objective[0] (sharpe, min): needs a reference, the worst value of interest, since the hypervolume of several "
        "objectives is measured from there; give reference = ... beside its name",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_aim_that_can_not_be_is_refused(case: str) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        make_aim(tiny(changes))
    assert str(error.value) == message


REFERENCES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "natural ones": ({"objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]}, [0.0, 1.0]),
    "the limit of the drawdown": (
        {"objective": [{"name": "profit_factor"}, {"name": "max_drawdown", "goal": "min"}], "limits.max_drawdown": 0.3},
        [1.0, 0.3],
    ),
    "those given": (
        {
            "objective": [{"name": "sharpe", "reference": 0.5}, {"name": "turnover", "goal": "min", "reference": 90.0}],
            "limits.max_drawdown": 0.3,
        },
        [0.5, 90.0],
    ),
    "none for one objective": ({}, [math.nan]),
}


@pytest.mark.parametrize("case", list(REFERENCES))
def test_reference_of_each_objective(case: str) -> None:
    changes, expected = REFERENCES[case]
    assert [o.reference for o in make_aim(tiny(changes)).objectives] == pytest.approx(expected, nan_ok=True)


def test_instrument_without_own_costs_pays_the_campaigns() -> None:
    spec = tiny({"instruments": {"a": {"costs": {"fee": 0.01, "slippage": 0.02}}, "b": {}}})
    world = world_of(spec, {"a": tiny_market(0), "b": tiny_market(1)})
    assert [(m.terms.fee, m.terms.slippage) for m in world.markets] == [(0.01, 0.02), (1e-4, 5e-5)]
    assert [m.terms.periods_per_year for m in world.markets] == [m.tape.periods_per_year for m in world.markets]
    assert {m.terms.first for m in world.markets} == {world.warmup}


def test_figures_of_a_recorded_run_may_be_objectives_and_equal_those_of_a_backtest() -> None:
    world = tiny_world({"objective": [{"name": "skew", "reference": -10.0}, {"name": "cvar_5", "reference": -1.0}]})
    genomes = world.pad(world.spaces[0].founders(np.random.default_rng(3), 4))
    scores = world.score(world.markets, np.zeros(4, dtype=np.int64), genomes)
    seen = isl.Bars("seen", world.markets[0].tape)
    costs = costs_of(world.spec.costs)
    for genome, (skew, cvar, _) in zip(genomes, scores.tolist(), strict=True):
        metrics = isl.backtest(seen, world.strategy(0, genome), costs, score_from=world.warmup).metrics
        assert (metrics["skew"], metrics["cvar_5"]) == pytest.approx((skew, cvar), rel=1e-11, nan_ok=True)
