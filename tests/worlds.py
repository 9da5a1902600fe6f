"""Small worlds for tests: a spec that runs in milliseconds, its bars, and the machine driven without disk or Ray."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import islands as isl
from islands.archipelago.journal import GENESIS, epoch_digest
from islands.archipelago.machine import Advance, Commit, CommitDone, Machine, Routes, StepDone, WorkerJoined
from islands.evolution.deme import FOUNDER, Deme, Trials
from islands.evolution.island import Answer, Generation, IslandState, advance_epoch
from islands.evolution.migration import ACCEPTED, Arrival, Immigrants
from islands.evolution.world import World, make_world, training_bars
from islands.market.bars import Bars
from islands.runtime.report import RunReport
from islands.spec import ONLY, CampaignSpec

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 7,
    "costs": {"fee": 1e-4, "slippage": 5e-5},
    "families": [
        {"name": "ema_crossover", "genes": {"fast": [2, 15], "slow": [10, 40]}},
        {"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60]}},
        {"name": "rsi_mean_reversion", "genes": {"period": [2, 20]}},
    ],
    "evolution": {"population": 12, "epochs": 3, "generations_per_epoch": 2},
    "archipelago": {"islands": 3},
    "migration": {"emigrants": 2},
    "champions": 5,
    "most_alike": 1.0,
}


def values(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """TINY as plain values, with changes by dotted key: {"evolution.epochs": 6}."""
    made = _copied(TINY)
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        part = made
        for name in path:
            part = part.setdefault(name, {})
        part[last] = _copied(value)
    return made


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def tiny(changes: Mapping[str, Any] | None = None) -> CampaignSpec:
    """The spec of `values`."""
    return CampaignSpec(**values(changes))


def small(topology: str, delay: int) -> CampaignSpec:
    """Eight islands of ten, between which somebody travels each epoch."""
    return tiny(
        {
            "archipelago.islands": 8,
            "archipelago.topology": topology,
            "migration.delay": delay,
            "migration.emigrants": 1,
            "evolution.population": 10,
        }
    )


@functools.cache
def tiny_bars() -> Bars:
    """1,500 hourly bars with an edge that trend rules can find."""
    return isl.synthetic("planted", bars=1_500, seed=3, edge=0.2)


def tiny_world(changes: Mapping[str, Any] | None = None) -> World:
    """The world of `values` on `tiny_bars`; of several instruments, each on bars of its own: see `tiny_market`."""
    spec = tiny(changes)
    if spec.instruments:
        return world_of(spec, {name: tiny_market(number) for number, name in enumerate(spec.instruments)})
    return world_of(spec, {ONLY: tiny_bars()})


@functools.cache
def tiny_market(number: int) -> Bars:
    """Bars of one of several instruments. Number 0 is `tiny_bars`; the others begin later and rest at weekends."""
    if number == 0:
        return tiny_bars()
    frame = isl.synthetic("planted", bars=2_000, seed=3 + number, edge=0.2, start=f"2020-01-{1 + number:02}").to_polars()
    return Bars.from_polars(frame.filter(frame["timestamp"].dt.weekday() <= 5).head(1_400), name=f"market {number}")


def world_of(spec: CampaignSpec, bars: Mapping[str, Bars]) -> World:
    """The world of a spec on the bars that evolution may see."""
    tapes = {name: own.tape for name, own in bars.items()}
    return make_world(spec, {name: tapes[name].head(count) for name, count in training_bars(spec, tapes).items()})


def play(world: World, epochs: int) -> list[Commit]:
    """The commits of a whole campaign, by one worker, on no disk."""
    migration = world.spec.migration
    machine = Machine(world.topology.senders, migration.delay, epochs, migration.interval)
    return _driven(machine, functools.partial(advance_epoch, world))


def fake_play(epochs: int, islands: int = 2, delay: int = 1) -> list[Commit]:
    """The commits of a ring of fake islands: `fake_answer` in place of `advance_epoch`."""
    ring = tuple(((island - 1) % islands,) for island in range(islands))
    return play_alone(Routes(ring, delay, 1), epochs, fake_answer)


def play_alone(routes: Routes, epochs: int, advance: Callable[..., Answer]) -> list[Commit]:
    """The commits of islands on these routes: `advance` in place of `advance_epoch`."""
    return _driven(Machine(routes.senders, routes.delay, epochs, routes.interval), advance)


def _driven(machine: Machine, advance: Callable[..., Answer]) -> list[Commit]:
    states: dict[int, IslandState] = {}
    commits: list[Commit] = []
    commands = machine.handle(WorkerJoined("only"))
    while commands:
        match commands.pop(0):
            case Advance() as step:
                state = step.state or states.get(step.island)
                answer = advance(step.island, step.epoch, state, step.immigrants)
                states[step.island] = answer.state
                commands += machine.handle(StepDone("only", answer))
            case Commit() as commit:
                commits.append(commit)
                commands += machine.handle(CommitDone(commit.epoch))
    return commits


def links(commits: list[Commit]) -> list[str]:
    """The digest after each commit."""
    chain = [GENESIS]
    for commit in commits:
        chain.append(epoch_digest(chain[-1], commit.epoch, commit.answers))
    return chain[1:]


def a_deme(rows: int = 3, width: int = 2, seed: int = 0, island: int = 0, generation: int = 0) -> Deme:
    """A deme of made-up numbers, every genome another one."""
    numbers = np.random.default_rng(seed).random((rows, width + 1))
    births = np.column_stack([np.full(rows, island), np.full(rows, generation), np.arange(rows)])
    scores = np.column_stack([numbers[:, -1], np.zeros(rows)])
    return Deme(np.zeros(rows), numbers[:, :width], scores, births)


def fake_answer(island: int, epoch: int, state: IslandState | None, immigrants: list[Immigrants]) -> Answer:
    """A cheap stand-in for `advance_epoch`, as pure: numbers hashed from every byte of the arguments."""
    address = hashlib.sha256(f"{island} {epoch}".encode())
    if state is not None:
        address.update(state.deme.canonical() + state.hall_of_fame.canonical())
    for group in immigrants:
        address.update(group.source.to_bytes(8, "little") + group.genomes.tobytes() + group.births.tobytes())
    deme = a_deme(seed=int.from_bytes(address.digest()[:8], "little"), island=island, generation=epoch)
    return Answer(
        island=island,
        epoch=epoch,
        state=IslandState(deme, deme.take([0])),
        emigrants=deme.take([1, 2]),
        trials=Trials.without_parents(deme, FOUNDER),
        arrivals=tuple(
            Arrival(group.source, 0, tuple(birth), tuple(genome), (0.5, 0.0), ACCEPTED, (island, epoch - 1, 0))
            for group in immigrants
            for birth, genome in zip(group.births.tolist(), group.genomes.tolist(), strict=True)
        ),
        generations=(Generation(epoch, (1.0,), (0.5,), float("nan"), 0.25, 3, len(deme)),),
    )


def in_another_process(code: str, cwd: Path | None = None, **environment: str) -> str:
    """What a fresh interpreter prints that runs `code` and can import what this one can."""
    found = os.pathsep.join(path or os.getcwd() for path in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": found, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def funded(bars: Bars, rate: float = 2e-4) -> Bars:
    """The same bars with a funding payment in every eighth bar, in turn by longs and by shorts."""
    bar = np.arange(len(bars))
    rates = np.where(bar % 8 == 0, np.where(bar % 16 == 0, rate, -rate / 2), 0.0)
    return Bars.from_polars(bars.to_polars().with_columns(funding_rate=rates), name=bars.name)


def different_bars() -> dict[str, Bars]:
    """Two instruments of one year: real hours of EUR/USD, and planted ones around the clock, with funding, that begin later."""
    return {
        "EURUSD": isl.sample("eurusd"),
        "PLANTED": funded(isl.synthetic("planted", bars=7_000, seed=3, edge=0.1, start="2017-03-01")),
    }


def different(delay: int = 1) -> CampaignSpec:
    """As many ways of being different as a campaign has: four islands over two instruments and up to four families, each
    with operators, size, instruments and training bars of its own; migration over weighted edges; stagnation rules."""
    names = isl.families()[:4]
    return CampaignSpec(
        seed=11,
        instruments={"EURUSD": {"costs": {"fee": 2e-5, "slippage": 3e-5}}, "PLANTED": {}},
        pooling={"rule": "quantile", "quantile": 0.25},
        costs={"fee": 1e-4, "slippage": 1e-4, "borrow": 0.03},
        families=[{"name": name} for name in names[:2]]
        + [{"name": name, "overlays": {"stop_loss": [0.005, 0.05], "cooldown": False}} for name in names[2:]],
        overlays={"atr_trailing": {"low": 1.0, "high": 9.0, "optional": True}, "atr_period": [5, 30], "cooldown": [1, 20]},
        limits={"min_trades": 5},
        evolution={"population": 120, "epochs": 6, "generations_per_epoch": 10},
        archipelago={
            "islands": [
                {"families": names[:2], "population": 150},
                {"families": names[1:3], "instruments": ["PLANTED"], "mutation": {"rate": 0.9}},
                {
                    "families": names[2:],
                    "train": [0.1, 0.7],
                    "survival": {"rule": "generational", "elites": 4},
                    "crossover": {"operator": "cxBlend", "alpha": 0.3},
                },
                {
                    "instruments": ["EURUSD"],
                    "selection": {"operator": "selTournament", "tournsize": 5},
                    "population": 80,
                },
            ],
            "topology": {"name": "edges", "edges": [[0, 1], [1, 2, 0.75], [2, 3], [3, 0, 0.75], [0, 3, 0.5], [3, 1, 0.5]]},
        },
        migration={"emigrants": 4, "interval": 2, "delay": delay, "selection": "distance", "replacement": "similar"},
        stagnation=[{"epochs": 1, "rule": "mutate"}, {"epochs": 2, "rule": "reset", "share": 0.4}],
        champions=8,
    )


EVERY_STEP = [(island, epoch) for epoch in (1, 2, 3) for island in (0, 1, 2)]
"""The steps of `tiny`, (island, epoch), in the order of epochs."""


def steps(report: RunReport) -> list[tuple[int, int]]:
    return [(step.island, step.epoch) for step in report.steps]


def reopened(campaign: isl.Campaign) -> isl.Campaign:
    return isl.Campaign.open(campaign.path)
