"""What verdicts are worth: how often they call luck evidence, how often they find an edge that is there, and what they say of
real bars.

1. False discoveries: campaigns on bars where there is nothing to find. One is false where any champion is `evidence`. The
   study fails where the lower 95 % bound of their share is above 5 %.
2. Power: bars with a planted edge that one of the families can earn, costs included. An oracle knows the family and its best
   genes, looks at the held-back bars alone, once, and finds the edge where its p-value there is at most 5 %. The study fails
   where at the smallest edge that it finds nine times in ten verdicts find less than half as many.
3. Real bars: what is said of each file of --data, as it comes; of a panel of closes, its columns as instruments of one
   campaign.

Every campaign is a whole one, by the public API, with its own register of openings. Its nulls are computed where everything
else has passed: where it has not, no null could make it evidence. Seeds and every verdict are in the JSON, of a study that
fails as well.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import islands as isl
from islands.errors import IslandsError
from islands.evidence.sharpe import moments, probabilistic_sharpe
from islands.evidence.surrogates import sign_flipped
from islands.market.tape import Tape

BARS = 4_000
HELD_BACK = 0.25
LEVEL = 0.05
LEAST_POWER = 0.5  # what verdicts find of what the oracle does
COSTS = {"fee": 0.0001, "slippage": 0.00005}
VOLATILITY = 0.5  # a year, of made-up bars
EDGES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
HALF_LIFE = 50.0
PROCESSES = 2

SPEC: dict[str, Any] = {
    "name": "honesty",
    "bars": {"held_back": HELD_BACK},
    "costs": COSTS,
    "families": [
        {"name": "ema_crossover", "genes": {"fast": [2, 50], "slow": [10, 200]}},
        {"name": "sma_trend", "genes": {"fast": [2, 50], "slow": [10, 200]}},
        {"name": "donchian_breakout"},
    ],
    "limits": {"min_trades": 20},
    "evolution": {"population": 40, "epochs": 4, "generations_per_epoch": 5},
    "archipelago": {"islands": 2},
    "champions": 3,
    "evidence": {"level": LEVEL},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--campaigns", type=int, default=200, help="on bars where there is nothing to find")
    parser.add_argument("--series", type=int, default=30, help="for each strength of the planted edge")
    parser.add_argument("--full", action="store_true", help="five times as many of both")


def measure(data: Path, out: Path, campaigns: int, series: int, full: bool) -> dict[str, Any]:
    """Runs the three parts and returns every verdict."""
    times = 5 if full else 1
    began = time.monotonic()
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        noise = list(pool.map(_noise_case, range(campaigns * times)))
        genes = _best_genes()
        jobs = [(edge, seed, genes) for edge in EDGES for seed in range(series * times)]
        planted = list(pool.map(_planted_case, jobs))
        files = sorted(path for path in data.glob("*.parquet")) if data.is_dir() else []
        real = list(pool.map(_real_case, files))
    return {
        "spec": SPEC,
        "bars": BARS,
        "oracle": genes,
        "noise": noise,
        "planted": planted,
        "real": real,
        "minutes": (time.monotonic() - began) / 60.0,
    }


def faults(figures: dict[str, Any]) -> list[str]:
    """Why the verdicts can't be trusted, or are of no use; nothing where they are as they should be."""
    found, noise, power = sum(map(_is_evidence, figures["noise"])), len(figures["noise"]), _power(figures["planted"])
    told = []
    if lower_bound(found, noise) > LEVEL:
        told.append(f"{found} of {noise} campaigns on noise were called evidence: the verdicts can't be trusted")
    if power and power[1] < LEAST_POWER:
        told.append(f"at a planted edge of {power[0]:g} verdicts find {power[1]:.2f} times as many as the oracle: too few")
    return told


# The cases, each a pure function of its number


def _noise_case(seed: int) -> dict[str, Any]:
    kind = tuple(NOISE)[seed % len(NOISE)]
    return {"kind": kind, "seed": seed, **judged(NOISE[kind](seed), seed)}


def _walk(seed: int) -> isl.Bars:
    return isl.synthetic("gbm", BARS, seed, volatility=VOLATILITY)


def _garch(seed: int) -> isl.Bars:
    """GARCH(1,1) (0.08, 0.9) with Student's t of 4 degrees of freedom (Bollerslev, Journal of Econometrics 31, 1986)."""
    chance = np.random.default_rng([seed, 1])
    shocks = chance.standard_t(4, BARS) / math.sqrt(2.0)
    variance = long_run = VOLATILITY**2 / 8766.0
    moves = np.empty(BARS)
    for t in range(BARS):
        moves[t] = math.sqrt(variance) * shocks[t]
        variance = 0.02 * long_run + 0.08 * moves[t] ** 2 + 0.9 * variance
    close = 100.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate(([100.0], close[:-1]))
    reach = np.exp(np.abs(chance.normal(0.0, 0.5, (2, BARS)) * np.abs(moves)))
    high, low = np.maximum(opened, close) * reach[0], np.minimum(opened, close) / reach[1]
    times = isl.synthetic("gbm", BARS, 0).tape.block[0]
    return isl.Bars(f"garch-{seed}", Tape(np.stack([times, opened, high, low, close, np.ones(BARS)])))


