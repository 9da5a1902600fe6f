"""Strategy cards: strict JSON from which the same strategies come back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import islands as isl
from islands.campaign import Campaign
from islands.desk.cards import SCHEMA, strategy_of, write_cards
from islands.errors import InputError, StrategyError
from islands.spec import CampaignSpec
from islands.strategies.strategy import Strategy


def make_spec(**changes: Any) -> CampaignSpec:
    values: dict[str, Any] = {
        "name": "cards é",
        "bars": {"path": "sample:sp500"},
        "costs": {"fee": 5e-4, "slippage": 1e-4},
        "families": [{"name": "ema_crossover"}, {"name": "rsi_mean_reversion"}],
        "limits": {"min_trades": 5, "max_drawdown": 0.9},
        "evolution": {"population": 20, "epochs": 2, "generations_per_epoch": 3},
        "archipelago": {"islands": 2},
        "most_alike": 1.0,
    }
    return CampaignSpec(**(values | changes))


def strict(path: Path) -> Any:
    """The file's JSON, where NaN and infinities are errors."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(make_spec(), tmp_path_factory.mktemp("cards") / "finished")
    campaign.run("inline")
    return campaign


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(make_spec(), tmp_path_factory.mktemp("cards") / "unfinished")
    campaign.run("inline", epochs=1)
    return campaign


def test_the_cards_say_what_they_come_from(finished: Campaign) -> None:
    cards = strict(finished.export())
    assert cards["schema"] == SCHEMA
    assert cards["campaign"] == "cards é"
    assert (cards["state"], cards["epochs"]) == ("finished", {"committed": 2, "asked": 2})
    assert (cards["digest"], cards["manifest"]) == (finished.digest(), finished.manifest_hash)
    bars = finished.bars
    assert cards["instruments"] == {
        "bars": {
            "name": "sp500",
            "fingerprint": bars.fingerprint,
            "count": len(bars),
            "seen": len(bars) - round(0.2 * len(bars)),
            "costs": finished.spec.costs.model_dump(),
        }
    }
    assert {key: cards["instruments"]["bars"]["costs"][key] for key in ("fee", "slippage")} == {"fee": 5e-4, "slippage": 1e-4}
    assert cards["held_back"] == 0.2
    assert cards["objectives"] == [{"name": "sharpe", "goal": "max", "reference": None}]
    assert cards["limits"] == {"min_trades": 5, "max_drawdown": 0.9}
    assert cards["pooling"] == {"rule": "mean", "quantile": 0.25}
    assert [card["rank"] for card in cards["champions"]] == list(range(1, 11))


def test_a_card_gives_back_a_strategy_that_decides_the_same(finished: Campaign) -> None:
    cards = strict(finished.export())["champions"]
    replays = finished.replays(10)
    assert len(cards) == len(replays) == 10
    for card, (champion, _) in zip(cards, replays, strict=True):
        strategy = strategy_of(card)
        assert strategy == champion.strategy
        assert np.array_equal(strategy.positions(finished.bars), champion.strategy.positions(finished.bars))
        assert (card["value"], card["born"]) == (champion.values[0], list(champion.born))
        assert card["metrics"]["sharpe"] == champion.figures["bars"]["sharpe"] == card["value"]
        assert "instruments" not in card


def test_only_a_finished_campaign_has_held_back_figures(finished: Campaign, unfinished: Campaign) -> None:
    stored = finished.champion_records()
    for card, record in zip(strict(finished.export())["champions"], stored, strict=True):
        assert card["held_back"]["sharpe"] == record["held_back"]["sharpe"]
    cards = strict(unfinished.export())
    assert cards["state"] == "stopped" and cards["champions"]
    assert not any("held_back" in card for card in cards["champions"])


def test_an_extended_campaign_hides_them_until_it_finishes_again(tmp_path: Path) -> None:
    campaign = Campaign.create(make_spec(), tmp_path / "extended")
    campaign.run("inline")
    campaign.extend(3)
    assert not any("held_back" in card for card in strict(Campaign.open(campaign.path).export())["champions"])


