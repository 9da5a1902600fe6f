"""Is a campaign's folder whole? Every hash that is recorded of any of its files, and the digest chain, from the files alone."""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from islands.archipelago import codec, failures, ledger, pages
from islands.archipelago.forking import ancestors
from islands.archipelago.journal import Entry, Journal, Missing
from islands.archipelago.machine import GENESIS, epoch_digest
from islands.archipelago.retention import Allowance
from islands.archipelago.storage import LARGEST_BYTES
from islands.errors import CorruptCampaign, IslandsWarning, NotACampaign

SHOWN = 4
"""Files that are named as witnesses of a commit that is gone."""


@dataclass
class Findings:
    """problems: one line for each thing that is wrong; an empty list means that all of it is whole. let_go: epochs whose demes
    are gone by the retention that a commit records, the newest first; of them the digest alone is known, and is not checked.
    notes: what a death leaves, and a file that was removed as well; and with which accepted differences it went on."""

    problems: list[str]
    let_go: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def problems_of(journal: Journal) -> list[str]:
    """The problems of `audit`."""
    return audit(journal).problems


def audit(journal: Journal) -> Findings:
    """Reads every file of a campaign."""
    traces = _traces(journal)  # before the commits that they tell of, since whoever works makes more of both
    findings = Findings(_problems_of_foundations(journal))
    problems = findings.problems
    _look_at_report(journal, findings)
    readable: dict[int, Entry] = {}
    numbers = journal.numbers()
    for number in reversed(numbers):
        try:
            readable[number] = journal.read_entry(number)
        except CorruptCampaign as error:
            problems.append(str(error))
    try:
        living = list(journal.chain())
    except CorruptCampaign as error:
        problems += [str(error)] if str(error) not in problems else []
        living = list(readable.values())
    findings.notes += _overrides(living)
    problems += _problems_of_results(journal, {entry.epoch: entry for entry in living})
    tokens = journal.tokens()
    unknown = {*_tokens_named(journal, readable.values())} - {*tokens}
    problems += [f"{journal.root}/tokens/{number:08d} is missing" for number in sorted(unknown)]
    findings.notes += [*_gaps(journal, "journal", numbers, problems), *_gaps(journal, "tokens", tokens, problems)]
    allowed = Allowance(forked=_forked_at(journal, living, problems))
    for entry in readable.values():
        allowed.add(entry.retention, entry.epoch)
    for entry in living:
        parent = readable.get(entry.parent[0]) if entry.parent else None
        problems += _problems_of_commit(journal, entry, parent.digest if parent else None, allowed, findings.let_go)
    if len(readable) == len(numbers):  # else it is known that a commit is gone
        _follow(journal, traces, max((entry.epoch for entry in readable.values()), default=0), findings)
    return findings


def _traces(journal: Journal) -> list[tuple[int, str]]:
    """(epoch, key) of files that are there only since an epoch was committed: what follows it, and what is of one after it."""
    judged = [(epoch, f"{folder}/{epoch:08d}") for folder in ("openings", "results") for epoch in getattr(journal, folder)()]
    parts = [key for folder in ("blobs", "ledger") for key in journal.folder.keys(folder)]
    ahead = [(int(key.rpartition("/")[2][:8]) - 1, key) for key in parts if re.fullmatch(r"\w+/\d{8}-.*", key)]
    for key in journal.folder.keys(failures.FOLDER):
        with contextlib.suppress(CorruptCampaign):  # told elsewhere
            ahead.append((failures.read(journal, key).epoch - 1, key))
    return judged + ahead


def _follow(journal: Journal, traces: list[tuple[int, str]], last: int, findings: Findings) -> None:
    """Adds what follows from the traces: commits that were there and are gone, and epochs that may have been committed.

    last: the last epoch of all commits that were read.
    """
    head = journal.head()
    last = max(last, head.epoch if head else 0)  # there may be more of them by now
    there = f"the newest commit, {head.number}, is of epoch {head.epoch}" if head else "there is no commit"
    gone = f"{journal.root}/journal/{head.number + 1 if head else 1:08d}, or one after it, is missing"
    told = {key: epoch for epoch, key in traces if epoch > last}
    if told:
        keys = ", ".join(sorted(told, key=lambda key: (-told[key], key))[:SHOWN])
        findings.problems.append(f"{gone}: {there}, and what is in {keys} came after that of epoch {max(told.values())}")
    written = {key.partition("/")[0] for epoch, key in traces if epoch == last}
    if not told and {"blobs", "ledger"} <= written and journal.lease() is None:
        findings.notes.append(
            f"epoch {last + 1} has its demes and its trials but no commit: whoever computed it ended before that, or {gone}; "
            "islands resume computes it again"
        )
    for epoch in journal.openings():
        if epoch == last and epoch not in journal.results():
            findings.notes.append(
                f"{journal.root}/results/{epoch:08d} is missing, though the held-back bars were opened for it: whoever judged "
                "ended before it was kept, or it was removed; islands resume makes it anew"
            )


