"""How much a test tries: the whole run everything, the quick one a part that leads through every file.

The quick run is the one that deselects what is slow, `pytest -m "not slow"`. conftest.py says so before tests are imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

QUICK_SHARE = 5
"""The quick run draws one example out of so many, and at least as many as this."""

quick = False


def examples(count: int, **more: Any) -> settings:
    """Settings of a property that the whole run tries on so many examples."""
    return settings(max_examples=max(count // QUICK_SHARE, QUICK_SHARE) if quick else count, deadline=None, **more)


def thinned(parameters: Iterable[Any], *kept: Any) -> list[Any]:
    """Parameters of a test, of several arguments as tuples, of which the quick run takes these alone."""
    return [each if each in kept else _slow(each) for each in parameters]


def _slow(each: Any) -> Any:
    return pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.slow)
