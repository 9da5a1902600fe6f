"""What the quick run leaves out, which files come first, and campaigns on the tiny bars that several files ask for."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import effort
import pytest
from worlds import tiny, tiny_bars

import islands as isl
from islands import forecast
from islands.market.bars import Bars

LONG = (
    "runtime/test_kills.py",
    "archipelago/test_simulation.py",
    "test_every_byte.py",
    "runtime/test_one_digest.py",
    "desk/test_cli.py",
    "runtime/test_nodes.py",
    "strategies/test_own_cache.py",
    "strategies/test_own.py",
    "runtime/test_hanging.py",
    "runtime/test_ray.py",
    "kernels/test_lanes.py",
    "kernels/test_kept.py",
    "archipelago/test_mutants.py",
    "oracle/test_vectorbt.py",
    "test_packaging.py",
    "kernels/test_cache.py",
    "desk/test_verdicts.py",
    "runtime/test_own_family_on_ray.py",
)
"""Files that take longest, which come first: of two processes none is left with a long one at the end. Those on Ray, which
often wait, and others by turns: beside one that waits another computes."""


def pytest_configure(config: pytest.Config) -> None:
    effort.quick = config.option.markexpr == "not slow"
    # Openings of these tests are booked in a file of theirs, by whatever process: set before a test is imported.
    config.add_cleanup(_own_register())
    config.option.loadscopereorder = False  # xdist's own order, by the number of tests, ends with the longest files


def _own_register() -> Callable[[], None]:
    folder = tempfile.TemporaryDirectory(prefix="islands-register-")
    os.environ["ISLANDS_REGISTER"] = str(Path(folder.name) / "register.jsonl")
    return folder.cleanup


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    rank = {tests / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path, len(LONG)))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Files that are slow as a whole are not even imported by the quick run: some load another backtester."""
    whole = r"^pytestmark = .*pytest\.mark\.slow"
    if effort.quick and collection_path.suffix == ".py" and re.search(whole, collection_path.read_text("utf-8"), re.M):
        return True
    return None


@pytest.fixture(autouse=True, scope="session")
def calibrated_briefly() -> Iterator[None]:
    """What a forecast says of seconds no test can know: it is measured in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "CALIBRATION_S", 0.02)
        yield


@pytest.fixture(autouse=True, scope="module")
def register_of_the_module() -> Iterator[None]:
    """Campaigns of one file are none of another's user: what these tried would count against those."""
    yield from _another_register()


@pytest.fixture(autouse=True)
def register_of_the_test(register_of_the_module: None) -> Iterator[None]:
    """The same of each test."""
    yield from _another_register()


def _another_register() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISLANDS_REGISTER", f"{os.environ['ISLANDS_REGISTER'].removesuffix('.jsonl')}-.jsonl")
        yield
        Path(os.environ["ISLANDS_REGISTER"]).unlink(missing_ok=True)


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
