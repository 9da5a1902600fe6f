"""Segments in the fitness, and walk-forward: test bars of champions that never saw them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from islands.kernels.metrics import METRICS
from worlds import tiny, tiny_bars, tiny_world

import islands as isl
from islands.errors import SpecError
from islands.evolution.world import costs_of
from islands.folds import folds_of
from islands.market.bars import Bars

SEGMENTS = {"splits.kind": "segments", "splits.parts": 3}
FORWARD = {"splits.kind": "walk_forward", "splits.parts": 3, "evolution.epochs": 2}


def test_a_genome_is_worth_what_its_segments_are_pooled() -> None:
    """Each segment is a run of its own that starts flat, over indicators that ran over all bars before."""
    for rule, pool in (("mean", np.mean), ("median", np.median), ("minimum", np.min)):
        world = tiny_world({**SEGMENTS, "splits.rule": rule})
        whole = world.markets[0]
        first, bars = whole.terms.first, len(whole.tape)
        edges = [first + (bars - first) * part // 3 for part in range(4)]
        assert [(m.terms.first, len(m.tape)) for m in world.segments] == list(itertools.pairwise(edges))
        strategy = isl.Strategy("sma_trend", fast=5, slow=20)
        index = [space.family.name for space in world.spaces].index("sma_trend")
        genome = world.pad(world.spaces[index].genome_of(strategy)[None, :])
        scores = world.score(world.habitats[0].markets, np.array([index]), genome)
        costs = costs_of(world.spec.costs)
        each = [
            isl.backtest(Bars("b", whole.tape.head(last)), strategy, costs, score_from=begin).metrics["sharpe"]
            for begin, last in itertools.pairwise(edges)
        ]
        assert scores[0, 0] == pytest.approx(pool(each), rel=1e-12)


def test_a_campaign_over_segments_ends_in_one_digest_and_its_value_is_theirs(make: Callable[..., isl.Campaign]) -> None:
    one, resumed = make(SEGMENTS), make(SEGMENTS)
    one.run("inline")
    resumed.run("inline", epochs=1)
    resumed.run("inline")
    assert one.digest() == resumed.digest() != make().digest()
    row = one.champion_records()[0]
    strategy = isl.Strategy(row["family"], **row["genes"])
    costs = costs_of(one.spec.costs)
    values = [
        isl.backtest(Bars("b", m.tape), strategy, costs, score_from=m.terms.first).metrics["sharpe"] for m in one.world.segments
    ]
    assert row["value"] == pytest.approx(np.mean(values), rel=1e-12)
    whole = one.world.markets[0]
    expected = isl.backtest(Bars("b", whole.tape), strategy, costs, score_from=whole.terms.first).metrics["sharpe"]
    assert row["metrics"]["sharpe"] == expected


def test_instruments_are_pooled_over_their_segments() -> None:
    world = tiny_world({**SEGMENTS, "instruments": {"a": {}, "b": {}}})
    assert [market.name for market in world.segments] == ["a"] * 3 + ["b"] * 3
    tables = [np.full((1, len(METRICS)), float(value)) for value in (1, 2, 6, 10, 20, 60)]
    scores = world.aim.scores(tables, [market.name for market in world.segments])
    assert scores[0, 0] == (3 + 30) / 2


def test_an_island_of_its_own_part_has_no_segments() -> None:
    world = tiny_world({**SEGMENTS, "archipelago.islands": [{"train": [0.0, 0.5]}, {}]})
    assert [len(habitat.markets) for habitat in world.habitats] == [1, 3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"splits.parts": 3}, "splits"),
        ({"splits.kind": "walk_forward", "splits.rule": "median"}, "rule belongs to kind = 'segments'"),
        ({"splits.kind": "segments", "splits.train": 0.4}, "train belongs to kind = 'walk_forward'"),
        ({"splits.kind": "segments", "splits.rule": "worst"}, "splits.rule = 'worst'"),
    ],
)
def test_keys_that_do_nothing_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        tiny_world(changes)


def test_folds_train_on_what_lies_before_their_test_and_tests_follow_each_other() -> None:
    world = tiny_world(FORWARD)
    seen, stamps = len(world.markets[0].tape), world.markets[0].tape.timestamps
    folds = folds_of(world)
    assert [fold.number for fold in folds] == [1, 2, 3]
    assert folds[0].test_from == stamps[round(seen * 0.5)] and folds[-1].test_to == stamps[-1] + 1
    assert all(before.test_to == after.test_from for before, after in itertools.pairwise(folds))
    assert all(fold.bars["bars"].timestamps[-1] < fold.test_to for fold in folds)
    assert {int(fold.bars["bars"].timestamps[0]) for fold in folds} == {int(stamps[0])}
    rolling = folds_of(tiny_world({**FORWARD, "splits.anchored": False}))
    trained = [int(np.searchsorted(fold.bars["bars"].timestamps, fold.test_from)) for fold in rolling]
    assert set(trained) == {round(seen * 0.5)}


def changed_after(bars: Bars, bar: int) -> Bars:
    block = np.array(bars.tape.block)
    block[1:5, bar:] = block[1:5, bar:][:, ::-1] * 1.01
    return Bars(bars.name, type(bars.tape)(block))


def test_each_fold_is_evolved_on_its_training_bars_alone(make: Callable[..., isl.Campaign]) -> None:
    """Other test bars, and other bars behind them: the fold finds the same champions, and is tested otherwise."""
    campaign = make(FORWARD)
    assert campaign.run("inline").finished
    frame = campaign.out_of_sample()
    assert frame["fold"].to_list() == [1, 2, 3]
    cut = round(len(campaign.world.markets[0].tape) * 0.5)
    other = make(FORWARD, changed_after(tiny_bars(), cut))
    other.run("inline")
    first, same = campaign.folds()[0], other.folds()[0]
    assert first.digest() == same.digest()
    assert [r["genes"] for r in first.champion_records()] == [r["genes"] for r in same.champion_records()]
    assert frame["sharpe"][0] != other.out_of_sample()["sharpe"][0]
    assert campaign.folds()[1].digest() != other.folds()[1].digest()
    for fold, row in zip(campaign.folds(), frame.rows(named=True), strict=True):
        record = fold.champion_records()[0]
        strategy = isl.Strategy(record["family"], **record["genes"])
        test = len(fold.world.markets[0].tape)
        run = isl.backtest(fold.bars, strategy, costs_of(fold.spec.costs), score_from=test)
        assert row["sharpe"] == run.metrics["sharpe"]
        assert int(fold.bars.timestamps[test]) == row["from"].timestamp() * 1e6


def test_walking_forward_leaves_the_campaign_its_digest_and_the_holdout_sealed(make: Callable[..., isl.Campaign]) -> None:
    plain, campaign = make({"evolution.epochs": 2}), make(FORWARD)
    plain.run("inline")
    campaign.run("inline")
    assert plain.digest() == campaign.digest()
    held = len(campaign.world.markets[0].tape)
    assert max(int(fold.bars.timestamps[-1]) for fold in campaign.folds()) < int(campaign.bars.timestamps[held])
    assert campaign.verify() == []
    path = campaign.folds()[1].path / "manifest"
    path.write_bytes(path.read_bytes()[:-1])
    assert any("folds" in problem for problem in campaign.verify())


def test_a_walk_forward_that_was_stopped_goes_on(make: Callable[..., isl.Campaign]) -> None:
    whole, stopped = make(FORWARD), make(FORWARD)
    whole.run("inline")
    report = stopped.run("inline", epochs=2)
    assert not report.finished and "still to be finished" in report.notes[-1]
    assert len(stopped.out_of_sample()) == 0 and stopped.walk_forward_metrics() == {}
    assert stopped.run("inline").finished
    assert stopped.out_of_sample().equals(whole.out_of_sample())
    figures = stopped.walk_forward_metrics()
    np.testing.assert_equal(figures, whole.walk_forward_metrics())
    growth = np.prod(1.0 + whole.out_of_sample()["total_return"].to_numpy())
    assert figures["total_return"] == pytest.approx(growth - 1.0)


def test_parts_that_leave_nothing_to_train_on_are_refused_with_the_numbers(tmp_path: Path) -> None:
    spec = tiny({**FORWARD, "splits.train": 0.05, "splits.parts": 3})
    with pytest.raises(SpecError, match=r"test part 1 .* warm up"):
        isl.Campaign.create(spec, tmp_path / "run", tiny_bars())
