"""The families' positions: exact against slow twins, blind to the future, and moved by every gene."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels import batch as kernels
from ledger import KINDS, bars_of, funded, random_prices, real_bars, real_files, seeds, with_wicks
from rules import SLOW_POSITIONS, allowed, bars_for, genes_of, tradable, with_needs, with_volume

import islands as isl
from islands.errors import StrategyError
from islands.market.bars import Bars
from islands.market.tape import Tape

families = pytest.mark.parametrize("family", isl.families())
TERMS = kernels.Terms(fee=5e-4, slippage=1e-4, first=0, initial_cash=1e4, periods_per_year=8766.0)
directions = pytest.mark.parametrize("direction", ["long", "short", "both"])


def slow_positions(strategy: isl.Strategy, bars: Bars) -> list[float]:
    return SLOW_POSITIONS[strategy.family.name](bars, **strategy.genes)


def test_every_family_has_a_slow_twin() -> None:
    assert isl.families() == list(SLOW_POSITIONS)


# Exact rules


@families
@examples(200)
@given(data=st.data())
def test_positions_agree_exactly_with_the_slow_twin(family: str, data: st.DataObject) -> None:
    bars = data.draw(bars_for(family))
    strategy = isl.Strategy(family, **data.draw(genes_of(family)))
    assert strategy.positions(bars).tolist() == slow_positions(strategy, bars)


GENOMES = {
    "ema_crossover": [{}, {"fast": 3, "slow": 9, "band": 0.001}, {"fast": 20, "slow": 120, "direction": "short"}],
    "sma_trend": [{}, {"fast": 2, "slow": 5}, {"fast": 20, "slow": 120, "direction": "long"}],
    "rsi_mean_reversion": [{}, {"period": 3, "entry": 20, "exit": 60}, {"period": 2, "entry": 45, "exit": 50}],
    "donchian_breakout": [{}, {"entry": 3, "exit": 3}, {"entry": 120, "exit": 33, "direction": "short"}],
    "bollinger_reversion": [{}, {"period": 2, "width": 0.9}, {"period": 100, "width": 1.5, "direction": "short"}],
    "momentum": [{}, {"lookback": 3, "band": 0.001}, {"lookback": 100, "band": 0.0001, "direction": "long"}],
    "bollinger_breakout": [{}, {"period": 3, "width": 0.9, "direction": "short"}],
    "keltner_breakout": [{}, {"period": 5, "width": 0.5, "direction": "short"}],
    "macd": [{}, {"fast": 3, "slow": 10, "signal": 5, "band": 0.0001, "direction": "short"}],
    "stochastic": [{}, {"period": 5, "smooth": 2, "entry": 40, "exit": 60, "direction": "short"}],
    "ichimoku": [{}, {"tenkan": 3, "kijun": 7, "senkou": 5, "direction": "short"}],
    "vwap_reversion": [{}, {"period": 5, "width": 0.9, "direction": "short"}],
    "kernel_trend": [{}, {"bandwidth": 2, "band": 0.0001, "direction": "short"}],
    "zscore_reversion": [{}, {"period": 5, "entry": 1.2, "exit": -0.5, "direction": "short"}],
    "volatility_breakout": [{}, {"period": 3, "width": 1.5, "hold": 4, "direction": "short"}],
    "funding_carry": [{"entry": 1e-4}, {"lookback": 24, "entry": 0.0, "direction": "short"}],
}


@pytest.mark.slow  # on made-up bars every run does it
@families
@pytest.mark.parametrize("path", real_files())
def test_positions_agree_exactly_with_the_slow_twin_on_real_bars(family: str, path: object) -> None:
    bars = real_bars(path, 3_000, start=500)
    if family not in tradable(bars):
        pytest.skip("these bars lack what the family reads")
    for genes in GENOMES[family]:
        strategy = isl.Strategy(family, **genes)
        positions = strategy.positions(bars)
        assert positions.tolist() == slow_positions(strategy, bars), genes
        assert positions.any(), genes


def test_ema_crossover_by_hand() -> None:
    """Spans 1 and 3: 4 against 2.5, 3 against 2.75, 2.75 against 2.75 (a tie keeps the target), 1 against 1.875."""
    bars = bars_of([1, 4, 3, 2.75, 1], [1, 4, 3, 2.75, 1])
    genes = {"fast": 1, "slow": 3}
    assert isl.Strategy("ema_crossover", **genes).positions(bars).tolist() == [0, 0, 1, 1, -1]
    assert isl.Strategy("ema_crossover", **genes, direction="long").positions(bars).tolist() == [0, 0, 1, 1, 0]
    assert isl.Strategy("ema_crossover", **genes, band=0.2).positions(bars).tolist() == [0, 0, 0, 0, -1]


def test_sma_trend_by_hand() -> None:
    bars = bars_of([1, 3, 2, 2, 1], [1, 3, 2, 2, 1])
    assert isl.Strategy("sma_trend", fast=1, slow=2).positions(bars).tolist() == [0, 1, -1, 0, -1]


def test_sma_trend_counts_averages_within_1e_10_of_the_close_as_equal() -> None:
    for step, target in ((4e-10, 1.0), (1e-10, 0.0)):
        bars = bars_of([1, 1], [1, 1 + step])
        assert isl.Strategy("sma_trend", fast=1, slow=2).positions(bars).tolist() == [0.0, target]


def test_sma_trend_ties_at_five_digits_are_flat() -> None:
    """The windows hold the same prices in another order: their sums differ in rounding alone."""
    close = [1.10001, 1.10002, 1.10003, 1.10003, 1.10002, 1.10001] * 3
    positions = isl.Strategy("sma_trend", fast=6, slow=12).positions(bars_of(close, close))
    assert positions.tolist() == [0.0] * 18


def test_rsi_mean_reversion_by_hand() -> None:
    """RSI of period 1: 0 after a fall, 100 after a rise, undefined where nothing has moved."""
    close = [4, 4, 3, 2, 3, 4, 3, 3]
    bars = bars_of(close, close)
    genes = {"period": 1, "entry": 30, "exit": 50}
    assert isl.Strategy("rsi_mean_reversion", **genes).positions(bars).tolist() == [0, 0, 1, 1, 0, -1, 0, 0]
    assert isl.Strategy("rsi_mean_reversion", **genes, direction="long").positions(bars).tolist() == [
        *(0, 0, 1, 1, 0, 0, 1, 0),
    ]
    assert isl.Strategy("rsi_mean_reversion", **genes, direction="short").positions(bars).tolist() == [
        *(0, 0, 0, 0, -1, -1, 0, 0),
    ]


def test_long_entry_is_looked_at_first_where_both_hold() -> None:
    close = [4, 5, 4]
    positions = isl.Strategy("rsi_mean_reversion", period=2, entry=60, exit=70).positions(bars_of(close, close))
    assert positions.tolist() == [0, 0, 1]


def bars_from(*rows: tuple[float, float, float]) -> Bars:
    """Bars of (high, low, close), opened at the close."""
    high, low, close = np.array(rows, dtype=float).T
    return Bars("by hand", Tape(np.stack([np.arange(len(rows)) * 1e6, close, high, low, close, np.ones(len(rows))])))


def test_donchian_breakout_by_hand() -> None:
    """Channels of two bars to enter and one to leave; their own bar is left out, and a tie is no breakout."""
    bars = bars_from((5, 3, 4), (6, 4, 5), (7, 4, 6), (8, 5, 7), (8, 6, 6), (7, 4, 5), (5, 2, 3), (6, 3, 5), (8, 5, 7))
    genes = {"entry": 2, "exit": 1}
    assert isl.Strategy("donchian_breakout", **genes).positions(bars).tolist() == [0, 0, 0, 0, 0, 0, -1, -1, 1]
    rising = bars_from((2, 1, 2), (3, 2, 3), (4, 3, 4), (5, 4, 5), (5, 3, 3), (4, 1, 2), (2, 1, 1))
    assert isl.Strategy("donchian_breakout", **genes).positions(rising).tolist() == [0, 0, 1, 1, 0, -1, -1]
    assert isl.Strategy("donchian_breakout", **genes, direction="long").positions(rising).tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert isl.Strategy("donchian_breakout", **genes, direction="short").positions(rising).tolist() == [0, 0, 0, 0, 0, -1, -1]


def test_donchian_breakout_reverses_within_a_bar() -> None:
    bars = bars_from((2, 1, 2), (3, 2, 3), (4, 3, 4), (4, 0.5, 0.5), (9, 1, 9))
    assert isl.Strategy("donchian_breakout", entry=2, exit=2).positions(bars).tolist() == [0, 0, 1, -1, 1]


def test_bollinger_reversion_by_hand() -> None:
    """Two bars: the bands lie half a step around their middle, and `width` of that is short of the close's whole half."""
    bars = bars_of([4, 2, 2, 1, 3, 1, 1, 5], [4, 2, 2, 1, 3, 1, 1, 5])
    genes = {"period": 2, "width": 0.5}
    assert isl.Strategy("bollinger_reversion", **genes).positions(bars).tolist() == [0, 1, 0, 1, 0, 1, 0, -1]
    assert isl.Strategy("bollinger_reversion", **genes, direction="short").positions(bars).tolist() == [
        *(0, 0, 0, 0, -1, 0, 0, -1),
    ]
    tie = isl.Strategy("bollinger_reversion", period=2, width=1.0)  # the close of two bars lies on its band
    assert not tie.positions(bars).any()


