"""The statistics of evidence in one place: `isl.statistics`. docs/statistics.md says in words what each one tells."""

from __future__ import annotations

from islands.evidence.multiplicity import SequentialP, holm, sequential_p
from islands.evidence.overfitting import Cscv, average_correlation, cscv, effective_trials, pbo
from islands.evidence.resampling import (
    Interval,
    Intervals,
    Spa,
    bootstrap_intervals,
    equal_exposure,
    optimal_block,
    spa,
    stepwise_spa,
)
from islands.evidence.sharpe import (
    Moments,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_backtest_length,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
)

__all__ = [
    "Cscv",
    "Interval",
    "Intervals",
    "Moments",
    "SequentialP",
    "Spa",
    "average_correlation",
    "bootstrap_intervals",
    "cscv",
    "deflated_sharpe",
    "effective_trials",
    "equal_exposure",
    "expected_maximum_sharpe",
    "holm",
    "minimum_backtest_length",
    "minimum_track_record",
    "moments",
    "optimal_block",
    "pbo",
    "probabilistic_sharpe",
    "sequential_p",
    "spa",
    "stepwise_spa",
]
