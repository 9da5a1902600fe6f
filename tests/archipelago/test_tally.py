"""How many strategies were tried: counted in one register or by way of files, against sets of keys."""

from __future__ import annotations

import dataclasses
import errno
import resource
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from worlds import fake_play

from islands.archipelago import ledger, tally
from islands.archipelago.journal import Journal
from islands.archipelago.machine import Commit
from islands.archipelago.storage import Disk, Folder
from islands.errors import CorruptCampaign
from islands.evolution.deme import CROSSOVER, FOUNDER, IMMIGRANT, Deme, Trials

WIDTH = 2
Row = tuple[int, float, float, float, int, int]
"""Family, two genes, score, origin, generation."""


class Unsynced(Disk):
    """Leaves syncing out."""

    def sync(self, path: Path) -> None:
        pass


def trials_of(rows: Sequence[Row], island: int) -> Trials:
    families, first, second, scores, origins, generations = np.array(rows, dtype=float).reshape(len(rows), 6).T
    births = np.column_stack([np.full(len(rows), island), generations, np.arange(len(rows))]).astype(np.int64)
    deme = Deme(families.astype(np.int64), np.column_stack([first, second]), np.column_stack([scores, 0 * first]), births)
    return Trials(deme, origins.astype(np.int64), np.full((len(rows), 6), -1))


def kept(root: Path, epochs: Sequence[Sequence[Trials]]) -> Journal:
    """The journal of a campaign of two islands that had these trials, by epoch and island, written by a real writer."""
    journal = Journal(Folder(root, Unsynced()))
    journal.create({"spec": {}}, {"epochs": len(epochs)})
    writer = journal.acquire()
    writer.resume()
    played = fake_play(1)[0].answers
    for epoch, parts in enumerate(epochs, 1):
        answers = tuple(dataclasses.replace(a, epoch=epoch, trials=part) for a, part in zip(played, parts, strict=True))
        writer.commit(Commit(epoch, answers, {(epoch, answer.island): answer.emigrants for answer in answers}))
    writer.release()
    return journal


def counted_with_sets(journal: Journal, alike: Sequence[int], given: int) -> tuple[int, int, int, list[tuple[int, int, bytes]]]:
    """The slow twin."""
    scored, defined, known = 0, 0, set[tuple[int, int, bytes]]()
    founders: list[tuple[int, int, bytes]] = []
    for segment in ledger.segments(journal):
        people = segment.trials
        for row, key in enumerate(people.deme.keys()):
            scored += 1
            fresh, figures = (alike[segment.island], *key) not in known, people.deme.scores[row, :-1]
            known.add((alike[segment.island], *key))
            if fresh and np.isfinite(figures).all():
                defined += 1
                _, generation, slot = people.deme.births[row].tolist()
                if people.origins[row] == FOUNDER and generation == 0 and slot >= given:
                    founders.append((segment.island, *key))
    return scored, len(known), defined, sorted(founders, key=lambda founder: founder[0])  # stable


def plain(found: tally.Tally) -> tuple[int, int, int, list[tuple[int, bytes]]]:
    return found.scored, found.distinct, found.defined, [(f, genome.tobytes()) for f, genome in found.founders]


def drawn(found: tally.Tally) -> list[tuple[int, bytes]]:
    return [(family, genome.tobytes()) for family, genome in found.sample]


GENE = st.sampled_from([0.0, -0.0, 1.0, 2.5, float("nan")])
SCORE = st.sampled_from([0.5, float("nan"), float("inf")])
ROW = st.tuples(st.integers(0, 1), GENE, GENE, SCORE, st.sampled_from([FOUNDER, CROSSOVER, IMMIGRANT]), st.integers(0, 1))
LEDGER = st.lists(st.tuples(st.lists(ROW, max_size=30), st.lists(ROW, max_size=30)), min_size=1, max_size=4)


