"""The memo of scores: nothing but the number of runs tells that it is there."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from effort import thinned
from worlds import links, play, tiny_world

from islands.evolution import memo
from islands.evolution.island import advance_epoch
from islands.evolution.world import Market, World

FEW_GENOMES = {
    "families": [{"name": "sma_trend", "genes": {"fast": [2, 8], "slow": [10, 20]}}, {"name": "rsi_mean_reversion"}],
    "evolution.population": 40,
}
WORLDS: dict[str, dict[str, Any]] = {
    "few genomes": FEW_GENOMES,
    "two objectives": {**FEW_GENOMES, "objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}]},
    "islands of different bars": {**FEW_GENOMES, "archipelago.islands": [{"train": [0.0, 0.6]}, {}, {"train": [0.4, 1.0]}]},
    "several instruments": {**FEW_GENOMES, "instruments": {"a": {}, "b": {}}},
    "a reset": {**FEW_GENOMES, "stagnation": [{"rule": "reset", "epochs": 1}]},
}


class Counted:
    """World.score with the genomes that it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[tuple[tuple[Market, ...], int, bytes]] = []
        true = World.score

        def score(world: World, markets: tuple[Market, ...], families: np.ndarray, genomes: np.ndarray) -> np.ndarray:
            keys = zip(families.tolist(), genomes, strict=True)
            self.runs += [(tuple(markets), family, genome.tobytes()) for family, genome in keys]
            return true(world, markets, families, genomes)

        monkeypatch.setattr(World, "score", score)


@pytest.mark.parametrize("most", [0, 60, 200_000], ids=["without", "often full", "never full"])
@pytest.mark.parametrize("name", thinned(WORLDS, next(iter(WORLDS))))
def test_digest_and_history_are_the_same_with_and_without(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = play(tiny_world(WORLDS[name]), 4)
    monkeypatch.setattr(memo, "MOST", most)
    found = play(tiny_world(WORLDS[name]), 4)
    assert links(found) == links(expected)
    told = [
        [repr((answer.generations, answer.arrivals)) for commit in run for answer in commit.answers]
        for run in (found, expected)
    ]
    assert told[0] == told[1]


def test_no_genome_is_run_twice_on_the_same_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    commits = play(tiny_world(FEW_GENOMES), 4)
    assert len(set(counted.runs)) == len(counted.runs)
    trials = sum(len(answer.trials) for commit in commits for answer in commit.answers)
    assert len(counted.runs) < 0.8 * trials


def test_without_room_every_trial_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "MOST", 0)
    counted = Counted(monkeypatch)
    commits = play(tiny_world(FEW_GENOMES), 4)
    assert len(counted.runs) == sum(len(answer.trials) for commit in commits for answer in commit.answers)


def test_islands_of_different_bars_know_nothing_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    world = tiny_world(WORLDS["islands of different bars"])
    play(world, 2)
    assert {markets for markets, _, _ in counted.runs} == {habitat.markets for habitat in world.habitats}
    shared = [{run[1:] for run in counted.runs if run[0] == habitat.markets} for habitat in world.habitats]
    assert shared[0] & shared[1]


def test_memo_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "MOST", 90)
    world = tiny_world(WORLDS["islands of different bars"])
    for epoch in range(1, 4):
        for island in range(3):
            advance_epoch(world, island, epoch, None, [])
            assert sum(one.register.count for one in memo._memos[world].values()) <= 90


def test_memo_goes_with_its_world() -> None:
    gc.collect()
    before = len(memo._memos)
    world = tiny_world(FEW_GENOMES)
    genomes = world.pad(world.spaces[0].repair(np.array([[3.0, 15.0, 0.0]])))
    memo.score(world, world.markets, np.zeros(1, dtype=np.int64), genomes)
    assert len(memo._memos) == before + 1
    del world
    gc.collect()
    assert len(memo._memos) == before


def test_a_run_that_failed_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = tiny_world(FEW_GENOMES)
    genomes, families = world.pad(world.spaces[0].repair(np.array([[3.0, 15.0, 0.0]]))), np.zeros(1, dtype=np.int64)
    with monkeypatch.context() as patched:
        patched.setattr(World, "score", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            memo.score(world, world.markets, families, genomes)
    expected = world.score(world.markets, families, genomes)
    assert np.array_equal(memo.score(world, world.markets, families, genomes), expected)
    assert np.array_equal(memo.score(world, world.markets, families, genomes), expected)
