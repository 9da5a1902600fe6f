"""How fast populations are evaluated: bar-evaluations (individuals x bars) a second, in float64, on one thread.

Every family, long or flat, against those of opponents.py, the EMA crossover with both sides as well, and RSI's reversion
under a stop-loss and a take-profit; then every family by itself, with and without these two, over a grid of sizes, and in
what memory. What is timed is verified in the same run: every contender's return, Sharpe, drawdown and number of trades
against ours, each family bit for bit against lane width 1, and rows under stops bit for bit against the same rows alone.

Seconds are the process's own, of all its threads: what else runs on the machine takes time, not these. Rounds are
interleaved, and ratios are taken round by round: the machine's speed wanders more between rounds than in one.
The roof: a bar of eight lanes of the EMA crossover is at least fifteen vector operations (two averages, their comparison,
returns and their sums, the drawdown), and no more are issued than the fused multiply-adds measured beside it. Costs 5 and
1 basis points.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from islands.kernels import batch, signals, spans, vectors
from islands.kernels.metrics import METRICS

import islands as isl
from benchmarks import opponents
from benchmarks.opponents import FIGURES, STOPS, TERMS, UNSLIPPED, Contender
from islands.market.tape import Tape

BARS, POPULATION = 100_000, 1_000
ROUNDS, FEWER_ROUNDS = 9, 5  # of the EMA crossover's studies, and of the others
OPERATIONS = 15  # vector instructions a bar at the very least
GRID_BARS, GRID_POPULATIONS = (10_000, 100_000, 1_000_000), (1, 100, 1_000, 10_000)
LARGEST = 10**9  # evaluations of the grid's cells, but for those families that stand for their kind:
REPRESENTATIVE = ("ema_crossover", "donchian_breakout", "bollinger_reversion")
PATIENCE = 60.0  # seconds that a cell may take, as the one before it lets expect
MEMORY_BARS, MEMORY_RULE = 4_000_000, 1_024.0  # MiB
DIRECTION = signals.BOTH


def measure(data: Path, out: Path) -> dict[str, Any]:
    """Runs everything and returns its figures."""
    market = _market(BARS)
    return {
        "bars": BARS,
        "population": POPULATION,
        "versions": opponents.versions(),
        "long_flat": _long_flat(market),
        "long_short": _long_short(market),
        "rivals": _rivals(market),
        "stops": _under_stops(market),
        "still": _still(),
        "families": _families(market),
        "grid": _grid(),
        "memory_mib": _memory(),
        "compile_s": {"plain": _compile_times(False), "stops": _compile_times(True)},
    }


def _say(*words: object) -> None:
    print(f"{time.process_time():7.1f} s", *words, file=sys.stderr, flush=True)


# What is evaluated


def _market(bars: int) -> Tape:
    """A random walk of minutes, its opens a little off the closes before."""
    rng = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 6e-4, bars)))
    open_ = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0.0, 9e-5, bars))
    wicks = np.exp(rng.exponential(2e-4, (2, bars)))
    high, low = np.maximum(open_, close) * wicks[0], np.minimum(open_, close) / wicks[1]
    rates = np.where(np.arange(bars) % 480 == 0, rng.normal(1e-4, 5e-4, bars), 0.0)
    stamps = np.arange(bars, dtype=float) * 6e7
    return Tape(np.stack([stamps, open_, high, low, close, rng.lognormal(3.0, 1.0, bars), rates]))


def _crossovers(count: int, direction: int) -> np.ndarray:
    """Spans of 5 to 50 and of 20 to 200."""
    rng = np.random.default_rng(3)
    fast, slow = rng.integers(5, 51, count), rng.integers(20, 201, count)
    slow = np.where(slow <= fast, fast + rng.integers(1, 100, count), slow)
    return np.column_stack([fast, slow, np.zeros(count), np.full(count, direction)]).astype(float)


def _founders(name: str, count: int, direction: int) -> np.ndarray:
    """Random genomes of a family's own space."""
    genomes = isl.family(name).space().founders(np.random.default_rng(1), count)
    genomes[:, -1] = direction
    return genomes


