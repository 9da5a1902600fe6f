"""What a campaign will ask of a machine: evaluations, disk, memory, and time by a calibration of about a second."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass, replace

from islands.evolution.island import advance_epoch
from islands.evolution.stagnation import leaving
from islands.evolution.world import LEAST_SCORED, Habitat, Market, World
from islands.randomness import Purpose, stream

DISK_BLOCK = 4096
REPORT_BYTES = 8 * 2**20
CALIBRATION_S = 0.7
BREEDING_POPULATION = 200


@dataclass(frozen=True)
class Forecast:
    """Upper bounds, as if every child were a genome never seen before.

    evaluations: genomes scored, once for each instrument of their island. bar_evaluations: the bars of all of them.
    seconds: of computing on one core with compiled kernels. disk: bytes of the campaign's folder. process_memory: bytes
    that this process has needed at most, calibration included: a worker needs about as much.
    """

    evaluations: int
    bar_evaluations: int
    seconds: float
    disk: int
    process_memory: int


def forecast(world: World) -> Forecast:
    """Times each family's kernel, and one epoch of breeding, for about a second in all, and multiplies."""
    paces = [_seconds_a_bar(world, index) for index in range(len(world.spaces))]
    breeding = _seconds_bred(world)
    evaluations = bar_evaluations = 0
    seconds = 0.0
    for island, habitat in enumerate(world.habitats):
        genomes = _genomes(world, island)
        bars = sum(len(market.tape) for market in habitat.markets)
        pace = sum(paces[index] for index in habitat.holdings) / len(habitat.holdings)
        evaluations += genomes * len(habitat.markets)
        bar_evaluations += genomes * bars
        seconds += genomes * (bars * pace + breeding)
    return Forecast(evaluations, bar_evaluations, seconds, disk_estimate(world), _peak_memory())


def _genomes(world: World, island: int) -> int:
    """How many genomes an island can score at most: founders, children, immigrants, and who is born when it stagnates."""
    spec, population = world.spec, world.habitats[island].evolution.population
    bred = population * (1 + spec.evolution.epochs * spec.evolution.generations_per_epoch)
    migrations = max(spec.evolution.epochs - spec.migration.delay, 0) // spec.migration.interval
    arriving = migrations * spec.migration.emigrants * len(world.topology.senders[island])
    resets = sum((spec.evolution.epochs - 1) // rule.epochs * leaving(rule, population) for rule in spec.stagnation)
    return bred + arriving + resets


def _seconds_a_bar(world: World, index: int) -> float:
    """Of one family's kernel, by scoring founders on the longest instrument, more and more of them."""
    market = max(world.markets, key=lambda market: len(market.tape))
    space, chance = world.spaces[index], stream(world.spec.seed, purpose=Purpose.PROBE, index=index)
    world.metrics(market, index, space.founders(chance, 2))  # compiles
    spent, scored, size = 0.0, 0, 1
    while spent < CALIBRATION_S / len(world.spaces):
        genomes = space.founders(chance, size)
        began = time.perf_counter()
        world.metrics(market, index, genomes)
        spent += time.perf_counter() - began
        scored += size
        size *= 2
    return spent / (scored * len(market.tape))


def _seconds_bred(world: World) -> float:
    """Of everything but the kernel, for one child: an epoch of the first island on hardly any bars."""
    habitat = world.habitats[0]
    evolution = habitat.evolution.model_copy(update={"population": min(habitat.evolution.population, BREEDING_POPULATION)})
    brief = replace(world, habitats=(Habitat(habitat.holdings, evolution, tuple(map(_brief, habitat.markets))),))
    began = time.perf_counter()
    advance_epoch(brief, 0, 1, None, [])
    return (time.perf_counter() - began) / (evolution.population * (1 + world.spec.evolution.generations_per_epoch))


def _brief(market: Market) -> Market:
    return replace(market, tape=market.tape.head(market.terms.first + LEAST_SCORED))


def disk_estimate(world: World) -> int:
    """Bytes that a campaign's files may take at most: every child of every generation a new trial, and the report.

    Bars that were given in memory come on top.
    """
    spec, objectives = world.spec, len(world.signs)
    individual = 8 * (world.width + objectives + 1) + 40
    tried = individual + 56
    people = sum(habitat.evolution.population for habitat in world.habitats)
    arriving = spec.migration.emigrants * sum(len(sources) for sources in world.topology.senders)
    leaving = world.islands * spec.migration.emigrants * len(world.spaces) * spec.migration.delay
    trials = people * (spec.evolution.generations_per_epoch + len(spec.stagnation)) + arriving
    standing = people + world.islands * world.hall_size
    demes = 128 * world.islands * (3 + spec.migration.delay)  # what surrounds the columns: deme, hall, trials, emigrants
    generations = (64 + 24 * objectives) * world.islands * (spec.evolution.generations_per_epoch + 1)
    records = (2 * individual + 64) * arriving + generations + 64 * world.islands
    epoch = tried * trials + individual * (leaving + standing) + demes + records + 4 * DISK_BLOCK
    champions = spec.champions * (1 + len(world.markets)) * DISK_BLOCK
    return epoch * spec.evolution.epochs + tried * people + champions + REPORT_BYTES


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
