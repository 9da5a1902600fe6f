"""Is a campaign's folder whole? Every hash of every living commit, and the digest chain, from the files alone."""

from __future__ import annotations

from islands.archipelago import ledger
from islands.archipelago.journal import Entry, Journal
from islands.archipelago.machine import GENESIS, epoch_digest
from islands.errors import CorruptCampaign


def problems_of(journal: Journal) -> list[str]:
    """One line for each thing that is wrong; an empty list means that all of it is whole."""
    problems: list[str] = []
    readable: dict[int, Entry] = {}
    for number in reversed(journal.numbers()):
        try:
            readable[number] = journal.read_entry(number)
        except CorruptCampaign as error:
            problems.append(str(error))
    try:
        living = list(journal.chain())
    except CorruptCampaign as error:
        problems += [str(error)] if str(error) not in problems else []
        living = list(readable.values())
    problems += _problems_of_results(journal)
    for entry in living:
        parent = readable.get(entry.parent[0]) if entry.parent else None
        problems += _problems_of_commit(journal, entry, parent.digest if parent else None)
    return problems


def _problems_of_results(journal: Journal) -> list[str]:
    problems = []
    for epoch in journal.results():
        try:
            journal.result(epoch)
        except CorruptCampaign as error:
            problems.append(str(error))
    return problems


def _problems_of_commit(journal: Journal, entry: Entry, previous: str | None) -> list[str]:
    """What is wrong with one commit; its digest is checked where the one before it can be read."""
    problems = []
    if entry.manifest != journal.manifest()[1]:
        problems.append(f"commit {entry.number}: names the manifest {entry.manifest[:12]}, not this campaign's")
    for place in (entry.blob, entry.segment):
        try:
            journal.blob(place)
        except CorruptCampaign as error:
            problems.append(f"commit {entry.number}: {error}")
    if problems or (entry.parent and previous is None):
        return problems
    try:
        again = epoch_digest(previous or GENESIS, entry.epoch, ledger.answers(journal, entry))
    except CorruptCampaign as error:
        return [f"commit {entry.number}: {error}"]
    if again != entry.digest:
        problems.append(f"commit {entry.number}: its blobs give digest {again[:12]}, it says {entry.digest[:12]}")
    return problems
