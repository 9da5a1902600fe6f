"""A spec resolved against tables and bars: what is refused, who holds what, who starts, and what evolution may see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.metrics import METRICS
from islands.kernels.overlays import OVERLAYS
from worlds import links, play, tiny, tiny_bars, tiny_market, tiny_world, values, world_of

import islands as isl
from islands.errors import SpecError
from islands.evaluation import Costs
from islands.evolution.world import costs_of, make_world, training_bars
from islands.market.tape import Tape
from islands.spec import ONLY
from islands.strategies.genome import LogReal

NAMES = [part["name"] for part in values()["families"]]


def sma(**genes: Any) -> dict[str, Any]:
    return {"families": [{"name": "sma_trend", "genes": genes}]}


def start(**strategy: Any) -> dict[str, Any]:
    return {"initial": [strategy]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown family": (
        {"families": [{"name": "sma_trendy"}]},
        "families.sma_trendy: no family 'sma_trendy' (did you mean 'sma_trend'?); known: " + ", ".join(isl.families()),
    ),
    "family without the column it needs": (
        {"families": [{"name": "sma_trend"}, {"name": "funding_carry"}]},
        "families.funding_carry: needs the column funding_rate, which the bars of bars do not have; join it to them (see "
        "docs/bars.md), or leave the family out",
    ),
    "unknown gene": (
        sma(fats=3),
        "families.sma_trend: family sma_trend has no gene 'fats' (did you mean 'fast'?); its genes are fast, slow, direction",
    ),
    "family twice": (
        {"families": [{"name": "sma_trend"}, {"name": "sma_trend"}]},
        "families: sma_trend is listed twice; give each family once",
    ),
    "bounds the wrong way round": (
        sma(fast=[20, 10]),
        "families.sma_trend: gene fast: the lower bound 20 lies above the upper bound 10; swap them",
    ),
    "bound that is no whole number": (sma(fast=[2.5, 10]), "families.sma_trend: gene fast = 2.5: expected a whole number"),
    "bound that the rule can't bear": (
        sma(fast=[0, 10]),
        "families.sma_trend: gene fast = 0.0: expected a number from 1 to 1e+09",
    ),
    "word for a number": (
        sma(fast="x"),
        "families.sma_trend: gene fast = 'x': expected [low, high], a value, or a table with low and high",
    ),
    "three bounds": (
        sma(fast=[1, 2, 3]),
        "families.sma_trend: gene fast = [1.0, 2.0, 3.0]: expected [low, high], a value, or a table with low and high",
    ),
    "unknown option": (
        sma(direction="up"),
        "families.sma_trend: gene direction = 'up': expected one of long, short, both",
    ),
    "no option": (
        sma(direction=[]),
        "families.sma_trend: gene direction: no option is left; allow one of long, short, both",
    ),
    "number for an option": (
        sma(direction=3),
        "families.sma_trend: gene direction = 3.0: expected options out of long, short, both",
    ),
    "constraint that no genome keeps": (
        sma(fast=[50, 60], slow=[10, 40]),
        "family sma_trend: no genome within the bounds keeps fast < slow: fast starts at 50, slow ends at 40; widen one "
        "of them",
    ),
    "logarithm of a whole gene": (
        sma(fast={"low": 2, "high": 10, "log": True}),
        "families.sma_trend: gene fast: log = true: a whole gene is searched on its lattice; leave log out",
    ),
    "broken step of a whole gene": (
        sma(fast={"low": 2, "high": 10, "step": 1.5}),
        "families.sma_trend: gene fast: step 1.5: a whole gene takes a whole step of at least 1",
    ),
    "warm-up longer than the bars of evolution": (
        sma(slow=[10, 1_199]),
        "bars: the search space needs 1199 bars of warm-up, evolution sees 1200; lower the upper bounds of the periods, "
        "hold back less, or bring more bars",
    ),
    "unknown metric": (
        {"objective.name": "sharp"},
        f"objective.name = 'sharp' (did you mean 'sharpe'?); known: {', '.join(METRICS)}",
    ),
    "no island": ({"archipelago.islands": []}, "archipelago.islands = []: expected at least one island"),
    "island without a family": (
        {"archipelago.islands": [["sma_trend"], []]},
        "archipelago.islands[1]: families = []: expected at least one",
    ),
    "island with a family that is not in the spec": (
        {"archipelago.islands": [["sma_tren"]]},
        "archipelago.islands[0]: 'sma_tren' is none of this spec's families (did you mean 'sma_trend'?); they are "
        + ", ".join(NAMES),
    ),
    "initial strategy of another family": (
        start(family="donchian"),
        "initial[0]: 'donchian' is no family of this spec; add it to families",
    ),
    "initial strategy with an unknown gene": (
        start(family="sma_trend", slo=20),
        "initial[0]: family sma_trend has no gene 'slo' (did you mean 'slow'?); its genes are fast, slow, direction; "
        "overlays are " + ", ".join(OVERLAYS),
    ),
    "initial strategy that breaks a constraint": (
        start(family="sma_trend", fast=30, slow=20),
        "initial[0]: Strategy('sma_trend', fast=30, slow=20, direction='both') breaks fast < slow of family sma_trend: "
        "fast is 30, slow is 20",
    ),
    "initial strategy outside the bounds": (
        start(family="sma_trend", fast=3, slow=100),
        "initial[0]: slow = 100 is no point of the search; the nearest is 60; widen the bounds of sma_trend or change "
        "the strategy",
    ),
    "initial strategy between two lattice points": (
        start(family="rsi_mean_reversion", entry=30.25),
        "initial[0]: entry = 30.25 is no point of the search; the nearest is 30.0; widen the bounds of "
        "rsi_mean_reversion or change the strategy",
    ),
    "initial strategy on a forbidden side": (
        {**sma(direction=["short", "both"], slow=[10, 60]), **start(family="sma_trend", direction="long")},
        "initial[0]: direction = long is no point of the search; the nearest is short; widen the bounds of sma_trend or "
        "change the strategy",
    ),
    "more initial strategies than individuals": (
        {"initial": [{"family": "sma_trend"}] * 13},
        "initial: 13 strategies do not fit into a population of 12; raise evolution.population",
    ),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_spec_that_no_world_can_carry_out_is_refused(case: str) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(SpecError) as error:
        tiny_world(changes)
    assert str(error.value) == message


def test_warmup_that_leaves_two_bars_is_accepted() -> None:
    world = tiny_world(sma(slow=[10, 1_198]))
    assert (world.warmup, len(world.markets[0].tape)) == (1_198, 1_200)


def test_held_back_bars_are_cut_off_the_end() -> None:
    world, bars = tiny_world({"bars.held_back": 0.25}), tiny_bars()
    (market,) = world.markets
    assert len(market.tape) == 1_125
    assert np.array_equal(market.tape.block, bars.tape.block[:, :1_125])


@pytest.mark.parametrize(
    ("share", "bars", "seen"), [(0.2, 100, 80), (0.0, 10, 10), (0.5, 111, 55), (0.5, 113, 57), (0.2, 6_225, 4_980)]
)
def test_training_bars_are_what_the_rounded_share_leaves(share: float, bars: int, seen: int) -> None:
    tape = isl.synthetic("gbm", bars=bars).tape
    assert training_bars(tiny({"bars.held_back": share}), {ONLY: tape}) == {ONLY: seen}


# Several instruments are cut at one instant


def calendar(start: str, step: str, bars: int) -> Tape:
    return isl.synthetic("gbm", bars=bars, step=step, start=start).tape


def cut(**tapes: Tape) -> dict[str, int]:
    return training_bars(tiny({"bars.held_back": 0.2}), tapes)


def test_instruments_of_one_calendar_keep_the_share_that_one_alone_keeps() -> None:
    assert cut(a=calendar("2020-01-01", "1h", 100), b=calendar("2020-01-01", "1h", 100)) == {"a": 80, "b": 80}


def test_the_first_to_reach_its_share_decides_for_all() -> None:
    early, late = calendar("2020-01-01", "1h", 100), calendar("2020-01-01 10:00", "1h", 200)
    assert cut(early=early, late=late) == {"early": 80, "late": 70}
    assert cut(late=late, early=early) == {"late": 70, "early": 80}


def test_a_day_that_holds_the_cut_is_held_back_with_all_its_hours() -> None:
    """480 hours reach their share after 384, at the beginning of a day; 475 after 380, at 20:00 of the sixteenth day."""
    days = calendar("2020-01-01", "1d", 40)
    assert cut(hours=calendar("2020-01-01", "1h", 480), days=days) == {"hours": 384, "days": 16}
    assert cut(hours=calendar("2020-01-01", "1h", 475), days=days) == {"hours": 360, "days": 15}


def test_nothing_held_back_cuts_nothing() -> None:
    tapes = {"a": calendar("2020-01-01", "1h", 100), "b": calendar("2021-01-01", "1d", 50)}
    assert training_bars(tiny({"bars.held_back": 0.0}), tapes) == {"a": 100, "b": 50}


def test_instrument_that_begins_after_the_cut_is_refused() -> None:
    with pytest.raises(SpecError) as error:
        cut(old=calendar("2010-01-01", "1d", 100), young=calendar("2020-01-01", "1d", 50))
    assert str(error.value) == (
        "instruments: bars are held back from one instant on, here where old reaches its last 0.2; that leaves none of "
        "the 50 bars of young to evolution; give another instant as bars.held_back_from, cut them to a common period "
        "(Bars.between), or hold nothing back"
    )


def test_bars_are_held_back_from_a_date_on() -> None:
    tapes = {"old": calendar("2010-01-01", "1d", 100), "young": calendar("2010-03-01", "1h", 500)}
    spec = tiny({"bars.held_back_from": "2010-03-10"})
    assert training_bars(spec, tapes) == {"old": 68, "young": 9 * 24}
    assert training_bars(spec, {ONLY: tapes["old"]}) == {ONLY: 68}
    assert spec.identity()["bars"] == {"held_back": 0.2, "held_back_from": "2010-03-10"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("2010-02-01", "leaves nothing of young to evolution; choose an instant inside its bars, after 2010-03-01 00:00 UTC"),
        ("2012-01-01", "leaves all of old to evolution"),
        ("soon", "is not a date or time"),
    ],
)
def test_a_date_that_leaves_nothing_on_one_side_is_refused(given: str, words: str) -> None:
    tapes = {"old": calendar("2010-01-01", "1d", 100), "young": calendar("2010-03-01", "1h", 500)}
    with pytest.raises(SpecError, match=words):
        training_bars(tiny({"bars.held_back_from": given}), tapes)


@st.composite
def calendars(draw: st.DrawFn) -> list[Tape]:
    """Up to four instruments whose bars open at irregular whole minutes of one and a half days."""
    times = draw(st.lists(st.sets(st.integers(0, 2_000), min_size=5, max_size=60), min_size=2, max_size=4))
    tapes = []
    for minutes in times:
        block = np.ones((6, len(minutes)))
        block[0] = np.array(sorted(minutes)) * 60e6
        tapes.append(Tape(block))
    return tapes


@given(calendars(), st.floats(0.05, 0.5))
@examples(200)
def test_no_held_back_bar_of_any_instrument_precedes_a_training_bar_of_another(tapes: list[Tape], share: float) -> None:
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("islands.evolution.world.LEAST_HELD_BACK", 0)  # these are few bars
            seen = training_bars(tiny({"bars.held_back": share}), {str(i): tape for i, tape in enumerate(tapes)})
    except SpecError as error:
        assert "that leaves none of the" in str(error)
        return
    counts = list(seen.values())
    assert all(0 < count < len(tape) for count, tape in zip(counts, tapes, strict=True))
    last_seen = max(tape.timestamps[count - 1] for count, tape in zip(counts, tapes, strict=True))
    first_held_back = min(tape.timestamps[count] for count, tape in zip(counts, tapes, strict=True))
    assert last_seen < first_held_back
    for count, tape in zip(counts, tapes, strict=True):  # no instrument gives more than its share would
        assert count <= len(tape) - round(len(tape) * share) or round(len(tape) * share) == 0


def test_instruments_stand_in_the_order_of_the_spec_in_whatever_order_their_bars_come() -> None:
    """A mean adds figures up in that order, which decides its last bit."""
    spec = tiny({"instruments": {"b": {}, "a": {}, "c": {}}})
    bars = {name: tiny_market(number) for number, name in enumerate("abc")}
    worlds = [world_of(spec, {name: bars[name] for name in names}) for names in ("abc", "cba", "bac")]
    assert [[market.name for market in world.markets] for world in worlds] == [["b", "a", "c"]] * 3
    assert len({links(play(world, 1))[-1] for world in worlds}) == 1


# Terms and search space


def test_all_islands_are_scored_from_the_largest_warmup_of_the_search_space() -> None:
    assert tiny_world().warmup == 161  # 8 x 20 + 1 of RSI; 3.5 x 40 of the EMA; 60 of the SMA
    assert tiny_world({"archipelago.islands": [["sma_trend"]], "archipelago.topology": "none"}).warmup == 161


def test_terms_are_those_of_the_spec() -> None:
    terms = tiny_world({"account.initial_cash": 5.0, "account.periods_per_year": 252.0}).markets[0].terms
    assert (terms.fee, terms.slippage, terms.initial_cash, terms.periods_per_year) == (1e-4, 5e-5, 5.0, 252.0)
    assert tiny_world().markets[0].terms.periods_per_year == pytest.approx(8_766.0)
    assert costs_of(tiny().costs) == Costs(fee=1e-4, slippage=5e-5)


def test_a_number_of_islands_hold_every_family_each() -> None:
    assert [h.holdings for h in tiny_world({"archipelago.islands": 2}).habitats] == [(0, 1, 2), (0, 1, 2)]


def test_listed_islands_hold_what_is_listed_in_the_order_of_the_spec() -> None:
    islands = [["rsi_mean_reversion", "ema_crossover"], ["sma_trend", "sma_trend"]]
    world = tiny_world({"archipelago.islands": islands, "archipelago.topology": "none"})
    assert [h.holdings for h in world.habitats] == [(0, 2), (1,)]


def test_initial_strategies_become_genomes_of_their_family() -> None:
    initial = [
        {"family": "sma_trend", "fast": 5, "slow": 40, "direction": "long"},
        {"family": "ema_crossover", "fast": 4, "slow": 30, "band": 0.0033},
    ]
    (first, sma_genome), (second, ema_genome) = tiny_world({"initial": initial}).initial
    assert (first, sma_genome.tolist()) == (1, [5.0, 40.0, 0.0])
    assert (second, ema_genome.tolist()) == (0, [4.0, 30.0, pytest.approx(0.0033, abs=1e-15), 2.0])


def test_bounds_of_the_spec_become_the_search_space() -> None:
    genes = {
        "fast": 7,
        "slow": {"low": 10, "high": 60, "step": 10},
        "band": {"low": 1e-4, "high": 1e-2, "log": True},
        "direction": ["both", "long"],
    }
    world = tiny_world({"families": [{"name": "ema_crossover", "genes": genes}]})
    fast, slow, band, direction = world.spaces[0].genes
    assert (fast.low, fast.high) == (7.0, 7.0)
    assert (slow.low, slow.high, slow.step) == (10.0, 60.0, 10.0)
    assert (type(band), band.low, band.high) == (LogReal, 1e-4, 1e-2)
    assert direction.allowed == (0, 2)


def test_padding_is_nan_and_comes_off_again() -> None:
    world = tiny_world()
    genomes = np.array([[3.0, 20.0, 2.0]])
    padded = world.pad(genomes)
    assert padded.shape == (1, world.width) == (1, 4)
    assert np.isnan(padded[0, 3])
    assert np.array_equal(world.genes(1, padded), genomes)
    assert world.strategy(1, padded[0]) == isl.Strategy("sma_trend", fast=3, slow=20)


def test_scores_of_mixed_families_are_the_backtests_on_the_bars_of_evolution() -> None:
    world, bars = tiny_world({"limits.min_trades": 10_000}), tiny_bars()
    strategies = [isl.Strategy("sma_trend", fast=3, slow=20), isl.Strategy("ema_crossover", fast=3, slow=20)] * 2
    genomes = np.vstack([world.pad(s.genome[None, :]) for s in strategies])
    scores = world.score(world.markets, np.array([1, 0, 1, 0]), genomes)
    seen = bars.between(stop=bars.to_polars()["timestamp"][len(world.markets[0].tape)])
    for strategy, (value, violation) in zip(strategies, scores.tolist(), strict=True):
        figures = isl.backtest(seen, strategy, costs_of(world.spec.costs), score_from=world.warmup).metrics
        assert value == figures["sharpe"]
        assert violation == (10_000 - figures["trades"]) / 10_000


def test_make_world_sees_nothing_but_the_tape_it_is_given() -> None:
    spec, bars = tiny(), tiny_bars()
    seen = make_world(spec, {ONLY: bars.tape.head(900)}).markets[0].tape
    assert seen.fingerprint == bars.tape.head(900).fingerprint
