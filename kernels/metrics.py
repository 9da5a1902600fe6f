"""What a run was worth: sums collected bar by bar, and the figures made of them.

One table, METRICS, names the figures and fixes their order; `summarise`, `summarise_trades` and `summarise_record` fill
it. What is undefined is NaN, never a huge number.
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
    "max_drawdown_length",
    "skew",
    "kurtosis",
    "var_5",
    "cvar_5",
    "expectancy",
    "average_holding",
    "costs_paid",
    "break_even_bps",
)
OF_RECORD = ("max_drawdown_length", "skew", "kurtosis", "var_5", "cvar_5")
"""The figures that need the whole run recorded. A population has them where it is asked for them, other runs always:
in the loop over the bars the length of drawdowns alone cost 5 to 10 %, the higher moments 4 % more, and to select the
tails from a record takes longer than the run (a population with them: 35 to 40 % of the speed)."""

# The book of one run: sums over its trades and orders, and (pnl.py) the trade under way. It is a small array, since it
# changes only where an order is filled: the memory costs nothing, and the bar loop keeps its registers.
TRADES, CLOSED, WINS, GAINS, LOSSES, TRADED_NOTIONAL, BARS_HELD = range(7)
PAID_FEES, PAID_SLIPPAGE, PAID_FUNDING, PAID_BORROW = range(7, 11)

_EPS = 2.0**-52
_NOTHING = 1e-12  # of the equity, of the traded notional: smaller drawdowns and losses are rounding, not money
_TAIL = 0.05


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
    """Whether a second pass is due, and the mean to take the variance about: where it drowns in the rounding of sums about
    0, and where losses are so faint that the largest return must tell whether they are any, which only it looks for."""
    _, total, squares, downside, _, _, _ = sums
    drowned = squares - total * total / bars < 1e-4 * squares
    return drowned or 0.0 < downside <= bars * (8.0 * _EPS) ** 2 * squares, total / bars


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
def summarise_trades(book, bars, exposed, equity_sum, gained, periods_per_year, out):
    """Fills the figures that need trades, METRICS 7 to 11 and 17 to 20; those of OF_RECORD are NaN until asked for.

    gained: final less initial equity. Break-even: what a side of an order could have cost, of its notional, had the run
    been left with nothing: the gain before fees and slippage over the traded notional, in basis points.
    """
    closed, notional = book[CLOSED], book[TRADED_NOTIONAL]
    of_orders = book[PAID_FEES] + book[PAID_SLIPPAGE]
    out[7] = book[TRADES]
    out[8] = book[WINS] / closed if closed > 0.0 else np.nan
    out[9] = book[GAINS] / book[LOSSES] if book[LOSSES] > _NOTHING * book[TRADED_NOTIONAL] else np.nan
    out[10] = exposed / bars
    out[11] = book[TRADED_NOTIONAL] / (equity_sum / bars) / (bars / periods_per_year) if equity_sum > 0.0 else np.nan
    out[12:17] = np.nan
    out[17] = (book[GAINS] - book[LOSSES]) / closed if closed > 0.0 else np.nan
    out[18] = book[BARS_HELD] / closed if closed > 0.0 else np.nan
    out[19] = of_orders + book[PAID_FUNDING] + book[PAID_BORROW]
    out[20] = 1e4 * (gained + of_orders) / notional if notional > 0.0 else np.nan


@device
def put_in_place(values, count, place):
    """Reorders values[:count] so that values[place] is what sorting would put there, nothing before it larger, nothing
    after it smaller (Hoare's selection; the pivot is the middle of three)."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) >> 1
        a, b, c = values[low], values[middle], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            return


@device
def longest_drawdown(returns):
    """The most bars on end that close below the highest equity so far."""
    equity = peak = 1.0
    longest = under = 0
    for r in returns:
        equity *= 1.0 + r
        peak = max(peak, equity)
        under = under + 1 if equity < (1.0 - _NOTHING) * peak else 0
        longest = max(longest, under)
    return longest


@device
def skew_and_kurtosis(returns):
    """m3 / m2^1.5 and (Pearson) m4 / m2^2, of the population's central moments; NaN where there is no spread."""
    mean = largest = 0.0
    for r in returns:
        mean += r
        largest = max(largest, abs(r))
    count = returns.shape[0]
    mean /= count
    m2 = m3 = m4 = 0.0
    for r in returns:
        away = (r - mean) / largest  # powers of tiny returns vanish
        square = away * away
        m2 += square
        m3 += square * away
        m4 += square * square
    if not math.sqrt(m2 / (count - 1.0)) > 8.0 * _EPS:
        return np.nan, np.nan
    variance = m2 / count
    return m3 / count / (variance * math.sqrt(variance)), m4 / count / (variance * variance)


@device
def tails(returns):
    """VaR and CVaR at 5 %, as empyrical defines them: returns, a loss is negative. Reorders `returns`.

    VaR is the quantile, interpolated between its two neighbours; CVaR the mean of the worst returns up to the lower
    neighbour, itself included.
    """
    count = returns.shape[0]
    rank = _TAIL * (count - 1.0)
    place = int(rank)
    put_in_place(returns, count, place)
    quantile = returns[place]
    if place + 1 < count:
        above = returns[place + 1]
        for i in range(place + 2, count):
            above = min(above, returns[i])
        quantile += (rank - place) * (above - quantile)
    worst = 0.0
    for i in range(place + 1):
        worst += returns[i]
    return quantile, worst / (place + 1.0)


@device
def summarise_record(returns, out):
    """Fills OF_RECORD, METRICS 12 to 16, from the returns of the scored bars, one or more, which it reorders."""
    out[12] = longest_drawdown(returns)
    out[13], out[14] = skew_and_kurtosis(returns)
    out[15], out[16] = tails(returns)


@device
def returns_between(equities, first, initial, out):
    """Fills out, (T - first,), with the returns of the bars from `first` on; 0 after ruin."""
    before = initial
    for t in range(first, equities.shape[0]):
        out[t - first] = equities[t] / before - 1.0 if before > 0.0 else 0.0
        before = equities[t]


@kernel("of_record")
def of_record(steps, close, first, initial, equity, units, out):
    """Fills equity and units after each bar, (T,), and OF_RECORD of METRICS, of a run that is scored from bar `first` on.

    steps: cash and units after the bars at which they changed, (T, 2), NaN at the others.
    """
    cash, held = initial, 0.0
    for t in range(close.shape[0]):
        if steps[t, 0] == steps[t, 0]:
            cash, held = steps[t, 0], steps[t, 1]
        equity[t] = cash + held * close[t]
        units[t] = held
    returns = np.empty(equity.shape[0] - first)
    returns_between(equity, first, initial, returns)
    summarise_record(returns, out)


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
    summarise_record(returns.copy(), out)


def of_returns(returns: np.ndarray, periods_per_year: float) -> np.ndarray:
    """METRICS of a series of simple returns, shape (T,), without its NaN; NaN for the figures that need trades."""
    series = np.asarray(returns, dtype=np.float64)
    out = np.empty(len(METRICS))
    _of_returns(frozen(series[~np.isnan(series)]), float(periods_per_year), out)
    return out
