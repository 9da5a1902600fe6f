"""What each champion hangs on, as a person sees it: on each instrument by itself, and nothing of held-back bars."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import Page
from worlds import tiny, tiny_bars, tiny_market

import islands as isl
from islands.desk import robustness
from islands.desk.figures import shown
from islands.desk.robustness import CHAMPIONS, FIGURES, MOST, hangs_on, on_each
from islands.evidence.robustness import Setting, cost_sweep, lag_sweep
from islands.evolution.world import costs_of

DEARER = {"costs": {"fee": 1e-3, "slippage": 5e-5}}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """Two instruments of different costs; every island but the last is scored on the second alone."""
    changes = {
        "instruments": {"A": {}, "B": DEARER},
        "archipelago.islands": [{"instruments": ["B"]}, {"instruments": ["B"]}, {}],
        "champions": 2,
    }
    bars = {"A": tiny_market(0), "B": tiny_market(1)}
    campaign = isl.Campaign.create(tiny(changes), tmp_path_factory.mktemp("two") / "run", bars=bars)
    assert campaign.run("inline").finished
    return campaign


def test_each_instrument_is_shaken_by_itself_on_its_own_terms(two: isl.Campaign) -> None:
    champion = two.proposed()[0]
    found = hangs_on(two.world, champion.strategy)
    assert [it.instrument for it in found] == ["A", "B"]
    for market, it in zip(two.world.markets, found, strict=True):
        bars = isl.Bars(market.name, market.tape)
        costs = costs_of(two.spec.costs_of(market.name))
        place = Setting(bars, costs, score_from=two.world.warmup)
        expected = [lag_sweep(place, champion.strategy)[lag] for lag in range(4)]
        swept = cost_sweep(place, champion.strategy).figures
        expected += [swept[bps] for bps in sorted(swept)]
        rows = [row for row in it.rows if row[0] in ("delay", "costs a side")]
        names = ("sharpe", "total_return", "trades")
        assert [row[2:] for row in rows] == [[shown(name, figures[name]) for name in names] for figures in expected]
        assert {row[0] for row in it.rows} >= {"part of the time", "volatility before"}
    assert found[0].rows[6][1] == "1.5 basis points" and found[1].rows[6][1] == "10.5 basis points"


def test_figures_on_each_instrument_say_whether_its_island_was_scored_there(two: isl.Campaign) -> None:
    for champion in two.proposed():
        first, second = on_each(two.world, champion)
        assert first[:2] == ["A", "scored" if champion.born[0] == 2 else "not scored"] and second[:2] == ["B", "scored"]
        for name, row in (("A", first), ("B", second)):
            assert row[2:] == [shown(figure, champion.figures[name][figure]) for figure in FIGURES]


@pytest.mark.slow
def test_the_page_has_both_instruments_for_each_champion(two: isl.Campaign, tmp_path: Path) -> None:
    page = Page(two.report(tmp_path / "report.html"))
    assert len(two.proposed()) == 2
    for champion in two.proposed():
        assert f"{champion.rank} {champion.strategy.family.name}" in page.text
        for row in on_each(two.world, champion):
            assert any(page.cells[i : i + len(row)] == row for i in range(len(page.cells)))
        for it in hangs_on(two.world, champion.strategy):
            assert f"{it.instrument}: {it.summary}" in page.text
            for row in it.rows:
                assert any(page.cells[i : i + len(row)] == row for i in range(len(page.cells)))


@pytest.mark.slow
def test_one_instrument_is_no_table_of_its_own(finished: isl.Campaign, tmp_path: Path) -> None:
    page = Page(finished.report(tmp_path / "report.html"))
    for champion in finished.proposed():
        assert on_each(finished.world, champion) == []
        (only,) = hangs_on(finished.world, champion.strategy)
        assert f"{champion.rank} {champion.strategy.family.name}: {only.summary}" in page.text
    assert "of each instrument by itself" not in page.text and "champions are shown" not in page.text


@pytest.mark.slow
def test_of_many_bars_the_first_champions_alone_are_shaken_and_the_page_says_so(
    finished: isl.Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = len(finished.proposed())
    assert count > 2 and robustness.shaken(finished.world) == CHAMPIONS
    monkeypatch.setattr(robustness, "BARS", 2 * len(finished.world.markets[0].tape))
    page = Page(finished.report(tmp_path / "report.html"))
    assert f"only the first 2 of {count} champions are shown" in page.text
    last = finished.proposed()[-1]
    assert f"{last.rank} {last.strategy.family.name}: {hangs_on(finished.world, last.strategy)[0].summary}" not in page.text
    monkeypatch.setattr(robustness, "BARS", 1)
    assert robustness.shaken(finished.world) == 1


@pytest.mark.slow
def test_of_many_instruments_the_first_are_shaken_and_the_page_says_so(tmp_path: Path) -> None:
    names = [f"I{number}" for number in range(MOST + 1)]
    changes = {"instruments": {name: {} for name in names}, "champions": 1, "evolution.epochs": 1}
    campaign = isl.Campaign.create(tiny(changes), tmp_path / "run", bars=dict.fromkeys(names, tiny_bars()))
    campaign.run("inline")
    champion = campaign.proposed()[0]
    assert [it.instrument for it in hangs_on(campaign.world, champion.strategy)] == names[:MOST]
    assert [row[0] for row in on_each(campaign.world, champion)] == names
    assert f"of each instrument by itself (of the first {MOST})" in Page(campaign.report()).text
