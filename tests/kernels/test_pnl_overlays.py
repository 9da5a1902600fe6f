"""Stops, sizes and every cost, against a slow ledger: bar for bar, trade for trade, part for part."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels import batch
from islands.kernels.metrics import METRICS, OF_RECORD
from islands.kernels.overlays import OVERLAYS
from ledger import (
    HOUR_US,
    KINDS,
    NAN,
    Ledger,
    funded,
    random_funding,
    random_prices,
    random_targets,
    real_bars,
    real_files,
    seeds,
    with_wicks,
)
from overlay_ledger import any_costs, any_sizing, any_stops, keep_overlaid, settings_of
from rules import genes_of

import islands as isl
from islands.evaluation import Backtest
from islands.market.tape import Tape
from islands.strategies.overlays import overlays_of

CASH, YEARLY = 10_000.0, 252.0
FREE, NO_STOPS, WHOLE = isl.Costs(), isl.Stops(), isl.Sizing()


def assert_same(result: Backtest, ledger: Ledger, tied: bool = False) -> None:
    """Equity and parts to 1e-11, trades row by row, every figure as far as its formula keeps digits.

    tied: a stop and a trailing stop of one distance, between which the last bit of an average price decides.
    """
    np.testing.assert_allclose(result.equity, ledger.equity, rtol=1e-11, atol=1e-11 * CASH)
    np.testing.assert_allclose(result.units, ledger.units, rtol=1e-11, atol=1e-13)
    turned = sum(abs(fill.traded) * fill.price for fill in ledger.fills) + CASH
    assert result.pnl == pytest.approx(ledger.pnl, rel=1e-11, abs=1e-12 * turned)
    assert math.fsum(result.pnl.values()) == pytest.approx(result.equity[-1] - CASH, rel=1e-11, abs=1e-12 * turned)
    assert len(result.trades) == len(ledger.trades)
    for ours, theirs in zip(result.trades.to_dicts(), ledger.trades, strict=True):
        for name in ("entry_bar", "exit_bar", "side", "open"):
            assert ours[name] == theirs[name], name
        assert ours["reason"] == theirs["reason"] or (tied and {ours["reason"], theirs["reason"]} == {"stop_loss", "trailing"})
        scales = {"pnl": theirs["units"] * theirs["entry_price"], "return": 1.0}
        for name in ("units", "entry_price", "exit_price", "fees", "return", "pnl"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-9, abs=1e-12 * scales.get(name, 0.0)), name
    assert_same_figures(result.metrics, ledger, turned)


def assert_same_figures(figures: dict[str, float], ledger: Ledger, turned: float) -> None:
    doubtful = any(abs(trade["return"]) < 1e-12 for trade in ledger.trades)  # a gain or a loss: the last bit decides
    exponent = max(1.0, YEARLY / len(ledger.returns))  # annualising magnifies the last bits
    spread = ledger.metrics["volatility"] / math.sqrt(YEARLY)  # of the returns of a bar
    assert list(figures) == list(ledger.metrics)
    for name, ours in figures.items():
        if doubtful and name in ("win_rate", "profit_factor"):
            continue
        loose = exponent if name in ("cagr", "calmar") else math.sqrt(YEARLY)
        if name == "calmar" and not math.isnan(ours):  # and the division by it those of the drawdown
            loose *= max(1.0, 1e-3 / ledger.metrics["max_drawdown"])
        if name in ("sharpe", "sortino", "skew", "kurtosis") and spread > 0.0:  # returns are rounded as parts of 1
            loose *= max(1.0, 1e-4 / spread)
        if name in ("expectancy", "costs_paid"):
            loose *= turned
        if name == "break_even_bps":  # a gain that is rounding over hardly any notional has no digits
            loose *= 1e4 * max(1.0, turned / max(turned - CASH, 1e-300))
        assert ours == pytest.approx(ledger.metrics[name], rel=1e-11 * loose, abs=1e-11 * loose, nan_ok=True), name


@st.composite
def markets(draw: st.DrawFn) -> isl.Bars:
    seed, bars = draw(seeds), draw(st.integers(1, 120))
    made = with_wicks(*random_prices(seed, bars, draw(st.sampled_from(KINDS))), seed)
    funding = random_funding(seed, bars, draw(st.sampled_from(["none", "eight", "violent"])))
    return made if funding is None else funded(made, funding)


@pytest.mark.slow
@examples(300)
@given(
    markets(), seeds, st.sampled_from(["levels", "signs", "any"]), any_costs(), any_stops(), any_sizing(), st.integers(0, 30)
)
def test_account_under_overlays_agrees_with_the_ledger(
    bars: isl.Bars, seed: int, style: str, costs: isl.Costs, stops: isl.Stops, sizing: isl.Sizing, first: int
) -> None:
    targets, first = random_targets(seed, len(bars), style), min(first, len(bars) - 1)
    ledger = keep_overlaid(bars, targets, costs, stops, sizing, first, CASH, YEARLY)
    result = isl.backtest(bars, targets, costs, stops, sizing, score_from=first, initial_cash=CASH, periods_per_year=YEARLY)
    assert_same(result, ledger, stops.stop_loss == stops.trailing or stops.atr_stop_loss == stops.atr_trailing)


@examples(60)
@given(markets(), st.data(), any_costs(), any_stops(), any_sizing())
def test_row_of_evaluate_under_overlays_is_the_backtest_alone(
    bars: isl.Bars, data: st.DataObject, costs: isl.Costs, stops: isl.Stops, sizing: isl.Sizing
) -> None:
    strategies = [isl.Strategy(family, **data.draw(genes_of(family))) for family in ("momentum", "ema_crossover", "momentum")]
    table = isl.evaluate(bars, strategies, costs, stops, sizing)
    for row, strategy in zip(table.to_dicts(), strategies, strict=True):
        alone = isl.backtest(bars, strategy, costs, stops, sizing).metrics
        assert [row[name] for name in METRICS] == pytest.approx(list(alone.values()), rel=0.0, abs=0.0, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", real_files())
def test_account_under_overlays_agrees_with_the_ledger_on_real_bars(path: object) -> None:
    bars = real_bars(path, 1_000, start=1_000)
    costs = isl.Costs(5e-4, 1e-4, maker_fee=2e-4, fixed_fee=0.5, minimum_fee=1.0, borrow=0.03)
    for seed in range(4):
        stops, sizing = settings_of(seed)
        targets = random_targets(seed, len(bars), "levels")
        ledger = keep_overlaid(bars, targets, costs, stops, sizing, 100, CASH, YEARLY)
        result = isl.backtest(bars, targets, costs, stops, sizing, score_from=100, periods_per_year=YEARLY)
        assert_same(result, ledger)


def test_random_runs_meet_every_reason() -> None:
    """The property above is worth what its cases hold."""
    met: set[str] = set()
    for seed, kind in enumerate(KINDS * 10):
        bars = with_wicks(*random_prices(seed, 100, kind), seed)
        stops, _ = settings_of(seed)
        ledger = keep_overlaid(bars, random_targets(seed, 100, "levels"), isl.Costs(1e-3, 1e-3), stops, WHOLE)
        met |= {trade["reason"] for trade in ledger.trades}
        met |= {"same bar" for trade in ledger.trades if trade["entry_bar"] == trade["exit_bar"]}
    everything = {"signal", "reversal", "ruin", "end", "stop_loss", "take_profit", "trailing", "max_holding", "same bar"}
    assert met == everything


# Nothing switched on


@examples(100)
@given(markets(), seeds, st.sampled_from([(0.0, 0.0), (5e-4, 1e-4), (0.01, 0.01)]))
def test_overlays_that_are_off_change_no_bit(bars: isl.Bars, seed: int, rates: tuple[float, float]) -> None:
    targets = random_targets(seed, len(bars), "levels")
    terms = batch.Terms(*rates, 0, CASH, YEARLY)
    plain = batch.account(bars.tape, targets, terms)
    for row in (np.zeros(len(OVERLAYS)), np.full(len(OVERLAYS), NAN)):
        off = batch.account(bars.tape, targets, terms, row)
        np.testing.assert_equal(vars(off), vars(plain))


def test_defaults_are_no_overlays() -> None:
    assert overlays_of(NO_STOPS, WHOLE) is None
    row = overlays_of(isl.Stops(trailing=0.1), isl.Sizing(fraction=0.5))
    named = dict(zip(OVERLAYS, row.tolist(), strict=True))
    assert {name for name, value in named.items() if value} == {
        *("trailing", "fraction", "atr_period", "volatility_bars", "cap")
    }


def test_population_is_its_rows_whatever_their_overlays_order_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = with_wicks(*random_prices(3, 300, "gaps"), 3)
    family = isl.family("momentum")
    rng = np.random.default_rng(1)
    genomes = np.column_stack([rng.integers(1, 9, 40), rng.uniform(0, 0.02, 40), rng.integers(0, 3, 40)]).astype(float)
    overlays = np.zeros((40, len(OVERLAYS)))
    overlays[:, OVERLAYS.index("atr_trailing")] = rng.choice([0.0, 1.0, 2.0], 40)
    overlays[:, OVERLAYS.index("atr_period")] = rng.integers(1, 12, 40)
    overlays[:, OVERLAYS.index("cooldown")] = rng.integers(0, 5, 40)
    terms = batch.Terms(5e-4, 1e-4, 20, CASH, YEARLY)
    whole = batch.population_metrics(family.signal, bars.tape, genomes, terms, overlays, record=True)
    monkeypatch.setattr(batch, "_BLOCK_BYTES", 7 * 8 * 300)
    np.testing.assert_array_equal(
        batch.population_metrics(family.signal, bars.tape, genomes, terms, overlays, record=True), whole
    )
    for i in (0, 17, 39):
        alone = batch.population_metrics(family.signal, bars.tape, genomes[i : i + 1], terms, overlays[i : i + 1], record=True)
        np.testing.assert_array_equal(alone[0], whole[i])
    bare = batch.population_metrics(family.signal, bars.tape, genomes, terms, overlays)
    rest = [j for j, name in enumerate(METRICS) if name not in OF_RECORD]
    np.testing.assert_array_equal(bare[:, rest], whole[:, rest])
    assert np.isnan(bare[:, [METRICS.index(name) for name in OF_RECORD]]).all()


def test_periods_that_are_needed_and_not_set_are_refused() -> None:
    bars = with_wicks(*random_prices(3, 30, "gaps"), 3)
    terms = batch.Terms(0.0, 0.0, 0, CASH, YEARLY)
    for name, message in (("atr_trailing", "atr_period = 0.0"), ("target_volatility", "volatility_bars = 0.0")):
        row = np.where(np.array(OVERLAYS) == name, 1.0, 0.0)
        with pytest.raises(ValueError, match=message):
            batch.account(bars.tape, np.ones(30), terms, row)


# Single rules, in numbers


def bars_of_rows(*rows: tuple[float, float, float, float], volume: float = 1e6) -> isl.Bars:
    """Hourly bars from (open, high, low, close)."""
    prices = np.array(rows).T
    stamps = np.arange(len(rows), dtype=float) * HOUR_US
    return isl.Bars("rows", Tape(np.stack([stamps, *prices, np.full(len(rows), volume)])))


FLAT = (8.0, 8.0, 8.0, 8.0)


def run(bars: isl.Bars, targets: list[float], costs: isl.Costs = FREE, sizing: isl.Sizing = WHOLE, **stops: object) -> Backtest:
    return isl.backtest(bars, targets, costs, isl.Stops(**stops), sizing, initial_cash=CASH, periods_per_year=YEARLY)


def exits(result: Backtest) -> list[tuple[int, float, str]]:
    return [(row["exit_bar"], row["exit_price"], row["reason"]) for row in result.trades.to_dicts()]


def test_stop_counts_from_the_entrys_fill_on_and_pays_slippage() -> None:
    result = run(bars_of_rows(FLAT, (8, 8, 6, 8), FLAT), [1, 1, 1], isl.Costs(slippage=0.0625), stop_loss=0.25)
    assert exits(result) == [(1, 8.5 * 0.75 * (1 - 0.0625), "stop_loss")]
    assert result.units.tolist() == [0.0, 0.0, 0.0]


def test_gap_through_a_stop_fills_at_the_open_and_one_through_a_take_profit_as_well() -> None:
    cases = ((1, 4.0, "stop_loss"), (1, 16.0, "take_profit"), (-1, 14.0, "stop_loss"), (-1, 2.0, "take_profit"))
    for side, open_, reason in cases:
        bars = bars_of_rows(FLAT, FLAT, (open_, 16, 2, 8))
        costs = isl.Costs(slippage=0.0625, maker_fee=0.5)
        result = run(bars, [side] * 3, costs, stop_loss=0.25, take_profit=0.25)
        assert exits(result) == [(2, open_ * (1 - side * 0.0625), reason)]
        assert result.trades["fees"].to_list() == [0.0]


def test_take_profit_at_its_level_pays_the_makers_fee_and_no_slippage() -> None:
    result = run(bars_of_rows(FLAT, (8, 12, 8, 8)), [0.5, 0.5], isl.Costs(0.25, 0.125, maker_fee=0.0625), take_profit=0.25)
    entry = 8 * 1.125
    level = entry * 1.25
    assert exits(result) == [(1, level, "take_profit")]
    assert result.trades["fees"].to_list() == pytest.approx([625.0 * (entry * 0.25 + level * 0.0625)], rel=1e-15)


def test_bar_that_touches_both_levels_is_read_both_ways() -> None:
    bars = bars_of_rows(FLAT, (8, 12, 4, 8))
    for side, stop, take in ((1, 6.0, 10.0), (-1, 10.0, 6.0)):
        assert exits(run(bars, [side] * 2, stop_loss=0.25, take_profit=0.25)) == [(1, stop, "stop_loss")]
        optimistic = run(bars, [side] * 2, stop_loss=0.25, take_profit=0.25, intrabar="optimistic")
        assert exits(optimistic) == [(1, take, "take_profit")]


def test_trailing_level_follows_bars_that_have_closed_only() -> None:
    """The entry's bar reaches 16 and falls to 7: its own high moves nothing before it has closed."""
    bars = bars_of_rows(FLAT, (8, 16, 7, 14), (14, 15, 11, 12), FLAT)
    assert exits(run(bars, [1] * 4, trailing=0.25)) == [(2, 12.0, "trailing")]


