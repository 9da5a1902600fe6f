"""Is a campaign's folder whole? Every hash that is recorded of any of its files, and the digest chain, from the files alone."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from islands.archipelago import codec, failures, ledger
from islands.archipelago.forking import ancestors
from islands.archipelago.journal import Entry, Journal, Missing
from islands.archipelago.machine import GENESIS, epoch_digest
from islands.archipelago.retention import Allowance
from islands.archipelago.storage import LARGEST_BYTES
from islands.errors import CorruptCampaign, IslandsWarning, NotACampaign


@dataclass
class Findings:
    """problems: one line for each thing that is wrong; an empty list means that all of it is whole. let_go: epochs whose demes
    are gone by the retention that a commit records, the newest first; of them the digest alone is known, and is not checked."""

    problems: list[str]
    let_go: list[int] = field(default_factory=list)


def problems_of(journal: Journal) -> list[str]:
    """The problems of `audit`."""
    return audit(journal).problems


def audit(journal: Journal) -> Findings:
    """Reads every file of a campaign."""
    findings = Findings(_problems_of_foundations(journal))
    problems = findings.problems
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
    problems += _problems_of_results(journal, {entry.epoch: entry for entry in living})
    allowed = Allowance(forked=_forked_at(journal, living, problems))
    for entry in readable.values():
        allowed.add(entry.retention, entry.epoch)
    for entry in living:
        parent = readable.get(entry.parent[0]) if entry.parent else None
        problems += _problems_of_commit(journal, entry, parent.digest if parent else None, allowed, findings.let_go)
    return findings


def _forked_at(journal: Journal, living: list[Entry], problems: list[str]) -> int:
    """The epoch that a fork goes on from; a problem where its commit is not the ancestor's that the manifest names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IslandsWarning)  # that a copy is used: it is among the problems
            past = ancestors(journal.manifest()[0])
    except (CorruptCampaign, NotACampaign):
        return 0  # said already
    for entry in living:
        if past and entry.epoch == past[-1].epoch and entry.digest != past[-1].digest:
            problems.append(
                f"commit {entry.number}: has digest {entry.digest[:12]}, the manifest was forked at {past[-1].digest[:12]}"
            )
    return past[-1].epoch if past else 0


def _problems_of_foundations(journal: Journal) -> list[str]:
    """What a campaign stands on before its first commit, who worked on it, and who works; and its kept failures."""
    problems = [
        _fault_of(journal, key)
        for name, (_, founded) in journal.foundations().items()
        for key in (name, f"copies/{name}")
        if not journal.folder.holds(key, founded) and (key == name or key in journal.folder.keys("copies"))
    ]
    asked: list[Callable[[], object]] = [journal.manifest, journal.setup, partial(_require_files, journal)]
    asked += [partial(journal.token, number) for number in journal.tokens()]
    asked += [partial(failures.read, journal, key) for key in journal.folder.keys(failures.FOLDER)]
    asked.append(journal.lease_as_written)
    asked += [partial(journal.opening, epoch) for epoch in journal.openings()]
    for ask in asked:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IslandsWarning)  # that a copy is used: it is among the problems
                ask()
        except (CorruptCampaign, NotACampaign) as error:
            problems += [str(error)] if str(error) not in problems else []
    return problems


def _fault_of(journal: Journal, key: str) -> str:
    """What is wrong with a manifest, a setup or a copy that is not as it was founded."""
    try:
        there = journal.folder.read(key) is not None
    except CorruptCampaign as error:
        return str(error)
    return f"{journal.root}/{key} " + ("was torn or changed; the next run restores it" if there else "is missing")


def _require_files(journal: Journal) -> None:
    """Raises CorruptCampaign where the manifest is not the one of the setup, or a file kept with it has changed."""
    setup = journal.setup()
    try:
        files = (
            {"manifest": setup["manifest"], **setup.get("files", {})} if not journal.foundations() else setup.get("files", {})
        )
    except codec.MALFORMED as error:
        raise CorruptCampaign(f"{journal.root}/setup: a field is missing or malformed ({error!r})") from None
    for key, expected in files.items():
        data = journal.folder.read(key, LARGEST_BYTES)
        if data is None:
            raise CorruptCampaign(f"{journal.root}/{key} is missing")
        if hashlib.sha256(data).hexdigest() != expected:
            raise CorruptCampaign(f"{journal.root}/{key} does not match the hash in the setup: torn, changed or another's")


def _problems_of_results(journal: Journal, entries: dict[int, Entry]) -> list[str]:
    problems = []
    for epoch in journal.results():
        try:
            result = journal.result(epoch)
        except CorruptCampaign as error:
            problems.append(str(error))
            continue
        here, there = result and result.get("digest"), entries[epoch].digest if epoch in entries else None
        if there and here != there:
            problems.append(f"{journal.root}/results/{epoch:08d} is of digest {str(here)[:12]}, its commit of {there[:12]}")
    return problems


def _problems_of_commit(
    journal: Journal, entry: Entry, previous: str | None, allowed: Allowance, let_go: list[int]
) -> list[str]:
    """What is wrong with one commit; its digest is checked where the one before it can be read, and its demes were kept."""
    problems, kept = [], True
    if entry.manifest != journal.manifest_hash():
        problems.append(f"commit {entry.number}: names the manifest {entry.manifest[:12]}, not this campaign's")
    for place, size in zip((entry.blob, entry.segment), entry.sizes, strict=True):
        try:
            journal.blob(place, size)
        except CorruptCampaign as error:
            newest = journal.head()  # a commit since then may have let it go
            if newest is not None:
                allowed.add(newest.retention, newest.epoch)
            if place == entry.blob and isinstance(error, Missing) and allowed.covers(entry.epoch):
                let_go.append(entry.epoch)
                kept = False
            else:
                problems.append(f"commit {entry.number}: {error}")
    if problems or not kept or (entry.parent and previous is None):
        return problems
    try:
        again = epoch_digest(previous or GENESIS, entry.epoch, ledger.answers(journal, entry))
    except CorruptCampaign as error:
        return [f"commit {entry.number}: {error}"]
    if again != entry.digest:
        problems.append(f"commit {entry.number}: its blobs give digest {again[:12]}, it says {entry.digest[:12]}")
    return problems
