"""Made-up bars with known properties: what a search finds in them can be held against what is there.

Every kind is a model of the log return of one bar: a mean and a standard deviation that follow a hidden state. The path
inside a bar is walked in `SUBSTEPS` steps, from which open, high, low and close are read; the market never closes, so
each open is the close before.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import date, datetime
from operator import index

import numpy as np
import numpy.typing as npt

from islands.errors import InputError
from islands.market.bars import Bars
from islands.market.instants import fixed_us, instant_us
from islands.market.tape import ROWS, YEAR_US, Floats, Tape, frozen

SUBSTEPS = 8
"""Steps of the walk inside one bar."""

KINDS = {
    "gbm": "geometric Brownian motion: nothing to find",
    "regimes": "bull, bear and quiet markets that follow each other as a Markov chain",
    "planted": "a hidden, slow drift sign: a known edge that trend rules can earn",
}

EDGE = 0.1
HALF_LIFE = 100.0
"""Defaults of the planted kind."""

VOLUME = 1_000.0
"""The median volume of a bar."""

States = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Regime:
    """One market of "regimes": drift in volatilities per year, volatility as a multiple, mean length in bars."""

    name: str
    drift: float
    volatility: float
    bars: float


REGIMES = (Regime("bull", 1.5, 0.8, 300.0), Regime("bear", -2.0, 1.5, 150.0), Regime("quiet", 0.0, 0.4, 200.0))


def synthetic(
    kind: str,
    bars: int = 5_000,
    seed: int = 0,
    *,
    step: str = "1h",
    start: datetime | date | str = "2020-01-01",
    volatility: float = 0.5,
    drift: float = 0.0,
    price: float = 100.0,
    edge: float | None = None,
    half_life: float | None = None,
) -> Bars:
    """`bars` bars of one kind, the same for the same arguments; a longer series begins with the shorter one.

    Write sigma = volatility x sqrt(step in years), m = (drift - volatility^2/2) x step in years, and e for independent
    standard normal numbers. The log return of bar t, from the close before (`price` for the first bar), is

    - "gbm": m + sigma e[t].
    - "regimes": the same with the volatility multiplied and the drift shifted as the bar's regime says (`REGIMES`,
      with the shift in units of `volatility` per year). Each bar leaves its regime with probability 1 / mean length,
      for one of the others with equal chances; the first regime is drawn evenly.
    - "planted": m + edge sigma s[t] + sigma e[t]. The hidden sign s[t] is +1 or -1, first drawn evenly; it turns with
      probability (1 - rho)/2 at each bar, rho = 2^(-1/half_life), so that corr(s[t], s[t+k]) = rho^k, one half after
      `half_life` bars. With edge 0 this is "gbm" in law.

    The edge planted, where m = 0 (that is, drift = volatility^2/2; otherwise up to terms in m/sigma), in log returns:

    - An oracle that holds s[t] during bar t earns edge sigma a bar at risk sigma: a Sharpe ratio of `edge` per bar.
    - An oracle that holds s[t-1] during bar t, as it knows only the bars closed, earns edge rho / sqrt(1 + edge^2
      (1 - rho^2)) per bar. No rule that decides at the close before can expect more.
    - A position x = the sum of the n last log returns earns edge^2 sigma^2 (rho + ... + rho^n) a bar, positive for
      every n. A moving-average cross (fast minus slow mean of log prices) is a sum of past log returns with weights
      >= 0 and earns the same sum with its weights: a positive part of the oracle's, best where its memory is near the
      half-life. The sign of either earns a positive part as well.

    `latent` gives the hidden states. Volume is independent of all this: log-normal around `VOLUME`.

    Args:
        kind: one of `KINDS`.
        bars: number of bars, at least 1.
        seed: any integer; chance is keyed by kind and seed.
        step: fixed duration between bars, such as "1m", "1h", "1d".
        start: open time of the first bar; naive means UTC.
        volatility: standard deviation of log returns per square root of a year, >= 0.
        drift: growth rate of the mean price per year (before any regime or planted edge).
        price: first open, > 0.
        edge: only "planted": the oracle's Sharpe ratio per bar, >= 0; default `EDGE`.
        half_life: only "planted": bars after which half of the hidden sign's correlation is left, > 0; default
            `HALF_LIFE`.

    Raises:
        InputError: an unknown kind, a value out of range, `edge` or `half_life` for another kind, or prices that leave
            the range of float64.
    """
    states = latent(kind, bars, seed, half_life=half_life)
    years = fixed_us(step) / YEAR_US
    _require_number("volatility", volatility, at_least=0.0)
    _require_number("drift", drift)
    _require_number("price", price, above=0.0)
    if edge is not None:
        _require_planted(kind, "edge", edge)
        _require_number("edge", edge, at_least=0.0)
    if kind == "regimes":
        deviation = volatility * np.array([regime.volatility for regime in REGIMES])[states]
        growth = drift + volatility * np.array([regime.drift for regime in REGIMES])[states]
    else:
        deviation = np.full(len(states), float(volatility))
        growth = np.full(len(states), float(drift))
    mean = (growth - deviation**2 / 2) * years
    sigma = deviation * math.sqrt(years)
    if kind == "planted":
        mean += (EDGE if edge is None else edge) * sigma * states
    block = np.empty((len(ROWS), len(states)))
    block[0] = instant_us(start) + fixed_us(step) * np.arange(len(states), dtype=np.int64)
    block[1:5] = _walk(mean, sigma, math.log(price), _stream(kind, seed, "path"))
    block[5] = VOLUME * np.exp(0.5 * _stream(kind, seed, "volume").standard_normal(len(states)))
    return Bars(f"{kind}-{seed}", Tape(frozen(block)))


def latent(kind: str, bars: int = 5_000, seed: int = 0, *, half_life: float | None = None) -> States:
    """The hidden state of each bar of `synthetic` with the same arguments, int8 (T,).

    0 for "gbm", the row in `REGIMES` for "regimes", the sign of the hidden drift (+1, -1) for "planted".

    Raises:
        InputError: an unknown kind, a value out of range, or `half_life` for another kind than "planted".
    """
    if kind not in KINDS:
        raise InputError(f"unknown kind {kind!r} of synthetic bars; the kinds are {', '.join(KINDS)}; choose one")
    count, seed = _whole("bars", bars), _whole("seed", seed)
    if count < 1:
        raise InputError(f"bars is {count}; synthetic bars must be at least 1; ask for more")
    if half_life is not None:
        _require_planted(kind, "half_life", half_life)
        _require_number("half_life", half_life, above=0.0)
    uniform = _stream(kind, seed, "state").random(count + 1) if kind != "gbm" else np.empty(0)
    if kind == "planted":
        return _signs(uniform, HALF_LIFE if half_life is None else half_life)
    return _regimes(uniform) if kind == "regimes" else np.zeros(count, dtype=np.int8)


def _signs(uniform: Floats, half_life: float) -> States:
    """The planted drift's sign, (T,), from uniform numbers (T + 1,); the first draws the first sign."""
    turn = (1.0 - 0.5 ** (1.0 / half_life)) / 2.0
    turns = uniform[1:] < turn
    turns[0] = uniform[0] < 0.5
    return (1 - 2 * (np.cumsum(turns) % 2)).astype(np.int8)


