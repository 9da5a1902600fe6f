"""Bars on which there is nothing to find, made of real ones: what a search earns there is its luck.

Each bar's log return is freed of the mean and gets a random sign. That keeps the size of every move, so volatility comes
in the same clusters, and the joint moves of several instruments, whose bars of one time get one sign; whatever of the
direction could be told from the past is gone. (A wild bootstrap: Wu, Annals of Statistics 14 (1986), with Rademacher signs,
as Liu, Annals of Statistics 16 (1988), and Davidson and Flachaire, Journal of Econometrics 146 (2008), have them.)

Two others are diagnostics alone: they keep the autocorrelation of the returns, which a strategy may exploit, so that what a
search earns there is not all luck. Both put the real bars in another order, each bar whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from islands.errors import InputError
from islands.evidence.resampling import optimal_block
from islands.market.bars import Bars
from islands.market.tape import Tape, frozen
from islands.randomness import Purpose, stream

Drift = Literal["zero", "real"]
DRIFTS: tuple[Drift, ...] = ("zero", "real")
"""What the mean log return of the surrogates is: none, or that of the real bars."""

Diagnostic = Literal["phases", "blocks"]
DIAGNOSTICS: tuple[Diagnostic, ...] = ("phases", "blocks")
"""What keeps autocorrelation and enters no verdict: randomised phases, and the stationary bootstrap."""

Kind = Drift | Diagnostic
KINDS: tuple[Kind, ...] = (*DRIFTS, *DIAGNOSTICS)


ROUNDS = 10
"""How often returns whose phases are random get their own amplitudes again."""

LEAST_MOVES = 8
"""What the length of blocks can be told from at least."""


def surrogate(bars: Mapping[str, Bars], seed: int, run: int, kind: Kind) -> dict[str, Bars]:
    """Surrogates of one kind of each instrument's bars; see `sign_flipped`, `phase_randomised` and `block_bootstrapped`.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"kind = {kind!r}: expected one of {', '.join(KINDS)}")
    if kind == "phases":
        return phase_randomised(bars, seed, run)
    return block_bootstrapped(bars, seed, run) if kind == "blocks" else sign_flipped(bars, seed, run, kind)


def sign_flipped(bars: Mapping[str, Bars], seed: int, run: int, drift: Drift) -> dict[str, Bars]:
    """Surrogates of each instrument's bars: as many, at the same times, with the same volume and funding.

    Bar t of the real ones stands to the close before it as (open, high, low, close) / close[t-1]. The surrogate's bar does
    so as well, each ratio over exp(mean log return) first, and then turned upside down (1/open, 1/low, 1/high, 1/close)
    where the bar's sign is negative, times exp(mean) again where drift is "real". Bar 0 stays as it is. Every instrument
    has the same sign at the same time. The same arguments give the same surrogates, to the bit.

    Raises:
        InputError: drift is neither "zero" nor "real".
    """
    if drift not in DRIFTS:
        raise InputError(f"drift = {drift!r}: expected one of {', '.join(DRIFTS)}")
    times = _times(bars)
    flips = stream(seed, purpose=Purpose.SURROGATE, run=run, index=DRIFTS.index(drift)).random(len(times)) < 0.5
    return {
        name: Bars(part.name, _flipped(part.tape, flips[np.searchsorted(times, part.tape.timestamps)], drift))
        for name, part in bars.items()
    }


