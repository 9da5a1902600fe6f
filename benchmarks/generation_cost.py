"""What a generation costs: islands of 100 to 10,000 against DEAP as it is used today, and where the time goes.

The rival is DEAP's documented loop (select, varAnd, evaluate who has changed) with `multiprocessing.Pool(2).map` over a
backtest of one individual in numpy and scipy: the same search space, operators, rates and Sharpe ratio. The engine runs
in one process and one thread, as one island of a campaign; and, for a worker more is an island more, as two islands of half
the population, each in a process of its own, of which the slower counts. All begin each round with new founders. Verified in
the same run: the two fitnesses agree, and fronts, crowding and survivors of two objectives are those of DEAP's selNSGA2.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from deap import algorithms, base, creator, tools
from scipy.signal import lfilter

import islands as isl
from islands.evolution import breeding, island
from islands.evolution.deme import Deme
from islands.evolution.island import IslandState, advance_epoch
from islands.evolution.ranking import fronts_and_crowding, order
from islands.evolution.world import World, make_world
from islands.spec import ONLY, CampaignSpec

BARS = 20_000
POPULATIONS = {100: (7, 10, 3), 1_000: (7, 5, 2), 10_000: (3, 2, 1)}
"""Population -> rounds, generations a round of the engine, and of the rival."""
FEE, SLIPPAGE, RATE, MUTATION = 5e-4, 1e-4, 0.7, 0.2
BOUNDS = {"fast": (5, 50), "slow": (10, 200), "band": (0.0, 0.01)}
PHASES = {  # name -> the functions in which the engine spends it
    "selection": ((breeding, "_select"),),
    "variation": ((breeding, "_cross"), (breeding, "_mutate")),
    "decoding and repair": ((breeding, "_collect"),),
    "kernel": ((World, "score"),),
    "ranking and survival": ((island, "survive"),),
}
RANKED, SETS = 1_000, 10


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Generations per second of each population, and the ranking of two objectives."""
    bars = isl.synthetic("planted", bars=BARS, seed=1, edge=0.1)
    return {
        "bars": BARS,
        "agreement": _verify_fitness(bars),
        "populations": [_population(bars, size) for size in POPULATIONS],
        "ranking": _ranking(),
    }


def _world(bars: isl.Bars, population: int, engine: str, seed: int, generations: int = 1) -> World:
    genes = {name: list(map(float, bounds)) for name, bounds in BOUNDS.items()}
    spec = CampaignSpec(
        seed=seed,
        costs={"fee": FEE, "slippage": SLIPPAGE},
        families=[{"name": "ema_crossover", "genes": {**genes, "direction": "long"}}],
        evolution={
            "population": population,
            "generations_per_epoch": generations,
            "mutation": {"operator": "mutPolynomialBounded", "rate": MUTATION, "eta": 10.0, "indpb": 0.4},
            "crossover": {"operator": "cxSimulatedBinaryBounded", "rate": RATE, "eta": 10.0},
            "survival": {"rule": "generational"},
            "engine": engine,
        },
        archipelago={"islands": 1, "topology": "none"},
    )
    return make_world(spec, {ONLY: bars.tape})


# The rival: what a user writes today


class Backtest:
    """The Sharpe ratio of scaled genes, (3,): EMA crossing with a band, long or flat, in numpy and scipy."""

    def __init__(self, bars: isl.Bars, first: int, periods: float) -> None:
        self.open, self.close, self.first, self.periods = np.array(bars.open), np.array(bars.close), first, periods

    def __call__(self, genes: list[float]) -> tuple[float]:
        fast, slow, band = decode(genes)
        quick, lazy = self._ema(fast), self._ema(slow)
        wanted = np.full(len(self.close), np.nan)
        wanted[quick > lazy * (1.0 + band)], wanted[quick < lazy * (1.0 - band)] = 1.0, 0.0
        wanted[: slow - 1] = np.nan
        known = np.maximum.accumulate(np.where(np.isnan(wanted), 0, np.arange(len(wanted))))
        held = np.nan_to_num(wanted[known])[self.first - 1 : -1]  # decided at a close, held from the next open
        equity = self._equity(held, self.open[self.first :], self.close[self.first :])
        returns = equity / np.concatenate([[1.0], equity[:-1]]) - 1.0
        deviation = returns.std(ddof=1)
        return (float(returns.mean() / deviation * np.sqrt(self.periods)) if deviation > 0.0 else -1e9,)

    def _ema(self, span: int) -> np.ndarray:
        alpha = 2.0 / (span + 1)
        return lfilter([alpha], [1.0, alpha - 1.0], self.close, zi=[(1.0 - alpha) * self.close[0]])[0]

    @staticmethod
    def _equity(held: np.ndarray, open_: np.ndarray, close: np.ndarray) -> np.ndarray:
        orders = np.flatnonzero(np.diff(held, prepend=0.0))
        if not len(orders):
            return np.ones(len(close))
        bought = held[orders] == 1.0
        factor = np.where(
            bought,
            1.0 / (open_[orders] * (1.0 + SLIPPAGE) * (1.0 + FEE)),
            open_[orders] * (1.0 - SLIPPAGE) * (1.0 - FEE),
        )
        amount = np.cumprod(factor)  # units after a buy, cash after a sale
        own = amount[np.cumsum(np.diff(held, prepend=0.0) != 0.0) - 1]
        equity = np.where(held == 1.0, own * close, own)
        equity[: orders[0]] = 1.0
        return equity


