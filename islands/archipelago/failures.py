"""Files of genomes that could not be scored, failures/WORD in the campaign's folder: enough to run them again.

They belong to no digest and no commit names them; a file that is there stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import astuple, dataclass, replace

from islands.archipelago import codec
from islands.archipelago.journal import Journal, Writer
from islands.errors import CorruptCampaign
from islands.evolution.failures import Failure

FOLDER = "failures"
MOST_KEPT = 100
"""Files of whatever fails. Every genome that failed is in the ledger, from where it can be scored again."""

MOST_KINDS = 100
"""Files beyond these, each of the first failure of a kind; see `kind_of`."""


@dataclass(frozen=True)
class Kept:
    """What one file holds: genomes that failed, mostly one, and the island and epoch that met them."""

    key: str
    island: int
    epoch: int
    failures: tuple[Failure, ...]


def kind_of(failure: Failure) -> tuple[int, str]:
    """What failures that say nothing new have in common: family and error, whatever numbers are in it."""
    return failure.family, re.sub(r"[-+.\w]*\d[-+.\w]*", "#", failure.error)


class Keeper:
    """Keeps the failures that one run meets, in no more files than there is room for."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._kinds: set[tuple[int, str]] | None = None  # of the kept ones, once that is asked for

    def keep(self, island: int, epoch: int, failures: tuple[Failure, ...], *, always: bool = False) -> str | None:
        """Keeps failures in one file and returns its key; None where there is no room for it. always: there is.

        The same genomes on the same bars have one file, whoever meets them. There is room for `MOST_KEPT`, and then for one
        of each kind that has none, `MOST_KINDS` at most.

        Raises:
            Fenced: a newer token exists.
            OSError: the file system refuses.
        """
        folder = self._writer.journal.folder
        met = repr([astuple(replace(failure, error="")) for failure in failures])
        key = f"{FOLDER}/{hashlib.sha256(met.encode()).hexdigest()[:16]}"
        there = folder.keys(FOLDER)
        if key not in there:
            if not always and not self._has_room(there, failures[0]):
                return None
            self._writer.check()
            record = {"island": island, "epoch": epoch, "failures": [list(astuple(failure)) for failure in failures]}
            folder.create(key, codec.seal("failures", record))
            if self._kinds is not None:
                self._kinds.update(map(kind_of, failures))
        return key

    def _has_room(self, there: list[str], failure: Failure) -> bool:
        if len(there) < MOST_KEPT:
            return True
        if len(there) >= MOST_KEPT + MOST_KINDS:
            return False
        if self._kinds is None:
            self._kinds = set()
            for key in there:
                with contextlib.suppress(CorruptCampaign):  # which of what kind it was is not known
                    self._kinds.update(map(kind_of, read(self._writer.journal, key).failures))
        return kind_of(failure) not in self._kinds


def read(journal: Journal, key: str) -> Kept:
    """One file.

    Raises:
        CorruptCampaign: it is missing, torn or changed.
    """
    name = f"{journal.root}/{key}"
    data = journal.folder.read(key)
    if data is None:
        raise CorruptCampaign(f"{name} is missing; `islands status` of the campaign says how many failures it keeps")
    record = codec.unseal("failures", data, name)
    try:
        failures = tuple(
            Failure(int(family), tuple(map(float, genome)), str(market), int(bars), int(first), str(error), *map(int, begins))
            for family, genome, market, bars, first, error, *begins in record["failures"]
        )
        return Kept(key, int(record["island"]), int(record["epoch"]), failures)
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptCampaign(f"{name}: a field is missing or malformed ({error!r})") from None


def read_all(journal: Journal) -> list[Kept]:
    """All files, by epoch, island and key.

    Raises:
        CorruptCampaign: one is torn or changed.
    """
    kept = [read(journal, key) for key in journal.folder.keys(FOLDER)]
    return sorted(kept, key=lambda one: (one.epoch, one.island, one.key))
