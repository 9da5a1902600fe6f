"""This user's account of bars: over all campaigns, how many strategies were tried on them, and who looked at which of them held
back. A bar that was looked at is sealed no more.

One line of JSON for each state in which a campaign was begun, stopped or judged, appended and synced; of an opening before
anybody looks. The file is `register.jsonl` in the data folder of this user (XDG_DATA_HOME, or ~/.local/share), under
strategy-islands, or what the environment variable ISLANDS_REGISTER names.

Bars are known by what their closes do, not by their file: by runs of `RUN` moves, without the times, so that they are found
again where they were cut otherwise, their prices scaled, their clock shifted, or bars without a move left out. A few hundred
of these runs, chosen by hash (the bottom-k sketch of Broder, On the resemblance and containment of documents, 1997), stand
for all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from islands.archipelago import ledger
from islands.archipelago.journal import Journal
from islands.errors import CorruptCampaign, IslandsWarning, NotACampaign
from islands.market.tape import Tape

SKETCH = 256
"""Runs that stand for an instrument's; two periods that share a hundredth of their bars share some of these."""

MOST_SKETCHED = 16 * SKETCH
"""Runs that stand for all instruments of a campaign, of which each then has fewer, 16 at least."""

RUN = 16
"""Moves of the close in a row, a power of two; two markets do not make the same ones by chance."""

MOVE = 1e-6
"""Moves are told apart by this share of the price; a smaller one is none."""


@dataclass(frozen=True)
class Opening:
    """A campaign (its manifest's hash) in one state (digest, epoch): how many trials it had, on which bars, and whether it
    looked at those it held back.

    trials: distinct ones in its ledger, those of its ancestors among them. first, last: the ends of the bars that it held
    back, or of all where there are none, microseconds since the Unix epoch. sketch, seen: of what it held back and of what
    it was evolved on, over all instruments. ancestors: of a fork, those it descends from, the oldest first; inherited: how
    many of the trials were theirs, as of where each was left. origin: the digest of its first commit, or of the first that
    is whole, which all copies of a search have, whatever their names and lengths. champions: keys of those that were judged,
    see `key_of`. fold_of: of a fold, the campaign that it belongs to. looked: whether it opened what it held back.
    """

    campaign: str
    digest: str
    name: str
    folder: str
    trials: int
    opened_at: float
    first: int
    last: int
    sketch: tuple[int, ...]
    ancestors: tuple[str, ...] = ()
    origin: str = ""
    champions: tuple[str, ...] = ()
    seen: tuple[int, ...] = ()
    epoch: int = 0
    inherited: tuple[int, ...] = ()
    fold_of: str = ""
    looked: bool = True

    def is_kin(self, other: Opening) -> bool:
        """Whether it is the same campaign's, or they are forks of one, or one of the other."""
        return not {self.campaign, *self.ancestors}.isdisjoint({other.campaign, *other.ancestors})

    def is_shown_by(self, other: Opening) -> bool:
        """Whether bars that this one holds back were looked at by the other, which may also have been evolved on them."""
        bred = not other.fold_of and not self.is_kin(other)  # whose split is this one's
        return not set(self.sketch).isdisjoint((*other.sketch * other.looked, *other.seen * bred))

    def shares_trials(self, other: Opening) -> bool:
        """Whether the other was evolved on bars that this one has, on either side."""
        return not {*self.sketch, *self.seen}.isdisjoint(other.seen)

    def is_same_look(self, other: Opening) -> bool:
        """Whether it shows nothing new: the same campaign in the same state, wherever it was computed."""
        return self.campaign == other.campaign and self.digest == other.digest

    def shares(self) -> dict[str, int]:
        """Trials by the campaign that made them, its own and each ancestor's: what a fork inherits is its ancestor's."""
        ends = (*self.inherited, self.trials)
        return {who: end - start for who, start, end in zip((*self.ancestors, self.campaign), (0, *ends), ends, strict=False)}


def key_of(family: str, genes: Mapping[str, Any]) -> str:
    """What a strategy is known again by: a hash of its family's name and of its genes, overlays among them.

    Numbers count to nine digits, so that one that was written down and read again is the same.
    """
    told = {name: value if isinstance(value, str) else f"{value:.9g}" for name, value in genes.items()}
    return hashlib.sha256(json.dumps([family, told], sort_keys=True).encode()).hexdigest()[:32]


def place() -> Path:
    """Where this user's register is."""
    given = os.environ.get("ISLANDS_REGISTER")
    if given:
        return Path(given)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "strategy-islands" / "register.jsonl"


