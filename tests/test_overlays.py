"""A campaign whose genes are families' and overlays': what it finds is what can be run, exported and read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import tiny, tiny_bars

import islands as isl
from islands.campaign import Campaign
from islands.desk.cards import strategy_of

OVERLAYS = {
    "stop_loss": {"low": 0.002, "high": 0.05, "log": True, "optional": True},
    "take_profit": [0.005, 0.1],
    "max_holding": {"low": 2, "high": 60, "optional": True},
    "target_volatility": {"low": 0.05, "high": 0.5, "optional": True},
    "volatility_bars": [10, 40],
}
CHANGES = {
    "overlays": OVERLAYS,
    "costs": {"fee": 1e-4, "slippage": 5e-5, "maker_fee": 2e-5, "minimum_fee": 0.2, "borrow": 0.05},
    "evolution.population": 24,
    "account.intrabar": "optimistic",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(tiny(CHANGES), tmp_path_factory.mktemp("overlays") / "run", bars=tiny_bars())
    campaign.run("inline")
    return campaign


@pytest.mark.slow
def test_stopped_and_resumed_it_is_the_same(finished: Campaign, tmp_path: Path) -> None:
    campaign = Campaign.create(tiny(CHANGES), tmp_path / "run", bars=tiny_bars())
    for _ in range(3):
        Campaign.open(campaign.path).run("inline", epochs=1)
    assert campaign.digest() == finished.digest()
    assert campaign.champions().equals(finished.champions())


def test_champions_earn_what_was_promised_when_they_are_run_alone(finished: Campaign) -> None:
    """Each on its own, from its card, by the public functions: the figures of the campaign to the last bit."""
    document = json.loads(finished.export().read_text())
    whole, seen = finished.bars, len(finished.world.markets[0].tape)
    costs = isl.Costs(**document["instruments"]["bars"]["costs"])
    stops = isl.Stops(intrabar=document["account"]["intrabar"])
    assert len(document["champions"]) == 5
    for card in document["champions"]:
        strategy = strategy_of(card)
        assert strategy.genes == card["genes"]
        assert strategy.stops.take_profit is not None
        alone = isl.backtest(whole, strategy, costs, stops, score_from=seen)
        assert alone.metrics["sharpe"] == card["held_back"]["sharpe"]
        training = isl.Bars("seen", whole.tape.head(seen))
        assert (
            isl.backtest(training, strategy, costs, stops, score_from=finished.world.warmup).metrics["sharpe"] == card["value"]
        )


def test_the_account_of_trials_tells_overlays(finished: Campaign) -> None:
    genomes = finished.trials()["genome"]
    assert genomes.str.contains("stop_loss=off").any()
    assert genomes.str.contains(r"stop_loss=0\.\d").any()
    assert genomes.str.contains("max_holding=off").any()
    assert genomes.str.contains(r"max_holding=\d+").any()
    without = genomes.filter(genomes.str.contains("target_volatility=off"))
    assert without.len() > 0
    assert without.str.contains("volatility_bars=40").all()  # the default, 50, as near as the bounds let it


def test_search_finds_out_whether_an_overlay_is_worth_having(make: Callable[..., Campaign]) -> None:
    """On bars that run away from a close take-profit, the best strategies are those that have switched it off."""
    overlay = {"take_profit": {"low": 0.002, "high": 0.004, "optional": True}}
    families = [{"name": "ema_crossover", "genes": {"fast": [2, 15], "slow": [10, 40]}}]
    campaign = make({"overlays": overlay, "families": families, "objective.name": "total_return", "evolution.epochs": 4})
    campaign.run("inline")
    assert all("take_profit" not in row["genes"] for row in campaign.champion_records())
    tried = campaign.trials()["genome"].str.contains("take_profit=off")
    assert 0.3 < tried.mean() < 1.0


@pytest.mark.slow
def test_the_report_shows_them(finished: Campaign) -> None:
    page = finished.report().read_text()
    assert "stop_loss off or 0.002 to 0.05, take_profit 0.005 to 0.1" in page
    assert "max_holding, on in " in page
    assert "maker fee 0.002%, at least 0.2 an order, shorts borrow at 5% a year" in page
