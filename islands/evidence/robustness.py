"""Does a champion bear being shaken? Later fills, dearer ones, neighbouring genes, parts of the time, other instruments.

None of this is a test of luck: what was fitted to noise may be robust in every one of these ways. It tells what a result
hangs on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from islands.errors import InputError
from islands.evaluation import FREE, Backtest, Costs, backtest, evaluate, metrics
from islands.evidence.given import above, count, series, share
from islands.kernels.metrics import METRICS
from islands.market.bars import Bars
from islands.strategies.genome import Choice, Gene, Switched
from islands.strategies.overlays import Stops
from islands.strategies.space import Space
from islands.strategies.strategy import Strategy

BASIS_POINT = 1e-4
DEAREST = 1_000.0
"""Basis points a side up to which a break-even is looked for; beyond it nobody trades."""


@dataclass(frozen=True, eq=False)
class Setting:
    """Where a strategy is run: bars and the terms of `backtest`. intrabar: what `Stops` says of it, the account's part."""

    bars: Bars
    costs: Costs = FREE
    intrabar: str = "pessimistic"
    initial_cash: float = 10_000.0
    periods_per_year: float | None = None
    score_from: int = 0
    closes: bool = False

    def run(self, strategy: Strategy, targets: npt.NDArray[np.float64] | None = None, costs: Costs | None = None) -> Backtest:
        """The strategy's run. targets: (T,), in place of its decisions, under its stops and sizes. costs: other ones."""
        charged = self.costs if costs is None else costs
        if targets is None:  # as it is: the figures are those of a population, to the last bit
            return backtest(self.bars, strategy, charged, Stops(intrabar=self.intrabar), **self._account)
        stops = replace(strategy.stops, intrabar=self.intrabar)
        return backtest(self.bars, targets, charged, stops, strategy.sizing, **self._account)

    def figures(self, strategies: Sequence[Strategy], figure: str) -> list[float]:
        """One of METRICS for each strategy, a kernel call a family.

        Raises:
            InputError: no such figure.
        """
        if figure not in METRICS:
            raise InputError(f"figure = {figure!r}: expected one of {', '.join(METRICS)}")
        frame = evaluate(self.bars, strategies, self.costs, Stops(intrabar=self.intrabar), **self._account)
        found: list[float] = frame[figure].to_list()
        return found

    def returns(self, strategies: Sequence[Strategy]) -> npt.NDArray[np.float64]:
        """The returns of several strategies, (T, N), from the first scored bar on: what `isl.statistics` takes."""
        return np.column_stack([self.run(strategy).returns[self.score_from :] for strategy in strategies])

    @property
    def _account(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("initial_cash", "periods_per_year", "score_from", "closes")}


def lag_sweep(setting: Setting, strategy: Strategy, lags: Sequence[int] = (0, 1, 2, 3)) -> dict[int, dict[str, float]]:
    """METRICS by so many more bars of delay between a decision and its fill; 0 is the strategy as it is.

    Raises:
        InputError: a lag that is no whole number from 0 on, or not below the number of bars.
    """
    decided = strategy.positions(setting.bars)
    found = {}
    for lag in lags:
        late = count("lag", lag, 0)
        if late >= len(decided):
            raise InputError(f"lag = {lag!r}: expected less than the {len(decided)} bars of {setting.bars.name}")
        targets = np.concatenate((np.zeros(late), decided[: len(decided) - late]))
        found[late] = setting.run(strategy, targets).metrics
    return found


class CostSweep(NamedTuple):
    """METRICS by costs a side in basis points, and the costs at which the total return is 0.

    break_even_bps is 0 where the strategy earns nothing even without costs, infinite where it still earns at DEAREST.
    """

    figures: dict[float, dict[str, float]]
    break_even_bps: float


def cost_sweep(
    setting: Setting, strategy: Strategy, factors: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 4.0), precision_bps: float = 0.01
) -> CostSweep:
    """What is left at other costs, and what costs leave nothing. Costs are those a side: fee and slippage.

    factors: of the setting's costs (of 1 basis point, all of it fee, where these are 0). Fee, maker fee and slippage grow
    together; fixed fees, borrowing and funding stay. The break-even is found by halving, to `precision_bps`.

    Raises:
        InputError: a factor below 0, or a precision that is not above 0.
    """
    decided = strategy.positions(setting.bars)
    now = 1.0 if setting.costs.fee + setting.costs.slippage == 0.0 else _side_bps(setting.costs)
    precision = above("precision_bps", precision_bps, 1e-9)

    def at(bps: float) -> dict[str, float]:
        return setting.run(strategy, decided, _charging(setting.costs, bps)).metrics

    figures = {now * factor: at(now * factor) for factor in (above("factor", value, 0) for value in factors)}
    if not at(0.0)["total_return"] > 0.0:
        return CostSweep(figures, 0.0)
    low, high = 0.0, max(now, 1.0)
    while at(high)["total_return"] > 0.0:
        if high >= DEAREST:
            return CostSweep(figures, math.inf)
        low, high = high, min(2.0 * high, DEAREST)
    while high - low > precision:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if at(middle)["total_return"] > 0.0 else (low, middle)
    return CostSweep(figures, 0.5 * (low + high))


def _side_bps(costs: Costs) -> float:
    return (costs.fee + costs.slippage) / BASIS_POINT


def _charging(costs: Costs, bps: float) -> Costs:
    """The same costs with a fee and a slippage that make so many basis points a side together."""
    before = _side_bps(costs)
    if before == 0.0:
        return replace(costs, fee=bps * BASIS_POINT)
    factor = bps / before
    maker = None if costs.maker_fee is None else costs.maker_fee * factor
    return replace(costs, fee=costs.fee * factor, slippage=costs.slippage * factor, maker_fee=maker)


