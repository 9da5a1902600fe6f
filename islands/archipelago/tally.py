"""How many strategies a campaign has tried: exactly, over all its living commits, each once however often it was met.

In bounded memory. Up to `MOST_HELD` distinct trials are numbered in one register. Where there are more, all are dealt into
files by hash, so that equal ones come together, and each file is counted by itself in the same way: the partitioning of
Shapiro, Join processing in database systems with large main memories (1986).
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO

import numpy as np

from islands.archipelago import ledger
from islands.archipelago.journal import Entry, Journal
from islands.errors import CorruptCampaign
from islands.evolution.deme import FOUNDER
from islands.evolution.distinct import Register

MOST_HELD = 2**20
"""Distinct trials that are numbered at once."""
DIGIT_BITS = 6
"""Bits of a hash that say into which file a row is dealt: 64 files."""
ROWS_READ = 2**16
"""Rows that are read back from a file at once."""

SAMPLED = 1_000
"""Distinct trials that stand for all: those with the smallest hashes, which know nothing of worth."""

UNDEFINED, DEFINED, FIRST_FOUNDER = 0, 1, 2
"""What marks a trial: that it lacks a figure, that it has all, and from 2 on that of a founder, which says where it stands."""

Source = Callable[[], Iterator[np.ndarray]]
"""Trials in the order of the ledger, anew whenever it is called: int64 (N, W+3), mark, family, and the bits of place and
genome as floats, where -0.0 is 0.0."""


@dataclass(frozen=True)
class Tally:
    """scored: trials in all. distinct: genomes of them, on islands scored alike once. defined: of these, with a finite value
    of every objective, infeasible ones included, or all of them. founders: (family, padded genome) of these that nobody
    chose, of generation 0. sample: the same of `SAMPLED` distinct ones whatever they came to, or of all."""

    scored: int
    distinct: int
    defined: int
    founders: tuple[tuple[int, np.ndarray], ...]
    sample: tuple[tuple[int, np.ndarray], ...] = ()


@dataclass
class _Count:
    """The same of some trials, founders and sample as their rows, the sample with its hashes in order."""

    scored: int = 0
    distinct: int = 0
    defined: int = 0
    founders: list[np.ndarray] = field(default_factory=list)
    sample: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, rows: np.ndarray, fresh: np.ndarray) -> None:
        """Counts trials. fresh: which of them are the first of their kind."""
        marks = rows[:, 0]
        self.scored += len(rows)
        self.distinct += int(np.count_nonzero(fresh))
        self.defined += int(np.count_nonzero(fresh & (marks >= DEFINED)))
        self.founders += list(rows[fresh & (marks >= FIRST_FOUNDER)])
        self._draw(_hashes(rows[fresh, 1:]), rows[fresh])

    def join(self, other: _Count) -> None:
        """Counts what was counted of other genomes."""
        self.scored += other.scored
        self.distinct += other.distinct
        self.defined += other.defined
        self.founders += other.founders
        if other.sample is not None:
            self._draw(*other.sample)

    def _draw(self, hashes: np.ndarray, rows: np.ndarray) -> None:
        """Takes these into the sample as far as their hashes are among the smallest: the bottom-k sketch of Broder, On the
        resemblance and containment of documents (1997)."""
        if self.sample is not None:
            hashes, rows = np.concatenate([self.sample[0], hashes]), np.concatenate([self.sample[1], rows])
        kept = np.argsort(hashes, kind="stable")[:SAMPLED]
        self.sample = hashes[kept], rows[kept]


def tally(
    journal: Journal,
    alike: Sequence[int],
    width: int,
    given: int,
    most_held: int = MOST_HELD,
    *,
    every: bool = False,
    until: int | None = None,
) -> Tally:
    """Reads every living segment once; where there are more than `most_held` distinct trials, the first ones twice.

    alike: a number for each island, the same for islands that are scored on the same bars in the same way. width: columns of
    a genome. given: how many known strategies start on each island, in its first slots. every: whether a trial counts as
    defined whatever it lacks. until: the last epoch that counts, by default all do.

    Raises:
        CorruptCampaign: a segment is damaged, or not of this campaign.
        OSError: trials can't be dealt into files, for want of room.
    """
    entries = [entry for entry in reversed(ledger.living(journal)) if until is None or entry.epoch <= until]
    found = _count(functools.partial(_trials, journal, entries, alike, width, given, every), width, most_held, 0)
    in_order = sorted(found.founders, key=lambda row: ((row[0] - FIRST_FOUNDER) % len(alike), row[0]))
    drawn = () if found.sample is None else found.sample[1]
    founders, sample = (tuple((int(row[1]), row[3:].view(np.float64)) for row in chosen) for chosen in (in_order, drawn))
    return Tally(found.scored, found.distinct, found.defined, founders, sample)


def _trials(
    journal: Journal, entries: Sequence[Entry], alike: Sequence[int], width: int, given: int, every: bool
) -> Iterator[np.ndarray]:
    """The trials of these commits, a segment at a time: see Source. Place: the number that islands alike have."""
    before = 0
    for segment in (segment for entry in entries for segment in ledger.segments_of(journal, entry)):
        deme, island = segment.trials.deme, segment.island
        if deme.genomes.shape[1] != width or island >= len(alike):
            raise CorruptCampaign(
                f"{journal.root}: epoch {segment.epoch} has genomes of {deme.genomes.shape[1]} genes on island {island}, the "
                f"campaign {len(alike)} islands and {width} genes; one of them comes from another: restore both from a backup"
            )
        defined = np.isfinite(deme.scores[:, :-1]).all(axis=1) | every
        founding = defined & (segment.trials.origins == FOUNDER) & (deme.births[:, 1] == 0) & (deme.births[:, 2] >= given)
        standing = np.arange(before, before + len(deme)) * len(alike) + island  # of all trials, and on which island
        rows = np.empty((len(deme), width + 3), dtype=np.int64)
        rows[:, 0] = np.where(founding, FIRST_FOUNDER + standing, np.where(defined, DEFINED, UNDEFINED))
        rows[:, 1] = deme.families
        figures = rows[:, 2:].view(np.float64)
        figures[:, 0] = alike[island]
        np.add(deme.genomes, 0.0, out=figures[:, 1:])
        before += len(deme)
        yield rows


def _count(source: Source, width: int, most_held: int, depth: int) -> _Count:
    """Counts trials, which have the first `depth` digits of their hashes in common."""
    register, found = Register(width + 1), _Count()
    for rows in source():
        _, fresh = register.number(rows[:, 1], rows[:, 2:].view(np.float64))
        found.add(rows, fresh)
        if found.distinct > most_held and (depth + 1) * DIGIT_BITS <= 64:
            del register
            return _count_dealt(source, width, most_held, depth)
    return found


def _count_dealt(source: Source, width: int, most_held: int, depth: int) -> _Count:
    """Deals trials into files by the next digit of their hashes, and counts one file after another."""
    found = _Count()
    with contextlib.ExitStack() as opened:
        with _room_for(most_held):
            files = [opened.enter_context(tempfile.TemporaryFile(buffering=0)) for _ in range(1 << DIGIT_BITS)]
        for rows in source():
            with _room_for(most_held):
                _deal(rows, files, depth)
        for file in files:
            found.join(_count(functools.partial(_dealt, file, width), width, most_held, depth + 1))
            file.close()  # which removes it
    return found


@contextlib.contextmanager
def _room_for(most_held: int) -> Iterator[None]:
    """Says what the files are for where the file system refuses them."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: more than {most_held:,} distinct trials are counted by way of files that take about as much "
            "room as the campaign's ledger; make room, or let the environment variable TMPDIR name another folder",
            tempfile.gettempdir(),
        ) from None


