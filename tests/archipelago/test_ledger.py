"""The account of trials, migrations and generations: of living commits only, and of every one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from worlds import a_deme, fake_play, play, tiny, tiny_world

from islands.archipelago import ledger
from islands.archipelago.journal import Journal
from islands.archipelago.machine import Commit, answer_digest
from islands.errors import CorruptCampaign, IslandsWarning
from islands.evolution.deme import CROSSOVER, FOUNDER, IMMIGRANT, MUTATION, ORIGINS, Deme, Trials
from islands.evolution.migration import OUTCOMES
from islands.evolution.world import World

WORLD = tiny_world()
LEGEND = ledger.legend_of(WORLD.spec)
FAMILIES = [part.name for part in WORLD.spec.families]


def written(root: Path, commits: list[Commit]) -> Journal:
    journal = Journal(root)
    journal.create({"spec": {}}, {"epochs": len(commits)})
    writer = journal.acquire()
    writer.resume()
    for commit in commits:
        writer.commit(commit)
    writer.release()
    return journal


@pytest.fixture(scope="module")
def commits() -> list[Commit]:
    return play(WORLD, 3)


@pytest.fixture(scope="module")
def journal(commits: list[Commit], tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return written(tmp_path_factory.mktemp("ledger") / "run", commits)


def test_segments_come_in_the_order_of_epochs_and_islands(journal: Journal) -> None:
    assert [(s.epoch, s.island) for s in ledger.segments(journal)] == [(e, i) for e in (1, 2, 3) for i in (0, 1, 2)]


def test_answers_put_together_again_are_those_that_were_committed(journal: Journal, commits: list[Commit]) -> None:
    for number, commit in enumerate(commits, start=1):
        again = ledger.answers(journal, journal.read_entry(number))
        assert [answer_digest(a) for a in again] == [answer_digest(a) for a in commit.answers]
        for name in ("arrivals", "generations"):  # in words, since what pads a genome is NaN
            assert repr([getattr(a, name) for a in again]) == repr([getattr(a, name) for a in commit.answers])


def words(world: World, family: int, genome: Any) -> str:
    """A genome as the frames write it."""
    return " ".join(f"{name}={value}" for name, value in world.strategy(family, np.array(genome)).genes.items())


def dotted(birth: Any) -> str | None:
    return None if birth is None or birth[0] < 0 else ".".join(map(str, birth))


def test_every_trial_has_a_row_with_its_genes_in_words_and_its_parents(journal: Journal, commits: list[Commit]) -> None:
    frame = ledger.trials(journal, LEGEND)
    expected = [
        {
            "epoch": commit.epoch,
            "island": answer.island,
            "born": dotted(tried.deme.births[row].tolist()),
            "family": FAMILIES[tried.deme.families[row]],
            "genome": words(WORLD, int(tried.deme.families[row]), tried.deme.genomes[row]),
            "value": tried.deme.scores[row, 0],
            "violation": tried.deme.scores[row, 1],
            "origin": ORIGINS[tried.origins[row]],
            "parent": dotted(tried.parents[row, :3].tolist()),
            "mate": dotted(tried.parents[row, 3:].tolist()),
        }
        for commit in commits
        for answer in commit.answers
        for tried in [answer.trials]
        for row in range(len(tried))
    ]
    np.testing.assert_equal(frame.to_dicts(), expected)  # to which NaN equals NaN
    by_origin = dict(frame.group_by("origin").agg(pl.col("parent", "mate").null_count() / pl.len()).rows_by_key("origin"))
    assert {origin: nulls[0] for origin, nulls in by_origin.items()} == {
        "founder": (1.0, 1.0),
        "immigrant": (1.0, 1.0),
        "crossover": (0.0, 0.0),
        "mutation": (0.0, 1.0),
        "crossover and mutation": (0.0, 0.0),
    }
    assert frame["parent"].drop_nulls().is_in(frame["born"].implode()).all()


RULES = {
    "best": {"selection": "best", "replacement": "worst", "topology": "ring", "weight": 1.0},
    "others": {"selection": "tournament", "replacement": "random", "topology": "edges", "weight": 0.75},
}
OTHERS = {
    "migration": {"emigrants": 2, "selection": "tournament", "replacement": "random", "delay": 2, "interval": 2},
    "archipelago": {"islands": 2, "topology": {"name": "edges", "edges": [[0, 1, 0.75], [1, 0, 0.75]]}},
    "objective": [{"name": "total_return"}, {"name": "max_drawdown", "goal": "min"}],
}


@pytest.mark.parametrize(("case", "changes", "epochs"), [("best", {}, 3), ("others", OTHERS, 8)])
def test_every_immigrant_has_a_row(case: str, changes: dict[str, Any], epochs: int, tmp_path: Path) -> None:
    world = tiny_world(changes)
    commits = play(world, epochs)
    frame = ledger.migrations(written(tmp_path, commits), ledger.legend_of(world.spec))
    names = [objective.name for objective in world.aim.objectives]
    assert frame.to_dicts() == [
        {
            "epoch": commit.epoch,
            "left": commit.epoch - world.spec.migration.delay,
            "source": x.source,
            "target": answer.island,
            "family": FAMILIES[x.family],
            "born": dotted(x.birth),
            "genome": words(world, x.family, x.genome),
            "value": x.scores[0],
            "violation": x.scores[-1],
            **({name: x.scores[k] for k, name in enumerate(names)} if len(names) > 1 else {}),
            "outcome": OUTCOMES[x.outcome],
            "replaced": dotted(x.replaced),
            "survived": x.survived,
            **RULES[case],
        }
        for commit in commits
        for answer in commit.answers
        for x in answer.arrivals
    ]
    assert set(frame["survived"]) == {True, False}
    accepted = frame.filter(pl.col("outcome") == "accepted")
    assert accepted["replaced"].null_count() == 0
    assert frame.filter(pl.col("outcome") == "already there")["replaced"].null_count() == len(frame) - len(accepted)
    if case == "best":
        assert len(frame) == 2 * 3 * 2  # two epochs with immigrants, three islands, two emigrants
        assert (frame["source"] == (frame["target"] - 1) % 3).all()
    else:
        assert set(frame["left"]) <= {2, 4, 6}
        assert 0 < len(frame) < 3 * 2 * 2  # some edge was closed once


def test_births_of_migrants_are_those_of_the_trial_where_they_arose(journal: Journal) -> None:
    migrated, tried = ledger.migrations(journal, LEGEND), ledger.trials(journal, LEGEND)
    arose = tried.filter(pl.col("origin") != "immigrant")
    there = migrated.join(arose, on="born", suffix="_there")
    assert len(there) == len(migrated)
    assert (there["epoch_there"] <= there["left"]).all()
    assert (there["genome"] == there["genome_there"]).all()  # one search space, so nothing was repaired
    assert (there["value"] == there["value_there"]).all()
    replaced = migrated["replaced"].drop_nulls()
    assert replaced.is_in(tried["born"].implode()).all()


def test_every_generation_has_a_row(journal: Journal, commits: list[Commit]) -> None:
    frame = ledger.generations(journal, LEGEND)
    records = [(c.epoch, a.island, g) for c in commits for a in c.answers for g in a.generations]
    assert frame.rows() == [
        (e, i, g.generation, *g.best, *g.median, g.diversity, g.feasible, g.trials, g.stagnant, g.rule) for e, i, g in records
    ]
    assert frame.filter(pl.col("island") == 1)["generation"].to_list() == [0, 1, 2, 3, 4, 5, 6]


def test_generations_of_several_objectives_tell_each_and_their_hypervolume(tmp_path: Path) -> None:
    commits = play(tiny_world(OTHERS), 3)
    frame = ledger.generations(written(tmp_path, commits), ledger.legend_of(tiny(OTHERS)))
    records = [g for c in commits for a in c.answers for g in a.generations]
    assert frame.columns[-5:] == [
        "best_total_return",
        "median_total_return",
        "best_max_drawdown",
        "median_max_drawdown",
        "hypervolume",
    ]
    told = [tuple(number for pair in zip(g.best, g.median, strict=True) for number in pair) for g in records]
    assert frame.select(frame.columns[-5:-1]).rows() == told
    assert frame["hypervolume"].to_list() == [g.hypervolume for g in records]
    assert frame["best"].equals(frame["best_total_return"].alias("best"))
    last = commits[-1].answers[1].state.deme
    gained = max(last.scores[last.feasible, 0])
    drawdown = min(last.scores[last.feasible, 1])
    assert (frame["best_total_return"][-1], frame["best_max_drawdown"][-1]) == (gained, drawdown)
    assert frame["hypervolume"][-1] == pytest.approx(area(last.scores[last.feasible, :2]), rel=1e-12)


def area(points: np.ndarray) -> float:
    """What (return, drawdown) points cover from a return of 0 and a drawdown of 1, strip by strip."""
    reached = sorted({(float(gain), 1.0 - float(fall)) for gain, fall in points if gain > 0.0 and fall < 1.0}, reverse=True)
    whole, high = 0.0, 0.0
    for gain, height in reached:  # from the right: each strip adds what rises above those before
        whole += gain * max(height - high, 0.0)
        high = max(high, height)
    return whole


def test_generations_of_one_commit(journal: Journal) -> None:
    whole, head = ledger.generations(journal, LEGEND), journal.head()
    assert head is not None
    assert ledger.generations(journal, LEGEND, [head]).equals(whole.filter(pl.col("epoch") == 3))


@pytest.mark.parametrize("changes", [{}, OTHERS], ids=["one objective", "two objectives"])
def test_empty_campaign_has_empty_frames_of_the_same_columns(changes: dict[str, Any], tmp_path: Path) -> None:
    world = tiny_world(changes)
    legend = ledger.legend_of(world.spec)
    empty, full = written(tmp_path / "empty", []), written(tmp_path / "full", play(world, 3))
    for ask in (
        lambda j: ledger.generations(j, legend),
        lambda j: ledger.generations(j, legend, []),
        lambda j: ledger.migrations(j, legend),
        lambda j: ledger.trials(j, legend),
        lambda j: ledger.individuals(legend, [state.deme for state in j.position().states]),
    ):
        assert len(ask(empty)) == 0
        assert ask(empty).schema == ask(full).schema


def test_commit_that_was_passed_over_counts_once(tmp_path: Path) -> None:
    commits = fake_play(3)
    journal = written(tmp_path, commits)
    whole = ledger.generations(journal, LEGEND)
    place = journal.read_entry(3).blob[0]
    (tmp_path / place).write_bytes(b"torn")
    writer = journal.acquire()
    with pytest.warns(IslandsWarning, match="passed over commit 3"):
        writer.resume()
    assert writer.commit(commits[2]).number == 4
    assert journal.numbers() == [1, 2, 3, 4]
    assert ledger.generations(journal, LEGEND).equals(whole)


def test_damaged_segment_is_named(tmp_path: Path) -> None:
    journal = written(tmp_path, fake_play(2))
    place = journal.read_entry(1).segment[0]
    (tmp_path / place).write_bytes(b"torn")
    with pytest.raises(CorruptCampaign, match=place):
        list(ledger.segments(journal))


@pytest.mark.parametrize("damage", ["torn", "missing"])
def test_newest_commit_whose_segment_is_damaged_is_passed_over_loudly(damage: str, tmp_path: Path) -> None:
    """As by the resume that is to come; until then the account of the commits before can be read."""
    journal = written(tmp_path, fake_play(3))
    whole = ledger.generations(journal, LEGEND)
    place = tmp_path / journal.read_entry(3).segment[0]
    place.write_bytes(b"torn") if damage == "torn" else place.unlink()
    with pytest.warns(IslandsWarning, match=f"passed over commit 3: .*{place.name}"):
        assert ledger.generations(journal, LEGEND).equals(whole.filter(pl.col("epoch") < 3))


def test_generation_without_anyone_feasible_has_no_best(tmp_path: Path) -> None:
    commits = play(tiny_world({"limits.min_trades": 10_000}), 1)
    frame = ledger.generations(written(tmp_path, commits), LEGEND)
    assert frame["best"].is_nan().all()
    assert frame["feasible"].to_list() == [0] * 9


def test_blob_that_lacks_an_island_is_noticed(tmp_path: Path) -> None:
    commit = fake_play(1)[0]
    journal = written(tmp_path, [Commit(1, commit.answers, {(1, 0): a_deme()})])
    with pytest.raises(CorruptCampaign, match="does not hold all islands of its epoch"):
        ledger.answers(journal, journal.read_entry(1))


# Lineage, of families made by hand


def one(birth: str, origin: int = CROSSOVER, parent: str = "", mate: str = "", gene: float = 5.0) -> Trials:
    """The trial of one strategy of the first family."""
    genome = np.array([[gene, 20.0, 0.0, 0.0]])[:, : WORLD.width]
    births = [[int(n) for n in name.split(".")] if name else [-1, -1, -1] for name in (birth, parent, mate)]
    deme = Deme([0], WORLD.pad(genome), [[gene, 0.0]], [births[0]])
    return Trials(deme, np.array([origin]), np.array([births[1] + births[2]]))


def made_by_hand(root: Path, epochs: list[list[list[Trials]]]) -> Journal:
    """A journal of these trials, [epoch][island]; everything else of its answers is made up."""
    commits = fake_play(len(epochs), islands=len(epochs[0]))
    none = Trials.without_parents(LEGEND.nobody(), FOUNDER)
    return written(
        root,
        [
            replace(
                commit,
                answers=tuple(
                    replace(answer, trials=none.join(*tried)) for answer, tried in zip(commit.answers, islands, strict=True)
                ),
            )
            for commit, islands in zip(commits, epochs, strict=True)
        ],
    )


def told(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.select("depth", "epoch", "island", "born", "origin").rows()


def test_lineage_of_an_immigrant_that_was_repaired_shows_what_left_and_what_entered(tmp_path: Path) -> None:
    """Its genome is another one on the island where it arrived; its birth and its parents are those it left with."""
    journal = made_by_hand(
        tmp_path,
        [
            [[one("0.0.0", FOUNDER), one("0.1.0", MUTATION, "0.0.0", gene=7.0)], []],
            [[], [one("0.1.0", IMMIGRANT, gene=6.0), one("1.3.2", CROSSOVER, "0.1.0", "0.1.0", gene=9.0)]],
        ],
    )
    frame = ledger.lineage(journal, LEGEND, "1.3.2")
    assert told(frame) == [
        (0, 2, 1, "1.3.2", "crossover"),
        (1, 2, 1, "0.1.0", "immigrant"),
        (1, 1, 0, "0.1.0", "mutation"),
        (2, 1, 0, "0.0.0", "founder"),
    ]
    assert frame["genome"].str.extract(r"fast=(\d+)").to_list() == ["9", "6", "7", "5"]
    assert told(ledger.lineage(journal, LEGEND, "0.1.0")) == [
        (0, 2, 1, "0.1.0", "immigrant"),
        (0, 1, 0, "0.1.0", "mutation"),
        (1, 1, 0, "0.0.0", "founder"),
    ]


def test_lineage_takes_the_shorter_of_two_ways_to_an_ancestor_also_across_epochs(tmp_path: Path) -> None:
    journal = made_by_hand(
        tmp_path,
        [
            [[one("0.0.0", FOUNDER), one("0.0.1", FOUNDER)]],
            [[one("0.2.0", MUTATION, "0.0.0"), one("0.3.0", MUTATION, "0.2.0"), one("0.3.1", MUTATION, "0.3.0")]],
            [[one("0.5.0", CROSSOVER, "0.3.1", "0.0.0"), one("0.6.0", CROSSOVER, "0.5.0", "0.2.0")]],
        ],
    )
    depths = dict(ledger.lineage(journal, LEGEND, "0.6.0").select("born", "depth").rows())
    assert depths == {"0.6.0": 0, "0.5.0": 1, "0.2.0": 1, "0.3.1": 2, "0.0.0": 2, "0.3.0": 3}


def test_lineage_shows_travels_of_an_ancestor_after_its_child_was_born(tmp_path: Path) -> None:
    journal = made_by_hand(
        tmp_path,
        [
            [[one("0.0.0", FOUNDER), one("0.1.0", MUTATION, "0.0.0")], []],
            [[], [one("0.0.0", IMMIGRANT)]],
        ],
    )
    assert told(ledger.lineage(journal, LEGEND, "0.1.0")) == [
        (0, 1, 0, "0.1.0", "mutation"),
        (1, 2, 1, "0.0.0", "immigrant"),
        (1, 1, 0, "0.0.0", "founder"),
    ]


def test_legend_says_what_the_world_says() -> None:
    for changes in ({}, OTHERS, {"archipelago": {"islands": 6, "topology": {"name": "random_k", "k": 2}}}):
        world, legend = tiny_world(changes), ledger.legend_of(tiny(changes))
        assert legend.nobody().genomes.shape == (0, world.width)
        assert legend.nobody().scores.shape == (0, len(world.signs) + 1)
        assert legend.topology == world.topology
        assert legend.spaces == world.spaces