class Neighbour(NamedTuple):
    """A strategy one step away: the gene that differs, its value as a person writes it, and its figure."""

    gene: str
    value: int | float | str
    figure: float


class Neighbourhood(NamedTuple):
    """A strategy's figure, those of its neighbours, and the share of these that keep half of it: a plateau, or a spike.

    The share is NaN without neighbours, or where the strategy's own figure is not above 0.
    """

    figure: float
    neighbours: tuple[Neighbour, ...]
    share: float


def neighbourhood(
    setting: Setting, strategy: Strategy, space: Space, step: float = 0.05, figure: str = "sharpe"
) -> Neighbourhood:
    """How the strategies around one in gene space do: one gene moved at a time, all scored in one kernel call.

    step: of the gene's scaled range, down and up, at least one point of its lattice; a choice takes its other options, an
    overlay that is on is also tried without. space: the search's, whose bounds and constraints neighbours keep, so that
    a repair may move a second gene; what is no different from the strategy or another neighbour is left out. figure: one
    of METRICS of which more is better.

    Raises:
        InputError: a step that is no share, or no such figure.
        StrategyError: the strategy has an overlay that is no gene of the space.
    """
    width = share("step", step)
    genome = space.genome_of(strategy)
    found: dict[Strategy, tuple[str, int | float | str]] = {}
    for column, gene in enumerate(space.genes):
        for value in _moved(gene, float(genome[column]), width):
            other = genome.copy()
            other[column] = value
            kept = space.repair(other[None, :])[0]
            found.setdefault(Strategy.from_genome(space, kept), (gene.name, gene.show(float(kept[column]))))
    found.pop(strategy, None)
    own, *around = setting.figures([strategy, *found], figure)
    neighbours = tuple(Neighbour(*what, value) for what, value in zip(found.values(), around, strict=True))
    kept_half = [neighbour.figure >= 0.5 * own for neighbour in neighbours]
    return Neighbourhood(own, neighbours, float(np.mean(kept_half)) if neighbours and own > 0.0 else math.nan)


def _moved(gene: Gene, value: float, width: float) -> list[float]:
    """The values one step from this one along a gene, ends of its range included where the step would pass them."""
    if isinstance(gene, Switched):
        return [0.0, *_moved(gene.on, value, width)] if value else []
    if isinstance(gene, Choice):
        return [float(option) for option in gene.allowed if option != value]
    point = float(np.clip(np.rint(gene.position(np.array([value]))[0]), 0, gene.last))
    stride = max(1.0, round(width * gene.last))
    ends = np.clip([point - stride, point + stride], 0, gene.last)
    return [float(gene.at(np.asarray(end))) for end in ends if end != point]


def sub_periods(returns: npt.ArrayLike, periods_per_year: float, parts: int = 4) -> list[dict[str, float]]:
    """What `metrics` says of each of `parts` equal stretches of one run's returns, (T,), in order.

    Raises:
        InputError: fewer than 1 part, or fewer than 2 returns for each.
    """
    given, pieces = series("returns", returns), count("parts", parts, 1)
    if len(given) < 2 * pieces:
        raise InputError(f"parts = {parts!r}: {len(given)} returns make parts of less than 2; take fewer")
    return [metrics(piece, periods_per_year) for piece in np.array_split(given, pieces)]


class Regime(NamedTuple):
    """Bars on which the market was as volatile as this before they opened, per bar, and what was earned on them."""

    low: float
    high: float
    bars: int
    sharpe: float
    total_return: float


def regimes(
    returns: npt.ArrayLike, close: npt.ArrayLike, periods_per_year: float, window: int = 100, parts: int = 3
) -> list[Regime]:
    """What one run earned when the market was quiet, middling and wild: equal shares of the bars, by trailing volatility.

    returns, close: of the run and of the market on the same bars, (T,). A bar belongs where the standard deviation of the
    `window` simple returns before it puts it; the first window + 1 bars belong nowhere.

    Raises:
        InputError: series of different length, prices that are not above 0, or too few bars for window and parts.
    """
    earned, prices = series("returns", returns), series("close", close)
    span, pieces = count("window", window, 2), count("parts", parts, 1)
    if len(earned) != len(prices):
        raise InputError(f"close has {len(prices)} bars for {len(earned)} returns: expected one a bar")
    if not (prices > 0.0).all():
        raise InputError(f"close[{int(np.argmin(prices > 0.0))}] is not above 0: expected prices")
    if len(earned) < span + 1 + 2 * pieces:
        raise InputError(f"window = {window!r}, parts = {parts!r}: too much for {len(earned)} bars; take less")
    moves = prices[1:] / prices[:-1] - 1.0
    trailing = np.lib.stride_tricks.sliding_window_view(moves, span).std(axis=1, ddof=1)[:-1]  # [i]: up to bar span + i
    order = np.array_split(np.argsort(trailing, kind="stable"), pieces)
    later = earned[span + 1 :]
    found = []
    for rows in order:
        figures = metrics(later[np.sort(rows)], periods_per_year)
        low, high = float(trailing[rows].min()), float(trailing[rows].max())
        found.append(Regime(low, high, len(rows), figures["sharpe"], figures["total_return"]))
    return found


def other_instruments(strategy: Strategy, settings: Mapping[str, Setting]) -> dict[str, dict[str, float]]:
    """METRICS of the strategy as it is on each of several instruments, by name."""
    return {name: setting.run(strategy).metrics for name, setting in settings.items()}