def _trading(name: str, market: Any, band: float | None) -> np.ndarray:
    """Founders, long or flat, that trade at all, for who does not costs us next to nothing; at a band, if given.

    POPULATION of them, drawn from four times as many, and repeated where still fewer trade."""
    family, genomes = isl.family(name), _founders(name, 4 * POPULATION, signals.LONG)
    if band is not None:
        genomes[:, [gene.name for gene in family.genes].index("band")] = band
    trades = batch.population_metrics(family.signal, market, genomes, TERMS)[:, METRICS.index("trades")]
    found = genomes[trades > 0.0]
    return np.resize(found, (POPULATION, found.shape[1]))


# Ours


def _lanes(name: str, terms: batch.Terms = TERMS, overlays: bool = False) -> Contender:
    signal = isl.family(name).signal
    return Contender("lanes", POPULATION, lambda *given: _evaluate(signal, *given, terms, overlays)[:, FIGURES])


def _one_lane(name: str, count: int) -> Contender:
    signal = isl.family(name).signal
    return Contender("one lane", count, lambda *given: batch.run_population(signal.alone, signal, *given, TERMS)[:, FIGURES])


def _evaluate(signal: signals.Signal, market: Any, genomes: np.ndarray, terms: batch.Terms, overlays: bool) -> np.ndarray:
    rows = np.tile(STOPS, (len(genomes), 1)) if overlays else None
    return batch.population_metrics(signal, market, genomes, terms, rows)


# The measurements


@numba.njit(error_model="numpy")
def _multiply_adds(series, count):  # type: ignore[no-untyped-def]
    """Ten chains side by side, or each would wait for itself."""
    a = b = c = d = e = f = g = h = i = j = spans.bars_from(series, 0)
    for _ in range(count):
        a, b, c = vectors.fma(a, 0.5, 0.1), vectors.fma(b, 0.5, 0.2), vectors.fma(c, 0.5, 0.3)
        d, e, f = vectors.fma(d, 0.5, 0.4), vectors.fma(e, 0.5, 0.5), vectors.fma(f, 0.5, 0.6)
        g, h, i = vectors.fma(g, 0.5, 0.7), vectors.fma(h, 0.5, 0.8), vectors.fma(i, 0.5, 0.9)
        j = vectors.fma(j, 0.5, 1.0)
    return vectors.sum_of_lanes(a + b + c + d + e + f + g + h + i + j)


def _roof() -> float:
    """Bar-evaluations a second were nothing but OPERATIONS issued, at the speed of fused multiply-adds."""
    _multiply_adds(np.ones(8), 10)
    count = 2_000_000
    return _rate(10 * count, _multiply_adds, np.ones(8), count) * spans.BARS / OPERATIONS


def _rate(evaluations: int, run: Callable[..., object], *arguments: object) -> float:
    began = time.process_time()
    run(*arguments)
    return evaluations / (time.process_time() - began)


def _study(market: Any, genomes: np.ndarray, contenders: list[Contender], rounds: int) -> dict[str, Any]:
    """The contenders' rates, round by round, the first of them ours, after a comparison of their figures with ours."""
    ours = contenders[0].run(market, genomes)
    worst = {}
    for name, count, run, tolerance, _ in contenders:
        theirs = run(market, genomes[:count])
        np.testing.assert_array_equal(theirs[:, 3], ours[:count, 3], err_msg=f"{name}: trades")
        np.testing.assert_allclose(theirs, ours[:count], rtol=tolerance, atol=1e-3 * tolerance, err_msg=name)
        worst[name] = float(np.nanmax(np.abs(theirs[:, :3] / ours[:count, :3] - 1.0)))
    rates: dict[str, list[float]] = {one.name: [] for one in contenders}
    roofs = []
    for _ in range(rounds):
        roofs.append(_roof())
        for name, count, run, _, _ in contenders:
            gc.collect()  # vectorbt's portfolios are cycles of hundreds of megabytes
            rates[name].append(_rate(count * len(market.close), run, market, genomes[:count]))
    lanes = np.array(rates["lanes"])
    return {
        "rates": rates,
        "individuals": {one.name: one.individuals for one in contenders},
        "times_faster": {name: (lanes / rate).tolist() for name, rate in rates.items() if name != "lanes"},
        "roofs": roofs,
        "worst_relative_difference": worst,
        "trades_a_bar": float(ours[:, 3].mean()) / len(market.close),
    }


