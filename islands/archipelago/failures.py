"""Files of genomes that could not be scored, failures/WORD in the campaign's folder: enough to run them again.

They belong to no digest and no commit names them; a file that is there stays.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, replace

from islands.archipelago import codec
from islands.archipelago.journal import Journal, Writer
from islands.errors import CorruptCampaign
from islands.evolution.failures import Failure

FOLDER = "failures"
MOST_KEPT = 100
"""Files of one campaign; more of them would say nothing new."""


@dataclass(frozen=True)
class Kept:
    """What one file holds: genomes that failed, mostly one, and the island and epoch that met them."""

    key: str
    island: int
    epoch: int
    failures: tuple[Failure, ...]


def keep(writer: Writer, island: int, epoch: int, failures: tuple[Failure, ...]) -> str | None:
    """Keeps failures in one file and returns its key; None where there are `MOST_KEPT` files already.

    The same genomes on the same bars have one file, whoever meets them.

    Raises:
        Fenced: a newer token exists.
        OSError: the file system refuses.
    """
    folder = writer.journal.folder
    met = repr([astuple(replace(failure, error="")) for failure in failures])
    key = f"{FOLDER}/{hashlib.sha256(met.encode()).hexdigest()[:16]}"
    there = folder.keys(FOLDER)
    if key not in there:
        if len(there) >= MOST_KEPT:
            return None
        writer.check()
        record = {"island": island, "epoch": epoch, "failures": [list(astuple(failure)) for failure in failures]}
        folder.create(key, codec.seal("failures", record))
    return key


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
            Failure(int(family), tuple(map(float, genome)), str(market), int(bars), int(first), str(error))
            for family, genome, market, bars, first, error in record["failures"]
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