def test_stop_leaves_the_strategy_flat_until_its_target_changes() -> None:
    bars = bars_of_rows(FLAT, (8, 8, 4, 8), FLAT, FLAT, FLAT, FLAT)
    assert run(bars, [1, 1, 1, 0.5, 0.5, 0.5], stop_loss=0.25).units.tolist()[:4] == [0.0] * 4
    assert run(bars, [1, 1, 1, 0.5, 0.5, 0.5], stop_loss=0.25).units.tolist()[4:] == [0.5 * 7_500 / 8] * 2


def test_longest_holding_ends_at_the_open_of_the_nth_bar_after_the_entrys() -> None:
    result = run(bars_of_rows(FLAT, FLAT, FLAT, (16, 16, 8, 8), FLAT), [1] * 5, max_holding=2)
    assert exits(result) == [(3, 16.0, "max_holding")]
    assert not result.units[3:].any()


def test_new_target_on_the_other_side_ends_a_trade_before_its_longest_holding_does() -> None:
    assert [x[2] for x in exits(run(bars_of_rows(*[FLAT] * 5), [1, 1, -1, -1, -1], max_holding=2))] == ["reversal", "end"]
    assert [x[2] for x in exits(run(bars_of_rows(*[FLAT] * 5), [1, 1, 0.5, 0.5, 0.5], max_holding=2))] == ["max_holding"]