def test_bollinger_reversion_is_flat_while_prices_stand_still() -> None:
    """Whatever came before; a deviation that is rounding alone would trade on rounding alone."""
    close = [3e9, 1e-3, 77.7] + [1.10001] * 500
    for period in (2, 3, 7, 20, 64):
        positions = isl.Strategy("bollinger_reversion", period=period, width=0.0).positions(bars_of(close, close))
        assert not positions[3 + period :].any()


def test_momentum_by_hand() -> None:
    bars = bars_of([4, 4, 5, 4, 5, 4.5, 4], [4, 4, 5, 4, 5, 4.5, 4])
    genes = {"lookback": 2, "band": 0.125}
    assert isl.Strategy("momentum", **genes).positions(bars).tolist() == [0, 0, 1, 1, 1, 1, -1]
    assert isl.Strategy("momentum", **genes, direction="short").positions(bars).tolist() == [0, 0, 0, 0, 0, 0, -1]
    assert isl.Strategy("momentum", **{**genes, "band": 0.25}).positions(bars).tolist() == [0] * 7
    assert isl.Strategy("momentum", lookback=1).positions(bars).tolist() == [0, 0, 1, -1, 1, -1, -1]


BY_HAND = {
    # two closes lie half a step from their middle, on bands of width 1; equal closes are back at it
    "bollinger_breakout": ({"period": 2, "width": 0.5}, [4, 2, 2, 3, 3, 5], [0, -1, 0, 1, 0, 1]),
    # middles 6, 6, 4; average ranges 4/3, 14/9, 64/27
    "keltner_breakout": ({"period": 3, "width": 0.5}, [4, 4, 4, 8, 6, 2], [0, 0, 0, 1, 0, -1]),
    # lines 2, 1, 0.5; signals 1, 1, 0.75: a histogram of 0 ends a position
    "macd": ({"fast": 1, "slow": 3, "signal": 3}, [4, 4, 4, 4, 8, 8, 8], [0, 0, 0, 0, 1, 0, -1]),
    # %K 0, 100, 100, 0, 0; %D 50, 100, 50, 0
    "stochastic": ({"period": 2, "smooth": 2, "entry": 60, "exit": 75}, [4, 3, 4, 5, 4, 3], [0, 0, 1, 0, -1, 0]),
    # leads 0.5, -0.5, -1; clouds 1.75 to 2, 2.75 to 3 (which holds the close), 3.75 to 4
    "ichimoku": ({"tenkan": 1, "kijun": 2, "senkou": 1}, [1, 2, 3, 4, 3, 1], [0, 0, 0, 1, 0, -1]),
    # averages 3, 1.5, 1 (the close), 2
    "vwap_reversion": ({"period": 2, "width": 0.5}, [4, 2, 1, 1, 3], [0, 1, 1, 0, -1]),
    # the estimate rises while the window of four holds the step, and stands still when that is behind
    "kernel_trend": ({"bandwidth": 1}, [1, 1, 1, 1, 2, 2, 2, 2, 2, 1], [0, 0, 0, 0, 1, 1, 1, 1, 0, -1]),
    # z is -0.71, 1.41, 0.39, -1.37
    "zscore_reversion": ({"period": 3, "entry": 0.5, "exit": 0.4}, [6, 3, 3, 4, 3.75, 3], [0, 0, 1, -1, 0, 1]),
    # ranges 1, 2, 0, 0: a move is kept for two bars, and none is not large, even where nothing has moved before
    "volatility_breakout": ({"period": 1, "width": 1, "hold": 2}, [4, 5, 7, 7, 7, 3], [0, 0, 1, 1, 0, -1]),
}