@given(epochs=LEDGER, alike=st.sampled_from([(0, 0), (0, 1), (1, 0)]), most_held=st.integers(0, 60), known=st.integers(0, 2))
@examples(60)
def test_any_number_of_files_gives_what_one_register_and_sets_give(
    epochs: list[tuple[list[tuple[int, float, float, float, int, int]], ...]],
    alike: tuple[int, int],
    most_held: int,
    known: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = kept(Path(folder), [[trials_of(rows, island) for island, rows in enumerate(parts)] for parts in epochs])
        whole = plain(tally.tally(journal, alike, WIDTH, known))
        scored, distinct, defined, founders = counted_with_sets(journal, alike, known)
        assert whole == (scored, distinct, defined, [(family, genome) for _, family, genome in founders])
        assert plain(tally.tally(journal, alike, WIDTH, known, most_held)) == whole
        for held in (most_held, tally.MOST_HELD):
            assert len(drawn(tally.tally(journal, alike, WIDTH, known, held))) == distinct  # all, where there are few


def many(count: int, epochs: int) -> list[list[Trials]]:
    """Trials of which all are distinct, a tenth are met again in the next epoch, and the first epoch's are founders."""
    draw, made = np.random.default_rng(3), []
    for epoch in range(epochs):
        fresh = np.column_stack([np.zeros(count), draw.random((count, 2)), np.ones(count), np.zeros((count, 2))])
        fresh[:, 4:] = (FOUNDER, 0) if epoch == 0 else (CROSSOVER, 1)
        again = made[-1][0].deme.genomes[: count // 10] if made else np.empty((0, 2))
        fresh[: len(again), 1:3] = again
        made.append([trials_of(fresh.tolist(), 0), trials_of([], 1)])
    return made


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    """20 epochs of 2,000."""
    return kept(tmp_path_factory.mktemp("long"), many(2_000, 20))


def test_a_sample_of_trials_knows_nothing_of_what_they_are(long: Journal) -> None:
    """It is the same however many are held at once, no trial is in it twice, and each is as likely as another."""
    one, other = (tally.tally(long, (0, 1), WIDTH, 0, held) for held in (tally.MOST_HELD, 2_000))
    assert drawn(one) == drawn(other) and len(set(drawn(one))) == tally.SAMPLED == 1_000 < one.distinct
    genomes = np.array([genome for _, genome in one.sample])
    assert np.all(np.abs(genomes.mean(axis=0) - 0.5) < 4 * 12**-0.5 / 1_000**0.5)
    founders = {genome.tobytes() for _, genome in one.founders}
    share = len(founders) / one.distinct
    count = sum(genome.tobytes() in founders for genome in genomes)
    assert abs(count - 1_000 * share) < 4 * (1_000 * share * (1 - share)) ** 0.5


def test_what_is_held_at_once_stays_under_the_bound_and_does_not_grow_with_the_ledger(
    long: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand are held: of 20 epochs a register never has more than those and an epoch's, nor is there more memory."""
    most, held, peaks = 2_000, list[int](), []
    number = tally.Register.number

    def counted(register: tally.Register, *rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer = number(register, *rows)
        held.append(register.count)
        return answer

    monkeypatch.setattr(tally.Register, "number", counted)
    for journal, epochs in ((kept(tmp_path, many(2_000, 5)), 5), (long, 20)):
        held.clear()
        tracemalloc.start()
        found = tally.tally(journal, (0, 0), WIDTH, 0, most)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (found.scored, found.distinct) == (2_000 * epochs, 2_000 * epochs - 200 * (epochs - 1))
        assert len(found.founders) == 2_000
        assert most < max(held) <= 2 * most < found.distinct
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.slow
def test_a_file_that_is_itself_too_large_is_dealt_again(long: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    depths = set[int]()
    deal = tally._deal

    def noted(rows: np.ndarray, files: list[tally.FileIO], depth: int) -> None:
        depths.add(depth)
        deal(rows, files, depth)

    monkeypatch.setattr(tally, "_deal", noted)
    assert plain(tally.tally(long, (0, 0), WIDTH, 0, 40)) == plain(tally.tally(long, (0, 0), WIDTH, 0))
    assert depths == {0, 1}


def test_rows_are_dealt_evenly_whatever_their_genes() -> None:
    """Of whole numbers, which fill the upper bits of a float alone, as of real ones."""
    grid = np.array(np.meshgrid(np.arange(2, 130), np.arange(10, 138)), dtype=float).reshape(2, -1).T
    for genomes in (grid, np.random.default_rng(1).random((16_384, 2))):
        rows = np.zeros((len(genomes), 4), dtype=np.int64)
        rows[:, 2:] = genomes.view(np.int64)
        for depth in range(3):
            counts = np.bincount(tally._digits(rows, depth).astype(np.int64), minlength=64)
            assert len(counts) == 64 and counts.max() < 1.5 * counts.mean()


def test_files_that_find_no_room_are_told_by_their_folder_and_leave_nothing(long: Journal, tmp_path: Path) -> None:
    """The operating system refuses any file to become larger than 1,000 bytes."""
    former, folder = resource.getrlimit(resource.RLIMIT_FSIZE), tempfile.tempdir
    tempfile.tempdir = str(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, former[1]))
    try:
        with pytest.raises(OSError, match="more than 2,000 distinct trials are counted by way of files") as refused:
            tally.tally(long, (0, 0), WIDTH, 0, 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        tempfile.tempdir = folder
    assert (refused.value.errno, refused.value.filename) == (errno.EFBIG, str(tmp_path))
    assert "TMPDIR" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_trials_of_another_width_or_island_are_refused(long: Journal) -> None:
    for alike, width in (((0, 0), WIDTH + 1), ((0,), WIDTH)):
        with pytest.raises(CorruptCampaign, match=f"the campaign {len(alike)} islands and {width} genes"):
            tally.tally(long, alike, width, 0)
