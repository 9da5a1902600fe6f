"""What float32 gains and what it costs: families whose lanes see in it against the same in float64, and whole epochs.

Seconds are the process's own, rounds interleaved, ratios taken round by round. Verified in the same run: rows in float32 are
bit for bit those of other lanes, in another order; in the epochs, whoever is in a hall of fame has the score of float64.
Errors are of the Sharpe ratio over genomes that trade: relative, but to no less than a tenth of its spread over them, since
a ratio near 0 has no relative error.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from islands.kernels import batch, signals
from islands.kernels.metrics import METRICS

import islands as isl
from benchmarks.kernel_speed import _founders, _market, _say
from benchmarks.opponents import TERMS
from islands.evolution import memo
from islands.evolution.island import Answer, advance_epoch
from islands.evolution.world import World, make_world
from islands.spec import ONLY, CampaignSpec

BARS, POPULATION, ROUNDS = 100_000, 1_000, 15
SIZES = {(20_000, 100): (3, 9), (20_000, 1_000): (3, 9), (200_000, 1_000): (2, 3)}
"""Bars and population of an island -> its epochs, and rounds."""
SHARPE, TRADES = METRICS.index("sharpe"), METRICS.index("trades")


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Every family that has a float32 form."""
    names = [name for name in isl.families() if isl.family(name).signal.of_singles is not None]
    market = _market(BARS)
    return {
        "bars": BARS,
        "population": POPULATION,
        "families": {name: _family(name, market) for name in names},
        "epochs": {name: [_epochs(name, *size) for size in SIZES] for name in names},
    }


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _family(name: str, market: Any) -> dict[str, Any]:
    """Founders, long and short."""
    _say(f"precision: {name}")
    signal, genomes = isl.family(name).signal, _founders(name, POPULATION, signals.BOTH)
    run = {
        single: lambda single=single: batch.population_metrics(signal, market, genomes, TERMS, single=single)
        for single in (False, True)
    }
    exact, seen = run[False](), run[True]()
    _verify_lanes(signal.of_singles, market, genomes, seen)
    seconds = [[_seconds(run[single]) for single in (False, True)] for _ in range(ROUNDS)]
    return {"seconds": seconds, "faster": [a / b for a, b in seconds]} | _errors(exact, seen)


def _verify_lanes(signal: signals.Signal, market: Any, genomes: np.ndarray, rows: np.ndarray) -> None:
    some = np.random.default_rng(5).permutation(len(genomes))[:100]
    narrow = batch.run_population(signal.in_lanes(16), signal, market, genomes[some], TERMS)
    np.testing.assert_array_equal(narrow, rows[some])


def _errors(exact: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    traded = (exact[:, TRADES] > 0) & np.isfinite(exact[:, SHARPE]) & np.isfinite(seen[:, SHARPE])
    true, found = exact[traded, SHARPE], seen[traded, SHARPE]
    error = np.abs(found - true) / np.maximum(np.abs(true), 0.1 * np.std(true))
    return {
        "trading": int(traded.sum()),
        "rank_correlation": float(np.corrcoef(_ranks(true), _ranks(found))[0, 1]),
        "median_error": float(np.median(error)),
        "error_99": float(np.quantile(error, 0.99)),
        "largest_error": float(error.max()),
        "same_figures": float((exact[traded] == seen[traded])[:, [SHARPE, TRADES]].all(axis=1).mean()),
        "equal_trades": float((exact[traded, TRADES] == seen[traded, TRADES]).mean()),
    }


def _ranks(values: np.ndarray) -> np.ndarray:
    """From 0, equal values sharing the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return ((ends - count + ends - 1) / 2.0)[place]


def _world(name: str, bars: isl.Bars, population: int, precision: str, seed: int) -> World:
    spec = CampaignSpec(
        seed=seed,
        costs={"fee": TERMS.fee, "slippage": TERMS.slippage},
        families=[{"name": name}],
        evolution={"population": population, "precision": precision},
        archipelago={"islands": 1, "topology": "none"},
    )
    return make_world(spec, {ONLY: bars.tape})


def _epochs(name: str, bars: int, population: int) -> dict[str, Any]:
    """An island's epochs as a worker has them, each round with another seed, and without what the memo has from before."""
    _say(f"precision: epochs of {population} of {name} on {bars} bars")
    seconds, exact, tape = [], list[float](), isl.synthetic("planted", bars=bars, seed=1, edge=0.1)
    epochs, rounds = SIZES[bars, population]
    for seed in range(rounds + 1):
        pair = []
        for precision in ("float64", "float32"):
            world = _world(name, tape, population, precision, seed)
            answers: list[Answer] = []
            pair.append(_seconds(lambda world=world, answers=answers: _evolve(world, epochs, answers)))
            if precision == "float32":
                exact.append(_verify_hall(world, answers[-1]))
        seconds.append(pair)
    seconds = seconds[1:]  # the first fills tables of the tape, and the caches of kernels
    return {
        "bars": bars,
        "population": population,
        "epochs": epochs,
        "seconds": seconds,
        "faster": [a / b for a, b in seconds],
        "scored_again": statistics.fmean(exact[1:]),
    }


def _evolve(world: World, epochs: int, answers: list[Answer]) -> None:
    for epoch in range(1, epochs + 1):
        answers.append(advance_epoch(world, 0, epoch, answers[-1].state if answers else None, []))


def _verify_hall(world: World, answer: Answer) -> float:
    """The share of the genomes seen in float32 that were scored in float64 as well."""
    hall = answer.state.hall_of_fame
    scores = world.score(world.habitats[0].markets, hall.families, hall.genomes)
    if scores.tobytes() != hall.scores.tobytes() or not len(hall):
        raise AssertionError("a hall of fame is empty, or holds a score of float32")
    known = [sum(one.register.count for one in memo._memos[each].values()) for each in (world, world.screening)]
    return max(known[0] - len(answer.state.deme), 0) / known[1]  # all founders were in float64


def table(figures: dict[str, Any]) -> str:
    """The figures as two Markdown tables and words."""
    kernels = [
        f"| {figures['bars']:,} bars, {figures['population']:,} founders, long and short | float32 is faster by | "
        "rank correlation | median error | 99 % below | largest | equal Sharpe | equal trades |",
        "|---" * 8 + "|",
    ]
    for name, one in figures["families"].items():
        errors = (f"{one[key]:.0e}" if one[key] else "0" for key in ("median_error", "error_99", "largest_error"))
        shares = (f"{100 * one[key]:.1f} %" for key in ("same_figures", "equal_trades"))
        rank = f"{one['rank_correlation']:.7f}"
        kernels.append(f"| {' | '.join([name, _ratio(one['faster']), rank, *errors, *shares])} |")
    sizes = " | ".join(f"{population:,} on {bars:,} bars | scored again" for bars, population in SIZES)
    epochs = [f"| whole epochs of an island: faster by | {sizes} |", "|---" * (1 + 2 * len(SIZES)) + "|"]
    for name, cells in figures["epochs"].items():
        told = (f"{_ratio(one['faster'])} | {100 * one['scored_again']:.1f} %" for one in cells)
        epochs.append(f"| {name} | {' | '.join(told)} |")
    words = (
        f"One thread of {figures['machine']['cpu']}; medians and ranges of {ROUNDS} rounds, of the epochs (five generations "
        "each, every round another seed) of fewer. Errors are of the Sharpe ratio."
    )
    return "\n\n".join(["\n".join(kernels), "\n".join(epochs), words])


def _ratio(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})"