@pytest.mark.parametrize("family", BY_HAND)
def test_rule_by_hand(family: str) -> None:
    genes, close, targets = BY_HAND[family]
    bars = bars_of(close, close)
    assert isl.Strategy(family, **genes).positions(bars).tolist() == targets
    assert isl.Strategy(family, **genes, direction="long").positions(bars).tolist() == [max(p, 0) for p in targets]
    assert isl.Strategy(family, **genes, direction="short").positions(bars).tolist() == [min(p, 0) for p in targets]


def test_bands_of_macd_and_kernel_trend_are_a_share_of_the_close() -> None:
    close = BY_HAND["macd"][1]
    genes = {"fast": 1, "slow": 3, "signal": 3}
    for band, targets in ((0.12, [0, 0, 0, 0, 1, 0, 0]), (0.13, [0] * 7)):  # 1 over 8
        assert isl.Strategy("macd", **genes, band=band).positions(bars_of(close, close)).tolist() == targets
    step = [1, 1, 1, 1, 2]
    weight = 1.0 / sum(math.exp(-i * i / 2) for i in range(4))
    for band, target in ((weight / 2 - 1e-3, 1.0), (weight / 2 + 1e-3, 0.0)):
        assert isl.Strategy("kernel_trend", bandwidth=1, band=band).positions(bars_of(step, step))[-1] == target