def sketch(tapes: Iterable[Tape]) -> tuple[int, ...]:
    """The smallest hashes of each tape's runs of moves, `SKETCH` or fewer, see `MOST_SKETCHED`. Of a tape with fewer moves
    than `RUN` the runs are shorter, of one without any there are none. Beside them stand as many hashes of single bars, by
    which lines of an older version know theirs: what they opened stays opened."""
    given = list(tapes)
    most = max(16, min(SKETCH, MOST_SKETCHED // max(1, len(given))))
    marks = (kind(tape) for tape in given for kind in (_runs, _bars))
    return tuple(sorted({mark for found in marks for mark in np.unique(found)[:most].tolist()}))


def _runs(tape: Tape) -> np.ndarray:
    """Hashes of each run of moves: of two neighbours, then of two such pairs, and so on."""
    close = tape.block[4]
    moves = np.rint((close[1:] / close[:-1] - 1.0) / MOVE)
    marks = _mixed(moves[moves != 0.0].view(np.uint64))
    width = 1
    while width < RUN and len(marks) > width:
        marks = _mixed(_mixed(marks[:-width]) ^ marks[width:])
        width *= 2
    return marks


def _bars(tape: Tape) -> np.ndarray:
    """Hashes of each bar, by time, high, low and close."""
    mixed = np.zeros(len(tape), dtype=np.uint64)
    for row in (0, 2, 3, 4):
        mixed = _mixed(mixed ^ tape.block[row].view(np.uint64))
    return mixed


def _mixed(words: np.ndarray) -> np.ndarray:
    """Steele, Lea and Flood's SplitMix64 (2014): each bit of the word moves half of those of the result."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))


def lines() -> list[Opening]:
    """Every line of the register, the oldest first; one that can't be read is passed over, loudly."""
    try:
        text = place().read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(text, 1):
        if not line:
            continue
        try:
            values = json.loads(line)
            tuples = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
            found.append(Opening(**{**values, **tuples}))
        except (ValueError, TypeError, KeyError):
            warnings.warn(f"{place()}, line {number}: not readable, passed over", IslandsWarning, stacklevel=2)
    return found


def booked() -> list[Opening]:
    """Every opening in the register, the oldest first."""
    return [line for line in lines() if line.looked]


def enter(opening: Opening) -> list[Opening]:
    """Books an opening before it takes place, and returns the others that have seen bars of it, the oldest first; of one that
    was evolved on them, the newest line.

    One that shows nothing new (see `Opening.is_same_look`) is not booked twice.

    Raises:
        OSError: the register can't be read or written.
    """
    known = lines()
    if not any(opening.is_same_look(other) for other in known if other.looked):
        _append(json.dumps(asdict(opening)) + "\n")
    newest = {other.campaign: number for number, other in enumerate(known)}
    return [
        other
        for number, other in enumerate(known)
        if (other.looked or newest[other.campaign] == number) and opening.is_shown_by(other) and not opening.is_same_look(other)
    ]


def note(state: Opening) -> None:
    """Books what a campaign has tried so far, once for each of its states.

    Raises:
        OSError: the register can't be read or written.
    """
    if not is_noted(state.campaign, state.digest, state.champions):
        _append(json.dumps(asdict(state)) + "\n")


def is_noted(campaign: str, digest: str, champions: tuple[str, ...] = ()) -> bool:
    """Whether a state of a campaign is booked, with these champions where it has been judged."""
    return any((line.campaign, line.digest) == (campaign, digest) and {*champions} <= {*line.champions} for line in lines())


def tried_elsewhere(state: Opening, own: Iterable[str]) -> int:
    """How many strategies this user's other campaigns have tried on bars of this one, each campaign's once, without those
    that a fork has from its ancestors.

    own: digests of this campaign's commits. A search in one of these states, whatever its name, has tried nothing else; two
    others in the same state count once. A campaign whose folder is still there counts as of its last commit: those that were
    not booked, as their process was killed, by the rows of their ledger.

    Raises:
        OSError: the register can't be read.
    """
    newest: dict[str, Opening] = {}
    for line in lines():
        if state.shares_trials(line) and line.fold_of != state.campaign:
            former = newest.get(line.campaign)
            newest[line.campaign] = line if former is None or line.epoch >= former.epoch else former
    known = {*own}
    shares: dict[str, int] = {}
    for line in {line.digest if line.epoch else line.campaign: line for line in newest.values()}.values():
        if line.digest in known and line.epoch:
            continue
        for who, trials in line.shares().items():
            unbooked = _unbooked(line) if who == line.campaign != state.campaign else 0
            shares[who] = max(shares.get(who, 0), trials + unbooked)
    mine = state.shares()
    return sum(max(0, trials - mine.get(who, 0)) for who, trials in shares.items())


def _unbooked(line: Opening) -> int:
    """Trials that a campaign has committed in its folder since this line was written, those met again in later epochs too."""
    try:
        journal = Journal(line.folder)
        head = journal.head() if journal.manifest_hash() == line.campaign else None
        if head is None or head.epoch <= line.epoch:
            return 0
        entries = [entry for entry in journal.chain(head) if entry.epoch > line.epoch]
        return sum(len(part.trials.deme) for entry in entries for part in ledger.segments_of(journal, entry))
    except (NotACampaign, CorruptCampaign, OSError):
        return 0  # what is left of it is what is booked


def _append(line: str) -> None:
    """Adds a line of its own, whatever was left of the one before it."""
    path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # whoever wrote it died, or found no room
        data = (b"\n" if torn else b"") + line.encode()
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
