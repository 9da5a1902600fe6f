"""How fast populations are evaluated: bar-evaluations (individuals x bars) a second, in float64, on one thread.

The EMA crossover, long or flat, is run by our kernel, by the same arithmetic at lane width 1, by an ordinary compiled loop,
by numpy and scipy's lfilter an individual at a time, and by both engines of vectorbt in chunks of the size that suits each
best; long and short by those that share our rules for shorts. What is timed is verified in the same run: every contender's
return, Sharpe, drawdown and number of trades against ours, and each family bit for bit against lane width 1.

Seconds are the process's own, of all its threads: what else runs on the machine takes time, not these. Rounds are
interleaved, and ratios are taken round by round: the machine's speed wanders more between rounds than in one.
The roof: a bar of eight lanes is at least fifteen vector operations (two averages, their comparison, returns and their
sums, the drawdown), and no more are issued than the fused multiply-adds measured beside it. Costs 5 and 1 basis points.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from islands.kernels import batch, signals, vectors
from islands.kernels.metrics import METRICS

import islands as isl

BARS, POPULATION, ROUNDS = 100_000, 1_000, 9
FEE, SLIPPAGE, CASH, YEARLY = 5e-4, 1e-4, 1e4, 525_600.0
FIGURES = [METRICS.index(name) for name in ("total_return", "sharpe", "max_drawdown", "trades")]
TERMS = batch.Terms(FEE, SLIPPAGE, 0, CASH, YEARLY, funding=False)
OPERATIONS = 15  # vector instructions a bar at the very least


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Runs everything and returns its figures."""
    market, genomes = _market(BARS), _crossovers(POPULATION)
    return {
        "bars": BARS,
        "population": POPULATION,
        "compile_s": _compile_times(),
        "memory_mib": _memory(),
        "long_flat": _study(market, genomes, 0, [*_ours(), _SCALAR, _NUMPY, *_vectorbt()]),
        "long_short": _study(market, genomes, 2, [*_ours(), _SCALAR]),
        "families": _families(market),
    }


# What is evaluated


def _market(bars: int) -> Any:
    """A random walk of minutes, its opens a little off the closes before."""
    rng = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 6e-4, bars)))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0.0, 9e-5, bars))
    wicks = np.exp(rng.exponential(2e-4, (2, bars)))
    high, low = np.maximum(open_, close) * wicks[0], np.minimum(open_, close) / wicks[1]
    rates = np.where(np.arange(bars) % 480 == 0, rng.normal(1e-4, 5e-4, bars), 0.0)
    stamps = np.arange(bars, dtype=float) * 6e7
    return SimpleNamespace(
        timestamps=stamps, open=open_, high=high, low=low, close=close, volume=rng.lognormal(3.0, 1.0, bars), funding_rate=rates
    )


def _crossovers(count: int) -> np.ndarray:
    """Spans of 5 to 50 and of 20 to 200, long or flat."""
    rng = np.random.default_rng(3)
    fast, slow = rng.integers(5, 51, count), rng.integers(20, 201, count)
    slow = np.where(slow <= fast, fast + rng.integers(1, 100, count), slow)
    return np.column_stack([fast, slow, np.zeros(count), np.zeros(count)]).astype(float)


# Contenders: name, how many individuals it is given (their best chunk), and what gives FIGURES (P, 4) of them

Contender = tuple[str, int, Callable[[Any, np.ndarray], np.ndarray]]


def _ours() -> list[Contender]:
    signal = isl.family("ema_crossover").signal
    alone = signals.make_population(signal, 1)
    return [
        ("lanes", POPULATION, lambda market, genomes: batch.population_metrics(signal, market, genomes, TERMS)[:, FIGURES]),
        ("one lane", 200, lambda market, genomes: batch.run_population(alone, signal, market, genomes, TERMS)[:, FIGURES]),
    ]