def test_vwap_reversion_weighs_by_volume_and_is_flat_without_any() -> None:
    """Averages 2.5, 2, none, 3."""
    bars = with_volume(bars_of([4, 2, 1, 1, 3], [4, 2, 1, 1, 3]), np.array([1.0, 3.0, 0.0, 0.0, 1.0]))
    assert isl.Strategy("vwap_reversion", period=2, width=0.25).positions(bars).tolist() == [0, 1, 1, 0, 0]
    silent = with_volume(with_wicks(*random_prices(3, 500, "walk"), 3), np.zeros(500))
    assert not isl.Strategy("vwap_reversion", period=5, width=0.1).positions(silent).any()


def test_funding_carry_by_hand() -> None:
    bars = funded(bars_of([1] * 7, [1] * 7), [0, 1e-3, 0, 0, -1e-3, 1e-3, 2e-4])
    genes = {"lookback": 2, "entry": 5e-4}
    assert isl.Strategy("funding_carry", **genes).positions(bars).tolist() == [0, -1, -1, 0, 1, 0, -1]
    assert isl.Strategy("funding_carry", **genes, direction="long").positions(bars).tolist() == [0, 0, 0, 0, 1, 0, 0]
    assert isl.Strategy("funding_carry", lookback=2, entry=1e-3).positions(bars).tolist() == [0] * 7  # a tie is none
    kept = isl.Strategy("funding_carry", lookback=1, entry=1e-3 - 1e-5, exit=1e-4, direction="short").positions(bars)
    assert kept.tolist() == [0, -1, 0, 0, 0, -1, -1]


