"""How fast a user's own family is beside the built-in of the same arithmetic.

Both score the same genomes on the same bars in turns, in one kernel call each; the ratio is that of the median times. The
metrics of all genomes, and the positions of some, are held against each other first, bit for bit.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from islands.kernels import batch
from islands.kernels.metrics import METRICS
from islands.kernels.steps import ema_alpha, ema_next, rsi_value, wilder_next
from islands.kernels.vectors import where

import islands as isl
from islands.strategies.families import Family

BARS, GENOMES, ROUNDS, COMPARED = 100_000, 100, 15, 10


def crossover(genes, state, t, bars):
    """ema_crossover, as one writes it down."""
    fast, slow, target = state
    price = bars.close[t]
    fast = ema_next(fast, price, ema_alpha(genes.fast))
    slow = ema_next(slow, price, ema_alpha(genes.slow))
    if t >= genes.slow - 1:
        if fast > slow * (1.0 + genes.band):
            target = 1.0
        elif fast < slow * (1.0 - genes.band):
            target = -1.0
    return (fast, slow, target), target


def at_the_first_close(genes, bars):
    return bars.close[0], bars.close[0], 0.0


def constants(genes):
    return ema_alpha(genes.fast), ema_alpha(genes.slow), 1.0 + genes.band, 1.0 - genes.band, genes.slow - 1


def prepared_crossover(genes, state, t, bars):
    """ema_crossover, its constants computed once a run."""
    fast_alpha, slow_alpha, above, below, first = genes
    fast, slow, target = state
    price = bars.close[t]
    fast = ema_next(fast, price, fast_alpha)
    slow = ema_next(slow, price, slow_alpha)
    if t >= first:
        if fast > slow * above:
            target = 1.0
        elif fast < slow * below:
            target = -1.0
    return (fast, slow, target), target


def crossover_in_lanes(genes, state, t, bars):
    """ema_crossover, for many genomes at once."""
    fast_alpha, slow_alpha, above, below, first = genes
    fast, slow, target = state
    price = bars.close[t]
    fast = ema_next(fast, price, fast_alpha)
    slow = ema_next(slow, price, slow_alpha)
    crossed = where(fast > slow * above, 1.0, where(fast < slow * below, -1.0, target))
    target = where(t >= first, crossed, target)
    return (fast, slow, target), target


def reversion(genes, state, t, bars):
    """rsi_mean_reversion: entries of the forbidden side do not exist, so it asks for the direction itself."""
    gain, loss, target = state
    if t == 0:
        return state, 0.0
    gain, loss = wilder_next(gain, loss, bars.close[t] - bars.close[t - 1], t, genes.period)
    rsi = rsi_value(gain, loss) if t >= genes.period else np.nan
    if target == 0.0:
        if rsi < genes.entry and genes.direction != 1:
            target = 1.0
        elif rsi > 100.0 - genes.entry and genes.direction != 0:
            target = -1.0
    elif target > 0.0:
        target = 0.0 if not rsi <= genes.exit else target
    else:
        target = 0.0 if not rsi >= 100.0 - genes.exit else target
    return (gain, loss, target), target


def nothing_yet(genes, bars):
    return 0.0, 0.0, 0.0


def _own(name: str, built_in: str, **functions: Any) -> tuple[str, Family, Family]:
    kind = isl.family(built_in)
    own = isl.define_family(
        name, genes=kind.genes[:-1], constraints=kind.constraints, warmup=kind.warmup, doc="a twin", **functions
    )
    return name.replace("_", " "), isl.family(own), kind


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Times every pair and returns its figures."""
    pairs = [
        _own("ema_crossover", "ema_crossover", step=crossover, start=at_the_first_close),
        _own("ema_crossover_prepared", "ema_crossover", step=prepared_crossover, start=at_the_first_close, prepare=constants),
        _own(
            "ema_crossover_in_lanes",
            "ema_crossover",
            step=crossover_in_lanes,
            start=at_the_first_close,
            prepare=constants,
            lanes=True,
        ),
        _own("rsi_mean_reversion", "rsi_mean_reversion", step=reversion, start=nothing_yet),
    ]
    bars = isl.synthetic("planted", bars=BARS, seed=3, edge=0.1)
    return {"bars": BARS, "genomes": GENOMES, "rounds": ROUNDS, "cases": [_case(bars, *pair) for pair in pairs]}


def _case(bars: isl.Bars, name: str, own: Family, built_in: Family) -> dict[str, Any]:
    genomes = built_in.space().founders(np.random.default_rng(1), GENOMES)
    terms = batch.Terms(5e-4, 1e-4, built_in.space().warmup, 1e4, bars.periods_per_year)
    run = {kind: lambda kind=kind: batch.population_metrics(kind.signal, bars.tape, genomes, terms) for kind in (own, built_in)}
    figures = run[own]()
    same = figures.tobytes() == run[built_in]().tobytes() and figures[:, METRICS.index("trades")].any()
    for genome in genomes[:COMPARED]:
        targets = [batch.positions(kind.signal, bars.tape, genome) for kind in (own, built_in)]
        same = same and targets[0].tobytes() == targets[1].tobytes()
    if not same:
        raise SystemExit(f"{name}: its figures are not those of the built-in")
    seconds: dict[Family, list[float]] = {own: [], built_in: []}
    for _ in range(ROUNDS):
        for kind, call in run.items():
            began = time.perf_counter()
            call()
            seconds[kind].append(time.perf_counter() - began)
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    return {
        "name": name,
        "own_bars_per_second": BARS * GENOMES / medians[own],
        "built_in_bars_per_second": BARS * GENOMES / medians[built_in],
        "ratio": medians[built_in] / medians[own],
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = ["| family | built-in, million bars/s | your own | of its speed |", "|---|---|---|---|"]
    for case in figures["cases"]:
        built_in, own = case["built_in_bars_per_second"] / 1e6, case["own_bars_per_second"] / 1e6
        lines.append(f"| {case['name']} | {built_in:,.0f} | {own:,.0f} | {case['ratio']:.0%} |")
    machine = figures["machine"]
    lines.append("")
    lines.append(
        f"One core ({machine['cpu']}), Python {machine['python']}; {figures['genomes']} genomes over {figures['bars']:,} bars, "
        f"medians of {figures['rounds']} rounds; metrics and positions are compared bit for bit."
    )
    return "\n".join(lines)
