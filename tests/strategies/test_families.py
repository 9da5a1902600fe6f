"""The families' positions: exact against slow twins, blind to the future, and moved by every gene."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import (
    HOUR_US,
    KINDS,
    SLOW_POSITIONS,
    allowed,
    bars_of,
    genes_of,
    prices,
    random_prices,
    real_bars,
    real_files,
    seeds,
)

import islands as isl
from islands.errors import StrategyError
from islands.market.bars import Bars
from islands.market.tape import Tape

families = pytest.mark.parametrize("family", isl.families())
directions = pytest.mark.parametrize("direction", ["long", "short", "both"])


def slow_positions(strategy: isl.Strategy, close: np.ndarray) -> list[float]:
    return SLOW_POSITIONS[strategy.family.name](close.tolist(), **strategy.genes)


def test_every_family_has_a_slow_twin() -> None:
    assert isl.families() == list(SLOW_POSITIONS)


# Exact rules


@families
@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_positions_agree_exactly_with_the_slow_twin(family: str, data: st.DataObject) -> None:
    bars = bars_of(*data.draw(prices()))
    strategy = isl.Strategy(family, **data.draw(genes_of(family)))
    assert strategy.positions(bars).tolist() == slow_positions(strategy, bars.close)


GENOMES = {
    "ema_crossover": [{}, {"fast": 3, "slow": 9, "band": 0.001}, {"fast": 20, "slow": 120, "direction": "short"}],
    "sma_trend": [{}, {"fast": 2, "slow": 5}, {"fast": 20, "slow": 120, "direction": "long"}],
    "rsi_mean_reversion": [{}, {"period": 3, "entry": 20, "exit": 60}, {"period": 2, "entry": 45, "exit": 50}],
}


@families
@pytest.mark.parametrize("path", real_files())
def test_positions_agree_exactly_with_the_slow_twin_on_real_bars(family: str, path: object) -> None:
    bars = real_bars(path, 3_000, start=500)
    for genes in GENOMES[family]:
        strategy = isl.Strategy(family, **genes)
        positions = strategy.positions(bars)
        assert positions.tolist() == slow_positions(strategy, bars.close), genes
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


# No bar sees tomorrow


@families
@directions
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_neither_truncating_nor_altering_the_future_changes_a_past_position(
    family: str, direction: str, data: st.DataObject
) -> None:
    bars = noisy_bars(data.draw(seeds), data.draw(st.integers(2, 120)), data.draw(st.sampled_from(KINDS)))
    other = noisy_bars(data.draw(seeds), len(bars), data.draw(st.sampled_from(KINDS)))
    cut = data.draw(st.integers(1, len(bars) - 1))
    strategy = isl.Strategy(family, **{**data.draw(genes_of(family)), "direction": direction})
    past = strategy.positions(bars)[:cut].tobytes()
    assert strategy.positions(Bars("past", bars.tape.head(cut))).tobytes() == past
    altered = bars.tape.block.copy()
    altered[1:, cut:] = other.tape.block[1:, cut:]
    assert strategy.positions(Bars("altered", Tape(altered))).tobytes()[: len(past)] == past


def noisy_bars(seed: int, count: int, kind: str) -> Bars:
    """Bars with wicks and volume as well, which a rule may read."""
    rng = np.random.default_rng([seed, 2])
    open_, close = random_prices(seed, count, kind)
    high = np.maximum(open_, close) * (1.0 + rng.exponential(0.01, count))
    low = np.minimum(open_, close) * np.exp(-rng.exponential(0.01, count))
    stamps = np.arange(count, dtype=float) * HOUR_US
    return Bars("noisy", Tape(np.stack([stamps, open_, high, low, close, rng.exponential(1.0, count)])))


@families
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_positions_look_at_the_past_and_trade_nothing_before_their_indicators_exist(family: str, data: st.DataObject) -> None:
    bars = bars_of(*data.draw(prices()))
    strategy = isl.Strategy(family, **data.draw(genes_of(family)))
    genes = strategy.genes
    first = genes["period"] if family == "rsi_mean_reversion" else genes["slow"] - 1
    assert not strategy.positions(bars)[:first].any()


# Directions


@families
def test_direction_bounds_the_targets(family: str) -> None:
    bars = bars_of(*random_prices(1, 2_000, "walk"))
    met = {d: set(isl.Strategy(family, direction=d).positions(bars)) for d in ("long", "short", "both")}
    assert met == {"long": {0.0, 1.0}, "short": {0.0, -1.0}, "both": {-1.0, 0.0, 1.0}}


@pytest.mark.parametrize("family", ["ema_crossover", "sma_trend"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sign_rules_set_the_forbidden_side_to_flat(family: str, data: st.DataObject) -> None:
    bars = bars_of(*data.draw(prices()))
    genes = data.draw(genes_of(family))
    both = isl.Strategy(family, **{**genes, "direction": "both"}).positions(bars)
    for direction in ("long", "short"):
        one = isl.Strategy(family, **{**genes, "direction": direction}).positions(bars)
        assert one.tolist() == [allowed(target, direction) for target in both]


def test_forbidden_entries_of_mean_reversion_do_not_exist() -> None:
    """A long-only rule may be in the market where the other one is still short: it is no cut of it."""
    bars = bars_of(*random_prices(2, 3_000, "walk"))
    genes = {"period": 3, "entry": 40, "exit": 75}
    both = isl.Strategy("rsi_mean_reversion", **genes).positions(bars)
    long = isl.Strategy("rsi_mean_reversion", **genes, direction="long").positions(bars)
    assert ((both == -1.0) & (long == 1.0)).any()


@families
@settings(max_examples=60, deadline=None)
@given(data=st.data(), exponent=st.integers(-60, 60))
def test_prices_times_a_power_of_two_give_the_same_positions(family: str, data: st.DataObject, exponent: int) -> None:
    open_, close = data.draw(prices())
    strategy = isl.Strategy(family, **data.draw(genes_of(family)))
    scaled = bars_of(open_ * 2.0**exponent, close * 2.0**exponent)
    assert strategy.positions(scaled).tobytes() == strategy.positions(bars_of(open_, close)).tobytes()


# Genes


@pytest.mark.parametrize(("family", "gene"), [(name, gene.name) for name in isl.families() for gene in isl.family(name).genes])
def test_no_gene_is_dead(family: str, gene: str) -> None:
    """Two genomes that differ in this gene alone, both within the bounds of the search, decide differently."""
    bars = bars_of(*random_prices(4, 3_000, "walk"))
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
    bars = bars_of(*random_prices(5, 4_000, "walk"))
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
