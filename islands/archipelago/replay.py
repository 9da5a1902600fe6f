"""Does this machine reproduce a campaign? Chosen epochs of chosen islands, computed again and compared bit for bit."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np

from islands.archipelago import ledger
from islands.archipelago.journal import Entry, Journal
from islands.archipelago.machine import GENESIS, Routes, answer_digest, epoch_digest
from islands.errors import CorruptCampaign, InputError
from islands.evolution.deme import Deme, Trials
from islands.evolution.island import Answer, IslandState, advance_epoch
from islands.evolution.migration import as_immigrants
from islands.evolution.world import World

SAMPLE = 10  # epochs of a sample, from the first to the last


@dataclass(frozen=True)
class Stretch:
    """Epochs after a kept one: up to the last all islands are computed, there the chosen ones. chosen: islands by epoch."""

    start: int
    chosen: dict[int, tuple[int, ...]]

    @property
    def last(self) -> int:
        return max(self.chosen)

    def computed(self, islands: int) -> list[tuple[int, int]]:
        """(island, epoch) of everything that is computed."""
        before = [(island, epoch) for epoch in range(self.start + 1, self.last) for island in range(islands)]
        return before + [(island, self.last) for island in self.chosen[self.last]]


@dataclass(frozen=True)
class Plan:
    """What is computed again, and compared. seconds: what it took when it was first computed."""

    stretches: tuple[Stretch, ...]
    compared: int
    computed: int
    seconds: float

    @property
    def cost(self) -> str:
        """What it will take, in words."""
        more = "" if self.computed == self.compared else f", and {self.computed - self.compared} to get there"
        noun = "epoch of an island" if self.compared == 1 else "epochs of islands"
        return f"{self.compared} {noun} to compare{more}: {self.seconds:.1f} s of computing when they were first computed"


def plan_replay(journal: Journal, choice: str, islands: int) -> Plan:
    """all: every island's every epoch. sample: ten epochs from the first to the last, of one island each in turn.
    ISLAND:EPOCH: that one. An epoch is computed from the demes of the one before, where they are kept, else of the nearest
    that are; from the beginning where none are.

    Raises:
        InputError: no such choice, or no such island or committed epoch.
        CorruptCampaign: the chain of commits is broken.
    """
    entries = {entry.epoch: entry for entry in journal.chain()}
    chosen = _chosen(choice, len(entries), islands)
    kept = functools.cache(lambda epoch: _is_kept(journal, entries[epoch]))
    stretches: list[Stretch] = []
    for epoch in sorted(chosen):
        wanted = chosen[epoch] if kept(epoch) else tuple(range(islands))  # its digest alone is known
        start = next((e for e in range(epoch - 1, 0, -1) if kept(e)), 0)
        before = stretches.pop().chosen if stretches and stretches[-1].start == start else {}
        stretches.append(Stretch(start, {**before, epoch: wanted}))
    computed = [step for stretch in stretches for step in stretch.computed(islands)]
    took = {(island, epoch): s for epoch, entry in entries.items() for island, _, _, s in entry.made_by}
    return Plan(
        tuple(stretches),
        compared=sum(len(wanted) for stretch in stretches for wanted in stretch.chosen.values()),
        computed=len(computed),
        seconds=sum(took.get(step, 0.0) for step in computed),
    )


def _chosen(choice: str, epochs: int, islands: int) -> dict[int, tuple[int, ...]]:
    if choice == "all":
        return {epoch: tuple(range(islands)) for epoch in range(1, epochs + 1)}
    if choice == "sample":
        count = min(SAMPLE, epochs)
        spread = [1 + round(i * (epochs - 1) / max(count - 1, 1)) for i in range(count)]
        return {epoch: (number % islands,) for number, epoch in enumerate(spread)}
    match = re.fullmatch(r"(\d{1,9}):(\d{1,9})", choice, re.ASCII)
    if match is None or int(match[1]) >= islands or not 1 <= int(match[2]) <= epochs:
        raise InputError(
            f"replay {choice!r}: expected all, sample, or ISLAND:EPOCH with an island from 0 to {islands - 1} and a committed "
            f"epoch from 1 to {epochs}"
        )
    return {int(match[2]): (int(match[1]),)}


def _is_kept(journal: Journal, entry: Entry) -> bool:
    try:
        journal.blob(entry.blob, entry.sizes[0])
        journal.blob(entry.segment, entry.sizes[1])
    except CorruptCampaign:
        return False
    return True


def replay(journal: Journal, settings: Callable[[int], tuple[World, Routes]], plan: Plan) -> Iterator[str]:
    """One line for each chosen epoch of an island that comes out otherwise here, and where it first differs.

    An epoch on the way to a chosen one is compared too, as far as it is known. What follows from one that differs is not
    computed.

    settings: world and routes of an epoch, which are an ancestor's before the epoch that a fork goes on from.
    """
    entries = {entry.epoch: entry for entry in journal.chain()}
    for stretch in plan.stretches:
        states: dict[int, IslandState | None] = dict.fromkeys(range(settings(stretch.last)[0].islands))
        emigrants: dict[tuple[int, int], Deme] = {}
        if stretch.start:
            kept, emigrants = journal.states(entries[stretch.start])
            states = dict(enumerate(kept))
        for epoch in range(stretch.start + 1, stretch.last + 1):
            world, routes = settings(epoch)
            islands = stretch.chosen[epoch] if epoch == stretch.last else tuple(range(world.islands))
            answers = {i: _again(world, routes, i, epoch, states[i], emigrants) for i in islands}
            for answer in answers.values():
                states[answer.island] = answer.state
                emigrants[epoch, answer.island] = answer.emigrants
            emigrants = {key: deme for key, deme in emigrants.items() if key[0] > epoch - routes.delay}
            compared = stretch.chosen.get(epoch, tuple(answers))
            found = list(_compared(journal, entries, epoch, [answers[i] for i in compared]))
            yield from found
            if found and epoch < stretch.last:
                yield f"epochs {epoch + 1} to {stretch.last}: follow from that, and were not computed again"
                break


def _again(
    world: World, routes: Routes, island: int, epoch: int, state: IslandState | None, emigrants: dict[tuple[int, int], Deme]
) -> Answer:
    left = epoch - routes.delay
    arriving = [as_immigrants(source, emigrants[left, source]) for source in routes.sending(island, left)]
    return advance_epoch(world, island, epoch, state, arriving)


def _compared(journal: Journal, entries: dict[int, Entry], epoch: int, answers: list[Answer]) -> Iterator[str]:
    if not _is_kept(journal, entries[epoch]):
        yield from _compared_by_digest(journal, entries, epoch, answers)
        return
    recorded = ledger.answers(journal, entries[epoch])
    for answer in answers:
        known = recorded[answer.island]
        if answer_digest(known) != answer_digest(answer):
            where = _first_difference(known, answer)
            yield f"island {answer.island}, epoch {epoch}: computed again, it differs first in {where}"


def _compared_by_digest(journal: Journal, entries: dict[int, Entry], epoch: int, answers: list[Answer]) -> Iterator[str]:
    """Of an epoch whose demes are gone: the digest is that of all islands, and their trials say of which it differs."""
    previous = entries[epoch - 1].digest if epoch > 1 else GENESIS
    here, there = epoch_digest(previous, epoch, tuple(answers)), entries[epoch].digest
    if here == there:
        return
    digests = f"the epoch has digest {here[:12]} here, in the campaign {there[:12]}"
    try:
        recorded = [part.trials for part in ledger.segments_of(journal, entries[epoch])]
    except CorruptCampaign as error:
        yield f"epoch {epoch}, an island that nobody can tell, since its trials can't be read ({error}): {digests}"
        return
    places = {answer.island: _difference_of_trials(recorded[answer.island], answer.trials) for answer in answers}
    for island, where in places.items():
        if where is not None:
            yield f"island {island}, epoch {epoch}: computed again, it differs first in {where}; {digests}"
    if not any(places.values()):
        yield f"epoch {epoch}, an island that nobody can tell, since all trials are the same and the demes are gone: {digests}"


def _first_difference(known: Answer, again: Answer) -> str:
    """The first number that differs, in the order in which an epoch makes them."""
    return (
        _difference_of_trials(known.trials, again.trials)
        or _difference("its deme", known.state.deme, again.state.deme)
        or _difference("its hall of fame", known.state.hall_of_fame, again.state.hall_of_fame)
        or _difference("its emigrants", known.emigrants, again.emigrants)
        or f"its epochs without improvement: {known.state.stagnant} are recorded, here are {again.state.stagnant}"
    )


def _difference_of_trials(known: Trials, again: Trials) -> str | None:
    return _difference("its trials", known.deme, again.deme) or _difference("its trials", known, again)


def _difference(name: str, old: Deme | Trials, new: Deme | Trials) -> str | None:
    """The first number that differs, in words."""
    if len(old) != len(new):
        return f"{name}: {len(old)} are recorded, here are {len(new)}"
    for column, there, here in _columns(old, new):
        different = np.argwhere(there.view("<i8") != here.view("<i8"))
        if len(different):
            place = tuple(different[0].tolist())
            return f"{name}, row {place[0]}: {column} {there[place]!r} is recorded, here is {here[place]!r}"
    return None


def _columns(old: Deme | Trials, new: Deme | Trials) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for field in fields(old):
        there, here = getattr(old, field.name), getattr(new, field.name)
        if isinstance(there, np.ndarray):
            yield field.name, there, here
