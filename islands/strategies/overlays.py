"""Overlays: stops and sizes that lie over any family's targets, as objects for a person and as genes for a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from islands.errors import InputError
from islands.kernels.overlays import OVERLAYS
from islands.strategies.genome import Gene, Integer, Real

INTRABAR = ("pessimistic", "optimistic")


@dataclass(frozen=True)
class Stops:
    """When a position is left though its target stands; None switches one off.

    stop_loss, take_profit, trailing: fractions of the price. atr_stop_loss, atr_take_profit, atr_trailing: multiples of
    the ATR over atr_period bars, at the decision bar of the entry. Where several are set, the nearest level counts.
    max_holding: the position is left at the open of the n-th bar after the entry's. cooldown: targets decided up to the
    n-th bar after an exit's are ignored. intrabar: which comes first where one bar touches a stop and a take-profit, the
    stop ("pessimistic") or the take-profit ("optimistic").

    Raises:
        InputError: a value is out of its range.
    """

    stop_loss: float | None = None
    take_profit: float | None = None
    trailing: float | None = None
    atr_stop_loss: float | None = None
    atr_take_profit: float | None = None
    atr_trailing: float | None = None
    atr_period: int = 14
    max_holding: int | None = None
    cooldown: int | None = None
    intrabar: str = "pessimistic"

    def __post_init__(self) -> None:
        for name in ("stop_loss", "take_profit", "trailing", "atr_stop_loss", "atr_take_profit", "atr_trailing"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value > 0.0):
                kind = "a multiple of the ATR" if name.startswith("atr_") else "a fraction of the price"
                raise InputError(f"stops: {name} = {value!r}: expected {kind} above 0, or None")
        for name in ("max_holding", "cooldown"):
            if getattr(self, name) is not None:
                _require_bars("stops", name, getattr(self, name), 1)
        _require_bars("stops", "atr_period", self.atr_period, 1)
        if self.intrabar not in INTRABAR:
            raise InputError(f"stops: intrabar = {self.intrabar!r}: expected {' or '.join(map(repr, INTRABAR))}")


@dataclass(frozen=True)
class Sizing:
    """How much of a target is ordered.

    fraction: of every target, in (0, 1]. target_volatility: per year; an entry's targets are ordered times
    min(cap, fraction * target_volatility / realised), where realised is that of the last volatility_bars returns up to
    the decision bar. It is set at entry and kept; before there are so many returns nothing is entered.

    Raises:
        InputError: a value is out of its range.
    """

    fraction: float = 1.0
    target_volatility: float | None = None
    volatility_bars: int = 50
    cap: float = 1.0

    def __post_init__(self) -> None:
        for name in ("fraction", "cap"):
            value = getattr(self, name)
            if not is_number(value) or not 0.0 < value <= 1.0:
                raise InputError(f"sizing: {name} = {value!r}: expected a share of the equity in (0, 1]")
        if self.target_volatility is not None and not (is_number(self.target_volatility) and self.target_volatility > 0.0):
            raise InputError(f"sizing: target_volatility = {self.target_volatility!r}: expected one above 0 per year, or None")
        _require_bars("sizing", "volatility_bars", self.volatility_bars, 2)


def is_number(value: object) -> TypeGuard[float]:
    """A finite number, and no truth value."""
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def _require_bars(where: str, name: str, value: object, least: int) -> None:
    if not is_number(value) or value < least or int(value) != value:
        raise InputError(f"{where}: {name} = {value!r}: expected a whole number of bars from {least} on")


NO_STOPS = Stops()
WHOLE = Sizing()

OFF: dict[str, float | int | None] = {name: {**vars(NO_STOPS), **vars(WHOLE)}[name] for name in OVERLAYS}
"""Each overlay as it is where nobody asks for it."""

ATR_MULTIPLES = ("atr_stop_loss", "atr_take_profit", "atr_trailing")
READ_BY: dict[str, tuple[str, ...]] = {
    "atr_period": ATR_MULTIPLES,
    "volatility_bars": ("target_volatility",),
    "cap": ("target_volatility",),
}
"""Parameters, and the overlays that read them: without one of these a parameter does nothing."""

SWITCHES = tuple(name for name, value in OFF.items() if value is None)
"""Overlays that are on or off; the others have a value where nobody asks."""

_LEAST, _MOST = 1e-9, 1e6

OVERLAY_GENES: dict[str, Gene] = {
    gene.name: gene
    for gene in (
        Real("stop_loss", 0.002, 0.2, 0.05, least=_LEAST, most=_MOST),
        Real("take_profit", 0.002, 0.5, 0.1, least=_LEAST, most=_MOST),
        Real("trailing", 0.002, 0.2, 0.05, least=_LEAST, most=_MOST),
        Real("atr_stop_loss", 0.5, 10.0, 2.0, least=_LEAST, most=_MOST),
        Real("atr_take_profit", 0.5, 20.0, 4.0, least=_LEAST, most=_MOST),
        Real("atr_trailing", 0.5, 10.0, 3.0, least=_LEAST, most=_MOST),
        Integer("atr_period", 2, 60, 14),
        Integer("max_holding", 1, 500, 50),
        Integer("cooldown", 1, 100, 5),
        Real("fraction", 0.1, 1.0, 1.0, least=_LEAST, most=1.0),
        Real("target_volatility", 0.05, 1.0, 0.2, least=_LEAST, most=_MOST),
        Integer("volatility_bars", 10, 200, 50, least=2.0),
        Real("cap", 0.1, 1.0, 1.0, least=_LEAST, most=1.0),
    )
}
"""Each overlay as a gene, with the default bounds of its search."""


def live(row: np.ndarray) -> list[str]:
    """Names of the overlays of a row, (O,), that do something there, in order."""
    said = dict(zip(OVERLAYS, row.tolist(), strict=True))
    on = [name for name in OVERLAYS if name not in READ_BY and said[name] != (OFF[name] or 0.0)]
    return [name for name in OVERLAYS if name in on or any(reader in on for reader in READ_BY.get(name, ()))]


def overlay_warmup(said: Mapping[str, float]) -> int:
    """Bars until overlays of these values, those left out being off, no longer depend on where the data begin.

    A window counts when it is full, Wilder's average when its seed weighs under 1e-3.
    """
    atr = any(said.get(name) for name in ATR_MULTIPLES)
    volatility = said.get("target_volatility")
    return max(
        8 * int(said.get("atr_period") or OFF["atr_period"] or 0) + 1 if atr else 0,
        int(said.get("volatility_bars") or OFF["volatility_bars"] or 0) + 1 if volatility else 0,
    )


def default_row() -> np.ndarray:
    """The row of OVERLAYS that does nothing, (O,)."""
    return np.array([OFF[name] or 0.0 for name in OVERLAYS], dtype=np.float64)


def overlays_of(stops: Stops, sizing: Sizing) -> np.ndarray | None:
    """The row of OVERLAYS that says the same, (O,); None where nothing is switched on.

    Raises:
        InputError: stops are no Stops, or sizing is no Sizing.
    """
    if not isinstance(stops, Stops):
        raise InputError(f"stops = {stops!r}: expected isl.Stops(stop_loss=..., ...)")
    if not isinstance(sizing, Sizing):
        raise InputError(f"sizing = {sizing!r}: expected isl.Sizing(fraction=..., ...)")
    said = {**vars(stops), **vars(sizing)}
    if all(said[name] == OFF[name] for name in OVERLAYS):
        return None
    return np.array([said[name] or 0.0 for name in OVERLAYS], dtype=np.float64)