def _long_flat(market: Any) -> dict[str, Any]:
    """The EMA crossover without a band, against everyone."""
    _say("ema_crossover, long or flat")
    name, genomes = "ema_crossover", _crossovers(POPULATION, signals.LONG)
    others = [_one_lane(name, 200), opponents.compiled_loop(name), opponents.with_numpy(name)]
    return _with_roof(_study(market, genomes, [_lanes(name), *others, *opponents.of_vectorbt(name, market, genomes)], ROUNDS))


def _long_short(market: Any) -> dict[str, Any]:
    """The EMA crossover on both sides: vectorbt by orders that follow our rule, and by its signals' own."""
    _say("ema_crossover, long and short")
    name, genomes = "ema_crossover", _crossovers(POPULATION, signals.BOTH)
    theirs = [
        contender
        for account in ("targets", "both sides")
        for contender in opponents.of_vectorbt(name, market, genomes, account)
    ]
    contenders = [_lanes(name), _one_lane(name, 200), opponents.compiled_loop(name), *theirs]
    return _with_roof(_study(market, genomes, contenders, ROUNDS))


def _with_roof(study: dict[str, Any]) -> dict[str, Any]:
    return study | {"of_the_roof": (np.array(study["rates"]["lanes"]) / study["roofs"]).tolist()}


def _rivals(market: Any) -> dict[str, Any]:
    """Every family, long or flat, against vectorbt at its best and numpy; those with a band without it as well."""
    found = {}
    for name in isl.families():
        bands = (None, 0.0) if any(gene.name == "band" for gene in isl.family(name).genes) else (None,)
        for band in bands:
            label = name if band is None else f"{name}, no band"
            _say("rivals of", label)
            genomes = _trading(name, market, band)
            vectorbt = opponents.of_vectorbt(name, market, genomes)[:1]
            loops = [opponents.compiled_loop(name)] if name == "donchian_breakout" else []
            contenders = [_lanes(name), _one_lane(name, 100), *loops, opponents.with_numpy(name), *vectorbt]
            study = _study(market, genomes, contenders, FEWER_ROUNDS)
            found[label] = study | {"vectorbt": _told(study, vectorbt, name, market, genomes)}
    return found


def _told(study: dict[str, Any], vectorbt: list[Contender], family: str, market: Any, genomes: np.ndarray) -> Any:
    """Which vectorbt took part, and what share of its time went into indicators and signals; None where none did."""
    if not vectorbt:
        return None
    name, count, _, _, engine = vectorbt[0]
    asked = _rate(count * len(market.close), opponents.asked_of_vectorbt, family, market, genomes[:count], engine)
    return {"name": name, "columns": count, "share_of_signals": statistics.median(study["rates"][name]) / asked}


def _under_stops(market: Any) -> dict[str, Any]:
    """RSI's reversion, long or flat, under a stop-loss and a take-profit."""
    name = "rsi_mean_reversion"
    _say(name, "under stops")
    genomes = _trading(name, market, None)
    vectorbt = opponents.of_vectorbt(name, market, genomes, "stops")[:1]
    study = _study(market, genomes, [_lanes(name, UNSLIPPED, True), *vectorbt], FEWER_ROUNDS)
    met = _lanes(name, UNSLIPPED).run(market, genomes) != _lanes(name, UNSLIPPED, True).run(market, genomes)
    told = _told(study, vectorbt, name, market, genomes)
    return study | {"vectorbt": told, "share_that_met_a_level": float(met.any(axis=1).mean())}