@pytest.mark.parametrize(("decided", "entered"), [(2, False), (3, False), (4, True)])
def test_cooldown_ignores_targets_decided_up_to_the_nth_bar_after_the_exits(decided: int, entered: bool) -> None:
    """The stop of bar 2; a cooldown of 1 covers bar 3, and the rest of bar 2."""
    bars = bars_of_rows(FLAT, FLAT, (8, 8, 4, 8), *[FLAT] * 5)
    targets = [1.0 if t < decided else 0.5 for t in range(8)]
    result = run(bars, targets, stop_loss=0.25, cooldown=1)
    assert bool(result.units[-1]) == entered


def test_levels_move_with_the_average_price_after_an_increase() -> None:
    """312.5 at 8, then as much as makes half of the equity at 16: the stop lies a quarter below their average."""
    bars = bars_of_rows(FLAT, FLAT, (16, 16, 16, 16), (16, 16, 1, 16))
    first, second = 312.5, 0.5 * 12_500 / 16 - 312.5
    average = (first * 8 + second * 16) / (first + second)
    left = exits(run(bars, [0.25, 0.5, 0.5, 0.5], stop_loss=0.25))
    assert left == [(3, pytest.approx(average * 0.75, rel=1e-14), "stop_loss")]


def test_atr_is_that_of_the_decision_bar_and_stays() -> None:
    bars = bars_of_rows(FLAT, (8, 9, 7, 8), (8, 8.5, 7.5, 8), (8, 12, 7, 8), (8, 8, 5.5, 8))
    result = run(bars, [0, 1, 1, 1, 1], atr_stop_loss=1.0, atr_period=1)
    assert exits(result) == [(4, 6.0, "stop_loss")]


