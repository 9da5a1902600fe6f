"""The report of a campaign over several instruments, with several objectives, on islands that differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import Page, chart_names

import islands as isl
from islands.campaign import Campaign
from islands.desk.figures import shown
from islands.desk.report import accounts_of
from islands.desk.toml import spec_text
from islands.spec import CampaignSpec

OBJECTIVES = [{"name": "cagr"}, {"name": "max_drawdown", "goal": "min"}]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    spec = CampaignSpec(
        name="wide",
        instruments={
            "EURUSD": {"path": "sample:eurusd", "costs": {"fee": 2e-5, "slippage": 3e-5}},
            "SP": {"path": "sample:sp500"},
        },
        bars={"held_back_from": "2017-10-01"},
        pooling={"rule": "minimum"},
        costs={"fee": 5e-4, "slippage": 1e-4},
        families=[{"name": "sma_trend"}, {"name": "momentum", "genes": {"lookback": [5, 60]}}],
        objective=OBJECTIVES,
        evolution={"population": 20, "epochs": 3, "generations_per_epoch": 2},
        archipelago={"islands": [{}, {"instruments": ["SP"], "population": 30}, {"families": ["sma_trend"]}]},
        migration={"emigrants": 2, "selection": "distance", "replacement": "similar"},
        stagnation=[{"epochs": 1, "rule": "mutate"}],
    )
    campaign = Campaign.create(spec, tmp_path_factory.mktemp("wide") / "run")
    assert campaign.run("inline").finished
    return campaign


@pytest.fixture(scope="module")
def page(wide: Campaign) -> Page:
    return Page(wide.report())


@pytest.mark.slow
def test_every_instrument_has_its_facts_and_its_part_that_was_held_back(page: Page) -> None:
    assert "EURUSD 6,225 bars, 2017-01-01 22:00 UTC to 2017-12-29 21:00 UTC, step 1h" in page.text
    assert "EURUSD, costs per side fee 0.002%, slippage 0.003%" in page.text
    assert "SP, costs per side fee 0.05%, slippage 0.01%" in page.text
    assert "of EURUSD (1,566 bars from 2017-09-29" in page.text
    assert "of SP (315 bars from 2017-09-29)" in page.text


def test_the_objectives_are_named_and_pooled_figures_stand_first(wide: Campaign, page: Page) -> None:
    assert "highest cagr and lowest drawdown (minimum over instruments), no limits" in page.text
    best = wide.champion_records()[0]
    assert "minimum over instruments" in page.cells
    pooled = [shown(name, best["objectives"][name]) for name in ("cagr", "max_drawdown")]
    assert f"{shown('cagr', best['value'])} first champion's cagr (minimum), in-sample" in page.text
    assert any(page.cells[i : i + 2] == pooled for i in range(len(page.cells)))


def test_the_pareto_front_has_a_point_for_everybody_on_it(wide: Campaign, page: Page) -> None:
    points = [(float(x), float(y)) for trace in page.chart("pareto") for x, y in zip(trace["x"], trace["y"], strict=True)]
    front = wide.front()
    expected = sorted(zip(front["cagr"].to_list(), front["max_drawdown"].to_list(), strict=True))
    assert len(points) == len(expected) > 0
    assert sorted(points) == [pytest.approx(pair, rel=1e-6) for pair in expected]


def test_each_objective_converges_on_a_chart_of_its_own_beside_the_hypervolume(page: Page) -> None:
    drawn = chart_names(page.source)
    assert {"convergence-cagr", "convergence-max_drawdown", "hypervolume", "diversity"} <= set(drawn)


def test_the_first_champion_is_drawn_on_each_instrument(wide: Campaign, page: Page) -> None:
    assert list(accounts_of(wide, 1, revealed=True)[0]) == ["EURUSD", "SP"]
    assert {"growth-0", "growth-1"} <= set(chart_names(page.source))


def test_the_spec_on_the_page_repeats_the_campaign(wide: Campaign, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(spec_text(wide.spec))
    again = Campaign.create(tmp_path / "spec.toml", tmp_path / "again")
    again.run("inline")
    assert again.digest() == wide.digest()
    assert isl.Campaign.open(tmp_path / "again").champions().equals(wide.champions())