def _still() -> list[float]:
    """How many times as long RSI's reversion takes on bars that stand still after the first tenth, round by round: Wilder's
    averages decay below 1e-308 there."""
    _say("still bars")
    moving = _market(BARS)
    prices = np.stack([moving.timestamps, moving.open, moving.high, moving.low, moving.close, moving.volume])
    prices[1:5, BARS // 10 :] = moving.close[BARS // 10]
    name, still = "rsi_mean_reversion", Tape(prices)
    run, genomes = isl.family(name).signal, _founders(name, POPULATION, signals.LONG)
    both = [
        (_rate(1, _evaluate, run, bars, genomes, TERMS, False) for bars in (moving, still)) for _ in range(FEWER_ROUNDS + 1)
    ]
    return [quick / slow for quick, slow in both][1:]


def _families(market: Any) -> dict[str, Any]:
    """Each family's founders, on both sides: by the population's kernel, at lane width 1, and under stops."""
    found = {}
    for name in isl.families():
        _say("family", name)
        signal, genomes = isl.family(name).signal, _founders(name, POPULATION, DIRECTION)
        few = genomes[:100]
        rows = _evaluate(signal, market, genomes, TERMS, False)
        np.testing.assert_array_equal(rows[:100], batch.run_population(signal.alone, signal, market, few, TERMS))
        _verify_stops(signal, market, genomes)
        rates: dict[str, list[float]] = {"rates": [], "one_lane": [], "stops": []}
        for _ in range(3):
            rates["rates"].append(_rate(POPULATION * BARS, _evaluate, signal, market, genomes, TERMS, False))
            rates["one_lane"].append(_rate(len(few) * BARS, batch.run_population, signal.alone, signal, market, few, TERMS))
            rates["stops"].append(_rate(POPULATION * BARS, _evaluate, signal, market, genomes, TERMS, True))
        found[name] = rates | {"trades_a_bar": float(np.mean(rows[:, METRICS.index("trades")])) / BARS}
    return found


def _verify_stops(signal: signals.Signal, market: Any, genomes: np.ndarray) -> None:
    """Rows under stops are the same alone and beside others, bit for bit."""
    together = _evaluate(signal, market, genomes, TERMS, True)
    for i in range(0, len(genomes), len(genomes) // 5):
        alone = _evaluate(signal, market, genomes[i : i + 1], TERMS, True)
        np.testing.assert_array_equal(together[i : i + 1], alone, err_msg=f"{signal.name}: row {i} under stops")


def _grid() -> list[dict[str, Any]]:
    """Cells: family, bars, individuals, stops, and the rates, or none and why."""
    cells = []
    for bars in GRID_BARS:
        market = _market(bars)
        for name in isl.families():
            for stops in (False, True):
                rate = 1e9
                for population in GRID_POPULATIONS:
                    cell = {"family": name, "bars": bars, "individuals": population, "stops": stops}
                    cell |= _cell(name, market, population, stops, bars * population / rate)
                    cells.append(cell)
                    rate = statistics.median(cell["rates"] or [rate])
                    shown = f"{rate / 1e6:,.0f} million a second" if cell["rates"] else cell["why"]
                    _say(f"grid: {name}, {bars:,} bars x {population:,}{', stops' if stops else ''}: {shown}")
    return cells


def _cell(name: str, market: Any, population: int, stops: bool, expected: float) -> dict[str, Any]:
    """Rates of half a second's rounds at most, and at least one round."""
    evaluations = len(market.close) * population
    if evaluations > LARGEST and name not in REPRESENTATIVE:
        return {"rates": [], "why": f"{evaluations:.0e} evaluations: run for {', '.join(REPRESENTATIVE)} alone"}
    if expected > PATIENCE:
        return {"rates": [], "why": f"would take {expected:.0f} s"}
    signal, genomes = isl.family(name).signal, _founders(name, population, DIRECTION)
    arguments = evaluations, _evaluate, signal, market, genomes, TERMS, stops
    if population == 1:
        _rate(*arguments)  # compiles, and reads the bars for the first time
    rates = [_rate(*arguments)]
    rounds = int(0.5 * rates[0] / evaluations)
    return {"rates": rates + [_rate(*arguments) for _ in range(min(rounds, 20))]}


# Memory and compilation, each in a process of its own

_PROBE = """
import json, time
from pathlib import Path
from benchmarks import kernel_speed as study
import islands as isl

def mebibytes(what):  # not getrusage, whose maximum begins with that of the process which started this one
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024

signal, market = isl.family("{name}").signal, study._market({bars})
genomes = study._founders("{name}", {population}, study.DIRECTION)
before, began = mebibytes("VmRSS"), time.process_time()
study._evaluate(signal, market, genomes, study.TERMS, {stops})
seconds = time.process_time() - began
print(json.dumps([before, mebibytes("VmHWM"), seconds]))
"""


def _probe(name: str, bars: int, population: int, stops: bool, **environment: str) -> tuple[float, float, float]:
    """MiB before one call in a process of its own, MiB at most, and the seconds of the call."""
    code = _PROBE.format(name=name, bars=bars, population=population, stops=stops)
    answer = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    before, after, seconds = json.loads(answer.stdout.splitlines()[-1])
    return before, after, seconds


def _memory() -> dict[str, Any]:
    """Every family's founders on four million bars, two of them under stops as well."""
    found = {}
    for name in isl.families():
        for stops in (False, True) if name in ("ema_crossover", "bollinger_reversion") else (False,):
            label = f"{name}, stops" if stops else name
            before, after, seconds = _probe(name, MEMORY_BARS, POPULATION, stops)
            found[label] = {"before": before, "peak": after, "seconds": seconds}
            _say(f"memory: {label}: {after:,.0f} MiB, {seconds:.1f} s")
    return found


def _compile_times(stops: bool) -> dict[str, float]:
    """Seconds of the first call in a process with an empty cache, and in a second one."""
    _say("compilation")
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_probe("ema_crossover", 1_000, 16, stops, ISLANDS_CACHE_DIR=folder)[2] for _ in range(2))
    return {"first_process": first, "second_process": second}


# The tables


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    return "\n\n".join(
        part(figures) for part in (_table_of_ema, _table_of_rivals, _table_of_families, _table_of_sizes, _words, _whole_grid)
    )


def _millions(rates: list[float]) -> str:
    if not rates:
        return "-"
    value = statistics.median(rates) / 1e6
    return f"{value:,.0f}" if value >= 9.5 else f"{value:.1f}"


def _ratio(times: list[float] | None) -> str:
    return f"{statistics.median(times):,.1f} ({min(times):,.1f} to {max(times):,.1f})" if times else "-"


def _table_of_ema(figures: dict[str, Any]) -> str:
    lines = [
        "| EMA crossover without a band, 1,000 individuals | million bar-evaluations a second | our lanes are faster by |",
        "|---|---|---|",
    ]
    for label, key in (("long or flat", "long_flat"), ("long and short", "long_short")):
        study = figures[key]
        for name, rates in study["rates"].items():
            times = study["times_faster"].get(name)
            lines.append(f"| {label}: {name} | {_millions(rates)} | {_ratio(times) if times else ''} |")
    return "\n".join(lines)


def _table_of_rivals(figures: dict[str, Any]) -> str:
    lines = [
        "| long or flat, 1,000 individuals that trade | million a second | faster than vectorbt by | its engine, columns | "
        "than numpy | than lane width 1 | trades in 1,000 bars |",
        "|---|---|---|---|---|---|---|",
    ]
    studies = figures["rivals"] | {"rsi_mean_reversion, stops": figures["stops"]}
    for label, study in studies.items():
        told, times = study["vectorbt"], study["times_faster"]
        against = _ratio(times[told["name"]]) if told else "-"
        how = f"{told['name'].partition(', ')[2]}, {told['columns']}" if told else "-"
        others = [
            f"{statistics.median(times[name]):,.1f}" if name in times else "-" for name in ("numpy and lfilter", "one lane")
        ]
        trades = f"{1e3 * study['trades_a_bar']:.1f}"
        lines.append(
            f"| {label} | {_millions(study['rates']['lanes'])} | {against} | {how} | {' | '.join(others)} | {trades} |"
        )
    return "\n".join(lines)


def _table_of_families(figures: dict[str, Any]) -> str:
    lines = [
        "| long and short, 1,000 individuals | million a second | at lane width 1 | with stop-loss and take-profit | "
        "trades in 1,000 bars | MiB at most on 4,000,000 bars |",
        "|---|---|---|---|---|---|",
    ]
    memory = figures["memory_mib"]
    for name, family in figures["families"].items():
        rates = " | ".join(_millions(family[key]) for key in ("rates", "one_lane", "stops"))
        peak = f"{memory[name]['peak']:,.0f}"
        if f"{name}, stops" in memory:
            peak += f", with stops {memory[f'{name}, stops']['peak']:,.0f}"
        lines.append(f"| {name} | {rates} | {1e3 * family['trades_a_bar']:.1f} | {peak} |")
    return "\n".join(lines)


def _sizes(figures: dict[str, Any], columns: list[tuple[int, int]], families: tuple[str, ...]) -> str:
    found = {(cell["family"], cell["stops"], cell["bars"], cell["individuals"]): cell["rates"] for cell in figures["grid"]}
    lines = [
        "| million a second, bars x individuals | " + " | ".join(f"{bars:,} x {count:,}" for bars, count in columns) + " |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for name in families:
        for stops in (False, True):
            rates = " | ".join(_millions(found[name, stops, bars, count]) for bars, count in columns)
            lines.append(f"| {name}{', stops' if stops else ''} | {rates} |")
    return "\n".join(lines)


def _table_of_sizes(figures: dict[str, Any]) -> str:
    few, many, most = GRID_BARS
    columns = [(few, 1), (few, 1_000), (many, 1), (many, 100), (many, 10_000), (most, 1_000), (most, 10_000)]
    return _sizes(figures, columns, REPRESENTATIVE)


def _whole_grid(figures: dict[str, Any]) -> str:
    columns = [(bars, count) for bars in GRID_BARS for count in GRID_POPULATIONS]
    whole = _sizes(figures, columns, tuple(figures["families"]))
    reasons = sorted({cell["why"] for cell in figures["grid"] if not cell["rates"]})
    return (
        f"<details>\n<summary>All sizes, all families</summary>\n\n{whole}\n\nNot run (-): {'; '.join(reasons)}.\n\n</details>"
    )


def _words(figures: dict[str, Any]) -> str:
    machine, stops = figures["machine"], figures["stops"]
    roofs = [100 * statistics.median(figures[key]["of_the_roof"]) for key in ("long_flat", "long_short")]
    sentences = [
        f"float64, one thread of {machine['cpu']}, all metrics of the fused pass, {figures['bars']:,} bars unless said.",
        f"Medians, and ranges, of {ROUNDS} interleaved rounds in the first table, of {FEWER_ROUNDS} in the second, of 3 in the "
        "third; in the last of as many as half a second holds, or of one.",
        f"The EMA crossover reaches {roofs[0]:.0f} % of the roof long or flat, {roofs[1]:.0f} % with shorts.",
        _of_verification(figures),
        f"A level was met by {100 * stops['share_that_met_a_level']:.0f} % of the individuals under stops (a loss of 2 %, a "
        "profit of 4 %; there without slippage).",
        f"Where nine bars in ten stand still, RSI's reversion takes {_ratio(figures['still'])} times as long.",
        _of_memory(figures),
        _of_compilation(figures),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _of_verification(figures: dict[str, Any]) -> str:
    studies = [figures["long_flat"], figures["long_short"], figures["stops"], *figures["rivals"].values()]
    loose = figures["long_short"]["worst_relative_difference"]
    own = max((worst for name, worst in loose.items() if "its own shorts" in name), default=None)
    agreed = (
        worst for study in studies for name, worst in study["worst_relative_difference"].items() if "its own shorts" not in name
    )
    versions = ", ".join(" ".join(pair) for pair in figures["versions"].items())
    words = f"Opponents: {versions}. Trades are equal, and figures agree to {max(agreed):.0e}"
    if own is not None:
        words += f", but for vectorbt's own shorts, another account ({own:.0e})"
    deques = figures["rivals"]["donchian_breakout"]["times_faster"]["compiled deques"]
    words += f". A compiled loop with two deques takes {_ratio(deques)} times our time for donchian_breakout."
    shares = [100 * study["vectorbt"]["share_of_signals"] for study in studies if study.get("vectorbt")]
    if shares:
        words += f" Of vectorbt's time {min(shares):.0f} to {max(shares):.0f} % goes into indicators and signals."
    return words


def _of_memory(figures: dict[str, Any]) -> str:
    memory = figures["memory_mib"]
    above = [f"{label} ({one['peak']:,.0f})" for label, one in memory.items() if one["peak"] > MEMORY_RULE]
    before = max(one["before"] for one in memory.values())
    rule = f"above 1 GiB: {', '.join(above)}" if above else "all below 1 GiB"
    return f"The MiB are the whole process's, of which up to {before:,.0f} before the call; {rule}."


def _of_compilation(figures: dict[str, Any]) -> str:
    plain, stops = figures["compile_s"]["plain"], figures["compile_s"]["stops"]
    return (
        f"Compilation of the EMA crossover, not included: {plain['first_process']:.1f} s once a machine, "
        f"{plain['second_process']:.2f} s for the first call of a later process; with stops {stops['first_process']:.1f} and "
        f"{stops['second_process']:.2f} s."
    )
