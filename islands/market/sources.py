"""Where bars may come from, in the words of a spec or a command line: a file or glob, sample:NAME, synthetic:KIND?KEY=VALUE."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from islands.errors import InputError
from islands.market.bars import Bars, read_bars
from islands.market.sample import sample
from islands.market.synthetic import synthetic

SAMPLE, SYNTHETIC = "sample:", "synthetic:"

_KEYS = {
    "bars": int,
    "seed": int,
    "step": str,
    "start": str,
    "volatility": float,
    "drift": float,
    "price": float,
    "edge": float,
    "half_life": float,
}
"""What may follow the kind of synthetic bars, as `synthetic` takes it."""


def bars_at(place: str, name: str | None = None, **reading: Any) -> Bars:
    """The bars at a place. reading: arguments of `read_bars`, for files. name: of the bars, where a file has no better.

    Raises:
        InputError: a sample or a kind that does not exist, or a value that it can't take.
        BarsError: the file can't be read, or breaks a rule.
    """
    if place.startswith(SAMPLE):
        return sample(place.removeprefix(SAMPLE))
    if place.startswith(SYNTHETIC):
        kind, _, query = place.removeprefix(SYNTHETIC).partition("?")
        return synthetic(kind, **dict(_argument(place, key, text) for key, text in parse_qsl(query, keep_blank_values=True)))
    return read_bars(place, name=name, **reading)


def _argument(place: str, key: str, text: str) -> tuple[str, Any]:
    if key not in _KEYS:
        raise InputError(f"{place}: unknown key {key!r}; after ? may come {', '.join(_KEYS)}")
    try:
        return key, _KEYS[key](text)
    except ValueError:
        raise InputError(f"{place}: {key} = {text!r}: expected a number; write {SYNTHETIC}gbm?bars=5000&seed=1") from None
