"""The account of trials, migrations and generations: of living commits only, and of every one of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from worlds import a_deme, fake_play, play, tiny_world

from islands.archipelago import ledger
from islands.archipelago.journal import Journal
from islands.archipelago.machine import Commit, answer_digest
from islands.errors import CorruptCampaign, IslandsWarning
from islands.evolution.migration import OUTCOMES

WORLD = tiny_world()
FAMILIES = [part.name for part in WORLD.spec.families]
GENES = [(space.family.name, space.family.genes) for space in WORLD.spaces]


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
        assert [a.arrivals for a in again] == [a.arrivals for a in commit.answers]
        assert [a.generations for a in again] == [a.generations for a in commit.answers]


def test_every_trial_has_a_row_with_its_genes_in_words(journal: Journal, commits: list[Commit]) -> None:
    frame = ledger.trials(journal, GENES)
    assert frame.columns == ["epoch", "island", "born", "family", "genome", "value", "violation"]
    assert len(frame) == sum(len(answer.trials) for commit in commits for answer in commit.answers)
    trials = commits[0].answers[0].trials
    first = frame.row(0, named=True)
    strategy = WORLD.strategy(int(trials.families[0]), trials.genomes[0])
    assert first == {
        "epoch": 1,
        "island": 0,
        "born": "0.0.0",
        "family": strategy.family.name,
        "genome": " ".join(f"{name}={value}" for name, value in strategy.genes.items()),
        "value": trials.scores[0, 0],
        "violation": trials.scores[0, 1],
    }


def test_every_immigrant_has_a_row(journal: Journal, commits: list[Commit]) -> None:
    frame = ledger.migrations(journal, FAMILIES)
    arrivals = [(c.epoch, a.island, x) for c in commits for a in c.answers for x in a.arrivals]
    assert len(arrivals) == 2 * 3 * 2  # two epochs with immigrants, three islands, two emigrants
    assert frame.to_dicts() == [
        {
            "epoch": epoch,
            "source": x.source,
            "target": target,
            "family": FAMILIES[x.family],
            "born": ".".join(map(str, x.birth)),
            "outcome": OUTCOMES[x.outcome],
            "replaced": None if x.replaced is None else ".".join(map(str, x.replaced)),
        }
        for epoch, target, x in arrivals
    ]
    assert frame.filter(pl.col("outcome") == "accepted")["replaced"].null_count() == 0
    assert (frame["source"] == (frame["target"] - 1) % 3).all()


def test_every_generation_has_a_row(journal: Journal, commits: list[Commit]) -> None:
    frame = ledger.generations(journal)
    records = [(c.epoch, a.island, g) for c in commits for a in c.answers for g in a.generations]
    assert frame.rows() == [(e, i, g.generation, g.best, g.median, g.diversity, g.feasible, g.trials) for e, i, g in records]
    assert frame.filter(pl.col("island") == 1)["generation"].to_list() == [0, 1, 2, 3, 4, 5, 6]


def test_generations_of_one_commit(journal: Journal) -> None:
    whole, head = ledger.generations(journal), journal.head()
    assert head is not None
    assert ledger.generations(journal, [head]).equals(whole.filter(pl.col("epoch") == 3))


def test_empty_campaign_has_empty_frames_of_the_same_columns(tmp_path: Path, journal: Journal) -> None:
    empty = written(tmp_path, [])
    for ask in (
        ledger.generations,
        lambda j: ledger.generations(j, []),
        lambda j: ledger.migrations(j, FAMILIES),
        lambda j: ledger.trials(j, GENES),
    ):
        assert len(ask(empty)) == 0
        assert ask(empty).schema == ask(journal).schema


def test_commit_that_was_passed_over_counts_once(tmp_path: Path) -> None:
    commits = fake_play(3)
    journal = written(tmp_path, commits)
    whole = ledger.generations(journal)
    place = journal.read_entry(3).blob[0]
    (tmp_path / place).write_bytes(b"torn")
    writer = journal.acquire()
    with pytest.warns(IslandsWarning, match="passed over commit 3"):
        writer.resume()
    assert writer.commit(commits[2]).number == 4
    assert journal.numbers() == [1, 2, 3, 4]
    assert ledger.generations(journal).equals(whole)


def test_damaged_segment_is_named(tmp_path: Path) -> None:
    journal = written(tmp_path, fake_play(2))
    place = journal.read_entry(1).segment[0]
    (tmp_path / place).write_bytes(b"torn")
    with pytest.raises(CorruptCampaign, match=place):
        list(ledger.segments(journal))


def test_generation_without_anyone_feasible_has_no_best(tmp_path: Path) -> None:
    commits = play(tiny_world({"limits.min_trades": 10_000}), 1)
    frame = ledger.generations(written(tmp_path, commits))
    assert frame["best"].is_nan().all()
    assert frame["feasible"].to_list() == [0] * 9


def test_blob_that_lacks_an_island_is_noticed(tmp_path: Path) -> None:
    commit = fake_play(1)[0]
    journal = written(tmp_path, [Commit(1, commit.answers, {(1, 0): a_deme()})])
    with pytest.raises(CorruptCampaign, match="does not hold all islands of its epoch"):
        ledger.answers(journal, journal.read_entry(1))
