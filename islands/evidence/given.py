"""What the statistics are given, checked: numbers, counts, and returns without a hole."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from islands.errors import InputError

Floats = npt.NDArray[np.float64]

_NUMBERS = (int, float, np.integer, np.floating)
_CHUNK = 1 << 20
"""Elements looked at in one go: what is checked may be larger than memory."""


def number(name: str, value: object) -> float:
    """A number as a float; NaN passes, for a figure that is undefined.

    Raises:
        InputError: it is no number, or infinite.
    """
    if not isinstance(value, _NUMBERS) or isinstance(value, bool) or math.isinf(value):
        raise InputError(f"{name} = {value!r}: expected a finite number")
    return float(value)


def above(name: str, value: object, least: float) -> float:
    """A finite number from `least` on.

    Raises:
        InputError: it is not.
    """
    given = number(name, value)
    if not given >= least:
        raise InputError(f"{name} = {value!r}: expected a number from {least:g} on")
    return given


def share(name: str, value: object) -> float:
    """A probability that is neither 0 nor 1.

    Raises:
        InputError: it is not.
    """
    given = number(name, value)
    if not 0.0 < given < 1.0:
        raise InputError(f"{name} = {value!r}: expected a probability between 0 and 1, 0.95 for 95 %")
    return given


def count(name: str, value: object, least: int) -> int:
    """A whole number from `least` on.

    Raises:
        InputError: it is not.
    """
    given = number(name, value)
    if math.isnan(given) or given != int(given) or given < least:
        raise InputError(f"{name} = {value!r}: expected a whole number from {least} on")
    return int(given)


def series(name: str, values: npt.ArrayLike, least: int = 2) -> Floats:
    """A finite series, (T,), of at least `least` entries.

    Raises:
        InputError: another shape, too short, or an entry that is no finite number, by name.
    """
    return _finite(name, _array(name, values, 1, "a series, (T,)"), least)


def matrix(name: str, values: npt.ArrayLike, least: int = 2) -> Floats:
    """A finite table, (T, N), a column a strategy, of at least `least` rows and one column.

    Raises:
        InputError: another shape, too few rows, or an entry that is no finite number, by row and column.
    """
    table = _finite(name, _array(name, values, 2, "a column a strategy, (T, N)"), least)
    if not table.shape[1]:
        raise InputError(f"{name} has no column: expected a column a strategy, (T, N)")
    return table


def _array(name: str, values: npt.ArrayLike, dimensions: int, shape: str) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected numbers, {shape}") from None
    if array.ndim != dimensions:
        raise InputError(f"{name} have shape {array.shape}: expected {shape}")
    return array


def _finite(name: str, array: Floats, least: int) -> Floats:
    if len(array) < least:
        raise InputError(f"{name} have {len(array)} rows: expected {least} at least")
    rows = max(1, _CHUNK // max(1, array[0].size))
    for start in range(0, len(array), rows):
        wrong = np.argwhere(~np.isfinite(array[start : start + rows]))
        if len(wrong):
            place = (int(wrong[0][0]) + start, *wrong[0][1:].tolist())
            where = ", ".join(map(str, place))
            raise InputError(f"{name}[{where}] = {float(array[place])!r}: expected a finite number; drop or mend that row")
    return array
