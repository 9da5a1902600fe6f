"""Whole runs in one call: a population's metrics, one strategy's positions, one account recorded bar by bar."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol

import numpy as np

from .accounts import OVERLAID, PLAIN, Accounting, door, finish, leave, open_books
from .compile import frozen
from .extremes import covers, ends
from .indicators import atr
from .kept import fits, once, size_of
from .lanes import denormals_kept
from .metrics import METRICS, PAID_BORROW, PAID_FEES, PAID_FUNDING, PAID_SLIPPAGE, of_record
from .overlays import OVERLAYS
from .pnl import BOOK, TRADE_COLUMNS, held_sums, widest_gap
from .returns import moments_of_steps
from .signals import Decider, Signal, given, moments_of
from .spans import BARS
from .windows import block_moments

_YEAR_US = 365.25 * 86_400e6
_BLOCK_BYTES = 1 << 26  # of ATRs at a time
PIECE = 1 << 15  # bars whose tables of windows are made at a time


class Market(Protocol):
    """One instrument's bars as kernels take them: arrays (T,), float64, contiguous and read-only."""

    @property
    def timestamps(self) -> np.ndarray:
        """Bar open times in microseconds, int64: what borrowing accrues by."""

    @property
    def open(self) -> np.ndarray: ...
    @property
    def high(self) -> np.ndarray: ...
    @property
    def low(self) -> np.ndarray: ...
    @property
    def close(self) -> np.ndarray: ...
    @property
    def volume(self) -> np.ndarray: ...
    @property
    def funding_rate(self) -> np.ndarray | None:
        """What a position held into a bar pays of its notional at the open, 0 where none is due; None: never any."""


def _going_on(series: np.ndarray) -> np.ndarray:
    """The series with its last value repeated past the end, for whole vectors to be read there."""
    return frozen(np.concatenate((series, np.full(BARS, series[-1]))))


def _account_world(market: Market, funding: bool) -> tuple[Any, ...]:
    """What the account without overlays reads: open, close, its held_sums, moments_of_steps, ends and covers, the widest gap,
    the bars with funding, and its rates.

    The prices go on past the end. Without funding the last two are empty.
    """
    return once(market, ("account", funding), lambda: _made_for_account(market, funding))


def _made_for_account(market: Market, funding: bool) -> tuple[Any, ...]:
    paying, rates = np.empty(0, np.int64), np.empty(0)
    if funding and market.funding_rate is not None:
        rates = market.funding_rate
        paying = np.append(np.flatnonzero(rates), np.iinfo(np.int64).max)
    return (
        _going_on(market.open),
        _going_on(market.close),
        held_sums(market.close),
        moments_of_steps(market.close),
        ends(market.close, market.close),
        covers(market.close, market.close),
        widest_gap(frozen(market.open), frozen(market.close)),
        paying,
        frozen(rates),
    )


@dataclass(frozen=True)
class Terms:
    """On what terms a run is scored.

    fee and slippage: fractions of the traded notional and of the price, per side. first: the first scored bar.
    initial_cash: in the currency of the prices. periods_per_year: bars per year, for annualised figures. funding:
    whether the market's funding is booked.
    An order's fee is max(fee * notional + fixed_fee, minimum_fee). maker_fee: a take-profit's, None: the fee.
    participation: an order's share of the decision bar's volume at most, None: any. borrow: what a short pays of its
    notional at each open, per year. optimistic: where a bar touches stop and take-profit, the latter counts.
    closes: whether the last bar's open ends what is held, at its costs, whatever is decided there.
    """

    fee: float
    slippage: float
    first: int
    initial_cash: float
    periods_per_year: float
    funding: bool = True
    maker_fee: float | None = None
    fixed_fee: float = 0.0
    minimum_fee: float = 0.0
    participation: float | None = None
    borrow: float = 0.0
    optimistic: bool = False
    closes: bool = False

    @property
    def plain(self) -> bool:
        """Whether orders cost fee and slippage alone, which the account without overlays knows."""
        return self.fixed_fee == self.minimum_fee == self.borrow == 0.0 and self.participation is None

    def of(self, costs: tuple[Any, ...]) -> tuple[Any, ...]:
        """These terms as an account takes them."""
        return costs, int(self.first), float(self.initial_cash), float(self.periods_per_year)

    @property
    def for_plain(self) -> tuple[Any, ...]:
        """What the account without overlays takes; funding reaches it as a series."""
        return self.of((float(self.fee), float(self.slippage)))

    @property
    def for_overlaid(self) -> tuple[Any, ...]:
        """What the account with overlays takes; funding and borrowing reach it as series."""
        maker = self.fee if self.maker_fee is None else self.maker_fee
        participation = math.nan if self.participation is None else self.participation
        values = (self.fee, maker, self.slippage, self.fixed_fee, self.minimum_fee, participation)
        return self.of((*(float(value) for value in values), bool(self.optimistic)))


