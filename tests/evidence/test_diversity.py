"""Champions are different ideas: told apart by what they hold and earn, the best of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import play, tiny_world

import islands as isl
from islands.evidence import champions, diversity
from islands.evidence.diversity import Track, alike, different, standardised
from islands.evidence.robustness import Setting

Series = np.ndarray


def correlation(one: Series, other: Series) -> float:
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return float(np.array_equal(one, other))
    return float(np.corrcoef(one, other)[0, 1])


def tracks_of(seed: int, many: int, bars: int = 60) -> tuple[list[tuple[Series, Series]], list[Track]]:
    """Mixtures of three ideas, some held or earned without a move."""
    rng = np.random.default_rng(seed)
    ideas = rng.normal(size=(3, bars))
    raw = []
    for _ in range(many):
        positions, returns = (np.sign(mix @ ideas + 0.3 * rng.normal(size=bars)) for mix in rng.normal(size=(2, 3)))
        if rng.random() < 0.1:
            positions[:] = rng.choice([-1.0, 1.0])
        raw.append((positions, returns * 0.01 + 0.02))
    return raw, [standardised(*pair) for pair in raw]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 25), st.integers(1, 8), st.sampled_from([0.3, 0.6, 0.9, 1.0]))
def test_taken_are_those_that_are_like_none_before(seed: int, many: int, count: int, most_alike: float) -> None:
    raw, tracks = tracks_of(seed, many)
    taken: list[int] = []
    for i, mine in enumerate(raw):
        likeness = [max(correlation(a, b) for a, b in zip(mine, raw[j], strict=True)) for j in taken]
        if len(taken) < count and all(value < most_alike - 1e-9 for value in likeness):
            taken.append(i)
    assert different(iter(tracks), count, most_alike) == taken


def test_reads_no_more_than_it_needs() -> None:
    def endless() -> object:
        yield from tracks_of(1, 2)[1]
        raise AssertionError("one track too many")

    assert different(endless(), 1, 1.0) == [0]  # type: ignore[arg-type]


def test_opposites_are_different_and_copies_are_not() -> None:
    rng = np.random.default_rng(1)
    positions, returns = rng.normal(size=(2, 50))
    one = standardised(positions, returns)
    assert alike(one, standardised(positions * 3.0 + 1.0, -returns), 1.0)
    assert alike(one, standardised(-positions, returns * 0.1), 1.0)
    assert not alike(one, standardised(-positions, -returns), 0.01)


def test_who_always_holds_the_same_is_told_by_what_it_earns() -> None:
    returns = np.random.default_rng(2).normal(size=(2, 50))
    long, short, flat = np.ones(50), -np.ones(50), np.zeros(50)
    assert alike(standardised(long, returns[0]), standardised(long, returns[1]), 0.9)
    assert not alike(standardised(long, returns[0]), standardised(short, -returns[0]), 0.9)
    assert alike(standardised(flat, flat), standardised(flat, flat), 0.9)
    assert not alike(standardised(flat, flat), standardised(long, returns[0]), 0.9)


def held_and_earned(campaign: isl.Campaign) -> list[tuple[Series, Series]]:
    """Of each champion, on the bars of evolution: decided positions, and what these earn before costs."""
    tape, first = campaign.world.markets[0].tape, campaign.world.warmup
    moves = tape.close[1:] / tape.close[:-1] - 1.0
    found = []
    for champion, _ in campaign.replays(100):
        positions = champion.strategy.positions(campaign.bars)[: len(tape)]
        found.append((positions[first:], (positions[:-1] * moves)[first - 1 :]))
    return found


def test_champions_of_a_campaign_are_different(make: Callable[..., isl.Campaign]) -> None:
    changes = {"most_alike": 0.8, "champions": 4, "evolution.population": 40, "evolution.epochs": 1}
    campaign = make(changes, isl.synthetic("gbm", bars=1_500, seed=1))
    campaign.run("inline")
    tracks = held_and_earned(campaign)
    assert len(tracks) > 1
    for i, mine in enumerate(tracks):
        for other in tracks[:i]:
            assert max(correlation(a, b) for a, b in zip(mine, other, strict=True)) < 0.8
    values = campaign.champions()["value"].to_list()
    assert values == sorted(values, reverse=True)
    assert values[0] == campaign.trials().filter(campaign.trials()["violation"] == 0.0)["value"].max()


def test_neutral_genes_make_no_second_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop at half the price never acts here: its value is a gene that a hall of fame fills up with."""
    changes = {
        "families": [{"name": "sma_trend", "genes": {"fast": 5, "slow": 20}}],
        "overlays": {"stop_loss": [0.5, 0.9]},
        "most_alike": 1.0,
    }
    world = tiny_world(changes)
    states = tuple(answer.state for answer in play(world, 2)[-1].answers)
    people = champions.candidates(world, states, demes=True)
    assert len(people) > 5
    assert [champion.values for champion in champions.select_champions(world, states)] == [tuple(people.scores[0, :-1])]
    monkeypatch.setattr(champions, "LOOKED_AT", 0)
    assert champions.select_champions(world, states) == []


def test_under_stops_a_strategy_is_told_by_what_it_held() -> None:
    bars = isl.synthetic("gbm", bars=2_000, seed=2)
    places = diversity.grounds([Setting(bars, isl.Costs(fee=1e-4), score_from=50)])
    plain, never, soon = (
        diversity.track_of(isl.Strategy("sma_trend", fast=5, slow=40, **stops), places)
        for stops in ({}, {"stop_loss": 0.9}, {"stop_loss": 0.005})
    )
    assert alike(plain, never, 0.99)
    assert not alike(plain, soon, 0.9)


def test_of_very_many_bars_every_nth_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = isl.synthetic("gbm", bars=20_000, seed=3)
    strategies = [isl.Strategy("sma_trend", fast=fast, slow=fast * 4) for fast in (5, 6, 8, 12, 20, 40)]

    def correlations() -> np.ndarray:
        tracks = [diversity.track_of(strategy, diversity.grounds([Setting(bars)])) for strategy in strategies]
        return np.array([[np.sum(a.returns * b.returns) for a in tracks] for b in tracks])

    whole = correlations()
    monkeypatch.setattr(diversity, "MOST_BARS", 2_000)
    (ground,) = diversity.grounds([Setting(bars)])
    assert set(np.diff(ground.rows)) == {11}
    assert correlations() == pytest.approx(whole, abs=0.08)


def test_instruments_are_looked_at_together() -> None:
    """Alike on one of two, with no more of the bars, is not alike."""
    bars = [isl.synthetic("gbm", bars=count, seed=count) for count in (500, 2_000)]
    places = diversity.grounds([Setting(part, score_from=10) for part in bars])
    track = diversity.track_of(isl.Strategy("sma_trend", fast=5, slow=40), places)
    assert len(track.positions) == len(track.returns) == 490 + 1_990


def test_choice_of_champions_is_no_part_of_the_digest(make: Callable[..., isl.Campaign]) -> None:
    strict, loose = (make({"most_alike": value, "evolution.epochs": 2}) for value in (0.3, 1.0))
    strict.run("inline")
    loose.run("inline")
    assert strict.digest() == loose.digest()
    assert len(strict.champions()) < len(loose.champions())