def test_funding_carry_refuses_bars_without_funding() -> None:
    bars, strategy = bars_of([1, 2], [1, 2]), isl.Strategy("funding_carry")
    for action in (strategy.positions, lambda b: isl.backtest(b, strategy), lambda b: isl.evaluate(b, [strategy])):
        with pytest.raises(StrategyError, match="family funding_carry needs the column funding_rate"):
            action(bars)


@pytest.mark.parametrize("family", ["macd", "kernel_trend", "keltner_breakout", "bollinger_breakout", "zscore_reversion"])
def test_rules_of_two_thresholds_are_flat_while_prices_stand_still(family: str) -> None:
    """Averages that only approach the price differ from it by rounding alone in the end: that is no signal."""
    close = [1.2, 1.1, 1.3] + [1.10001] * 3_000
    assert not isl.Strategy(family).positions(bars_of(close, close))[-500:].any()


def test_kernel_trend_counts_a_slope_within_1e_10_of_the_close_as_none() -> None:
    for step, target in ((4e-10, 1.0), (1e-10, 0.0)):  # the newest close weighs 0.57
        close = [1, 1, 1, 1, 1 + step]
        assert isl.Strategy("kernel_trend", bandwidth=1).positions(bars_of(close, close))[-1] == target


def test_stochastic_sees_no_turn_where_the_close_keeps_its_place() -> None:
    """%K stands still, or falls; on still bars its mean may differ from it by rounding."""
    falling = [(1.1, 1.0, 1.0 + place / 20_000) for place in range(900, 0, -1) for _ in range(12)]
    for smooth in (3, 5, 6, 7, 10):
        strategy = isl.Strategy("stochastic", period=1, smooth=smooth, entry=49, exit=99, direction="long")
        assert not strategy.positions(bars_from(*falling)).any()


WINDOWS = {
    "donchian_breakout": "entry",
    "bollinger_reversion": "period",
    "ichimoku": "senkou",
    "stochastic": "period",
    "vwap_reversion": "period",
    "kernel_trend": "bandwidth",
}


@pytest.mark.parametrize("family", WINDOWS)
def test_genome_decides_the_same_whatever_windows_its_neighbours_ask_for(family: str) -> None:
    """The tables of a population reach as far as its longest window."""
    bars = with_wicks(*random_prices(6, 700, "walk"), 6)
    column = [gene.name for gene in isl.family(family).genes].index(WINDOWS[family])
    genomes = np.repeat(isl.Strategy(family).genome[None], 4, axis=0)
    genomes[:, column] = [20, 64, 65, 5_000] if family != "kernel_trend" else [2, 21, 22, 100]
    alone = [kernels.population_metrics(isl.family(family).signal, bars.tape, row[None], TERMS) for row in genomes]
    together = kernels.population_metrics(isl.family(family).signal, bars.tape, genomes, TERMS)
    assert together.tobytes() == np.concatenate(alone).tobytes()


# No bar sees tomorrow


