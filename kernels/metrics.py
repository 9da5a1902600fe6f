"""What a run was worth: sums collected bar by bar, and the figures made of them.

One table, METRICS, names the figures and fixes their order; one function, `summarise`, computes them. What is undefined
is NaN, never a huge number.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import device, frozen, kernel

METRICS = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "turnover",
)

# The book of one run: sums over its trades and orders, and (pnl.py) the trade under way. It is a small array, since it
# changes only where an order is filled: the memory costs nothing, and the bar loop keeps its registers.
TRADES, CLOSED, WINS, GAINS, LOSSES, TRADED_NOTIONAL = range(6)

_EPS = 2.0**-52
_NOTHING = 1e-12  # of the equity, of the traded notional: smaller drawdowns and losses are rounding, not money


@device
def no_bars(equity):
    """The sums over no bar yet: active bars, sums of r - centre and of its square, sum of min(r, 0)^2, largest |r|; the
    peak of equity, and the smallest equity / peak."""
    return 0, 0.0, 0.0, 0.0, 0.0, equity, 1.0


@device
def add_bar(sums, r, equity, centre):
    """The sums with one more bar, of return r, that ends with this equity. Bars that return 0 may be left out."""
    active, total, squares, downside, largest, peak, floor = sums
    loss = min(r, 0.0)
    peak = max(peak, equity)
    if equity < floor * peak:  # a division only where the floor falls
        floor = equity / peak
    away = r - centre
    return active + 1, total + away, squares + away * away, downside + loss * loss, max(largest, abs(r)), peak, floor


@device
def mean_and_spread(sums, bars, centre):
    """Mean of the returns, and the sum of their squared deviations from it, over `bars` of which the rest returned 0."""
    active, total, squares, _, _, _, _ = sums
    idle = bars - active
    deviation = total - idle * centre
    return centre + deviation / bars, squares + idle * centre * centre - deviation * deviation / bars


@device
def second_pass(sums, bars):
    """Whether the variance drowns in the rounding of sums about 0, and a second pass is due; the mean to take it about."""
    _, total, squares, _, _, _, _ = sums
    return squares - total * total / bars < 1e-4 * squares, total / bars


@device
def summarise(sums, bars, centre, growth, periods_per_year, out):
    """Fills the figures that need returns alone, indices of METRICS 0 to 6.

    sums: of the scored bars, with `centre`. bars: how many these are. growth: final over initial equity.
    Sharpe: W. F. Sharpe, The Sharpe Ratio, 1994, risk-free rate 0, ddof 1. Sortino: target 0, root of the mean square
    of all negative returns (empyrical's definitions). Calmar: CAGR over maximum drawdown.
    """
    _, _, _, downside, largest, _, floor = sums
    drawdown = 1.0 - floor
    mean, spread = mean_and_spread(sums, bars, centre)
    std = math.sqrt(max(spread, 0.0) / (bars - 1.0)) if bars > 1 else np.nan
    root = math.sqrt(periods_per_year)
    cagr = growth ** (periods_per_year / bars) - 1.0 if bars > 0 else np.nan
    out[0] = growth - 1.0
    out[1] = cagr
    out[2] = std * root
    out[3] = mean / std * root if std > 8.0 * _EPS * largest else np.nan
    below = math.sqrt(downside / bars)
    out[4] = mean / below * root if below > 8.0 * _EPS * largest else np.nan
    out[5] = cagr / drawdown if drawdown > _NOTHING else np.nan
    out[6] = drawdown


@device
def summarise_trades(book, bars, exposed, equity_sum, periods_per_year, out):
    """Fills the figures that need trades, indices of METRICS 7 to 11."""
    closed = book[CLOSED]
    out[7] = book[TRADES]
    out[8] = book[WINS] / closed if closed > 0.0 else np.nan
    out[9] = book[GAINS] / book[LOSSES] if book[LOSSES] > _NOTHING * book[TRADED_NOTIONAL] else np.nan
    out[10] = exposed / bars
    out[11] = book[TRADED_NOTIONAL] / (equity_sum / bars) / (bars / periods_per_year) if equity_sum > 0.0 else np.nan


@kernel("metrics_of_returns")
def _of_returns(returns, periods_per_year, out):
    bars = returns.shape[0]
    out[:] = np.nan
    if bars == 0:
        return
    centre = 0.0
    for r in returns:
        centre += r
    centre /= bars
    growth = 1.0
    sums = no_bars(growth)
    for r in returns:
        growth *= 1.0 + r
        sums = add_bar(sums, r, growth, centre)
    summarise(sums, bars, centre, growth, periods_per_year, out)


def of_returns(returns: np.ndarray, periods_per_year: float) -> np.ndarray:
    """METRICS of a series of simple returns, shape (T,), without its NaN; NaN for the figures that need trades."""
    series = np.asarray(returns, dtype=np.float64)
    out = np.empty(len(METRICS))
    _of_returns(frozen(series[~np.isnan(series)]), float(periods_per_year), out)
    return out
