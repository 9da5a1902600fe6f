"""Campaigns after several objectives, and campaigns whose islands differ, stand still and seldom meet: one result each."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from islands.kernels.metrics import METRICS
from worlds import links, play, tiny, tiny_bars, tiny_world

import islands as isl
from islands.archipelago import codec
from islands.archipelago.journal import Journal
from islands.evolution.deme import Trials
from islands.evolution.island import advance_epoch
from islands.evolution.world import costs_of

BOTH: dict[str, Any] = {
    "objective": [{"name": "total_return"}, {"name": "volatility", "goal": "min", "reference": 2.0}],
    "limits.min_trades": 3,
    "evolution.epochs": 8,
    "evolution.selection": {"operator": "selTournamentDCD"},
    "stagnation": [{"epochs": 2, "rule": "mutate", "factor": 3.0}],
}
SELDOM: dict[str, Any] = {  # everything that may tell one way of running from another
    "evolution.epochs": 9,
    "migration": {"emigrants": 2, "interval": 3, "delay": 2, "selection": "tournament", "replacement": "similar"},
    "archipelago": {
        "islands": [
            {"population": 14, "families": ["ema_crossover", "sma_trend"]},
            {"mutation": {"rate": 0.9}, "survival": {"rule": "generational", "elites": 2}},
            {"families": ["rsi_mean_reversion", "sma_trend"], "train": [0.0, 0.6]},
        ],
        "topology": {"name": "edges", "edges": [[0, 1, 0.5], [1, 2], [2, 0, 0.75], [0, 2, 0.5]]},
    },
    "stagnation": [{"epochs": 2, "rule": "reset", "share": 0.3}, {"epochs": 1, "rule": "mutate"}],
}


def reopened(campaign: isl.Campaign) -> isl.Campaign:
    return isl.Campaign.open(campaign.path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[[dict[str, Any]], isl.Campaign]:
    made: list[isl.Campaign] = []

    def create(changes: dict[str, Any]) -> isl.Campaign:
        made.append(isl.Campaign.create(tiny(changes), tmp_path / f"run-{len(made)}", bars=tiny_bars()))
        return made[-1]

    return create


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """A campaign after return and calm that was run whole."""
    campaign = isl.Campaign.create(tiny(BOTH), tmp_path_factory.mktemp("both") / "run", bars=tiny_bars())
    assert campaign.run("inline").finished
    return campaign


# Two objectives


def test_the_digest_of_two_objectives_is_that_of_the_pure_steps(both: isl.Campaign) -> None:
    assert [both.digest(e) for e in range(1, 9)] == links(play(tiny_world(BOTH), 8))
    assert both.verify() == []


def test_four_epochs_extended_by_four_are_eight(make: Callable[..., isl.Campaign], both: isl.Campaign) -> None:
    short = make(BOTH | {"evolution.epochs": 4})
    short.run("inline")
    assert short.digest() == both.digest(4)
    short.extend(8)
    reopened(short).run("inline")
    assert [short.digest(e) for e in range(9)] == [both.digest(e) for e in range(9)]
    for ask in (isl.Campaign.champions, isl.Campaign.front, isl.Campaign.history, isl.Campaign.migrations):
        assert ask(short).equals(ask(both))


def test_stopped_at_any_commit_and_resumed_two_objectives_end_the_same(
    make: Callable[..., isl.Campaign], both: isl.Campaign
) -> None:
    pieces = make(BOTH)
    for epoch in range(1, 9):
        assert reopened(pieces).run("inline", epochs=1).committed == epoch
        assert pieces.digest() == both.digest(epoch)
    assert pieces.front().equals(both.front())


def non_dominated(people: pl.DataFrame, gain: str, risk: str) -> pl.DataFrame:
    """The slow twin: nobody gains as much at as small a risk, and more of one of them; of equals in both the first born."""
    rows = people.select(gain, risk).rows()
    free = [not any(g >= gained and r <= risked and (g > gained or r < risked) for g, r in rows) for gained, risked in rows]
    age = [(generation, island, slot) for island, generation, slot in (map(int, born.split(".")) for born in people["born"])]
    first: dict[tuple[float, float], int] = {}
    for row in sorted(range(len(rows)), key=lambda row: age[row]):
        if free[row]:
            first.setdefault(rows[row], row)
    return people[sorted(first.values())]


def test_front_is_the_set_that_nobody_dominates(both: isl.Campaign) -> None:
    hall = both.hall_of_fame().unique(["family", "genome"], keep="first", maintain_order=True)
    front = both.front()
    assert front.columns == ["rank", "born", "family", "genome", "value", "violation", "total_return", "volatility"]
    assert 5 < len(front) < len(hall)
    key = ["family", "genome", "total_return", "volatility"]
    expected = non_dominated(hall, "total_return", "volatility")
    assert front.select(key).sort(key).equals(expected.select(key).sort(key))
    assert front["rank"].to_list() == list(range(1, len(front) + 1))
    assert front["value"].equals(front["total_return"].alias("value"))
    assert front["violation"].to_list() == [0.0] * len(front)


def test_front_holds_the_first_born_of_equals(make: Callable[..., isl.Campaign]) -> None:
    """Genomes that trade alike are equal in every figure; here several stand on the front's places."""
    campaign = make(BOTH | {"objective": [{"name": "total_return"}, {"name": "max_drawdown", "goal": "min"}], "seed": 2})
    campaign.run("inline")
    hall = campaign.hall_of_fame().unique(["family", "genome"], keep="first", maintain_order=True)
    front, key = campaign.front(), ["total_return", "max_drawdown"]
    equals = hall.join(front, on=key, how="semi")
    assert len(equals) > len(front), "nobody was equal to another"
    assert not front.select(key).is_duplicated().any()
    expected = non_dominated(hall, *key)
    assert sorted(front["born"]) == sorted(expected["born"])