@numba.njit(error_model="numpy")
def _loop(open_, close, genomes, fee, slippage, yearly, out):  # type: ignore[no-untyped-def]
    """One pass an individual: two averages, the account, and the sums, with no thought given to vectors."""
    bars = close.shape[0]
    for i in range(genomes.shape[0]):
        fast_alpha, slow_alpha, first = 2.0 / (genomes[i, 0] + 1.0), 2.0 / (genomes[i, 1] + 1.0), genomes[i, 1] - 1.0
        least = 0.0 if genomes[i, 3] == 0.0 else -1.0
        fast = slow = close[0]
        cash = equity = peak = 1.0
        units = target = ordered = total = squares = depth = 0.0
        trades = 0
        for t in range(bars):
            before = equity
            if target != ordered:
                wanted = target * (cash + units * open_[t]) / open_[t] - units
                fill = open_[t] * (1.0 + slippage if wanted > 0.0 else 1.0 - slippage)
                if wanted > 0.0:
                    wanted = min(wanted, max(cash / (fill * (1.0 + fee)), -units))
                cash -= wanted * fill + fee * abs(wanted) * fill
                units = units + wanted if target != 0.0 else 0.0
                trades += target != 0.0
                ordered = target
            equity = cash + units * close[t]
            r = equity / before - 1.0
            total += r
            squares += r * r
            peak = max(peak, equity)
            depth = max(depth, 1.0 - equity / peak)
            fast += fast_alpha * (close[t] - fast)
            slow += slow_alpha * (close[t] - slow)
            if t >= first:
                if fast > slow:
                    target = 1.0
                elif fast < slow:
                    target = least
        mean = total / bars
        out[i, 0], out[i, 2], out[i, 3] = equity - 1.0, depth, trades
        out[i, 1] = mean / math.sqrt((squares - total * mean) / (bars - 1.0)) * math.sqrt(yearly)


def _scalar(market: Any, genomes: np.ndarray) -> np.ndarray:
    out = np.empty((len(genomes), 4))
    _loop(market.open, market.close, genomes, FEE, SLIPPAGE, YEARLY, out)
    return out


def _with_numpy(market: Any, genomes: np.ndarray) -> np.ndarray:
    return np.array([_numpy_run(market, *genome[:2]) for genome in genomes])


def _numpy_run(market: Any, fast: float, slow: float) -> tuple[float, ...]:
    """Long or flat: positions by lfilter and a comparison, the account from the products of what orders do to it."""
    from scipy.signal import lfilter

    def average(span: float) -> np.ndarray:
        a = 2.0 / (span + 1.0)
        return np.asarray(lfilter([a], [1.0, a - 1.0], market.close, zi=[(1.0 - a) * market.close[0]])[0])

    held = np.zeros(len(market.close), bool)
    held[int(slow) :] = (average(fast) > average(slow))[int(slow) - 1 : -1]
    changed = np.diff(held, prepend=False)
    at = np.flatnonzero(changed)
    buying, selling = 1.0 / ((1.0 + FEE) * (1.0 + SLIPPAGE)), (1.0 - FEE) * (1.0 - SLIPPAGE)
    worth = np.cumprod(np.where(held[at], buying / market.open[at], selling * market.open[at]))
    owned = np.concatenate(([1.0], worth))[np.cumsum(changed)]
    equity = np.where(held, owned * market.close, owned)
    returns = equity / np.concatenate(([1.0], equity[:-1])) - 1.0
    drawdown = (1.0 - equity / np.maximum(np.maximum.accumulate(equity), 1.0)).max()
    sharpe = returns.mean() / returns.std(ddof=1) * math.sqrt(YEARLY)
    return equity[-1] - 1.0, sharpe, drawdown, float(held[at].sum())


_SCALAR: Contender = ("compiled loop", 100, _scalar)
_NUMPY: Contender = ("numpy and lfilter", 20, _with_numpy)


def _vectorbt() -> list[Contender]:
    """Both engines, each with the chunk of columns at which it was fastest; none where vectorbt is not installed."""
    if importlib.util.find_spec("vectorbt") is None:
        return []
    engines = ["numba", *(["rust"] if importlib.util.find_spec("vectorbt_rust") else [])]
    market, made = _market(BARS), []
    for engine in engines:
        times = {}
        for chunk in (5, 20, 50):
            run = _vectorbt_run(engine)
            run(market, _crossovers(chunk))
            times[chunk] = 1.0 / _rate(chunk, run, market, _crossovers(chunk))
        made.append((f"vectorbt, {engine}", min(times, key=times.__getitem__), _vectorbt_run(engine)))
    return made