def population_metrics(
    signal: Signal,
    market: Market,
    genomes: np.ndarray,
    terms: Terms,
    overlays: np.ndarray | None = None,
    *,
    record: bool = False,
    single: bool = False,
) -> np.ndarray:
    """METRICS of each genome, (P, G) in natural units -> (P, M).

    A row depends on its genome and its overlays alone, not on its neighbours or their order. overlays: (P, O), rows of
    OVERLAYS, or None. record: whether the figures OF_RECORD are computed as well; they are NaN otherwise.
    single: whether lanes see in float32, of signals that have such a form; account and figures stay float64, and what is
    recorded is seen in float64.
    """
    if not len(genomes):
        return np.empty((0, len(METRICS)))
    if single and not record:
        signal = signal.of_singles or signal
    out = np.empty((len(genomes), len(METRICS)))
    working = np.zeros(len(genomes), bool) if overlays is None else _working(overlays)
    if not terms.plain:
        working[:] = True
    if not working.all():
        out[~working] = _plain_population(signal, market, genomes[~working], terms, record)
    if working.any():
        rows = np.zeros((len(genomes), len(OVERLAYS))) if overlays is None else overlays
        out[working] = _overlaid_population(signal, market, genomes[working], terms, rows[working], record)
    return out


def _plain_population(signal: Signal, market: Market, genomes: np.ndarray, terms: Terms, record: bool) -> np.ndarray:
    stage = _plain_stage(signal, market, terms)
    return _all_figures(stage, genomes, np.empty((len(genomes), 0)), record)


def run_population(decide: Decider, signal: Signal, market: Market, genomes: np.ndarray, terms: Terms) -> np.ndarray:
    """METRICS (P, M) of plain runs that are decided by the kernels of some lane width."""
    stage = _plain_stage(signal, market, terms)
    return _side_by_side(stage, decide, genomes, np.empty((len(genomes), 0)))


@dataclass(frozen=True)
class _Cut:
    """Some bars of a market, which in turn is one."""

    timestamps: np.ndarray
    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray
    volume: np.ndarray
    funding_rate: np.ndarray | None


def _cut(market: Market, start: int, end: int) -> _Cut:
    bars: dict[str, Any] = {}
    for each in fields(_Cut):
        series = getattr(market, each.name)
        bars[each.name] = None if series is None else series[start:end]
    return _Cut(**bars)


def _piece(market: Market, start: int, end: int, stays: bool) -> _Cut:
    """Some bars of a market, the same object each time where it stays, for which tables are then kept as well."""
    return once(market, ("piece", start, end), lambda: _cut(market, start, end)) if stays else _cut(market, start, end)


