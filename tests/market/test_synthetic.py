"""Made-up bars: deterministic, consistent, and with exactly the edge that the docstring states."""

from __future__ import annotations

import math
import random
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from effort import examples
from hypothesis import given
from hypothesis import strategies as st

from islands.errors import InputError
from islands.market.bars import Bars
from islands.market.synthetic import KINDS, REGIMES, latent, synthetic

HOURS_PER_YEAR = 8766.0
Floats = npt.NDArray[np.float64]


def log_returns(bars: Bars) -> Floats:
    """The log return of each bar from the close before, (T,); the first from its own open."""
    closes: Floats = np.log(bars.close)
    return np.diff(closes, prepend=math.log(bars.open[0]))


def sharpe(returns: Floats) -> float:
    return float(returns.mean() / returns.std(ddof=1))


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_same_arguments_give_the_same_bars(kind: str) -> None:
    assert synthetic(kind, bars=500, seed=3).fingerprint == synthetic(kind, bars=500, seed=3).fingerprint


def test_every_kind_and_seed_gives_other_bars() -> None:
    prints = {synthetic(kind, bars=50, seed=seed).fingerprint for kind in KINDS for seed in (-1, 0, 1, 2**70)}
    assert len(prints) == 4 * len(KINDS)


@pytest.mark.parametrize("kind", list(KINDS))
def test_global_generators_are_neither_read_nor_moved(kind: str) -> None:
    before = synthetic(kind, bars=50).fingerprint
    random.seed(1)
    np.random.seed(1)
    python_state, numpy_state = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    assert synthetic(kind, bars=50).fingerprint == before
    assert random.getstate() == python_state
    assert np.random.get_state()[1].tolist() == numpy_state  # type: ignore[index]


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_longer_series_begins_with_the_shorter_one(kind: str) -> None:
    short, long = synthetic(kind, bars=700, seed=5), synthetic(kind, bars=1_000, seed=5)
    np.testing.assert_allclose(long.tape.block[:, :700], short.tape.block, rtol=1e-12)
    assert latent(kind, bars=1_000, seed=5)[:700].tolist() == latent(kind, bars=700, seed=5).tolist()


def test_bars_are_hourly_and_around_the_clock_by_default() -> None:
    bars = synthetic("gbm")
    assert repr(bars) == "Bars('gbm-0', 5,000 bars, 2020-01-01 00:00 UTC – 2020-07-27 07:00 UTC, step 1h)"
    assert set(np.diff(bars.timestamps).tolist()) == {3_600_000_000}
    assert bars.periods_per_year == HOURS_PER_YEAR


