"""Instants and durations between a user's words and microseconds since the Unix epoch, UTC.

Durations are written as polars writes them ("15m", "1h30m", "1d", "1mo"), but parsed here: polars reads a rule of zero
length without complaint, and does not say how long a rule is.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from islands.errors import InputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LIMIT_US = 2**53
"""Whole microseconds are exact in float64 up to here: the years 1684 to 2255."""

DAY_US = 86_400_000_000

_FIXED_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": DAY_US,
    "w": 7 * DAY_US,
}
_CALENDAR_US = {"mo": 31 * DAY_US, "q": 92 * DAY_US, "y": 366 * DAY_US}
"""Units without a fixed length, with the longest they can be."""

_WINDOW_KINDS = {"mo": "months", "q": "months", "y": "months", "w": "weeks", "d": "days"}

_TERM = re.compile(r"([0-9]+)(us|ms|mo|s|m|h|d|w|q|y)")


def instant_us(value: datetime | date | str) -> int:
    """Microseconds since the Unix epoch of a datetime, a date (its midnight) or an ISO 8601 string; naive means UTC.

    Raises:
        InputError: another type, or text that is no ISO 8601 date or time.
    """
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise InputError(
                f"{value!r} is not a date or time; write ISO 8601, such as '2024-01-31' or '2024-01-31T15:00:00+00:00'"
            ) from None
    elif isinstance(value, datetime):
        instant = value
    elif isinstance(value, date):
        instant = datetime(value.year, value.month, value.day)
    else:
        raise InputError(f"{value!r} ({type(value).__name__}) is not an instant; give a datetime, a date or an ISO 8601 string")
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant_text(us: int) -> str:
    """The instant for a person, such as "2024-01-31 15:00 UTC"; seconds and fractions only where there are any."""
    try:
        instant = EPOCH + timedelta(microseconds=us)
    except OverflowError:
        return f"{us} us since 1970-01-01 UTC"
    return instant.replace(tzinfo=None).isoformat(" ", "auto" if us % 60_000_000 else "minutes") + " UTC"


def fixed_us(duration: str) -> int:
    """The length of a duration in microseconds.

    Raises:
        InputError: no duration, zero, or one of calendar units (mo, q, y), which have no fixed length.
    """
    terms = _terms(duration)
    calendar = [unit for _, unit in terms if unit in _CALENDAR_US]
    if calendar:
        raise InputError(
            f"the duration {duration!r} has no fixed length ({calendar[0]!r} is a calendar unit); write it in us, ms, "
            "s, m, h, d or w, such as '1h' or '1d'"
        )
    return sum(count * _FIXED_US[unit] for count, unit in terms)


def window_us(rule: str) -> int:
    """The longest that a window of length `rule` can be, in microseconds: a month counts 31 days, a year 366.

    Raises:
        InputError: no duration, zero, or one that mixes months, weeks, days and shorter units: where such windows begin
            is not defined.
    """
    terms = _terms(rule)
    kinds = {_WINDOW_KINDS.get(unit, "shorter units") for _, unit in terms}
    if len(kinds) > 1:
        raise InputError(
            f"{rule!r} mixes {' and '.join(sorted(kinds))}; a rule is made of months (mo, q, y), weeks, days or "
            "shorter units, which have no common window; use one of them, such as '27h' for '1d3h'"
        )
    lengths = _FIXED_US | _CALENDAR_US
    return sum(count * lengths[unit] for count, unit in terms)


def duration_text(us: int) -> str:
    """A duration in the largest units that say it exactly, such as "1h", "1d" or "1h30m"; weeks stay days."""
    text = ""
    rest = us
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, _FIXED_US[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _terms(duration: str) -> list[tuple[int, str]]:
    """The (count, unit) terms of a duration of positive length; InputError for anything else."""
    terms: list[tuple[int, str]] = []
    if isinstance(duration, str) and re.fullmatch(f"(?:{_TERM.pattern})+", duration) and len(duration) <= 32:
        terms = [(int(count), unit) for count, unit in _TERM.findall(duration)]
    lengths = _FIXED_US | _CALENDAR_US
    if not 0 < sum(count * lengths[unit] for count, unit in terms) <= LIMIT_US:
        raise InputError(
            f"{duration!r} is not a duration; write a positive number and a unit (us ms s m h d w mo q y), such as "
            "'15m', '1h', '1h30m', '1d' or '1mo'"
        )
    return terms