def _flipped(seed: int) -> isl.Bars:
    """A stretch of the packaged hourly EUR/USD bars with random signs, no drift."""
    real = isl.sample("eurusd")
    start = int(np.random.default_rng([seed, 2]).integers(0, len(real) - BARS + 1)) if len(real) > BARS else 0
    cut = isl.Bars("eurusd", real.tape.cut(start, min(len(real), start + BARS)))
    return sign_flipped({"bars": cut}, seed, 1, "zero")["bars"]


NOISE: dict[str, Callable[[int], isl.Bars]] = {"random walk": _walk, "GARCH, fat tails": _garch, "signs flipped": _flipped}


def _planted_case(job: tuple[float, int, dict[str, Any]]) -> dict[str, Any]:
    edge, seed, genes = job
    bars = _planted(edge, seed)
    return {"edge": edge, "seed": seed, "oracle_p": _oracle_p(bars, genes), **judged(bars, seed)}


def _planted(edge: float, seed: int, bars: int = BARS) -> isl.Bars:
    return isl.synthetic("planted", bars, 10_000 + seed, volatility=VOLATILITY, edge=edge, half_life=HALF_LIFE)


def _oracle_p(bars: isl.Bars, genes: dict[str, Any]) -> float:
    """Of the one strategy that the oracle knows, on the held-back bars."""
    first = len(bars) - round(len(bars) * HELD_BACK)
    run = isl.backtest(bars, isl.Strategy("ema_crossover", **genes), isl.Costs(**COSTS), score_from=first)
    found = moments(run.returns[first:])
    return 1.0 - probabilistic_sharpe(found.sharpe, 0.0, len(bars) - first, found.skew, found.kurtosis)


def _best_genes() -> dict[str, Any]:
    """What the oracle knows: the best of a grid on 200,000 bars of the same kind that no campaign sees."""
    bars = _planted(0.15, -1, 200_000)
    grid = [{"fast": fast, "slow": slow} for fast in (5, 10, 15, 20, 30) for slow in (40, 60, 80, 120, 160)]
    strategies = [isl.Strategy("ema_crossover", **genes) for genes in grid]
    return grid[int(np.argmax(isl.evaluate(bars, strategies, isl.Costs(**COSTS))["sharpe"].to_numpy()))]


def _real_case(path: Path) -> dict[str, Any]:
    try:
        bars = _panel(path) or isl.read_bars(path)
    except IslandsError as error:
        return {"file": path.name, "refused": str(error).replace(str(path), path.name)}
    count = len(bars) if isinstance(bars, isl.Bars) else sum(map(len, bars.values()))
    return {"file": path.name, "bars": count, **judged(bars, 1)}


def _panel(path: Path) -> dict[str, isl.Bars] | None:
    """Instruments of closes alone, a column each: every bar opens at its close, so that an order has a bar to wait."""
    closes = pl.read_parquet(path)
    if "close" in closes.columns:
        return None
    names = [name for name in closes.columns if name != "timestamp"]
    prices = ("open", "high", "low", "close")
    return {
        name: isl.Bars.from_polars(closes.select("timestamp", *(pl.col(name).alias(price) for price in prices)), name=name)
        for name in names
    }


def judged(bars: isl.Bars | dict[str, isl.Bars], seed: int) -> dict[str, Any]:
    """A whole campaign on these bars: the best word of its champions, and the first champion's figures."""
    spec = SPEC if isinstance(bars, isl.Bars) else SPEC | {"instruments": {name: {} for name in bars}}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ISLANDS_REGISTER"] = str(Path(folder) / "register.jsonl")
        campaign = isl.Campaign.create(isl.CampaignSpec(**spec, seed=seed), Path(folder) / "run", bars)
        campaign.run("inline")
        nulls: dict[str, float | None] = {}
        if any(verdict.word == "weak" for verdict in campaign.verdicts()):
            nulls = campaign.null(99, "inline")
        verdicts = campaign.verdicts()
        rows = campaign.champion_records()
        words = [verdict.word for verdict in verdicts]
        return {
            "verdict": next((word for word in ("evidence", "weak") if word in words), "no evidence"),
            "champions": len(words),
            "passed": {claim.name: claim.passed for claim in verdicts[0].claims} if verdicts else {},
            "nulls": nulls,
            "luck": rows[0]["luck"] if rows else None,
            "unseen": rows[0]["unseen"] if rows else None,
        }