def _vectorbt_run(engine: str) -> Callable[[Any, np.ndarray], np.ndarray]:
    import pandas as pd
    import vectorbt as vbt

    vbt.settings.array_wrapper["freq"], vbt.settings.returns["year_freq"] = "1min", "365 days"

    def run(market: Any, genomes: np.ndarray) -> np.ndarray:
        index = pd.date_range("2020-01-01", periods=len(market.close), freq="1min")
        open_, close = pd.Series(market.open, index), pd.Series(market.close, index)
        fast, slow = (
            vbt.MA.run(close, window=[int(n) for n in genomes[:, j]], ewm=True, run_unique=True, engine=engine).ma.values
            for j in (0, 1)
        )
        ready = np.arange(len(close))[:, None] >= genomes[:, 1] - 1.0
        entries, exits = np.zeros(fast.shape, bool), np.zeros(fast.shape, bool)
        entries[1:], exits[1:] = ((fast > slow) & ready)[:-1], (~(fast > slow) & ready)[:-1]
        costs = {"init_cash": 1.0, "fees": FEE, "slippage": SLIPPAGE, "freq": "1min", "engine": engine}
        account = vbt.Portfolio.from_signals(
            close, entries=entries, exits=exits, price=open_, open=open_, direction="longonly", **costs
        )
        figures = account.total_return(), account.sharpe_ratio(), -account.max_drawdown(), account.trades.count()
        return np.column_stack([np.asarray(figure) for figure in figures])

    return run


# The measurements


@numba.njit(error_model="numpy")
def _multiply_adds(series, count):  # type: ignore[no-untyped-def]
    """Ten chains side by side, or each would wait for itself."""
    a = b = c = d = e = f = g = h = i = j = vectors.bars_from(series, 0)
    for _ in range(count):
        a, b, c = vectors.fma(a, 0.5, 0.1), vectors.fma(b, 0.5, 0.2), vectors.fma(c, 0.5, 0.3)
        d, e, f = vectors.fma(d, 0.5, 0.4), vectors.fma(e, 0.5, 0.5), vectors.fma(f, 0.5, 0.6)
        g, h, i = vectors.fma(g, 0.5, 0.7), vectors.fma(h, 0.5, 0.8), vectors.fma(i, 0.5, 0.9)
        j = vectors.fma(j, 0.5, 1.0)
    return vectors.sum_of_lanes(a + b + c + d + e + f + g + h + i + j)


def _study(market: Any, genomes: np.ndarray, direction: int, contenders: list[Contender]) -> dict[str, Any]:
    genomes = genomes.copy()
    genomes[:, 3] = direction
    ours = contenders[0][2](market, genomes)
    worst = {}
    for name, count, run in contenders:
        theirs = run(market, genomes[:count])
        np.testing.assert_array_equal(theirs[:, 3], ours[:count, 3], err_msg=f"{name}: trades")
        np.testing.assert_allclose(theirs, ours[:count], rtol=1e-9, atol=1e-12, err_msg=name)
        worst[name] = float(np.max(np.abs(theirs / ours[:count] - 1.0)))
    rates: dict[str, list[float]] = {name: [] for name, _, _ in contenders}
    roofs = []
    for _ in range(ROUNDS):
        roofs.append(_roof())
        for name, count, run in contenders:
            rates[name].append(_rate(count * BARS, run, market, genomes[:count]))
    lanes = np.array(rates["lanes"])
    return {
        "rates": rates,
        "individuals": {name: count for name, count, _ in contenders},
        "times_faster": {name: (lanes / rate).tolist() for name, rate in rates.items() if name != "lanes"},
        "of_the_roof": (lanes / roofs).tolist(),
        "worst_relative_difference": worst,
    }


def _rate(evaluations: int, run: Callable[..., object], *arguments: object) -> float:
    began = time.process_time()
    run(*arguments)
    return evaluations / (time.process_time() - began)


def _roof() -> float:
    """Bar-evaluations a second were nothing but OPERATIONS issued, at the speed of fused multiply-adds."""
    _multiply_adds(np.ones(8), 10)
    count = 2_000_000
    return _rate(10 * count, _multiply_adds, np.ones(8), count) * vectors.BARS / OPERATIONS


