"""The examples: each is sound as it stands, and runs, shortened, to a result that a person can read."""

from __future__ import annotations

from pathlib import Path

import pytest

import islands as isl
from islands.campaign import Campaign
from islands.errors import IslandsWarning
from islands.evolution.island import try_settings
from islands.instruments import bars_of, world_of
from islands.spec import CampaignSpec

CHECKOUT = Path(__file__).parents[1]
EXAMPLES = sorted((CHECKOUT / "examples").glob("*.toml"))
REAL = CHECKOUT.parent / "shared" / "data" / "ohlcv" / "btcusdt_1h_2020_2021_funding.parquet"


def shortened(spec: CampaignSpec) -> CampaignSpec:
    """The same campaign with fewer and smaller generations."""
    evolution = spec.evolution.model_copy(update={"population": 24, "epochs": 3, "generations_per_epoch": 2})
    islands = spec.archipelago.islands
    if isinstance(islands, list):
        smaller = [part if isinstance(part, list) else _small(part) for part in islands]
        spec = spec.model_copy(update={"archipelago": spec.archipelago.model_copy(update={"islands": smaller})})
    return spec.model_copy(update={"evolution": evolution, "champions": 6})


def _small(part: object) -> object:
    return part.model_copy(update={"population": 20}) if getattr(part, "population", None) else part


def test_there_are_seven() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "heterogeneous",
        "hourly_crypto",
        "multi_instrument",
        "own_family",
        "sample",
        "stops",
        "two_objectives",
    ]


def test_the_sample_is_the_packaged_one() -> None:
    packaged = CHECKOUT / "islands" / "desk" / "sample.toml"
    assert (CHECKOUT / "examples" / "sample.toml").read_text() == packaged.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_sound_as_it_stands(path: Path) -> None:
    spec = CampaignSpec.read(path)
    world = world_of(spec, bars_of(spec))
    try_settings(world)
    assert world.islands == len(world.habitats) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_to_champions_and_a_report(path: Path, tmp_path: Path) -> None:
    spec = shortened(CampaignSpec.read(path))
    campaign = Campaign.create(spec, tmp_path / "run")
    report = campaign.run(runtime="inline")
    assert report.finished
    assert campaign.verify() == []
    assert campaign.history()["epoch"].max() == 3
    assert campaign.champions().height > 0
    assert campaign.report().stat().st_size > 100_000
    again = Campaign.create(spec, tmp_path / "again")
    again.run(runtime="inline")
    assert again.digest() == campaign.digest()


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="real bars are not here (shared/data/ohlcv)")
def test_the_crypto_example_takes_real_bars_with_funding(tmp_path: Path) -> None:
    spec = shortened(CampaignSpec.read(CHECKOUT / "examples" / "hourly_crypto.toml"))
    with pytest.warns(IslandsWarning, match="suspicious prints: 2"):
        bars = isl.read_bars(REAL)
    campaign = Campaign.create(spec, tmp_path / "run", bars=bars)
    campaign.run(runtime="inline")
    unfunded = spec.model_copy(update={"costs": spec.costs.model_copy(update={"funding": False})})
    without = Campaign.create(unfunded, tmp_path / "without", bars=bars)
    without.run(runtime="inline")
    assert campaign.trials().height > 0
    assert campaign.digest() != without.digest()