SEVERAL = {
    "bars": {"held_back": 0.25},
    "instruments": {
        "index": {"path": "sample:sp500"},
        "pair": {"path": "synthetic:planted", "costs": {"fee": 0.0, "slippage": 1e-5}},
    },
    "objective": [{"name": "sharpe"}, {"name": "max_drawdown", "goal": "min"}],
    "limits": {},
}


def test_cards_of_several_instruments_hold_the_figures_of_each(tmp_path: Path) -> None:
    stamps = isl.sample("sp500").timestamps[[0, -1]].astype("datetime64[us]")
    days = int((stamps[1] - stamps[0]) / np.timedelta64(1, "D"))
    pair = isl.synthetic("planted", bars=days, seed=2, step="1d", start=str(stamps[0])[:10])
    campaign = Campaign.create(make_spec(**SEVERAL), tmp_path / "run", bars={"pair": pair})
    for finished in (False, True):
        campaign.run("inline", epochs=1)
        cards = strict(campaign.export())
        assert list(cards["instruments"]) == ["index", "pair"]
        assert [part["costs"]["fee"] for part in cards["instruments"].values()] == [5e-4, 0.0]
        assert [part["seen"] for part in cards["instruments"].values()] == [len(m.tape) for m in campaign.world.markets]
        parts = ("metrics", "held_back") if finished else ("metrics",)
        assert len(cards["champions"]) > 1
        for card in cards["champions"]:
            assert card["objectives"] == {"sharpe": card["value"], "max_drawdown": card["objectives"]["max_drawdown"]}
            assert list(card["instruments"]) == ["index", "pair"]
            for own in card["instruments"].values():
                assert tuple(own) == parts
            assert ("held_back" in card) is finished
            for part in parts:
                values = [own[part]["total_return"] for own in card["instruments"].values()]
                assert card[part]["total_return"] == sum(values) / 2
    campaign.extend(3)
    for card in strict(campaign.export())["champions"]:
        assert "held_back" not in card and all(tuple(own) == ("metrics",) for own in card["instruments"].values())


def test_the_same_campaign_gives_the_same_bytes(finished: Campaign, tmp_path: Path) -> None:
    one, two = (write_cards(finished, tmp_path / name).read_bytes() for name in ("one.json", "two.json"))
    assert one == two
    assert one.endswith(b"}\n") and not one.endswith(b"\n\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_what_is_undefined_is_null(finished: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = finished.champion_records()
    records[0]["metrics"] = {**records[0]["metrics"], "calmar": math.nan, "profit_factor": math.inf}
    monkeypatch.setattr(finished, "champion_records", lambda: records)
    metrics = strict(write_cards(finished, tmp_path / "cards.json"))["champions"][0]["metrics"]
    assert (metrics["calmar"], metrics["profit_factor"]) == (None, None)
    assert list(metrics) == list(records[0]["metrics"])


def test_a_campaign_without_a_commit_exports_no_champions(tmp_path: Path) -> None:
    cards = strict(Campaign.create(make_spec(), tmp_path / "fresh").export())
    assert (cards["digest"], cards["champions"]) == (None, [])


def test_a_folder_in_the_files_place_is_refused(finished: Campaign, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        finished.export(tmp_path)


def _card(**changes: Any) -> dict[str, Any]:
    return {**Strategy("sma_trend", fast=5, slow=20, direction="long").to_dict(), **changes}


def test_a_card_of_another_version_of_its_family_is_refused() -> None:
    with pytest.raises(StrategyError, match="version 7 of family sma_trend, here it is version 1"):
        strategy_of(_card(version=7))


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"champions": []}, "not the whole file"),
        ({"family": "sma_trend", "genes": {}}, "version missing"),
        (_card(genes=[5, 20]), "genes by name"),
        (_card(genes={"fast": 5, "direction": "long"}), "sma_trend without slow"),
        (_card(family="sma_trand"), "did you mean 'sma_trend'"),
        (_card(genes={"fast": 50, "slow": 20, "direction": "long"}), "breaks"),
        ("sma_trend", "a str is no strategy card"),
    ],
)
def test_what_is_no_card_is_refused_in_clear_words(card: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        strategy_of(card)