@families
@directions
@examples(60)
@given(data=st.data())
def test_neither_truncating_nor_altering_the_future_changes_a_past_position(
    family: str, direction: str, data: st.DataObject
) -> None:
    count, (kind, later) = data.draw(st.integers(2, 120)), data.draw(st.tuples(*[st.sampled_from(KINDS)] * 2))
    bars, other = (with_wicks(*random_prices(seed, count, k), seed) for seed, k in ((data.draw(seeds), kind), (7, later)))
    cut = data.draw(st.integers(1, len(bars) - 1))
    bars, other = with_needs(family, bars, 1), with_needs(family, other, 2, "violent")
    strategy = isl.Strategy(family, **{**data.draw(genes_of(family)), "direction": direction})
    past = strategy.positions(bars)[:cut].tobytes()
    assert strategy.positions(Bars("past", bars.tape.head(cut))).tobytes() == past
    altered = bars.tape.block.copy()
    altered[1:, cut:] = other.tape.block[1:, cut:]
    assert strategy.positions(Bars("altered", Tape(altered))).tobytes()[: len(past)] == past


FIRST = {
    "ema_crossover": lambda slow, **_: slow - 1,
    "sma_trend": lambda slow, **_: slow - 1,
    "rsi_mean_reversion": lambda period, **_: period,
    "donchian_breakout": lambda entry, exit, **_: max(entry, exit),
    "bollinger_reversion": lambda period, **_: period - 1,
    "momentum": lambda lookback, **_: lookback,
    "bollinger_breakout": lambda period, **_: period - 1,
    "keltner_breakout": lambda period, **_: period,
    "macd": lambda slow, signal, **_: slow + signal - 2,
    "stochastic": lambda period, smooth, **_: period + smooth - 2,
    "ichimoku": lambda kijun, senkou, **_: kijun + max(kijun, senkou) - 1,
    "vwap_reversion": lambda period, **_: period - 1,
    "kernel_trend": lambda bandwidth, **_: 3 * bandwidth + 1,
    "zscore_reversion": lambda period, **_: period - 1,
    "volatility_breakout": lambda period, **_: period + 1,
    "funding_carry": lambda lookback, **_: lookback - 1,
}


@families
@examples(60)
@given(data=st.data())
def test_positions_look_at_the_past_and_trade_nothing_before_their_indicators_exist(family: str, data: st.DataObject) -> None:
    strategy = isl.Strategy(family, **data.draw(genes_of(family)))
    first = FIRST[family](**strategy.genes)
    assert not strategy.positions(data.draw(bars_for(family)))[:first].any()


# Directions


@families
def test_direction_bounds_the_targets(family: str) -> None:
    bars = with_needs(family, bars_of(*random_prices(1, 2_000, "walk")), 1, "violent")
    met = {d: set(isl.Strategy(family, direction=d).positions(bars)) for d in ("long", "short", "both")}
    assert met == {"long": {0.0, 1.0}, "short": {0.0, -1.0}, "both": {-1.0, 0.0, 1.0}}


PICKY = ("rsi_mean_reversion", "bollinger_reversion", "stochastic")  # these enter from flat alone


@pytest.mark.parametrize("family", [name for name in isl.families() if name not in PICKY])
@examples(60)
@given(data=st.data())
def test_forbidden_side_is_flat_and_the_other_side_as_it_was(family: str, data: st.DataObject) -> None:
    """Of most rules by their text; of donchian_breakout because its exit comes before any reversal."""
    bars = data.draw(bars_for(family))
    genes = data.draw(genes_of(family))
    both = isl.Strategy(family, **{**genes, "direction": "both"}).positions(bars)
    for direction in ("long", "short"):
        one = isl.Strategy(family, **{**genes, "direction": direction}).positions(bars)
        assert one.tolist() == [allowed(target, direction) for target in both]


@pytest.mark.parametrize(
    ("family", "genes", "close"),
    [
        ("rsi_mean_reversion", {"period": 3, "entry": 40, "exit": 75}, random_prices(2, 3_000, "walk")[1]),
        # the bar that ends the short is below the lower band of two bars; the one without a position buys there
        ("bollinger_reversion", {"period": 2, "width": 0.5}, [1, 3, 1]),
        ("stochastic", {"period": 5, "smooth": 2, "entry": 45, "exit": 90}, random_prices(2, 3_000, "walk")[1]),
    ],
)
def test_forbidden_entries_of_mean_reversion_do_not_exist(family: str, genes: dict, close: object) -> None:
    """A long-only rule may be in the market where the other one is not: it is no cut of it."""
    bars = bars_of(close, close)
    both = isl.Strategy(family, **genes).positions(bars)
    long = isl.Strategy(family, **genes, direction="long").positions(bars)
    assert ((both <= 0.0) & (long == 1.0)).any()


