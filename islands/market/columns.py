"""Which of a table's columns is which of ours.

`USUAL` is the table of names that other sources use. A column is recognised only where it is the only one that can be
meant; our own name, whatever its case, comes before every other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from islands.errors import BarsError
from islands.market.places import listed
from islands.market.tape import COLUMNS, FUNDING, REQUIRED

PRICES = ("open", "high", "low", "close")

_CURRENCIES = (
    *("btc", "eth", "ltc", "xrp", "bch", "sol", "ada", "doge", "bnb", "usd", "usdt", "usdc", "busd"),
    *("eur", "gbp", "jpy", "chf", "aud", "cad", "currency"),
)

USUAL: dict[str, tuple[str, ...]] = {
    "timestamp": (
        *("date", "datetime", "date_time", "time", "ts", "dt", "open_time", "opentime", "time_open", "gmt_time", "local_time"),
        *("utc_time", "time_utc", "date_utc", "datetime_utc", "timestamp_utc", "time_stamp", "bar_time"),
        *("unix", "unix_time", "unixtime", "unix_timestamp", "epoch"),
    ),
    "open": ("o", "open_price", "price_open", "opening_price"),
    "high": ("h", "high_price", "price_high", "highest_price"),
    "low": ("l", "low_price", "price_low", "lowest_price"),
    "close": ("c", "close_price", "price_close", "closing_price"),
    "volume": (
        *("v", "vol", "vol.", "tick_volume", "tickvolume", "tick_vol", "tickvol", "real_volume", "base_volume", "trade_volume"),
        *("volume_traded", "traded_volume", *(f"volume_{currency}" for currency in _CURRENCIES)),
    ),
    FUNDING: ("fundingrate", "funding"),
}
"""Our name -> what others call it, as `plain` writes it."""

_LAST_RESORT = {"timestamp": ("", "index", "unnamed:_0")}
"""What a table's index is called; taken only where nothing else can be meant."""

_RESEMBLING = {
    "timestamp": ("close_time", "closetime"),
    "high": ("max",),
    "low": ("min",),
    "close": ("adj_close", "adjusted_close", "last", "price"),
    "volume": ("quote_volume", "quote_asset_volume", "amount", "turnover"),
}
"""What might be meant, but is not the same thing: only named in an error."""

_ASSET = re.compile(r"(?P<asset>.+?)(?P<mark>[:._/ -])(?P<column>open|high|low|close|volume)", re.IGNORECASE)


def plain(name: str) -> str:
    """A column's name without case, blanks, brackets and numbering: "<TICKVOL>" is tickvol, "1. open" is open."""
    bare = re.sub(r"[<>()\[\]]", "", name.strip().lower())
    return re.sub(r"[\s_-]+", "_", re.sub(r"^[0-9]+\.\s+", "", bare)).strip("_")


def is_known(name: str) -> bool:
    """Whether a name is one of ours or a usual one."""
    return any(plain(name) in (ours, *USUAL[ours]) for ours in COLUMNS)


def columns_of(
    names: Sequence[str], wanted: Mapping[str, str], source: str, required: Sequence[str] = REQUIRED
) -> dict[str, str]:
    """Which of the table's columns `names` is which of ours: our name -> its name, in the order of `COLUMNS`.

    `wanted` is the user's own choice (our name -> its name); the rest is recognised. Volume and funding_rate are there
    only where the table has them, unless they are `required`.

    Raises:
        BarsError: a required column is missing, several could be meant, or `wanted` names what does not exist.
    """
    chosen = dict(wanted)
    for ours, theirs in wanted.items():
        if theirs not in names:
            raise BarsError(
                f"{source}: the column {theirs!r}, wanted for {ours!r}, does not exist; the columns are "
                f"{listed(tuple(names))}{_nearest(theirs, names)}; mend columns="
            )
    for ours in COLUMNS if required == REQUIRED else required:
        free = [name for name in names if name not in chosen.values()]
        found = None if ours in chosen else _recognised(ours, free, source)
        if found is not None:
            chosen[ours] = found
    missing = [ours for ours in required if ours not in chosen]
    if missing:
        _refuse_missing(missing, names, chosen, source, required)
    for theirs in chosen.values():
        _require_once(theirs, names, source)
    return {ours: chosen[ours] for ours in COLUMNS if ours in chosen}


