"""p-values where several were looked at, and where each repetition is dear."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from islands.errors import InputError
from islands.evidence.given import Floats, count


def holm(p_values: npt.ArrayLike, tests: int | None = None) -> Floats:
    """p-values, (K,), adjusted for having been looked at together: each may be held against the level as if it were alone.

    The i-th smallest, from 1, is multiplied by tests - i + 1, raised to the adjusted one before it, and cut at 1. tests:
    how many there were in all, K where not given; those not at hand count as larger.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2).

    Raises:
        InputError: not a series of numbers from 0 to 1, or fewer tests than p-values.
    """
    try:
        given = np.asarray(p_values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"p_values = {p_values!r}: expected a series of probabilities") from None
    if given.ndim != 1:
        raise InputError(f"p_values have shape {given.shape}: expected a series, (K,)")
    wrong = np.flatnonzero(~((given >= 0.0) & (given <= 1.0)))
    if wrong.size:
        raise InputError(f"p_values[{wrong[0]}] = {float(given[wrong[0]])!r}: expected a probability from 0 to 1")
    total = len(given) if tests is None else count("tests", tests, len(given))
    order = np.argsort(given, kind="stable")
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * (total - np.arange(len(given)))))
    return adjusted


class SequentialP(NamedTuple):
    """How far a Monte Carlo test got: of so many runs so many were as large. p is NaN as long as it is not finished."""

    p: float
    exceedances: int
    runs: int
    finished: bool


def sequential_p(exceedances: Iterable[bool], runs: int, stop_after: int) -> SequentialP:
    """The p-value of repetitions without any effect: for each, whether its result was at least as large as the real one.

    Reads no further than it has to: up to `stop_after` exceedances, k, after n repetitions, where p = k/n, or `runs`
    repetitions, N, where p = (1 + k)/(1 + N). Both bound the chance of a p so small by p itself. An iterable that ends
    before is not finished. The iterable may do the work, one repetition at a time; what is known already comes first.

    Source: Besag and Clifford (1991), Sequential Monte Carlo p-values, Biometrika 78(2).

    Raises:
        InputError: runs or stop_after below 1.
    """
    most, enough = count("runs", runs, 1), count("stop_after", stop_after, 1)
    seen = done = 0
    for exceeds in exceedances:
        done += 1
        seen += bool(exceeds)
        if seen == enough:
            return SequentialP(seen / done, seen, done, True)
        if done == most:
            return SequentialP((1 + seen) / (1 + done), seen, done, True)
    return SequentialP(math.nan, seen, done, False)