@pytest.mark.parametrize(
    "start",
    [
        "2021-03-04T05:00",
        datetime(2021, 3, 4, 5),
        datetime(2021, 3, 4, 5, tzinfo=UTC),
        datetime(2021, 3, 4, 7, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_start_and_step_place_the_bars(start: Any) -> None:
    bars = synthetic("gbm", bars=3, step="15m", start=start)
    first = int(datetime(2021, 3, 4, 5, tzinfo=UTC).timestamp()) * 1_000_000
    assert bars.timestamps.tolist() == [first, first + 900_000_000, first + 1_800_000_000]


def test_a_start_date_is_its_midnight() -> None:
    assert synthetic("gbm", bars=1, start=date(2021, 3, 4)).timestamps.tolist() == [1_614_816_000_000_000]


@given(
    kind=st.sampled_from(sorted(KINDS)),
    bars=st.integers(1, 300),
    seed=st.integers(-(2**65), 2**65),
    volatility=st.floats(0.0, 5.0),
    drift=st.floats(-5.0, 5.0),
    price=st.floats(1e-6, 1e6),
)
@examples(100)
def test_prices_are_consistent_and_every_open_is_the_close_before(
    kind: str, bars: int, seed: int, volatility: float, drift: float, price: float
) -> None:
    made = synthetic(kind, bars=bars, seed=seed, volatility=volatility, drift=drift, price=price)
    assert len(made) == bars
    assert made.open[0] == pytest.approx(price, rel=1e-12)
    assert made.open[1:].tolist() == made.close[:-1].tolist()
    assert (made.low > 0).all()
    assert (made.high >= np.maximum(made.open, made.close)).all()
    assert (made.low <= np.minimum(made.open, made.close)).all()
    assert (made.volume > 0).all()


def test_gbm_has_the_volatility_and_drift_that_were_asked_for() -> None:
    returns = log_returns(synthetic("gbm", bars=100_000, seed=1, volatility=0.4, drift=0.3))
    assert returns.std() * math.sqrt(HOURS_PER_YEAR) == pytest.approx(0.4, rel=0.01)
    error = 0.4 * math.sqrt(HOURS_PER_YEAR / 100_000)
    assert abs(returns.mean() * HOURS_PER_YEAR - (0.3 - 0.4**2 / 2)) < 3 * error


def test_highs_and_lows_reach_beyond_open_and_close() -> None:
    bars = synthetic("gbm", bars=10_000)
    beyond = (bars.high > np.maximum(bars.open, bars.close)) & (bars.low < np.minimum(bars.open, bars.close))
    assert beyond.mean() > 0.3


def test_without_volatility_and_drift_the_price_stands_still() -> None:
    bars = synthetic("gbm", bars=100, volatility=0.0)
    assert np.unique(bars.tape.block[1:5]).tolist() == [bars.open[0]]


def test_regimes_last_as_long_as_the_table_says() -> None:
    states = latent("regimes", bars=400_000, seed=2)
    turns = states[1:] != states[:-1]
    for row, regime in enumerate(REGIMES):
        inside = states[:-1] == row
        assert inside.sum() / turns[inside].sum() == pytest.approx(regime.bars, rel=0.1)


def test_regimes_follow_each_other_in_every_order() -> None:
    states = latent("regimes", bars=400_000, seed=2)
    pairs = list(zip(states[:-1].tolist(), states[1:].tolist(), strict=True))
    moves = [pair for pair in pairs if pair[0] != pair[1]]
    for row in range(3):
        leaving = [target for origin, target in moves if origin == row]
        for other in {0, 1, 2} - {row}:
            assert leaving.count(other) / len(leaving) == pytest.approx(0.5, abs=0.08)


def test_each_regime_has_its_own_volatility_and_drift() -> None:
    returns = log_returns(synthetic("regimes", bars=200_000, seed=2, volatility=0.5))
    states = latent("regimes", bars=200_000, seed=2)
    for row, regime in enumerate(REGIMES):
        mine = returns[states == row]
        volatility = 0.5 * regime.volatility
        assert mine.std() * math.sqrt(HOURS_PER_YEAR) == pytest.approx(volatility, rel=0.02)
        error = volatility * math.sqrt(HOURS_PER_YEAR / len(mine))
        assert abs(mine.mean() * HOURS_PER_YEAR - (0.5 * regime.drift - volatility**2 / 2)) < 3 * error


@pytest.mark.parametrize("half_life", [20.0, 100.0])
def test_the_planted_sign_keeps_half_of_its_correlation_after_its_half_life(half_life: float) -> None:
    signs = latent("planted", bars=400_000, seed=1, half_life=half_life).astype(float)
    assert sorted(set(signs.tolist())) == [-1.0, 1.0]
    lag = int(half_life)
    assert (signs[lag:] * signs[:-lag]).mean() == pytest.approx(0.5, abs=0.05)
    assert (signs[2 * lag :] * signs[: -2 * lag]).mean() == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("edge", [0.0, 0.05, 0.1, 0.3])
def test_an_oracle_earns_the_planted_edge_per_bar(edge: float) -> None:
    bars = synthetic("planted", bars=100_000, seed=4, volatility=0.5, drift=0.125, edge=edge)
    earned = log_returns(bars) * latent("planted", bars=100_000, seed=4)
    assert sharpe(earned) == pytest.approx(edge, abs=3 / math.sqrt(100_000))


def test_an_oracle_of_the_bars_closed_earns_a_little_less() -> None:
    edge, rho = 0.3, 0.5 ** (1 / 5)
    bars = synthetic("planted", bars=100_000, seed=4, drift=0.125, edge=edge, half_life=5.0)
    signs = latent("planted", bars=100_000, seed=4, half_life=5.0)
    expected = edge * rho / math.sqrt(1 + edge**2 * (1 - rho**2))
    assert sharpe(log_returns(bars)[1:] * signs[:-1]) == pytest.approx(expected, abs=3 / math.sqrt(100_000))


def test_a_momentum_position_earns_the_covariance_that_the_docstring_states() -> None:
    edge, half_life, span, count = 0.2, 50.0, 30, 400_000
    returns = log_returns(synthetic("planted", bars=count, seed=6, drift=0.125, edge=edge, half_life=half_life))
    sigma, rho = 0.5 / math.sqrt(HOURS_PER_YEAR), 0.5 ** (1 / half_life)
    momentum = np.convolve(returns, np.ones(span), "valid")[:-1]
    expected = edge**2 * sigma**2 * sum(rho**lag for lag in range(1, span + 1))
    assert (momentum * returns[span:]).mean() == pytest.approx(expected, rel=0.1)


def moving_average_rule(bars: Bars, span: int = 100) -> Floats:
    """Log returns of holding the sign of close - mean of the last `span` closes during the next bar."""
    mean = np.convolve(bars.close, np.ones(span) / span, "valid")
    sign: Floats = np.sign(bars.close[span - 1 :] - mean)
    return sign[:-1] * log_returns(bars)[span:]


@pytest.mark.parametrize("seed", range(6))
def test_a_moving_average_rule_earns_a_part_of_the_planted_edge(seed: int) -> None:
    earned = sharpe(moving_average_rule(synthetic("planted", bars=20_000, seed=seed)))
    assert 0.02 < earned < 0.1


@pytest.mark.parametrize("seed", range(6))
def test_a_moving_average_rule_earns_about_nothing_without_an_edge(seed: int) -> None:
    earned = sharpe(moving_average_rule(synthetic("planted", bars=20_000, seed=seed, edge=0.0)))
    assert abs(earned) < 3 / math.sqrt(20_000)


def test_the_same_rule_earns_about_nothing_on_gbm() -> None:
    assert abs(sharpe(moving_average_rule(synthetic("gbm", bars=20_000, seed=1)))) < 3 / math.sqrt(20_000)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "gmb"}, ["'gmb'", "gbm, regimes, planted"]),
        ({"bars": 0}, ["bars is 0", "at least 1"]),
        ({"bars": 10.5}, ["bars is 10.5", "whole number"]),
        ({"seed": "one"}, ["seed is 'one'", "whole number"]),
        ({"step": "1mo"}, ["'1mo'", "no fixed length"]),
        ({"step": "hourly"}, ["'hourly'", "is not a duration"]),
        ({"step": "0h"}, ["'0h'", "is not a duration"]),
        ({"start": "soon"}, ["'soon'", "ISO 8601"]),
        ({"start": 2020}, ["2020 (int)", "is not an instant"]),
        ({"volatility": -0.1}, ["volatility is -0.1", "at least 0"]),
        ({"volatility": math.inf}, ["volatility is inf", "finite"]),
        ({"drift": math.nan}, ["drift is nan", "finite"]),
        ({"drift": "up"}, ["drift is 'up'", "finite number"]),
        ({"price": 0.0}, ["price is 0.0", "above 0"]),
        ({"kind": "planted", "edge": -0.1}, ["edge is -0.1", "at least 0"]),
        ({"kind": "planted", "half_life": 0.0}, ["half_life is 0.0", "above 0"]),
        ({"kind": "gbm", "edge": 0.1}, ["edge=0.1", "'gbm'", "only 'planted'"]),
        ({"kind": "regimes", "half_life": 9.0}, ["half_life=9.0", "'regimes'", "only 'planted'"]),
        ({"drift": 1e9}, ["leave the range of float64", "positive and finite"]),
        ({"drift": -1e9}, ["leave the range of float64", "positive and finite"]),
        ({"start": "2255-01-01", "step": "1w"}, ["gbm-0, row", "whole microseconds between the years 1684 and 2255"]),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        synthetic(**{"kind": "gbm", **arguments})
    for word in words:
        assert word in str(caught.value)