def assets_of(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """The assets of a wide table whose columns are named like "BTC:open": asset -> our name -> its name.

    Only assets with all four prices count.
    """
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        match = _ASSET.fullmatch(name.strip())
        if match:
            found.setdefault((match["asset"], match["mark"]), {}).setdefault(match["column"].lower(), name)
    return {asset: columns for (asset, _), columns in found.items() if all(price in columns for price in PRICES)}


def is_one_of_several(columns: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether `columns` (our name -> its name) are one asset's of a table that holds several side by side."""
    assets = assets_of(names).values()
    return len(assets) > 1 and any(all(columns.get(price) == asset[price] for price in PRICES) for asset in assets)


def _recognised(ours: str, names: Sequence[str], source: str) -> str | None:
    exact = [name for name in names if name.strip().lower() == ours]
    same = [name for name in names if plain(name) == ours]
    usual = [name for name in names if plain(name) in USUAL[ours]]
    last = [name for name in names if plain(name) in _LAST_RESORT.get(ours, ())]
    for matches in (exact, same, usual, last):
        if matches:
            _require_one(ours, matches, names, source)
            return matches[0]
    return None


def _require_one(ours: str, matches: Sequence[str], names: Sequence[str], source: str) -> None:
    if len(matches) == 1:
        return
    for name in matches:
        _require_once(name, names, source)
    which = f'say which with columns={{"{ours}": "{matches[0]}"}}'
    if ours == "timestamp" and {plain(name) for name in matches} == {"date", "time"}:
        which += ", or, where a time has two columns, join them with polars and use Bars.from_polars"
    raise BarsError(
        f"{source}: the columns {listed(tuple(matches))} all match {ours!r}; one must; {which}, or rename the others"
    )


def _require_once(name: str, names: Sequence[str], source: str) -> None:
    if list(names).count(name) > 1:
        raise BarsError(f"{source}: the header names {name!r} twice; a column must be named once; mend the header")


def _refuse_missing(
    missing: Sequence[str], names: Sequence[str], chosen: Mapping[str, str], source: str, required: Sequence[str]
) -> NoReturn:
    needing = "bars" if set(PRICES) <= set(required) else "funding rates"
    plural = "column" if len(missing) == 1 else "columns"
    raise BarsError(
        f"{source}: no {plural} {listed(tuple(missing))}; the columns are {listed(tuple(names))}; {needing} "
        f"need {', '.join(required)}; {_way_out(missing, names, chosen)}"
    )


def _way_out(missing: Sequence[str], names: Sequence[str], chosen: Mapping[str, str]) -> str:
    assets = assets_of(names)
    if assets:
        return _one_asset(assets, names, chosen)
    if FUNDING in chosen and all(price in missing for price in PRICES):
        return "this is a table of funding rates: read the prices with read_bars, then join it with bars.with_funding"
    if len(names) == 1:
        return "if the cells are separated by something else, say it with delimiter=..."
    hints = {ours: hint for ours in missing if (hint := _resembling(ours, names, chosen))}
    if not hints:
        return "name them with columns={...}"
    mapping = ", ".join(f'"{ours}": "{theirs}"' for ours, theirs in hints.items())
    close = ' (and bar_time="close")' if plain(hints.get("timestamp", "")) in _RESEMBLING["timestamp"] else ""
    return f"nearest: say columns={{{mapping}}}{close} if that is right"


def _one_asset(assets: Mapping[str, Mapping[str, str]], names: Sequence[str], chosen: Mapping[str, str]) -> str:
    asset, columns = next(iter(assets.items()))
    stamp = chosen.get("timestamp") or _resembling("timestamp", names, chosen) or names[0]
    mapping = ", ".join(f'"{ours}": "{theirs}"' for ours, theirs in {"timestamp": stamp, **columns}.items())
    kinds = f"assets {listed(tuple(assets))} side by side" if len(assets) > 1 else f"asset {asset!r} in its columns' names"
    return f"the table holds the {kinds}, and bars are of one: say columns={{{mapping}}}"


def _resembling(ours: str, names: Sequence[str], chosen: Mapping[str, str]) -> str | None:
    """The column that probably is meant: one that resembles ours, else the nearest spelling."""
    by_plain = {plain(name): name for name in reversed(names) if name not in chosen.values()}
    for word in _RESEMBLING.get(ours, ()):
        if word in by_plain:
            return by_plain[word]
    near = difflib.get_close_matches(ours, list(by_plain), n=1)
    return by_plain[near[0]] if near else None


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" (nearest: {near[0]!r})" if near else ""