def decode(genes: list[float]) -> tuple[int, int, float]:
    """Scaled genes in natural units, the slow period above the fast one."""
    low, high = zip(*BOUNDS.values(), strict=True)
    fast, slow = (low[i] + min(int(genes[i] * (high[i] - low[i] + 1)), high[i] - low[i]) for i in (0, 1))
    return int(fast), int(max(slow, fast + 1)), low[2] + genes[2] * (high[2] - low[2])


creator.create("BenchFitness", base.Fitness, weights=(1.0,))
creator.create("BenchIndividual", list, fitness=creator.BenchFitness)


def _rival(backtest: Backtest, pool: Any, population: int, generations: int, seed: int) -> tuple[float, float]:
    """Seconds and evaluations a generation."""
    random.seed(seed)
    toolbox = base.Toolbox()
    toolbox.register("select", tools.selTournament, tournsize=3)
    toolbox.register("mate", tools.cxSimulatedBinaryBounded, eta=10.0, low=0.0, up=1.0)
    toolbox.register("mutate", tools.mutPolynomialBounded, eta=10.0, low=0.0, up=1.0, indpb=0.4)
    people = [creator.BenchIndividual([random.random() for _ in BOUNDS]) for _ in range(population)]
    for one in people:  # founders are not timed: any fitness will do for the first selection
        one.fitness.values = (random.random(),)
    evaluated, began = 0, time.perf_counter()
    for _ in range(generations):
        children = algorithms.varAnd(toolbox.select(people, population), toolbox, RATE, MUTATION)
        changed = [child for child in children if not child.fitness.valid]
        for child, values in zip(changed, pool.map(backtest, changed), strict=True):
            child.fitness.values = values
        evaluated += len(changed)
        people[:] = children
    return (time.perf_counter() - began) / generations, evaluated / generations


# The engine


class Clock:
    """Seconds spent in each phase, a function of which may be called inside another's."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.calls = dict.fromkeys(PHASES, 0)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The engine's functions, timed."""
        whole = [(owner, name, getattr(owner, name), phase) for phase, places in PHASES.items() for owner, name in places]
        for owner, name, function, phase in whole:
            setattr(owner, name, self._timed(function, phase))
        try:
            yield
        finally:
            for owner, name, function, _ in whole:
                setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any], phase: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                self.seconds[phase] += time.perf_counter() - began
                self.calls[phase] += 1

        return timed


def _engine(world: World, generations: int) -> tuple[float, float, dict[str, float]]:
    """Seconds and evaluations a generation, and seconds a generation of each phase; the founding is not timed."""
    state = _founded(world)
    clock = Clock()
    with clock.running():
        began = time.perf_counter()
        answer = advance_epoch(world, 0, 2, state, [])
        seconds = (time.perf_counter() - began) / generations
    if clock.calls["selection"] != generations or clock.calls["ranking and survival"] != generations:
        raise SystemExit(f"the phases are not those of the engine: {clock.calls} calls in {generations} generations")
    phases = {name: spent / generations for name, spent in clock.seconds.items()}
    phases["bookkeeping"] = seconds - sum(phases.values())
    return seconds, len(answer.trials) / generations, phases


def _founded(world: World) -> IslandState:
    """Founders, scored: an epoch that stops before its first generation."""
    scores = island._Scores(world, 0)
    deme = island._found(world, 0, scores)
    return IslandState(deme, deme.take([]))


_BARRIER: list[Any] = []


