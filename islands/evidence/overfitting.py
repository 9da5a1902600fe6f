"""How much choosing the best of many backtests tells about the next one, and how many different ones they were."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from islands.errors import InputError
from islands.evidence.given import Floats, above, count, matrix

Ints = npt.NDArray[np.intp]

MOST_BLOCKS = 24
"""2.7 million splits; two blocks more are ten."""

_CELLS = 1 << 20
"""Splits times strategies worked on at a time: 8 MB an array."""


class Cscv(NamedTuple):
    """What combinatorially symmetric cross-validation found; arrays hold an entry a split, in lexicographic order.

    pbo: the share of splits whose best strategy in sample is at or below the median out of sample (logit <= 0). logits:
    ln(w / (1 - w)), w its rank out of sample over N + 1. in_sample, out_of_sample: its Sharpe ratios per period; NaN where
    it has no variance there. slope: of the regression of the second on the first (degradation); NaN without variation.
    probability_of_loss: the share of splits whose best has a negative Sharpe ratio out of sample.
    """

    pbo: float
    logits: Floats
    in_sample: Floats
    out_of_sample: Floats
    slope: float
    probability_of_loss: float


def pbo(returns: npt.ArrayLike, blocks: int) -> float:
    """The probability of backtest overfitting of choosing the best column of returns, (T, N), a column a strategy.

    The `pbo` of `cscv`, which has the rules.

    Source: Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, Journal of
    Computational Finance 20(4).

    Raises:
        InputError: as in `cscv`.
    """
    return cscv(returns, blocks).pbo


def cscv(returns: npt.ArrayLike, blocks: int) -> Cscv:
    """Combinatorially symmetric cross-validation of the choice among strategies. returns: per period, (T, N).

    The rows are cut into an even number of blocks of equal length; the first rows, that fill none, are dropped. Each half
    of the blocks is once the sample in which the best is chosen, and the other half is out of sample. Strategies are
    ranked by Sharpe ratio with ddof 1; one whose returns all lie within 8 eps of their largest magnitude has no variance
    and ranks last. Of equals in sample the first column is chosen; equals out of sample share their mean rank. 16 blocks
    make 12,870 splits.

    Source: Bailey, Borwein, Lopez de Prado and Zhu (2017), The probability of backtest overfitting, Journal of
    Computational Finance 20(4).

    Raises:
        InputError: an odd number of blocks or more than MOST_BLOCKS, blocks of fewer than 2 rows, fewer than 2 columns, or
            a return that is no finite number.
    """
    pieces = count("blocks", blocks, 2)
    if pieces % 2:
        raise InputError(f"blocks = {blocks!r}: expected an even number, half of them are out of sample")
    if pieces > MOST_BLOCKS:
        raise InputError(
            f"blocks = {blocks!r}: they make {math.comb(pieces, pieces // 2):,} splits; take {MOST_BLOCKS} at most"
        )
    table = matrix("returns", returns)
    rows, columns = len(table) // pieces, table.shape[1]
    if rows < 2:
        raise InputError(f"blocks = {blocks!r}: {len(table)} rows make blocks of {rows}; take {len(table) // 2} blocks at most")
    if columns < 2:
        raise InputError("returns have one column: there is nothing to choose; expected a column a strategy")
    summary = _summarise(table[len(table) - rows * pieces :].reshape(pieces, rows, columns))
    splits = math.comb(pieces, pieces // 2)
    logits, inside, outside = np.empty(splits), np.empty(splits), np.empty(splits)
    for first, chosen in _halves(pieces, max(1, _CELLS // columns)):
        here, there = _sharpes(summary, chosen), _sharpes(summary, _complements(chosen, pieces))
        mirrored = splits - 1 - np.arange(first, first + len(chosen))  # lexicographic order is reversed in complements
        for places, ours, theirs in ((np.arange(first, first + len(chosen)), here, there), (mirrored, there, here)):
            inside[places], outside[places], logits[places] = _judged(ours, theirs)
    return Cscv(float(np.mean(logits <= 0.0)), logits, inside, outside, _slope(inside, outside), float(np.mean(outside < 0.0)))


class _Summary(NamedTuple):
    """Of each block and column, (S, N): mean less the column's mean, squares about the block's mean, least, largest."""

    rows: int
    level: Floats
    mean: Floats
    squares: Floats
    least: Floats
    largest: Floats


def _summarise(blocks: Floats) -> _Summary:
    means = np.stack([block.mean(axis=0) for block in blocks])
    level = means.mean(axis=0)
    squares = np.stack([_squares(block - mean) for block, mean in zip(blocks, means, strict=True)])
    least, largest = (np.stack([bound(block, axis=0) for block in blocks]) for bound in (np.min, np.max))
    return _Summary(blocks.shape[1], level, means - level, squares, least, largest)


def _squares(deviations: Floats) -> Floats:
    total: Floats = np.square(deviations, out=deviations).sum(axis=0)
    return total


def _halves(pieces: int, chunk: int) -> Iterator[tuple[int, Ints]]:
    """The first half of all choices of half the blocks, in chunks, (C, S/2); the other half are their complements."""
    left = math.comb(pieces, pieces // 2) // 2
    choices = combinations(range(pieces), pieces // 2)
    for first in range(0, left, chunk):
        yield first, np.array(list(islice(choices, min(chunk, left - first))), dtype=np.intp)


def _complements(chosen: Ints, pieces: int) -> Ints:
    free = np.ones((len(chosen), pieces), dtype=bool)
    np.put_along_axis(free, chosen, False, axis=1)
    return np.nonzero(free)[1].reshape(chosen.shape)


def _sharpes(summary: _Summary, chosen: Ints) -> Floats:
    """Sharpe ratios over the chosen blocks, (C, N); -inf without variance.

    Sums run over blocks in one order for all columns (a matrix product would not), so that equal columns tie.
    """
    total, squares, within = (np.zeros((len(chosen), len(summary.level))) for _ in range(3))
    least, largest = summary.least[chosen[:, 0]], summary.largest[chosen[:, 0]]
    for picked in chosen.T:
        means = summary.mean[picked]
        total += means
        squares += means * means
        within += summary.squares[picked]
        np.minimum(least, summary.least[picked], out=least)
        np.maximum(largest, summary.largest[picked], out=largest)
    half = chosen.shape[1]
    mean = total / half
    variance = (within + summary.rows * np.maximum(squares - total * mean, 0.0)) / (half * summary.rows - 1)
    still = largest - least <= 8 * np.finfo(float).eps * np.maximum(np.abs(least), np.abs(largest))
    still |= variance == 0.0  # squares of numbers below 1e-154 are nothing
    variance[still] = 1.0
    sharpes: Floats = (mean + summary.level) / np.sqrt(variance)
    sharpes[still] = -np.inf
    return sharpes


def _judged(inside: Floats, outside: Floats) -> tuple[Floats, Floats, Floats]:
    """Of each split the Sharpe ratios of the best in sample, in and out of sample, and its logit."""
    best = np.argmax(inside, axis=1)[:, None]
    here, there = np.take_along_axis(inside, best, axis=1), np.take_along_axis(outside, best, axis=1)
    rank = np.sum(outside < there, axis=1) + (np.sum(outside == there, axis=1) + 1) / 2
    logits = np.log(rank / (inside.shape[1] + 1 - rank))
    here[np.isinf(here)] = there[np.isinf(there)] = np.nan
    return here[:, 0], there[:, 0], logits


def _slope(inside: Floats, outside: Floats) -> float:
    both = np.isfinite(inside) & np.isfinite(outside)
    if not both.any():
        return math.nan
    x, y = inside[both] - inside[both].mean(), outside[both]
    spread = float(np.sum(x * x))
    return float(np.sum(x * y)) / spread if spread > 0.0 else math.nan


def average_correlation(returns: npt.ArrayLike) -> float:
    """The mean correlation of all pairs of columns of returns, (T, N). Columns without variance are left out.

    Taken from the variance of the sum of standardised columns, without the N x N matrix. NaN for fewer than 2 columns with
    a variance.

    Source: Bailey and Lopez de Prado (2014), The deflated Sharpe ratio, Journal of Portfolio Management 40(5), appendix, where
    the number of independent trials follows from it.

    Raises:
        InputError: a return that is no finite number.
    """
    table = matrix("returns", returns)
    rows = max(1, _CELLS // table.shape[1])
    parts = [slice(start, start + rows) for start in range(0, len(table), rows)]
    centre = table.mean(axis=0)
    scale = np.sqrt(sum(_squares(table[part] - centre) for part in parts) / len(table))
    largest = np.maximum(table.max(axis=0), -table.min(axis=0))
    moving = scale > 8 * np.finfo(float).eps * largest
    number = int(moving.sum())
    if number < 2:
        return math.nan
    weight = np.where(moving, 1.0 / np.where(moving, scale, 1.0), 0.0)
    total = sum(float(np.square(((table[part] - centre) * weight).sum(axis=1)).sum()) for part in parts) / len(table)
    return min(1.0, (total - number) / (number * (number - 1)))


def effective_trials(returns: npt.ArrayLike, trials: float | None = None) -> float:
    """How many independent trials a number of trials amount to, from the returns of a sample of them, (T, N).

    r + (1 - r) trials, r the mean correlation of the sample, no less than 0; `trials` is N where not given. A strategy and
    its opposite count as different, so that mixtures of long and short strategies give large, cautious numbers. Without
    two columns that vary, r is 0.

    Source: Bailey and Lopez de Prado (2014), The deflated Sharpe ratio.

    Raises:
        InputError: a return that is no finite number, or fewer than 1 trial.
    """
    table = matrix("returns", returns)
    number = float(table.shape[1]) if trials is None else above("trials", trials, 1)
    shared = average_correlation(table)
    shared = 0.0 if math.isnan(shared) else max(0.0, shared)
    return shared + (1.0 - shared) * number