def _deal(rows: np.ndarray, files: Sequence[FileIO], depth: int) -> None:
    """Appends each row to the file of its digit; those of a file stay in order."""
    digits = _digits(rows[:, 1:], depth)
    order = np.argsort(digits, kind="stable")
    ends = np.searchsorted(digits[order], np.arange(1, len(files)))
    for file, part in zip(files, np.split(rows[order], ends), strict=True):
        left = memoryview(part.tobytes())
        while left:
            left = left[file.write(left) :]


def _digits(rows: np.ndarray, depth: int) -> np.ndarray:
    """The digit number `depth` of each row's hash, from the top: the register's table goes by the lowest bits."""
    return (_hashes(rows) >> np.uint64(64 - (depth + 1) * DIGIT_BITS)) & np.uint64((1 << DIGIT_BITS) - 1)


def _hashes(rows: np.ndarray) -> np.ndarray:
    """Of family, place and genome."""
    hashes = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.T:
        hashes = (hashes ^ column.view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
        hashes ^= hashes >> np.uint64(32)
    return hashes


def _dealt(file: FileIO, width: int) -> Iterator[np.ndarray]:
    """The rows of a file, from its start."""
    file.seek(0)
    while len(rows := np.fromfile(file, dtype=np.int64, count=ROWS_READ * (width + 3))):
        yield rows.reshape(-1, width + 3)