def _take_barrier(barrier: Any) -> None:
    _BARRIER.append(barrier)


def _island(bars: isl.Bars, population: int, generations: int, seed: int) -> tuple[float, float]:
    """Seconds and evaluations a generation of an island whose first begins when the other one's does."""
    world = _world(bars, population, "batch", seed, generations)
    state = _founded(world)
    _BARRIER[0].wait()
    began = time.perf_counter()
    answer = advance_epoch(world, 0, 2, state, [])
    return (time.perf_counter() - began) / generations, len(answer.trials) / generations


def _two_islands(workers: Any, bars: isl.Bars, population: int, generations: int, seed: int) -> tuple[float, float]:
    """The same of two islands of so many each: the seconds of the slower, the evaluations of both."""
    runs = workers.starmap(_island, [(bars, population, generations, 2 * seed + island) for island in range(2)], chunksize=1)
    return max(run[0] for run in runs), sum(run[1] for run in runs)


def _population(bars: isl.Bars, population: int) -> dict[str, Any]:
    rounds, generations, rivals = POPULATIONS[population]
    world = _world(bars, population, "batch", 0)
    backtest = Backtest(bars, world.warmup, world.markets[0].terms.periods_per_year)
    for engine in ("batch", "deap"):  # compiled, and every import done
        _engine(_world(bars, population, engine, 0, generations), generations)
    found: dict[str, list[Any]] = {"rival": [], "deap": [], "batch": [], "two": []}
    forked = multiprocessing.get_context("fork")
    with forked.Pool(2) as pool, forked.Pool(2, _take_barrier, (forked.Barrier(2),)) as workers:
        pool.map(backtest, [[0.5, 0.5, 0.5]] * 8)
        _two_islands(workers, bars, population // 2, generations, 0)
        for round_ in range(rounds):
            found["rival"].append(_rival(backtest, pool, population, rivals, round_))
            for engine in ("deap", "batch"):
                found[engine].append(_engine(_world(bars, population, engine, round_ + 1, generations), generations))
            found["two"].append(_two_islands(workers, bars, population // 2, generations, round_ + 1))
    return {"population": population, "rounds": rounds, **{name: _summary(runs) for name, runs in found.items()}}


def _summary(runs: list[Any]) -> dict[str, Any]:
    seconds = [run[0] for run in runs]
    summary: dict[str, Any] = {
        "seconds": statistics.median(seconds),
        "range": [min(seconds), max(seconds)],
        "evaluated": statistics.median(run[1] for run in runs),
    }
    if len(runs[0]) > 2:
        summary["phases"] = {name: statistics.median(run[2][name] for run in runs) for name in runs[0][2]}
    return summary


# What is verified


def _verify_fitness(bars: isl.Bars) -> float:
    """The largest relative difference between the rival's fitness and the engine's over 200 genomes."""
    world = _world(bars, 100, "batch", 0)
    backtest = Backtest(bars, world.warmup, world.markets[0].terms.periods_per_year)
    units = np.random.default_rng(1).random((200, len(BOUNDS))).tolist()
    genomes = np.array([[*decode(genes), 0.0] for genes in units])  # direction 0 is long
    ours = world.score(world.markets, np.zeros(len(units), dtype=np.int64), genomes)[:, 0]
    theirs = np.array([backtest(genes)[0] for genes in units])
    traded = np.isfinite(ours)
    difference = float(np.max(np.abs(ours[traded] - theirs[traded]) / np.maximum(np.abs(ours[traded]), 1e-3)))
    if difference > 1e-7 or traded.sum() < 100 or (theirs[~traded] != -1e9).any():
        raise SystemExit(f"the two fitnesses differ by {difference} over {traded.sum()} genomes that trade")
    return difference


creator.create("BenchFitness2", base.Fitness, weights=(1.0, 1.0))
creator.create("BenchIndividual2", list, fitness=creator.BenchFitness2)


def _ranking() -> dict[str, Any]:
    """Survivors of twice as many by NSGA-II, of SETS sets in a row: DEAP's selNSGA2 with nd="log", and the engine.

    fronts: fronts and crowding of the points. order: the engine's whole order, which tells copies apart and breaks ties by
    birth as well.
    """
    count, signs = 2 * RANKED, np.ones(2)
    births = np.column_stack([np.zeros(count), np.zeros(count), np.arange(count)])
    times: dict[str, list[float]] = {"deap": [], "fronts": [], "order": []}
    for round_ in range(8):
        sets = np.random.default_rng(round_).normal(size=(SETS, count, 2))
        people = [_people(worths) for worths in sets]
        demes = [Deme(np.zeros(count), worths, np.column_stack([worths, np.zeros(count)]), births) for worths in sets]
        began = time.perf_counter()
        chosen = [tools.selNSGA2(points, RANKED, nd="log") for points in people]
        deap = time.perf_counter()
        ranks = [fronts_and_crowding(worths) for worths in sets]
        fronts = time.perf_counter()
        kept = [order(deme, signs)[:RANKED].tolist() for deme in demes]
        done = time.perf_counter()
        for i in range(SETS):
            _verify_ranking(people[i], *ranks[i], [point[0] for point in chosen[i]], kept[i])
        if round_:  # the first one loads the kernels
            for name, seconds in (("deap", deap - began), ("fronts", fronts - deap), ("order", done - fronts)):
                times[name].append(seconds / SETS)
    summary = {name: {"seconds": statistics.median(t), "range": [min(t), max(t)]} for name, t in times.items()}
    return {"individuals": RANKED, **summary}


def _people(worths: np.ndarray) -> list[Any]:
    points = [creator.BenchIndividual2([row]) for row in range(len(worths))]
    for point, worth in zip(points, worths.tolist(), strict=True):
        point.fitness.values = worth
    return points


def _verify_ranking(points: list[Any], front: np.ndarray, crowding: np.ndarray, chosen: list[int], kept: list[int]) -> None:
    for number, members in enumerate(tools.sortLogNondominated(points, len(points))):
        tools.emo.assignCrowdingDist(members)
        if any(front[p[0]] != number or crowding[p[0]] != p.fitness.crowding_dist for p in members):
            raise SystemExit(f"front {number} is not DEAP's")
    standing = [sorted(zip(front[rows].tolist(), crowding[rows].tolist(), strict=True)) for rows in (chosen, kept)]
    if standing[0] != standing[1]:  # the ends of the last front are tied, and DEAP breaks ties another way
        raise SystemExit("the survivors are not those of selNSGA2")


# The tables


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown tables: generations per second, where the time goes, and ranking."""
    names = list(figures["populations"][0]["batch"]["phases"])
    lines = [
        "| population | DEAP and Pool(2), numpy | engine, DEAP's operators | batch operators | batch, two islands of half |",
        "|---|---|---|---|---|",
    ]
    for case in figures["populations"]:
        rival = case["rival"]["seconds"]
        cells = [f"{1.0 / rival:.3g} ({1.0 / case['rival']['range'][1]:.3g} to {1.0 / case['rival']['range'][0]:.3g})"]
        for name in ("deap", "batch", "two"):
            best, worst = (1.0 / seconds for seconds in case[name]["range"])
            median = case[name]["seconds"]
            cells.append(f"{1.0 / median:.3g} ({worst:.3g} to {best:.3g}), **{rival / median:.0f}x**")
        lines.append(f"| {case['population']:,} | {' | '.join(cells)} |")
    lines += ["", f"| us an individual | {' | '.join(names)} | all but the kernel |", "|---|" + "---|" * (len(names) + 1)]
    for case in figures["populations"]:
        for name, label in (("deap", "DEAP's operators"), ("batch", "batch operators")):
            phases = case[name]["phases"]
            spent = [*(phases[phase] for phase in names), sum(phases.values()) - phases["kernel"]]
            cells = [f"{seconds / case['population'] * 1e6:.2f}" for seconds in spent]
            lines.append(f"| {case['population']:,}, {label} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _notes(figures)])


def _notes(figures: dict[str, Any]) -> str:
    ranking, machine = figures["ranking"], figures["machine"]
    deap, fronts, whole = (ranking[name]["seconds"] for name in ("deap", "fronts", "order"))
    return (
        f"Generations per second on {figures['bars']:,} bars, median and range; the engine in one thread, the rival in two "
        f"processes, and so are two islands of half the population, of which the slower counts. Fronts and crowding of "
        f"{2 * ranking['individuals']:,} points of two objectives: {fronts * 1e3:.2f} ms; "
        f"with copies told apart and ties broken by birth {whole * 1e3:.2f} ms; DEAP's selNSGA2 (nd log) {deap * 1e3:.1f} ms, "
        f"{deap / fronts:.0f}x and {deap / whole:.0f}x. {machine['cores']} cores ({machine['cpu']}), Python "
        f"{machine['python']}; compilation not included."
    )
