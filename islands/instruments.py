"""The bars of a campaign's instruments: given in memory, or read from where the spec says."""

from __future__ import annotations

from collections.abc import Mapping

from islands.errors import InputError, SpecError
from islands.evolution.world import World, make_world, training_bars
from islands.market.bars import Bars
from islands.market.instants import instant_text, instant_us
from islands.market.sources import bars_at
from islands.market.tape import Tape
from islands.spec import ONLY, CampaignSpec, InstrumentSpec, ReadingSpec

GivenBars = Bars | Mapping[str, Bars] | None
"""Bars in memory: of the one instrument, or of several by name."""


def world_of(spec: CampaignSpec, bars: Mapping[str, Bars]) -> World:
    """The spec resolved on these bars, of which evolution sees the first part.

    Raises:
        SpecError: the spec can't be carried out on them.
    """
    tapes = tapes_of(bars)
    seen = training_bars(spec, tapes)
    for window in spec.splits.windows:
        _require_unsealed(window, tapes, seen)
    return make_world(spec, {name: tapes[name].head(count) for name, count in seen.items()})


def _require_unsealed(window: list[str], tapes: Mapping[str, Tape], seen: Mapping[str, int]) -> None:
    """A declared window must not reach into what is held back: it would be cut there, and be another one than was declared."""
    try:
        end = instant_us(window[1])
    except InputError:
        return  # told with the window itself
    for name, count in seen.items():
        stamps = tapes[name].timestamps
        if count < len(stamps) and end > stamps[count]:
            raise SpecError(
                f"splits.windows: [{window[0]}, {window[1]}) reaches into the bars of {name} that are held back, from "
                f"{instant_text(int(stamps[count]))} on; let it end there, or hold less back"
            )


def tapes_of(bars: Mapping[str, Bars]) -> dict[str, Tape]:
    """The tape of each instrument."""
    return {name: part.tape for name, part in bars.items()}


def bars_of(spec: CampaignSpec) -> dict[str, Bars]:
    """The bars of each instrument of a spec, read from where it says."""
    return {name: read_source(name, source) for name, source in spec.sources.items()}


def by_instrument(bars: GivenBars, names: list[str]) -> dict[str, Bars]:
    """Bars given in memory, by instrument."""
    if bars is None:
        return {}
    if isinstance(bars, Bars):
        if len(names) > 1:
            raise InputError(f"bars: the spec has several instruments ({', '.join(names)}); give bars by name: {{name: bars}}")
        return {names[0]: bars}
    _require_mapping(bars)
    for name, part in bars.items():
        if name not in names:
            raise InputError(f"bars: no instrument {name!r} in the spec; its instruments are {', '.join(names)}")
        if not isinstance(part, Bars):
            raise InputError(f"bars[{name!r}] is a {type(part).__name__}: expected Bars, from read_bars or Bars.from_polars")
    return dict(bars)


def _require_mapping(bars: object) -> None:
    if not isinstance(bars, Mapping) or not bars:
        raise InputError(f"bars is a {type(bars).__name__}: expected Bars, or a dict of bars by name with one at least")


def with_instruments(spec: CampaignSpec, bars: GivenBars) -> tuple[CampaignSpec, dict[str, Bars]]:
    """The spec, and the bars given in memory; by name they are the instruments of a spec that names none."""
    if bars is not None and not isinstance(bars, Bars) and not spec.instruments:
        _require_mapping(bars)
        spec = spec.model_copy(update={"instruments": {name: InstrumentSpec() for name in bars}})
    for name in spec.sources:
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{name!r} is no name for an instrument; a name is text that is not empty")
    return spec, by_instrument(bars, list(spec.sources))


def read_source(name: str, source: ReadingSpec) -> Bars:
    """The bars of an instrument, from where the spec says.

    Raises:
        SpecError: it doesn't say.
    """
    if not source.path:
        key = "bars.path" if name == ONLY else f"instruments.{name}.path"
        raise SpecError(f"{key}: required; give a file, a glob, sample:NAME (see `islands sample`) or synthetic:KIND")
    return bars_at(source.path, None if name == ONLY else name, **source.reading)
