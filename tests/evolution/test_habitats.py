"""Islands as different worlds: each override of an island shown by what it does there, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from islands.kernels import batch
from islands.kernels.metrics import METRICS
from worlds import links, play, tiny_bars, tiny_market, tiny_world

import islands as isl
from islands.archipelago.machine import Commit
from islands.errors import SpecError
from islands.evolution.breeding import breed
from islands.evolution.deme import COPY, CROSSOVER, CROSSOVER_MUTATION, MUTATION, Deme
from islands.evolution.island import Answer, advance_epoch, survive, try_settings
from islands.evolution.world import World, costs_of

APART = {"archipelago.topology": "none"}
THREE = {"instruments": {"a": {}, "b": {}, "c": {}}}


def world_with(own: dict[str, Any], changes: dict[str, Any] | None = None) -> World:
    """Two islands that do not know each other: the second differs."""
    return tiny_world({**APART, **(changes or {}), "archipelago.islands": [{}, own]})


def epochs(world: World, count: int = 2) -> list[list[Answer]]:
    """The answers of each island."""
    commits = play(world, count)
    return [[commit.answers[island] for commit in commits] for island in range(world.islands)]


# Every override changes its own island and leaves the other alone

OVERRIDES: dict[str, dict[str, Any]] = {
    "families": {"families": ["sma_trend"]},
    "population": {"population": 20},
    "selection": {"selection": {"tournsize": 12}},
    "crossover": {"crossover": {"rate": 0.0}},
    "mutation": {"mutation": {"rate": 1.0}},
    "operator": {"mutation": {"operator": "mutGaussian", "mu": 0.0, "sigma": 0.5, "indpb": 0.5}},
    "survival": {"survival": {"rule": "generational"}},
    "instruments": {"instruments": ["b"]},
    "train": {"train": [0.0, 0.5]},
}


@pytest.mark.parametrize("key", list(OVERRIDES))
def test_override_changes_its_own_island_and_no_other(key: str) -> None:
    same, plain = (play(world_with(own, THREE), 2) for own in (OVERRIDES[key], {}))
    first, second = ([commit.answers[island].trials.canonical() for commit in same] for island in (0, 1))
    assert first == [commit.answers[0].trials.canonical() for commit in plain]
    assert second != [commit.answers[1].trials.canonical() for commit in plain]


def test_empty_table_and_the_list_of_all_families_are_no_difference() -> None:
    families = [family.family.name for family in tiny_world().spaces]
    expected = links(play(tiny_world(APART), 2))
    for own in ([{}, {}, {}], [families] * 3, [{"families": families[::-1]}, families, {}]):
        assert links(play(tiny_world({**APART, "archipelago.islands": own}), 2)) == expected


def test_own_families_are_all_that_an_island_tries() -> None:
    first, second = epochs(world_with({"families": ["rsi_mean_reversion", "sma_trend"]}))
    assert {f for answer in first for f in answer.trials.deme.families.tolist()} == {0, 1, 2}
    assert {f for answer in second for f in answer.trials.deme.families.tolist()} == {1, 2}


def test_own_population_is_the_size_of_the_deme_in_every_epoch() -> None:
    first, second = epochs(world_with({"population": 20}), 3)
    assert [len(answer.state.deme) for answer in first] == [12] * 3
    assert [len(answer.state.deme) for answer in second] == [20] * 3


def test_own_rates_decide_what_children_are_made_by() -> None:
    quiet = {"crossover": {"rate": 0.0}, "mutation": {"rate": 1.0}}
    world = world_with(quiet)
    deme = advance_epoch(tiny_world(), 0, 1, None, []).state.deme
    bred = [np.concatenate([breed(world, i, g, deme).origins for g in range(5, 15)]) for i in (0, 1)]
    assert set(bred[0].tolist()) == {COPY, CROSSOVER, MUTATION, CROSSOVER_MUTATION}
    assert set(bred[1].tolist()) == {MUTATION}


def test_own_operator_takes_the_campaigns_rate() -> None:
    world = world_with(OVERRIDES["operator"], {"evolution.mutation": {"operator": "mutFlipBit", "indpb": 0.1, "rate": 0.3}})
    assert [habitat.evolution.mutation.operator for habitat in world.habitats] == ["mutFlipBit", "mutGaussian"]
    assert [habitat.evolution.mutation.rate for habitat in world.habitats] == [0.3, 0.3]
    assert world.habitats[1].evolution.mutation.parameters == {"mu": 0.0, "sigma": 0.5, "indpb": 0.5}


def test_own_selection_chooses_the_parents() -> None:
    quiet = {
        "evolution.crossover": {"operator": "cxTwoPoint", "rate": 0.0},
        "evolution.mutation": {"operator": "mutFlipBit", "indpb": 0.1, "rate": 0.0},
    }
    world = world_with({"selection": {"operator": "selBest"}}, quiet)
    deme = advance_epoch(tiny_world(), 0, 1, None, []).state.deme
    chosen = [breed(world, island, 5, deme).parents[:, :3].tolist() for island in (0, 1)]
    best_first = deme.births[np.lexsort((deme.births[:, 2], -deme.scores[:, 0]))].tolist()
    assert chosen[1] == best_first
    assert chosen[0] != best_first


def test_own_survival_lets_no_parent_live_on() -> None:
    world = world_with({"survival": {"rule": "generational"}})
    parents, children = (a_line(fasts, value) for fasts, value in (([2.0, 3.0], 0.9), ([4.0, 5.0], 0.1)))
    assert survive(world, 0, parents, children).genomes[:, 0].tolist() == [2.0, 3.0]
    assert survive(world, 1, parents, children).genomes[:, 0].tolist() == [4.0, 5.0]


def a_line(fasts: list[float], value: float) -> Deme:
    genomes = np.array([[fast, 50.0, 0.0, np.nan] for fast in fasts])
    births = np.array([[0, int(10 * value), slot] for slot in range(2)])
    return Deme(np.ones(2), genomes, np.array([[value, 0.0]] * 2), births)


# What an island is scored on


def test_own_instruments_are_all_that_an_island_is_scored_on() -> None:
    world = world_with({"instruments": ["c", "a"]}, THREE)
    assert [[market.name for market in habitat.markets] for habitat in world.habitats] == [["a", "b", "c"], ["a", "c"]]
    _, second = epochs(world, 1)
    deme = second[0].trials.deme
    np.testing.assert_array_equal(deme.scores, world.score([world.markets[0], world.markets[2]], deme.families, deme.genomes))
    assert not np.array_equal(deme.scores, world.score(world.markets, deme.families, deme.genomes))


@pytest.mark.parametrize(
    ("train", "first", "last"),
    [
        ([0.0, 1.0], 161, 1_200),
        ([0.0, 0.5], 161, 600),
        ([0.5, 1.0], 600, 1_200),
        ([0.25, 0.75], 300, 900),
        ([0.1, 0.9], 161, 1_080),  # the warm-up ends behind the beginning
    ],
)
def test_own_part_of_the_bars_is_scored_as_evaluate_scores_it(train: list[float], first: int, last: int) -> None:
    world = world_with({"train": train})
    (market,) = world.habitats[1].markets
    assert (market.terms.first, len(market.tape)) == (first, last)
    bars = tiny_bars()
    stop = bars.to_polars()["timestamp"][last]
    strategies = [isl.Strategy("sma_trend", fast=3, slow=20), isl.Strategy("ema_crossover", fast=3, slow=20, direction="long")]
    periods = world.markets[0].tape.periods_per_year  # of all bars of evolution: a part is no other market
    scored = isl.evaluate(
        bars.between(stop=stop),
        strategies,
        costs_of(world.spec.costs),
        periods_per_year=periods,
        score_from=first,
        closes=True,
    )
    genomes = np.vstack([world.pad(strategy.genome[None, :]) for strategy in strategies])
    scores = world.score(world.habitats[1].markets, np.array([1, 0]), genomes)
    assert scores[:, 0].tolist() == scored["sharpe"].to_list()


def test_parts_of_several_instruments_are_shares_of_each() -> None:
    world = world_with({"train": [0.5, 1.0]}, {**THREE, "pooling.rule": "minimum"})
    counts = [len(market.tape) for market in world.markets]
    assert [market.terms.first for market in world.habitats[1].markets] == [round(0.5 * count) for count in counts]
    _, second = epochs(world, 1)
    deme = second[0].trials.deme
    for row in range(0, len(deme), 7):
        space = world.spaces[int(deme.families[row])]
        genome = world.genes(int(deme.families[row]), deme.genomes[[row]])
        figures = [
            batch.population_metrics(
                space.family.signal,
                tiny_market(number).tape.head(count),
                genome,
                batch.Terms(1e-4, 5e-5, round(0.5 * count), 10_000.0, market.tape.periods_per_year, closes=True),
            )[0, METRICS.index("sharpe")]
            for number, (count, market) in enumerate(zip(counts, world.markets, strict=True))
        ]
        assert deme.scores[row, 0] == min(figures)


def test_no_island_sees_a_held_back_bar() -> None:
    world = tiny_world({**THREE, "archipelago.islands": [{"train": [0.5, 1.0]}, {"instruments": ["b"]}, {}]})
    for habitat in world.habitats:
        for market in habitat.markets:
            whole = next(m for m in world.markets if m.name == market.name)
            assert np.array_equal(market.tape.block, whole.tape.block[:, : len(market.tape)])


# Between different worlds


def test_immigrants_are_scored_in_the_world_that_they_enter() -> None:
    islands = [{"train": [0.0, 0.5]}, {"train": [0.5, 1.0]}, {"population": 20}]
    world = tiny_world({"archipelago.islands": islands})
    second = play(world, 2)[1]
    for island, answer in enumerate(second.answers):
        markets = world.habitats[island].markets
        assert answer.arrivals
        for a in answer.arrivals:
            here = world.score(markets, np.array([a.family]), np.array([a.genome]))[0]
            there = world.score(world.habitats[a.source].markets, np.array([a.family]), np.array([a.genome]))[0]
            assert tuple(here.tolist()) == a.scores
            assert tuple(there.tolist()) != a.scores


def test_everything_on_an_island_is_scored_in_its_own_world() -> None:
    islands = [{"train": [0.0, 0.5]}, {"instruments": ["b"]}, {"families": ["sma_trend"], "instruments": ["a", "c"]}]
    world = tiny_world({**THREE, "archipelago.islands": islands})
    commits = play(world, 3)
    for commit in commits:
        for island, answer in enumerate(commit.answers):
            markets = world.habitats[island].markets
            for deme in (answer.state.deme, answer.state.hall_of_fame, answer.emigrants, answer.trials.deme):
                np.testing.assert_array_equal(deme.scores, world.score(markets, deme.families, deme.genomes))
    assert arrivals(commits) > 0


def arrivals(commits: list[Commit]) -> int:
    return sum(len(answer.arrivals) for commit in commits for answer in commit.answers)


# What is refused

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown family": (
        {"families": ["sma_tren"]},
        "archipelago.islands[1]: 'sma_tren' is none of this spec's families (did you mean 'sma_trend'?); they are "
        "ema_crossover, sma_trend, rsi_mean_reversion",
    ),
    "no family": ({"families": []}, "archipelago.islands[1]: families = []: expected at least one"),
    "unknown instrument": (
        {"instruments": ["d"]},
        "archipelago.islands[1]: 'd' is none of this spec's instruments; they are a, b, c",
    ),
    "no instrument": ({"instruments": []}, "archipelago.islands[1]: instruments = []: expected at least one"),
    "parameter out of range": (
        {"mutation": {"rate": 1.5}},
        "archipelago.islands[1]: mutation.rate = 1.5: should be less than or equal to 1",
    ),
    "part the wrong way round": (
        {"train": [0.9, 0.5]},
        "archipelago.islands[1]: train = [0.9, 0.5]: expected shares of the bars of evolution, 0 <= start < stop <= 1, with "
        "bars to score behind the warm-up of 161; of a they are bars 1080 to 600",
    ),
    "part beyond the bars": (
        {"train": [0.5, 1.5]},
        "archipelago.islands[1]: train = [0.5, 1.5]: expected shares of the bars of evolution, 0 <= start < stop <= 1, with "
        "bars to score behind the warm-up of 161; of a they are bars 600 to 1800",
    ),
    "part that ends in the warm-up": (
        {"train": [0.0, 0.1], "instruments": ["b"]},
        "archipelago.islands[1]: train = [0, 0.1]: expected shares of the bars of evolution, 0 <= start < stop <= 1, with "
        "bars to score behind the warm-up of 161; of b they are bars 161 to 84",
    ),
    "unknown parameter of an operator": (
        {"selection": {"tournsiz": 3}},
        "archipelago.islands[1]: operator selTournament: no parameter 'tournsiz' (did you mean 'tournsize'?); it takes "
        "tournsize, fit_attr",
    ),
    "parameter that an operator fails with": (
        {"selection": {"tournsize": 0}},
        "archipelago.islands[1].selection: operator selTournament (tournsize = 0) fails when it is tried: ValueError: max() "
        "arg is an empty sequence; mend its parameters or the population of 12, or choose another",
    ),
    "population that an operator can not take": (
        {"selection": {"operator": "selTournamentDCD"}, "population": 14},
        "archipelago.islands[1].selection: operator selTournamentDCD (no parameters) fails when it is tried: ValueError: "
        "selTournamentDCD: k must be divisible by four if k == len(individuals); mend its parameters or the population of "
        "14, or choose another",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_island_that_can_not_be_is_refused_before_a_campaign_begins(case: str) -> None:
    own, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        try_settings(world_with(own, THREE))
    assert str(error.value).replace("max() iterable argument is empty", "max() arg is an empty sequence") == message


def test_number_of_islands_is_the_length_of_the_list() -> None:
    world = tiny_world({"archipelago.islands": [{}, ["sma_trend"], {"population": 20}, {}]})
    assert world.islands == 4
    assert [habitat.evolution.population for habitat in world.habitats] == [12, 12, 20, 12]


def test_initial_strategies_must_fit_into_the_smallest_island() -> None:
    initial = {"initial": [{"family": "sma_trend", "fast": fast, "slow": 40} for fast in (3, 5, 7, 9)]}
    with pytest.raises(SpecError, match="initial: 4 strategies do not fit into a population of 3"):
        world_with({"population": 3}, initial)
    first, second = epochs(world_with({"population": 4}, initial), 1)
    for answers in (first, second):
        founders = answers[0].trials.deme.take(range(4))
        assert founders.genomes[:, 0].tolist() == [3.0, 5.0, 7.0, 9.0]
