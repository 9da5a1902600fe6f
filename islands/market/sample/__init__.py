"""Real bars that come with the package, so that a first campaign needs no download. Provenance: README.md beside."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.resources import as_file, files

from islands.errors import InputError
from islands.market.bars import Bars, read_bars

__all__ = ["sample", "samples"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One packaged file and what it holds, in one line."""

    file: str
    text: str


SAMPLES = {
    "eurusd": Sample("eurusd_1h_ask_2017.parquet", "EUR/USD 2017, hourly ask prices (Dukascopy), 6,225 bars"),
    "sp500": Sample("sp500_1d_index.parquet", "S&P 500 index 1999 to 2018, daily (Yahoo Finance), 5,031 bars"),
}


def samples() -> dict[str, str]:
    """Name -> one line about each packaged table of bars."""
    return {name: entry.text for name, entry in SAMPLES.items()}


def sample(name: str) -> Bars:
    """Packaged bars by name.

    Raises:
        InputError: no sample has that name.
    """
    if name not in SAMPLES:
        near = difflib.get_close_matches(str(name).lower(), SAMPLES, n=1, cutoff=0.4)
        nearest = f" (nearest: {near[0]!r})" if near else ""
        raise InputError(f"unknown sample {name!r}{nearest}; the samples are {', '.join(SAMPLES)}; choose one of them")
    with as_file(files(__name__) / SAMPLES[name].file) as path:
        return read_bars(path, name=name)