def _families(market: Any) -> dict[str, Any]:
    """Each family with random genomes of its own space: by the population's kernel, and at lane width 1."""
    found = {}
    for name in isl.families():
        family = isl.family(name)
        genomes = family.space().founders(np.random.default_rng(1), POPULATION)
        genomes[:, -1] = 2.0
        alone = signals.make_population(family.signal, 1)
        few = genomes[:100]
        rows = batch.population_metrics(family.signal, market, genomes, TERMS)
        np.testing.assert_array_equal(rows[:100], batch.run_population(alone, family.signal, market, few, TERMS))
        together, single = [], []
        for _ in range(3):
            together.append(_rate(len(genomes) * BARS, batch.population_metrics, family.signal, market, genomes, TERMS))
            single.append(_rate(len(few) * BARS, batch.run_population, alone, family.signal, market, few, TERMS))
        orders = float(np.mean(rows[:, METRICS.index("trades")])) / BARS
        found[name] = {"rates": together, "one_lane": single, "trades_a_bar": orders}
    return found


_PROBE = """
import json, resource, time
import numpy as np
from benchmarks import kernel_speed
from islands.kernels import batch
import islands as isl
market, genomes = kernel_speed._market({bars}), kernel_speed._crossovers({population})
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
batch.population_metrics(isl.family("ema_crossover").signal, market, genomes, kernel_speed.TERMS)
print(json.dumps([before / 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter() - began]))
"""


def _probe(bars: int, population: int, **environment: str) -> tuple[float, float, float]:
    """MiB at most before and after one call in a process of its own, and its seconds."""
    code = _PROBE.format(bars=bars, population=population)
    answer = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    before, after, seconds = json.loads(answer.stdout.splitlines()[-1])
    return before, after, seconds


def _memory() -> dict[str, float]:
    """A thousand genomes on four million bars."""
    before, after, seconds = _probe(4_000_000, POPULATION)
    return {"before": before, "peak": after, "seconds": seconds, "rate": 4e6 * POPULATION / seconds}


def _compile_times() -> dict[str, float]:
    """Seconds of the first call in a process with an empty cache, and in a second one."""
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_probe(1_000, 16, ISLANDS_CACHE_DIR=folder)[2] for _ in range(2))
    return {"first_process": first, "second_process": second}


# The table


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    lines = [
        "| EMA crossover, 1,000 individuals | million bar-evaluations a second | our lanes are faster by | range |",
        "|---|---|---|---|",
    ]
    for label, key in (("long or flat", "long_flat"), ("long and short", "long_short")):
        study = figures[key]
        for name, rates in study["rates"].items():
            times = study["times_faster"].get(name)
            ratio = f"{statistics.median(times):,.1f} | {min(times):,.1f} to {max(times):,.1f}" if times else "| "
            lines.append(f"| {label}: {name} | {statistics.median(rates) / 1e6:,.1f} | {ratio} |")
    lines += ["", "| family | million bar-evaluations a second | at lane width 1 | trades in 1,000 bars |", "|---|---|---|---|"]
    for name, family in figures["families"].items():
        fast, slow = (statistics.median(family[key]) / 1e6 for key in ("rates", "one_lane"))
        lines.append(f"| {name} | {fast:,.0f} | {slow:,.0f} | {1e3 * family['trades_a_bar']:.1f} |")
    roof, memory, machine = figures["long_flat"]["of_the_roof"], figures["memory_mib"], figures["machine"]
    lines += [
        "",
        f"float64, one thread of {machine['cpu']}, all metrics of the fused pass, {figures['bars']:,} bars, medians of "
        f"{ROUNDS} interleaved rounds. Long or flat reaches {100 * statistics.median(roof):.0f} % of the roof. A thousand "
        f"genomes on four million bars: {memory['seconds']:.1f} s, {memory['peak']:,.0f} MiB at most, of which "
        f"{memory['before']:,.0f} before the call. Compilation: {figures['compile_s']['first_process']:.1f} s once a machine, "
        f"{figures['compile_s']['second_process']:.2f} s for the first call of a later process.",
    ]
    return "\n".join(lines)