def _overrides(living: list[Entry]) -> Iterator[str]:
    """A line for each difference from the manifest that commits went on with."""
    epochs: dict[tuple[str, str, str], list[int]] = {}
    for entry in reversed(living):
        for name, (was, here) in entry.differences.items():
            epochs.setdefault((name, repr(was), repr(here)), []).append(entry.epoch)
    for (name, was, here), found in epochs.items():
        of = f"epoch {found[0]}" if len(found) == 1 else f"{len(found)} epochs, {found[0]} to {found[-1]},"
        yield f"{of} went on with an accepted difference, {name}: the campaign has {was}, there was {here}"


def _gaps(journal: Journal, folder: str, there: list[int], problems: list[str]) -> Iterator[str]:
    """A line for each file that is missing of those that are numbered 1, 2, ... and stay, but for what is a problem already."""
    for number in sorted({*range(1, max(there, default=0))} - {*there}):
        missing = f"{journal.root}/{folder}/{number:08d} is missing"
        if missing not in problems:
            yield f"{missing}: nothing that is there stands on it; a power cut may have taken its name, or it was removed"


def _tokens_named(journal: Journal, entries: Iterable[Entry]) -> Iterator[int]:
    """Tokens under which something was written that is still there: they were durable before."""
    own = journal.manifest_hash()
    yield from (entry.token for entry in entries if entry.manifest == own and entry.token)  # a fork's first have none
    asked = [(journal.result, epoch) for epoch in journal.results()] + [
        (journal.opening, epoch) for epoch in journal.openings()
    ]
    for read, epoch in asked:
        with contextlib.suppress(CorruptCampaign):  # told elsewhere
            token = (read(epoch) or {}).get("token")
            if isinstance(token, int):  # else an older version's
                yield token
    lease = journal.lease()
    if lease is not None and lease.token:
        yield lease.token


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
                f"{_called(entry)}: has digest {entry.digest[:12]}, the manifest was forked at {past[-1].digest[:12]}"
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
    asked += [journal.lease_as_written, journal.paused]
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


def _look_at_report(journal: Journal, findings: Findings) -> None:
    """Adds what is wrong with the report, where there is one."""
    name = f"{journal.root}/{pages.REPORT}"
    try:
        page = journal.folder.read(pages.REPORT, LARGEST_BYTES)
    except CorruptCampaign as error:
        findings.problems.append(str(error))
        return
    if page is None or pages.is_whole(page):
        return
    if pages.was_never_sealed(page):
        findings.notes.append(
            f"{name} was written by an older version, without a hash: whether it is whole can't be told; "
            "islands report writes it anew"
        )
    else:
        findings.problems.append(f"{name} is torn or changed; islands report writes it anew")


def _problems_of_results(journal: Journal, entries: dict[int, Entry]) -> list[str]:
    """What is wrong with results and openings, and with what they say of each other and of the commits."""
    problems, opened = [], set(journal.openings())
    for epoch in journal.results():
        try:
            result = journal.result(epoch) or {}
        except CorruptCampaign as error:
            problems.append(str(error))
            continue
        problems += _other_digest(journal, f"results/{epoch:08d}", result, entries.get(epoch))
        rows = result.get("champions", [])
        if epoch not in opened and any(isinstance(row, dict) and row.get("unseen") for row in rows):
            problems.append(f"{journal.root}/openings/{epoch:08d} is missing: the result has figures on the held-back bars")
    for epoch in opened:
        with contextlib.suppress(CorruptCampaign):  # told with the foundations
            problems += _other_digest(journal, f"openings/{epoch:08d}", journal.opening(epoch) or {}, entries.get(epoch))
    return problems


def _other_digest(journal: Journal, key: str, record: dict[str, Any], entry: Entry | None) -> list[str]:
    here, there = record.get("digest"), entry.digest if entry else None
    if not here or not there or here == there:
        return []
    return [f"{journal.root}/{key} is of digest {str(here)[:12]}, its commit of {there[:12]}"]


def _problems_of_commit(
    journal: Journal, entry: Entry, previous: str | None, allowed: Allowance, let_go: list[int]
) -> list[str]:
    """What is wrong with one commit; its digest is checked where the one before it can be read, and its demes were kept."""
    problems, kept, called = [], True, _called(entry)
    if entry.manifest != journal.manifest_hash():
        problems.append(f"{called}: names the manifest {entry.manifest[:12]}, not this campaign's")
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
                problems.append(f"{called}: {error}")
    if problems or not kept or (entry.parent and previous is None):
        return problems
    try:
        again = epoch_digest(previous or GENESIS, entry.epoch, ledger.answers(journal, entry))
    except CorruptCampaign as error:
        return [f"{called}: {error}"]
    if again != entry.digest:
        problems.append(f"{called}: its blobs give digest {again[:12]}, it says {entry.digest[:12]}")
    return problems


def _called(entry: Entry) -> str:
    """A commit, and its epoch where that is another number."""
    return f"commit {entry.number}" + (f" (epoch {entry.epoch})" if entry.epoch != entry.number else "")
