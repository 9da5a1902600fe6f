"""This user's account of held-back bars: who opened which, over all campaigns. A bar that was looked at is sealed no more.

One line of JSON an opening, appended and synced before anybody looks. The file is `register.jsonl` in the data folder of
this user (XDG_DATA_HOME, or ~/.local/share), under strategy-islands, or what the environment variable ISLANDS_REGISTER
names. Bars are known by themselves, not by their file: a few hundred of them, chosen by hash (the bottom-k sketch of Broder,
On the resemblance and containment of documents, 1997), stand for all, so that the same ones cut elsewhere are found again.
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

from islands.errors import IslandsWarning
from islands.market.tape import Tape

SKETCH = 256
"""Bars that stand for an instrument's; two periods that share a hundredth of their bars share some of these."""


@dataclass(frozen=True)
class Opening:
    """One look at held-back bars: by which campaign (its manifest's hash) in which state (digest), after how many trials.

    first, last: the period's ends, microseconds since the Unix epoch. sketch: hashes of bars of all its instruments.
    ancestors: of a fork, those it descends from. origin: the digest of its first commit, or of the first that is whole,
    which all copies of a search have, whatever their names and lengths. champions: keys of those that were looked at, see
    `key_of`. Lines of an older version have neither.
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

    def is_kin(self, other: Opening) -> bool:
        """Whether it is the same campaign's, or they are forks of one, or one of the other."""
        return not {self.campaign, *self.ancestors}.isdisjoint({other.campaign, *other.ancestors})

    def shares_bars(self, other: Opening) -> bool:
        return not set(self.sketch).isdisjoint(other.sketch)

    def is_same_look(self, other: Opening) -> bool:
        """Whether it shows nothing new: the same campaign in the same state, wherever it was computed."""
        return self.campaign == other.campaign and self.digest == other.digest


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
    """The SKETCH smallest hashes of each tape's bars, by time, high, low and close."""
    found: list[int] = []
    for tape in tapes:
        mixed = np.zeros(len(tape), dtype=np.uint64)
        for row in (0, 2, 3, 4):
            mixed = _mixed(mixed ^ tape.block[row].view(np.uint64))
        found += np.unique(mixed)[:SKETCH].tolist()
    return tuple(sorted(set(found)))


def _mixed(words: np.ndarray) -> np.ndarray:
    """Steele, Lea and Flood's SplitMix64 (2014): each bit of the word moves half of those of the result."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))


def booked() -> list[Opening]:
    """Every opening in the register, the oldest first; a line that can't be read is passed over, loudly."""
    try:
        lines = place().read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            values = json.loads(line)
            tuples = {key: tuple(values[key]) for key in ("sketch", "ancestors", "champions") if key in values}
            found.append(Opening(**{**values, **tuples}))
        except (ValueError, TypeError, KeyError):
            warnings.warn(f"{place()}, line {number}: not readable, passed over", IslandsWarning, stacklevel=2)
    return found


def enter(opening: Opening) -> list[Opening]:
    """Books an opening before it takes place, and returns the others of bars that it shares, the oldest first.

    One that shows nothing new (see `Opening.is_same_look`) is not booked twice.

    Raises:
        OSError: the register can't be read or written.
    """
    known = booked()
    if not any(opening.is_same_look(other) for other in known):
        _append(json.dumps(asdict(opening)) + "\n")
    return [other for other in known if other.shares_bars(opening) and not other.is_same_look(opening)]


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
