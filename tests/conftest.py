"""Campaigns on the tiny bars that several files ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worlds import tiny, tiny_bars

import islands as isl
from islands.market.bars import Bars


@pytest.fixture(scope="session", autouse=True)
def a_register_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Openings of these tests are booked in a file of theirs, by whatever process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISLANDS_REGISTER", str(tmp_path_factory.mktemp("register") / "register.jsonl"))
        yield


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., isl.Campaign]:
    """Creates campaigns on the tiny bars, each in a folder of its own."""
    made: list[isl.Campaign] = []

    def create(changes: dict[str, Any] | None = None, bars: Bars | None = None) -> isl.Campaign:
        made.append(isl.Campaign.create(tiny(changes), tmp_path / f"run-{len(made)}", bars=bars or tiny_bars()))
        return made[-1]

    return create


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """A campaign that was run whole."""
    campaign = isl.Campaign.create(tiny(), tmp_path_factory.mktemp("whole") / "run", bars=tiny_bars())
    assert campaign.run("inline").finished
    return campaign