def test_champions_of_two_objectives_are_of_the_front_its_ends_first(both: isl.Campaign) -> None:
    champions, front = both.champions(), both.front()
    assert champions.columns[:7] == [
        "rank",
        "family",
        "genes",
        "born",
        "value",
        "objective_total_return",
        "objective_volatility",
    ]
    assert champions.columns[7 : 7 + len(METRICS)] == list(METRICS)
    assert len(champions) == 5
    assert champions["genes"].to_list() == front["genome"].to_list()[:5]
    ends = {front["total_return"].max(), front["total_return"].min()}
    assert set(champions["objective_total_return"][:2]) == ends
    for row in both.champion_records():
        strategy = isl.Strategy(row["family"], **row["genes"])
        by_hand = isl.evaluate(
            isl.Bars("seen", both.world.markets[0].tape), [strategy], costs_of(both.spec.costs), score_from=both.world.warmup
        )
        assert row["objectives"] == {name: by_hand[name][0] for name in ("total_return", "volatility")}


def resealed(campaign: isl.Campaign, number: int, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a blob of a commit and every hash that names it, so that only the chain of digests can tell."""
    journal = Journal(campaign.path)
    entry = journal.read_entry(number)
    part = "states" if kind == "blob" else "trials"
    place, _ = getattr(entry, kind)
    record = codec.unpack(part, (campaign.path / place).read_bytes(), place)
    change(record)
    data = codec.pack(part, {key: value for key, value in record.items() if key not in ("kind", "schema")})
    (campaign.path / place).write_bytes(data)
    path = campaign.path / f"journal/{number:08d}"
    body = codec.unseal("entry", path.read_bytes(), "entry")
    body[kind] = [place, hashlib.sha256(data).hexdigest()]
    path.write_bytes(codec.seal("entry", {key: value for key, value in body.items() if key not in ("kind", "schema")}))


def another_parent(record: dict[str, Any]) -> None:
    part = record["islands"][1]
    trials = codec.unpack_trials(part["trials"])
    parents = trials.parents.copy()
    parents[-1, 0] += 1
    part["trials"] = codec.pack_trials(Trials(trials.deme, trials.origins, parents))


def another_count(record: dict[str, Any]) -> None:
    record["islands"][0]["stagnant"] += 1


@pytest.mark.parametrize(("kind", "change"), [("segment", another_parent), ("blob", another_count)])
def test_a_parent_or_a_count_exchanged_with_every_hash_is_found(
    kind: str, change: Callable[[dict[str, Any]], None], both: isl.Campaign, tmp_path: Path
) -> None:
    shutil.copytree(both.path, tmp_path / "copy")
    campaign = isl.Campaign.open(tmp_path / "copy")
    resealed(campaign, 8, kind, change)
    (problem,) = campaign.verify()
    assert problem.startswith("commit 8: its blobs give digest ")
    assert problem.endswith(f"it says {both.digest()[:12]}")


# Islands that differ, stand still, and seldom meet


@pytest.fixture(scope="module")
def seldom(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    campaign = isl.Campaign.create(tiny(SELDOM), tmp_path_factory.mktemp("seldom") / "run", bars=tiny_bars())
    assert campaign.run("inline").finished
    return campaign


def test_everything_that_could_differ_happened(seldom: isl.Campaign) -> None:
    """The tests below are worth what this campaign goes through."""
    migrations, history = seldom.migrations(), seldom.history()
    assert set(migrations["left"]) == {3, 6}
    assert set(migrations["epoch"]) == {5, 8}
    assert "accepted" in set(migrations["outcome"])
    open_ways = set(migrations.select("source", "target", "epoch").rows())
    assert len(open_ways) < 4 * 2, "no weighted edge was ever closed"
    assert set(migrations["weight"]) > {1.0}
    assert {"mutate", "reset+mutate"} <= set(history["stagnation_rule"])


@pytest.mark.slow
def test_run_in_one_go_and_in_slices_of_one_epoch_are_the_same(make: Callable[..., isl.Campaign], seldom: isl.Campaign) -> None:
    assert [seldom.digest(e) for e in range(1, 10)] == links(play(tiny_world(SELDOM), 9))
    slices = make(SELDOM)
    for epoch in range(1, 10):
        reopened(slices).run("inline", epochs=1)
        assert slices.digest() == seldom.digest(epoch)
    for ask in (isl.Campaign.history, isl.Campaign.migrations, isl.Campaign.trials, isl.Campaign.champions):
        assert ask(slices).equals(ask(seldom))
    assert slices.verify() == []


def test_a_step_is_a_pure_function_also_where_an_island_stands_still() -> None:
    world = tiny_world(SELDOM)
    state = None
    for epoch in range(1, 5):
        once, again = (advance_epoch(world, 1, epoch, state, []) for _ in range(2))
        assert once.state.deme.canonical() == again.state.deme.canonical()
        assert once.trials.canonical() == again.trials.canonical()
        assert repr(once.generations) == repr(again.generations)
        state = once.state