def lower_bound(found: int, of: int, level: float = 0.05) -> float:
    """The exact lower bound of a share (Clopper and Pearson, Biometrika 26, 1934), one-sided."""
    low, high = 0.0, found / of
    for _ in range(60):
        middle = (low + high) / 2.0
        tail = 1.0 - sum(math.comb(of, i) * middle**i * (1.0 - middle) ** (of - i) for i in range(found))
        low, high = (middle, high) if tail < level else (low, middle)
    return low


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown tables."""
    machine, tried = figures["machine"], [case["luck"]["trials"] for case in figures["noise"] if case["luck"]]
    last = (
        f"{figures['minutes']:.0f} minutes on {PROCESSES} cores ({machine['cpu']}), Python {machine['python']}"
        + (f"; on noise a campaign tried {statistics.median(tried):,.0f} strategies (median)" if tried else "")
        + f". The oracle: ema_crossover "
        f"{_words(figures['oracle'])}. {_smallest(figures['planted'])}"
    )
    parts = [_noise_table(figures["noise"]), _planted_table(figures["planted"])]
    return "\n\n".join([*parts, *([_real_table(figures["real"])] if figures["real"] else []), last])


def _shares(planted: Sequence[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> dict[float, float]:
    """In how many of the cases of each edge something holds."""
    cases = {edge: [case for case in planted if case["edge"] == edge] for edge in EDGES}
    return {edge: sum(map(holds, own)) / len(own) for edge, own in cases.items()}


def _power(planted: Sequence[dict[str, Any]]) -> tuple[float, float] | None:
    """The smallest edge that the oracle finds nine times in ten, and how many times as many verdicts find there; None where
    it finds none so often."""
    oracle, found = _shares(planted, _oracle_finds), _shares(planted, _is_evidence)
    return next(((edge, found[edge] / oracle[edge]) for edge in EDGES if oracle[edge] >= 0.9), None)


def _smallest(planted: Sequence[dict[str, Any]]) -> str:
    """From which edge on the oracle finds nine in ten and the verdicts eight in ten, and what the latter find at the former."""
    found, power, words = _shares(planted, _is_evidence), _power(planted), []
    if power:
        words.append(
            f"At {power[0]:g}, the smallest edge that it finds nine times in ten, verdicts find {power[1]:.2f} times as many."
        )
    sure = [edge for edge in EDGES if found[edge] >= 0.8]
    words.append(
        f"The smallest edge found in 80 % of the cases is {sure[0]:g}." if sure else "No edge was found in 80 % of the cases."
    )
    return " ".join(words)


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, ["---"] * len(headings), *rows))


def _noise_table(noise: Sequence[dict[str, Any]]) -> str:
    rows = []
    for kind in (*NOISE, "all"):
        cases = [case for case in noise if kind in (case["kind"], "all")]
        shares = (_share(cases, holds) for holds in (_is_evidence, _had_nulls, _held, _deflated))
        rows.append([kind, str(len(cases)), *shares])
    return _rows(
        [
            "nothing to find",
            "campaigns",
            "`evidence`",
            "all but the nulls passed",
            "first champion: held-back p passed",
            "deflated passed",
        ],
        rows,
    )


def _planted_table(planted: Sequence[dict[str, Any]]) -> str:
    rows = []
    for edge in EDGES:
        cases = [case for case in planted if case["edge"] == edge]
        shares = (_share(cases, holds) for holds in (_oracle_finds, _is_evidence, _held, _deflated))
        rows.append([f"{edge:g}", str(len(cases)), *shares, _share([case for case in cases if case["nulls"]], _nulls_pass)])
    return _rows(
        ["planted edge", "series", "oracle", "`evidence`", "held-back p passed", "deflated passed", "nulls passed, where run"],
        rows,
    )


def _real_table(real: Sequence[dict[str, Any]]) -> str:
    return _rows(
        ["real bars", "number", "trials", "first champion's deflated probability", "its held-back p, adjusted", "verdict"],
        [_real_row(case) for case in real],
    )


def _real_row(case: dict[str, Any]) -> list[str]:
    if "refused" in case:
        return [case["file"], "", "", "", "", f"refused: {case['refused'].partition(';')[0]}"]
    luck, unseen = case["luck"], case["unseen"]
    if luck is None:
        return [case["file"], f"{case['bars']:,}", "", "", "", "no champion"]
    probability = min(luck["probability"], luck["probability_effective"])
    figures = [f"{luck['trials']:,}", f"{probability:.3f}", f"{unseen['p_adjusted']:.3f}"]
    return [case["file"], f"{case['bars']:,}", *figures, case["verdict"]]


def _words(genes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in genes.items())


def _share(cases: Sequence[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> str:
    if not cases:
        return "none"
    count = sum(map(holds, cases))
    return f"{count} ({count / len(cases):.0%})"


def _is_evidence(case: dict[str, Any]) -> bool:
    return bool(case["verdict"] == "evidence")


def _had_nulls(case: dict[str, Any]) -> bool:
    return bool(case["nulls"])


def _passes(name: str, case: dict[str, Any]) -> bool:
    return bool(case["passed"].get(name))


_held, _deflated = partial(_passes, "held back"), partial(_passes, "deflated")


def _nulls_pass(case: dict[str, Any]) -> bool:
    return all(p is not None and p <= LEVEL for p in case["nulls"].values())


def _oracle_finds(case: dict[str, Any]) -> bool:
    return bool(case["oracle_p"] <= LEVEL)