@dataclass(frozen=True)
class _Stage:
    """Where runs take place: the account with its world, made where it is needed, its terms and notes, the signal and the
    market. pays: whether the account books funding. closes: see Terms.

    inputs: the signal's for the whole market, where they are known.
    """

    account: Accounting
    world: Callable[[], Any]
    pays: bool
    terms: Any
    signal: Signal
    market: Market
    closes: bool = False
    notes: tuple[np.ndarray, ...] = field(default_factory=lambda: (np.empty((0, len(TRADE_COLUMNS))), np.empty((0, 2))))
    inputs: Any = None

    @property
    def decided(self) -> int:
        """The bars whose decisions count: of a run that closes, the last but one decides nothing any more."""
        return len(self.market.close) - int(self.closes)

    def pieces(self, decide: Decider, genomes: np.ndarray) -> Iterator[tuple[Any, tuple[int, ...]]]:
        """Inputs and spans (lanes.py) for `decide`: of all bars at once, or, where they take more memory than the bars, of
        PIECE at a time, with the bars before that they reach, from a multiple of every block of window_moments on."""
        first, bars, reach = self.terms[1], self.decided, self.signal.reach
        if reach is None or decide is not self.signal.population:
            inputs = self.signal.inputs(self.market, genomes) if self.inputs is None else self.inputs
            yield inputs, (first, bars, 0, 0, bars - 1)
            return
        grid = 1 << reach(genomes).bit_length()
        stays = True
        for begin in range(0, max(bars - 1, 1), PIECE):
            end, offset = min(begin + PIECE, bars - 1), max(begin - grid - BARS, 0) // grid * grid
            piece = _piece(self.market, offset, min(end + BARS, bars), stays)
            inputs = self.signal.inputs(piece, genomes)
            stays = fits(size_of(inputs) * (bars // PIECE))  # or each would push out the one that is asked for next
            yield inputs, (first, bars, offset, begin, end)

    def once(self, decide: Decider, genomes: np.ndarray, overlays: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, ...]:
        """One pass: METRICS (P, M), the centres that a second one is due with (P,), whom `decide` left (P,), the books."""
        books, metrics = np.empty((len(genomes), BOOK)), np.empty((len(genomes), len(METRICS)))
        run, genomes = (self.world(), books, overlays, self.terms, self.notes), frozen(genomes)
        targets, left, again = np.zeros(len(genomes)), np.zeros(len(genomes), bool), np.empty(len(genomes))
        open_books(run, centres)
        way = door(self.account, run)
        for inputs, span in self.pieces(decide, genomes):
            with denormals_kept():
                decide(way, inputs, genomes, span, targets, left)
        if self.closes:
            leave(self.account, run, len(self.market.close) - 1)
        finish(self.account, run, metrics, again)
        return metrics, again, left, books

    def figures(
        self, decide: Decider, genomes: np.ndarray, overlays: np.ndarray, centres: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """METRICS and books, after a second pass for those whose variance asks for a centre. Whom `decide` leaves is
        decided for alone."""
        start = np.full(len(genomes), np.nan) if centres is None else centres
        metrics, again, left, books = self.once(decide, genomes, overlays, start)
        if left.any():
            metrics[left], books[left] = self.figures(self.signal.alone, genomes[left], overlays[left], start[left])
        due = ~np.isnan(again) & np.isnan(start) & ~left
        if due.any():
            metrics[due], books[due] = self.figures(decide, genomes[due], overlays[due], again[due])
        return metrics, books


def _plain_stage(signal: Signal, market: Market, terms: Terms) -> _Stage:
    pays = terms.funding and market.funding_rate is not None and bool(market.funding_rate.any())
    world = functools.cache(lambda: _account_world(market, terms.funding))
    return _Stage(PLAIN, world, pays, terms.for_plain, signal, market, terms.closes)


def _overlaid_stage(world: Any, signal: Signal, market: Market, terms: Terms) -> _Stage:
    return _Stage(OVERLAID, lambda: world, True, terms.for_overlaid, signal, market, terms.closes)


def _all_figures(stage: _Stage, genomes: np.ndarray, overlays: np.ndarray, record: bool) -> np.ndarray:
    if record:
        return _one_by_one(stage, genomes, overlays)
    return _side_by_side(stage, stage.signal.population, genomes, overlays)


def _side_by_side(stage: _Stage, decide: Decider, genomes: np.ndarray, overlays: np.ndarray) -> np.ndarray:
    """METRICS (P, M), of genomes that stand beside those of their key meanwhile."""
    watch = stage.signal.watch
    order = np.arange(len(genomes)) if watch is None else watch.order(genomes)
    out = np.empty((len(genomes), len(METRICS)))
    out[order], _ = stage.figures(decide, genomes[order], overlays[order])
    return out


def _one_by_one(stage: _Stage, genomes: np.ndarray, overlays: np.ndarray) -> np.ndarray:
    """METRICS (P, M), those OF_RECORD as well: a run each that is written down, over the one before."""
    out = np.empty((len(genomes), len(METRICS)))
    stage = replace(stage, inputs=stage.signal.inputs(stage.market, genomes))
    for i in range(len(genomes)):
        out[i], *_ = _written_down(stage, genomes[i : i + 1], overlays[i : i + 1], stage.notes[0])
    return out


def _written_down(stage: _Stage, genome: np.ndarray, overlay: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """METRICS (M,), the book, the equity and the units after each bar (T,) of one run; its trades into the rows."""
    _, first, cash, _ = stage.terms
    close = frozen(stage.market.close)
    steps, equity, units = np.full((len(close), 2), np.nan), np.empty(len(close)), np.empty(len(close))
    (metrics,), (book,) = replace(stage, notes=(rows, steps)).figures(stage.signal.alone, genome, overlay)
    of_record(steps, close, first, cash, equity, units, metrics)
    return metrics, book, equity, units


def _working(overlays: np.ndarray) -> np.ndarray:
    """Which rows switch anything on, (P,); the others are runs without overlays, to the last bit, and faster."""
    said = dict(zip(OVERLAYS, overlays.T, strict=True))
    parameters = ("atr_period", "volatility_bars", "cap", "fraction")
    on = [column > 0.0 for name, column in said.items() if name not in parameters]
    return np.any([*on, (said["fraction"] > 0.0) & (said["fraction"] != 1.0)], axis=0)


def _overlaid_population(
    signal: Signal, market: Market, genomes: np.ndarray, terms: Terms, overlays: np.ndarray, record: bool
) -> np.ndarray:
    """In blocks of few periods of ATRs, whose columns bound the memory."""
    out = np.empty((len(genomes), len(METRICS)))
    world = _world(market, terms, overlays)
    periods = _atr_periods(overlays)
    distinct = np.unique(periods[periods > 0.0])
    most = max(1, _BLOCK_BYTES // (8 * len(market.close)))
    for start in range(0, max(len(distinct), 1), most):
        block = distinct[start : start + most]
        chosen = np.isin(periods, block) | ((periods == 0.0) & (start == 0))
        stage = _overlaid_stage((*world, _atrs(market, block)), signal, market, terms)
        out[chosen] = _all_figures(stage, genomes[chosen], _rows(overlays[chosen], periods[chosen], block), record)
    return out


_World = tuple[tuple[Any, ...], ...]


def _world(market: Market, terms: Terms, overlays: np.ndarray) -> _World:
    """The series that runs under overlays share, but the ATRs (overlays.py)."""
    tape = once(market, "ranges of bars", lambda: _ranges(market))
    column = OVERLAYS.index("volatility_bars")
    wanted = overlays[overlays[:, OVERLAYS.index("target_volatility")] > 0.0, column]
    if not (wanted >= 2.0).all():
        raise ValueError(f"volatility_bars = {wanted.min()}: a volatility target needs at least 2")
    carried = once(market, ("carried", terms.funding, terms.borrow), lambda: _carried(market, terms))
    return _account_world(market, funding=False), tape, carried, _moments_of_returns(market, wanted)


def _ranges(market: Market) -> tuple[np.ndarray, ...]:
    """High, low and volume of the bars, and covers of the first two."""
    return _going_on(market.high), _going_on(market.low), frozen(market.volume), covers(market.low, market.high)


def _moments_of_returns(market: Market, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The block_moments of returns for windows of so many bars; of none where nobody wants any."""
    if not wanted.size:
        return block_moments(np.empty(0), 1)
    return moments_of(market, "returns", lambda: market.close[1:] / market.close[:-1] - 1.0, int(wanted.max()))


def _carried(market: Market, terms: Terms) -> tuple[np.ndarray, ...]:
    """What positions pay (overlays.py): rates of funding and borrowing, and the next bar at which a long and a short pays."""
    rates = market.funding_rate if terms.funding else None
    if rates is None and not terms.borrow:
        return frozen(np.empty(0)), frozen(np.empty(0)), np.empty(0, np.int64), np.empty(0, np.int64)
    bars = len(market.close)
    funding = np.zeros(bars) if rates is None else rates
    stamps = np.asarray(market.timestamps, dtype=np.float64) if terms.borrow else np.zeros(bars)
    borrowing = terms.borrow * (np.diff(stamps, prepend=stamps[0]) / _YEAR_US)

    def following(pays: np.ndarray) -> np.ndarray:
        return np.minimum.accumulate(np.where(pays, np.arange(bars), bars)[::-1])[::-1].copy()

    return frozen(funding), frozen(borrowing), following(funding != 0.0), following((funding != 0.0) | (borrowing != 0.0))


def _atr_periods(overlays: np.ndarray) -> np.ndarray:
    """The period of each row's ATR, (P,); 0 where nothing uses it."""
    multiples = [j for j, name in enumerate(OVERLAYS) if name.startswith("atr_") and name != "atr_period"]
    used = (overlays[:, multiples] > 0.0).any(axis=1)
    periods = overlays[:, OVERLAYS.index("atr_period")]
    if not (periods[used] >= 1.0).all():
        raise ValueError(f"atr_period = {periods[used].min()}: multiples of the ATR need at least 1")
    return np.where(used, np.floor(periods), 0.0)


def _atrs(market: Market, periods: np.ndarray) -> np.ndarray:
    """The ATRs of these periods, (K, T)."""
    columns = np.empty((len(periods), len(market.close)))
    for column, period in zip(columns, periods.astype(int).tolist(), strict=True):
        column[:] = once(market, ("atr", period), functools.partial(atr, market.high, market.low, market.close, period))
    return frozen(columns)


def _rows(overlays: np.ndarray, periods: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Each individual's overlays, and behind them the column in which its ATR stands, -1 for none."""
    places = np.where(periods > 0.0, np.searchsorted(columns, periods), -1.0)
    return np.column_stack([overlays, places])


def positions(signal: Signal, market: Market, genome: np.ndarray) -> np.ndarray:
    """The target exposure in [-1, 1] that one genome, (G,), decides at each close, (T,)."""
    out = np.empty(market.close.shape[0])
    with denormals_kept():
        signal.positions(signal.inputs(market, genome[None, :]), frozen(genome), out)
    return out


@dataclass(frozen=True)
class Account:
    """One run, recorded: METRICS (M,), equity and units after each close (T,), a row of TRADE_COLUMNS a trade, and what
    was paid in fees, slippage, funding and borrow."""

    metrics: np.ndarray
    equity: np.ndarray
    units: np.ndarray
    trades: np.ndarray
    paid: dict[str, float]


def account(market: Market, targets: np.ndarray, terms: Terms, overlays: np.ndarray | None = None) -> Account:
    """Runs given target exposures, (T,) in [-1, 1] without NaN, through the account, under overlays, (O,), or none: the
    metrics are to the last bit those of a population that decides so."""
    changes = int(np.count_nonzero(np.diff(targets[max(terms.first - 1, 0) :], prepend=0.0)))
    if overlays is None and terms.plain:
        stage, row = _plain_stage(given, market, terms), np.empty((1, 0))
    else:
        said = np.zeros((1, len(OVERLAYS))) if overlays is None else overlays[None, :]
        periods = _atr_periods(said)
        columns = periods[periods > 0.0]
        world = (*_world(market, terms, said), _atrs(market, columns))
        stage, row = _overlaid_stage(world, given, market, terms), _rows(said, periods, columns)
    stage = replace(stage, inputs=(frozen(targets),))
    rows = np.empty((changes, len(TRADE_COLUMNS)))
    metrics, book, equity, units = _written_down(stage, np.empty((1, 0)), row, rows)
    places = {"fees": PAID_FEES, "slippage": PAID_SLIPPAGE, "funding": PAID_FUNDING, "borrow": PAID_BORROW}
    paid = {name: float(book[place]) for name, place in places.items()}
    return Account(metrics, equity, units, rows[: int(metrics[METRICS.index("trades")])], paid)