def _regimes(uniform: Floats) -> States:
    """The row in REGIMES of each bar, (T,), from uniform numbers (T + 1,); the first draws the first regime."""
    others = len(REGIMES) - 1
    leave = [1.0 / regime.bars for regime in REGIMES]
    state = int(uniform[0] * len(REGIMES))
    states = np.empty(len(uniform) - 1, dtype=np.int8)
    for bar, chance in enumerate(uniform[1:].tolist()):
        if bar and chance < leave[state]:
            # The same number, stretched back to [0, 1), chooses where to.
            state = (state + 1 + int(chance / leave[state] * others)) % len(REGIMES)
        states[bar] = state
    return states


def _walk(mean: Floats, sigma: Floats, first: float, chance: np.random.Generator) -> Floats:
    """Open, high, low, close (4, T) of a walk in log prices that starts at `first`.

    `mean` and `sigma` are those of each bar's log return, (T,); a bar is walked in SUBSTEPS equal steps.
    """
    steps = chance.standard_normal((len(mean), SUBSTEPS))
    steps *= (sigma / math.sqrt(SUBSTEPS))[:, np.newaxis]
    steps += (mean / SUBSTEPS)[:, np.newaxis]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        prices = np.exp(first + np.cumsum(steps).reshape(steps.shape))
    closes = prices[:, -1]
    if not (np.isfinite(prices).all() and prices.min() > 0):
        raise InputError(
            "the synthetic prices leave the range of float64; every price must be positive and finite; choose a "
            "smaller volatility, drift or edge, or fewer bars"
        )
    opens = np.concatenate(([math.exp(first)], closes[:-1]))
    return np.stack([opens, np.maximum(prices.max(axis=1), opens), np.minimum(prices.min(axis=1), opens), closes])


def _stream(kind: str, seed: int, purpose: str) -> np.random.Generator:
    """Chance by address. One stream a purpose: a longer series then begins with the shorter one."""
    key = hashlib.sha256(f"islands.synthetic/1 {kind} {int(seed)} {purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


def _whole(name: str, value: int) -> int:
    try:
        return index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}; it must be a whole number; give an int") from None


def _require_number(name: str, value: float, *, at_least: float = -math.inf, above: float = -math.inf) -> None:
    finite = isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)
    if finite and value >= at_least and value > above:
        return
    limit = f", at least {at_least:g}" if at_least > -math.inf else f", above {above:g}" if above > -math.inf else ""
    raise InputError(f"{name} is {value!r}; it must be a finite number{limit}; give one")


def _require_planted(kind: str, name: str, value: float) -> None:
    if kind != "planted":
        raise InputError(f"{name}={value!r} is given for kind {kind!r}; only 'planted' has it; leave it out")