MIRRORED = (
    *("sma_trend", "donchian_breakout", "bollinger_reversion", "bollinger_breakout", "zscore_reversion", "vwap_reversion"),
    *("keltner_breakout", "macd", "kernel_trend", "volatility_breakout"),
)


@pytest.mark.parametrize("family", MIRRORED)
@examples(60)
@given(data=st.data())
def test_prices_turned_upside_down_turn_the_positions(family: str, data: st.DataObject) -> None:
    """Whole prices below 1,000, so that the mirror rounds nothing; a band that is a share of the price has no mirror."""
    open_, close = (np.minimum(p, 999.0) for p in random_prices(data.draw(seeds), data.draw(st.integers(1, 120)), "ticks"))
    genes = data.draw(genes_of(family))
    genes |= {"band": 0.0} if "band" in genes else {}
    turned = {"long": "short", "short": "long", "both": "both"}[genes["direction"]]
    here = isl.Strategy(family, **genes).positions(bars_of(open_, close))
    there = isl.Strategy(family, **{**genes, "direction": turned}).positions(bars_of(1_000.0 - open_, 1_000.0 - close))
    assert there.tolist() == (-here).tolist()


@families
@examples(60)
@given(data=st.data(), exponent=st.integers(-60, 60))
def test_prices_times_a_power_of_two_give_the_same_positions(family: str, data: st.DataObject, exponent: int) -> None:
    bars = data.draw(bars_for(family))
    strategy = isl.Strategy(family, **data.draw(genes_of(family)))
    scaled = bars.tape.block.copy()
    scaled[1:5] *= 2.0**exponent
    assert strategy.positions(Bars("scaled", Tape(scaled))).tobytes() == strategy.positions(bars).tobytes()


# Genes


@pytest.mark.parametrize(("family", "gene"), [(name, gene.name) for name in isl.families() for gene in isl.family(name).genes])
def test_no_gene_is_dead(family: str, gene: str) -> None:
    """Two genomes that differ in this gene alone, both within the bounds of the search, decide differently."""
    bars = with_needs(family, with_wicks(*random_prices(4, 3_000, "walk"), 4), 4)
    kind = isl.family(family).gene(gene)
    values = np.unique(kind.snap(np.linspace(kind.low, kind.high, 9)))
    decided = set()
    for value in values:
        try:
            strategy = isl.Strategy(family, **{gene: kind.show(float(value))})
        except StrategyError:
            continue  # breaks a constraint against another gene's default
        decided.add(strategy.positions(bars).tobytes())
    assert len(decided) >= 2


@families
def test_warmup_is_when_the_start_of_the_data_is_forgotten(family: str) -> None:
    """From the warm-up on, positions of a late start are those of an early one, but for a target that was kept."""
    strategy = isl.Strategy(family, direction="both")
    bars = with_needs(family, with_wicks(*random_prices(5, 4_000, "walk"), 5), 5)
    late = Bars("late", bars.tape.cut(1_000, 4_000))
    early, fresh = strategy.positions(bars)[1_000:], strategy.positions(late)
    assert np.mean(early[strategy.warmup :] == fresh[strategy.warmup :]) > 0.99


@families
def test_family_tells_its_rule(family: str) -> None:
    kind = isl.family(family)
    assert kind.name == family
    assert kind.version >= 1
    assert kind.genes[-1].name == "direction"
    assert "direction" in kind.doc


def test_unknown_family_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(StrategyError, match=r"no family 'ema_crosover' \(did you mean 'ema_crossover'\?\)"):
        isl.family("ema_crosover")
