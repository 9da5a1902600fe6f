"""Figures of bare returns against empyrical-reloaded; docs/oracles.md says where it differs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from effort import examples
from hypothesis import assume, given
from hypothesis import strategies as st

import islands as isl

empyrical = pytest.importorskip("empyrical", reason="empyrical-reloaded is not installed (the extra `oracle`)")

pytestmark = pytest.mark.slow


@examples(150)
@given(st.integers(0, 2**32 - 1), st.integers(2, 600), st.sampled_from([12, 252, 8_766]))
def test_figures_are_empyricals(seed: int, bars: int, periods: int) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(2e-4, 0.01, bars) * (rng.random(bars) < 0.8)
    assume(returns.min() < 0.0)
    theirs = {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.annual_return(returns, annualization=periods),
        "volatility": empyrical.annual_volatility(returns, annualization=periods),
        "sharpe": empyrical.sharpe_ratio(returns, annualization=periods),
        "sortino": empyrical.sortino_ratio(returns, annualization=periods),
        "calmar": empyrical.calmar_ratio(returns, annualization=periods),
        "max_drawdown": -empyrical.max_drawdown(returns),
        "var_5": empyrical.value_at_risk(returns, 0.05),
        "cvar_5": empyrical.conditional_value_at_risk(returns, 0.05),
    }
    ours = isl.metrics(returns, periods)
    loose = max(1.0, periods / bars)
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-9 * loose, abs=1e-10), name


def test_where_empyrical_has_a_huge_number_the_figure_is_undefined() -> None:
    steady = np.full(50, 0.01)
    assert empyrical.sharpe_ratio(steady) > 1e10
    assert math.isnan(isl.metrics(steady)["sharpe"])
    assert math.isinf(empyrical.sortino_ratio(steady))
    assert math.isnan(isl.metrics(steady)["sortino"])