def phase_randomised(bars: Mapping[str, Bars], seed: int, run: int) -> dict[str, Bars]:
    """The bars after the first in another order, which keeps the spectrum of their returns, and with it their autocorrelation
    and the total return; nothing else that they remember, clusters of volatility among it.

    Their Fourier phases are made random (Theiler, Eubank, Longtin, Galdrikian and Farmer, Testing for nonlinearity in time
    series: the method of surrogate data, Physica D 58 (1992)), and bars take the ranks of what comes of it. Fat tails flatten
    the spectrum that way, so returns then get their own amplitudes and the bars new ranks, `ROUNDS` times: Schreiber and
    Schmitz, Improved surrogate data for nonlinearity tests, Physical Review Letters 77 (1996).

    Each bar is a real one, whole, as (open, high, low, close) over the close before it. Phases are moved by the same angles
    for all instruments, on all times that one of them has (returns of 0 where one has no bar), which keeps their joint
    moves, less so where tails are fat (Prichard and Theiler, Generating surrogate data for time series with several
    simultaneously measured variables, Physical Review Letters 73 (1994)). Times, volume, funding and bar 0 stay as they are.
    Bits are those of numpy's transform and the C library: another kind of machine may put bars of nearly one rank the other
    way round.
    """
    times = _times(bars)
    chance = stream(seed, purpose=Purpose.SURROGATE, run=run, index=KINDS.index("phases"))
    angles = [2.0 * math.pi * share for share in chance.random((len(times) - 1) // 2 + 1).tolist()]
    turns = np.array([complex(math.cos(angle), math.sin(angle)) for angle in angles])
    turns[0] = 1.0  # the mean stays; so does the highest frequency of an even number, which is real
    return {name: Bars(part.name, _rephased(part.tape, times, turns)) for name, part in bars.items()}


def _rephased(tape: Tape, times: np.ndarray, turns: np.ndarray) -> Tape:
    """turns: a complex number of modulus 1 for each frequency below half the number of times after the first."""
    if len(tape) == 1:
        return Tape(frozen(np.array(tape.block)))
    moves = tape.close[1:] / tape.close[:-1] - 1.0
    ranked = np.argsort(moves, kind="stable")
    places = np.searchsorted(times, tape.timestamps[1:]) - 1
    spread = np.zeros(len(times) - 1)
    spread[places] = moves
    spectrum = np.fft.rfft(spread)
    spectrum[: len(turns)] *= turns
    sources = _by_rank(np.fft.irfft(spectrum, len(spread))[places], ranked)
    amplitudes = np.abs(np.fft.rfft(moves))
    for _ in range(ROUNDS):
        spectrum = np.fft.rfft(moves[sources])
        spectrum *= amplitudes / np.maximum(np.abs(spectrum), np.finfo(float).tiny)
        sources = _by_rank(np.fft.irfft(spectrum, len(moves)), ranked)
    return _rebuilt(tape, _shapes(tape)[:, sources])


def _by_rank(values: np.ndarray, ranked: np.ndarray) -> np.ndarray:
    """For each place the bar that has the rank of its value. ranked: bars by rank."""
    sources = np.empty(len(ranked), dtype=np.int64)
    sources[np.argsort(values, kind="stable")] = ranked
    return sources


def block_bootstrapped(bars: Mapping[str, Bars], seed: int, run: int) -> dict[str, Bars]:
    """The bars after the first drawn anew in blocks of random length, which keep within them whatever returns remember:
    autocorrelation, and clusters of volatility.

    The stationary bootstrap of Politis and Romano, Journal of the American Statistical Association 89 (1994): blocks begin at
    random times, their lengths are geometric with the mean of `block_bars`, and they wrap around the end. Each bar is a real
    one, whole, as (open, high, low, close) over the close before it. All instruments are drawn at the same times; one that
    has no bar at a time takes its next one, and beyond its first or last bar goes round through its own. Times, volume,
    funding and bar 0 stay as they are.
    """
    times = _times(bars)
    count = len(times) - 1
    chance = stream(seed, purpose=Purpose.SURROGATE, run=run, index=KINDS.index("blocks"))
    begins = chance.random(count) * block_bars(bars) < 1.0
    begins[:1] = True
    starts = chance.integers(0, max(count, 1), count)
    at = np.arange(count)
    begun = np.maximum.accumulate(np.where(begins, at, 0))
    drawn = 1 + (starts[begun] + at - begun) % max(count, 1)
    return {name: Bars(part.name, _redrawn(part.tape, times, drawn)) for name, part in bars.items()}


def _redrawn(tape: Tape, times: np.ndarray, drawn: np.ndarray) -> Tape:
    """drawn: for each time after the first the number of the one whose bar stands there."""
    if len(tape) == 1:
        return Tape(frozen(np.array(tape.block)))
    numbers = drawn[np.searchsorted(times, tape.timestamps[1:]) - 1]
    wanted, own = times[numbers], tape.timestamps[1:]
    round_about = (wanted < own[0]) | (wanted > own[-1])
    sources = np.where(round_about, numbers % len(own), np.searchsorted(own, wanted))
    return _rebuilt(tape, _shapes(tape)[:, sources])


def block_bars(bars: Mapping[str, Bars]) -> int:
    """The mean length of blocks: the largest of `optimal_block` of returns and of their sizes, over instruments, rounded."""
    found = [1.0]
    for part in bars.values():
        moves = part.tape.close[1:] / part.tape.close[:-1] - 1.0
        if len(moves) >= LEAST_MOVES:
            found += [optimal_block(moves), optimal_block(np.abs(moves))]
    return round(max(found))


def _times(bars: Mapping[str, Bars]) -> np.ndarray:
    """All times at which an instrument has a bar."""
    return np.unique(np.concatenate([part.tape.timestamps for part in bars.values()]))


def _shapes(tape: Tape) -> np.ndarray:
    """(open, high, low, close) of each bar after the first over the close before it, (4, T-1)."""
    return np.asarray(tape.block[1:5, 1:] / tape.close[:-1])


def _rebuilt(tape: Tape, shapes: np.ndarray) -> Tape:
    """The tape with bars of these shapes after the first. Products alone, which are the same bits on every machine, and keep
    low <= open, close <= high."""
    block = np.array(tape.block)
    before = np.multiply.accumulate(np.concatenate(([tape.close[0]], shapes[3])))
    block[1:5, 1:] = shapes * before[:-1]
    block[4, 1:] = before[1:]
    return Tape(frozen(block))


def _flipped(tape: Tape, flips: np.ndarray, drift: Drift) -> Tape:
    """Products and quotients alone, too."""
    bars = len(tape)
    if bars == 1:
        return Tape(frozen(np.array(tape.block)))
    growth = math.pow(float(tape.close[-1]) / float(tape.close[0]), 1.0 / (bars - 1))
    shapes = _shapes(tape) / growth
    upside_down = 1.0 / shapes[[0, 2, 1, 3]]  # the highest becomes the lowest
    shapes = np.where(flips[1:], upside_down, shapes)
    if drift == "real":
        shapes *= growth
    return _rebuilt(tape, shapes)