def test_volatility_target_is_set_at_entry_and_kept() -> None:
    closes = [8.0, 10.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    bars = bars_of_rows(*((c, c, c, c) for c in closes))
    realised = float(np.std([0.25, -0.2], ddof=1) * math.sqrt(YEARLY))
    sizing = isl.Sizing(target_volatility=realised / 4, volatility_bars=2)
    assert run(bars, [0, 0, 1, 1, 1, 1, 1], sizing=sizing).units[3:].tolist() == pytest.approx([312.5] * 4)
    assert run(bars, [0, 0, 1, 1, 0.5, 0.5, 0.5], sizing=sizing).units[5:].tolist() == pytest.approx([156.25] * 2)
    assert not run(bars, [0, 1, 1, 1, 1, 1, 1], sizing=sizing).units.any()  # before there are returns enough


def test_participation_drops_what_the_decision_bars_volume_does_not_let_through() -> None:
    bars = bars_of_rows(*[FLAT] * 5, volume=1_000.0)
    result = run(bars, [1, 1, 0, 0, 0], isl.Costs(participation=0.5))
    assert result.units.tolist() == [0.0, 500.0, 500.0, 0.0, 0.0]
    result = run(bars, [1, 1, 0, 0, 0], isl.Costs(participation=0.125))
    assert result.units.tolist() == [0.0, 125.0, 125.0, 0.0, 0.0]
    result = run(bars, [1, 0.5, 0, 0, 0], isl.Costs(participation=0.25))
    assert result.units.tolist() == [0.0, 250.0, 500.0, 250.0, 250.0]


def test_order_pays_a_fixed_fee_and_a_minimum() -> None:
    fees = [run(bars_of_rows(*[FLAT] * 3), [0.5, 0, 0], costs).trades["fees"].item() for costs in (
        isl.Costs(0.01, fixed_fee=2.0), isl.Costs(0.01, minimum_fee=64.0), isl.Costs(fixed_fee=2.0, minimum_fee=1.0)
    )]  # fmt: skip
    assert fees == [2 * 52.0, 2 * 64.0, 2 * 2.0]


def test_short_pays_for_what_it_borrows_by_the_time_that_passed() -> None:
    result = run(bars_of_rows(*[FLAT] * 4), [-0.5, -0.5, 0, 0], isl.Costs(borrow=8_766.0 / 100))
    assert result.equity.tolist() == pytest.approx([10_000.0, 10_000.0, 9_950.0, 9_900.0], rel=1e-14)
    assert result.pnl["borrow"] == pytest.approx(-100.0)
    assert result.trades["pnl"].to_list() == pytest.approx([-100.0])
    assert run(bars_of_rows(*[FLAT] * 4), [0.5] * 4, isl.Costs(borrow=50.0)).equity[-1] == CASH
