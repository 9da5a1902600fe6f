"""Where bars may come from, in the words of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

import islands as isl
from islands.errors import InputError
from islands.market.sources import bars_at


def test_a_sample_a_synthetic_kind_and_a_file_are_places(tmp_path: Path) -> None:
    assert bars_at("sample:sp500").fingerprint == isl.sample("sp500").fingerprint
    made = isl.synthetic("regimes", 300, 4, volatility=0.8, step="15m", start="2021-03-01")
    place = "synthetic:regimes?bars=300&seed=4&volatility=0.8&step=15m&start=2021-03-01"
    assert bars_at(place).fingerprint == made.fingerprint
    made.write(tmp_path / "made.csv")
    assert bars_at(str(tmp_path / "made.csv"), "mine").name == "mine"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("sample:eurosd", "nearest: 'eurusd'"),
        ("synthetic:gmb", "unknown kind 'gmb'"),
        ("synthetic:gbm?bar=10", "unknown key 'bar'"),
        ("synthetic:gbm?bars=many", "bars = 'many': expected a number"),
        ("synthetic:gbm?bars=0", "must be at least 1"),
        ("nowhere.csv", "no such file"),
    ],
)
def test_a_place_that_is_none_is_refused_in_words(place: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        bars_at(place)
