"""What the kernels are timed against earns the same: rules written for whole series, and a loop with deques."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from islands.kernels import batch

import islands as isl

pytest.importorskip("scipy")
pytest.importorskip("pandas")
sys.path.append(str(Path(__file__).parents[1]))  # last: the package may be installed, the benchmarks are not
opponents = pytest.importorskip("benchmarks.opponents")
kernel_speed = pytest.importorskip("benchmarks.kernel_speed")


def assert_same(name: str, contender: opponents.Contender) -> None:
    """Of genomes that trade, for the Sharpe of the others is not defined here."""
    market, genomes = kernel_speed._market(4_000), kernel_speed._founders(name, 60, 0)
    ours = batch.population_metrics(isl.family(name).signal, market, genomes, opponents.TERMS)[:, opponents.FIGURES]
    trading = ours[:, 3] > 0.0
    assert trading.any()
    np.testing.assert_allclose(contender.run(market, genomes[trading]), ours[trading], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", isl.families())
def test_rule_for_a_whole_series_earns_what_the_family_earns(name: str) -> None:
    assert_same(name, opponents.with_numpy(name))


def test_every_family_has_an_opponent() -> None:
    assert list(opponents.RULES) == isl.families()


def test_loop_with_deques_earns_what_the_family_earns() -> None:
    assert_same("donchian_breakout", opponents.compiled_loop("donchian_breakout"))
