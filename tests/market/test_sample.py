"""The packaged bars."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import pytest

from islands.errors import InputError
from islands.market.sample import SAMPLES, sample, samples

SHARED = Path(__file__).parents[3] / "shared" / "data" / "ohlcv"


def test_samples_are_named_with_one_line_each() -> None:
    assert samples() == {
        "eurusd": "EUR/USD 2017, hourly ask prices (Dukascopy), 6,225 bars",
        "sp500": "S&P 500 index 1999 to 2018, daily (Yahoo Finance), 5,031 bars",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("eurusd", "Bars('eurusd', 6,225 bars, 2017-01-01 22:00 UTC – 2017-12-29 21:00 UTC, step 1h)"),
        ("sp500", "Bars('sp500', 5,031 bars, 1999-01-04 00:00 UTC – 2018-12-31 00:00 UTC, step 1d)"),
    ],
)
def test_a_sample_loads_as_bars_under_its_name(name: str, text: str) -> None:
    assert repr(sample(name)) == text


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("eurusd", "119ef9bf1d7cfe5e32459c1827d20796d53adb5bd242f07087940700447c9aee"),
        ("sp500", "f46ceb113afa620b3bf94802ed662361147e09011bf47123a2cc389460c2b0fa"),
    ],
)
def test_a_samples_fingerprint_is_pinned(name: str, fingerprint: str) -> None:
    """Specs refer to samples by name: their bars must never change."""
    assert sample(name).fingerprint == fingerprint


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("eurusdd", "'eurusd'"), ("SP500", "'sp500'"), ("sp-500", "'sp500'"), ("sample:eurusd", "'eurusd'")],
)
def test_an_unknown_sample_is_refused_with_the_known_and_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        sample(name)
    assert repr(name) in str(caught.value)
    assert f"nearest: {nearest}" in str(caught.value)
    assert "eurusd, sp500" in str(caught.value)


def test_a_name_like_no_sample_is_refused_without_a_nearest() -> None:
    with pytest.raises(InputError) as caught:
        sample("zzz")
    assert "nearest" not in str(caught.value)


@pytest.mark.parametrize("name", list(SAMPLES))
def test_the_readme_states_provenance_and_licence_of_every_sample(name: str) -> None:
    text = (files("islands.market.sample") / "README.md").read_text(encoding="utf-8")
    assert SAMPLES[name].file in text
    assert f"- **{name}**" in text
    assert "licence" in text.split(f"- **{name}**")[1]


@pytest.mark.parametrize("name", list(SAMPLES))
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data is not beside this checkout")
def test_a_sample_is_the_collected_file_byte_for_byte(name: str) -> None:
    packaged = files("islands.market.sample") / SAMPLES[name].file
    collected = SHARED / SAMPLES[name].file
    assert hashlib.sha256(packaged.read_bytes()).digest() == hashlib.sha256(collected.read_bytes()).digest()
