"""The HTML report: what it says, what it never says, and that it needs nothing else."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pages import Page, chart_names
from plotly.offline import get_plotlyjs

from islands.campaign import Campaign
from islands.desk.accounts import calendar
from islands.desk.canvas import POINTS_A_LINE, thinned
from islands.desk.figures import shown
from islands.desk.report import HELD_BACK_FIGURES, accounts_of, write_report
from islands.desk.toml import spec_text
from islands.errors import InputError
from islands.evidence.champions import held_back_figures, select_champions
from islands.market.sample import sample
from islands.market.synthetic import synthetic
from islands.spec import ONLY, CampaignSpec

HOSTILE = "<script>alert('name')</script>"


def make_spec(**changes: Any) -> CampaignSpec:
    values: dict[str, Any] = {
        "name": "first steps",
        "bars": {"path": "sample:sp500"},
        "costs": {"fee": 5e-4, "slippage": 1e-4},
        "families": [{"name": "sma_trend"}, {"name": "rsi_mean_reversion"}],
        "limits": {"min_trades": 10},
        "evolution": {"population": 20, "epochs": 2, "generations_per_epoch": 3},
        "archipelago": {"islands": 3},
    }
    return CampaignSpec(**(values | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(make_spec(), tmp_path_factory.mktemp("report") / "finished")
    assert campaign.run("inline").finished
    return campaign


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(make_spec(), tmp_path_factory.mktemp("report") / "unfinished")
    assert not campaign.run("inline", epochs=1).finished
    return campaign


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return Campaign.create(make_spec(), tmp_path_factory.mktemp("report") / "fresh")


@pytest.fixture(scope="module")
def finished_page(finished: Campaign) -> Page:
    path = finished.report()
    assert path == finished.path / "report.html"
    return Page(path)


@pytest.fixture(scope="module")
def unfinished_page(unfinished: Campaign) -> Page:
    return Page(unfinished.report())


def _held_back_cells(figures: dict[str, float]) -> list[str]:
    return [shown(name, figures[name]) for name in HELD_BACK_FIGURES]


def _has_run(cells: list[str], run: list[str]) -> bool:
    return any(cells[i : i + len(run)] == run for i in range(len(cells)))


def _last_drawn(page: Page) -> int:
    return max(int(line["x"].max()) for line in page.chart("growth"))


@pytest.mark.slow
def test_the_report_lies_in_the_campaigns_folder_unless_told_otherwise(
    finished_page: Page, fresh: Campaign, tmp_path: Path
) -> None:
    assert finished_page.source
    assert fresh.report(tmp_path / "deep" / "page.html").is_file()
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_a_folder_in_the_reports_place_is_refused(fresh: Campaign, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_report(fresh, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_page_loads_nothing_and_holds_plotly_once(finished_page: Page) -> None:
    targets = [a[name] or "" for _, a in finished_page.tags for name in ("src", "href", "data", "action") if name in a]
    assert targets and all(target.startswith("#") for target in targets)
    assert finished_page.source.count("* plotly.js v") == 1
    policy = [a["content"] for tag, a in finished_page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy and (policy[0] or "").startswith("default-src 'none';")


def test_no_button_sends_a_chart_to_a_server(finished_page: Page) -> None:
    own = finished_page.source.replace(get_plotlyjs(), "")
    charts = len(chart_names(own))
    assert charts > 5
    assert own.count('"showSendToCloud": false') == charts
    assert "plotlyServerURL" not in own
    assert own.count('"modeBarButtons": [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]]') == charts


def test_trials_are_counted_once_each(finished: Campaign, finished_page: Page) -> None:
    trials = finished.trials()
    distinct = set(zip(trials["family"], trials["genome"], strict=True))
    assert 0 < len(distinct) < len(trials)
    said = (
        f"{len(distinct):,} distinct strategies were tried (some on several islands or again later: {len(trials):,} scorings)."
    )
    assert said in finished_page.text


@pytest.mark.slow
def test_the_champions_figures_are_called_in_sample(finished_page: Page, unfinished_page: Page) -> None:
    for page in (finished_page, unfinished_page):
        assert "figures are in-sample : they were reached on the bars of evolution (" in page.text


def test_a_finished_campaign_says_what_was_held_back_and_shows_its_figures(finished: Campaign, finished_page: Page) -> None:
    assert (
        "The last 20% of the bars (1,006 bars from 2015-01-02) were held back: evolution never saw them" in finished_page.text
    )
    records = finished.champion_records()
    assert records
    for record in records:
        assert _has_run(finished_page.cells, _held_back_cells(record["held_back"]))
    assert _last_drawn(finished_page) == int(finished.bars.timestamps[-1]) // 1000
    assert '"text":"held back"' in finished_page.source


def test_an_unfinished_campaign_shows_nothing_of_the_held_back_bars(unfinished: Campaign, unfinished_page: Page) -> None:
    assert "are held back and stay sealed until the campaign finishes; nothing here looks at them." in unfinished_page.text
    world = unfinished.world
    champions = select_champions(world, unfinished.position().states)
    would_be = held_back_figures(world, champions, unfinished.instruments)
    assert champions
    for figures in (by_instrument[ONLY] for by_instrument in would_be):
        assert not _has_run(unfinished_page.cells, _held_back_cells(figures))
        for value in (figures["sharpe"], figures["total_return"]):
            assert f"{value:.6g}"[:7] not in unfinished_page.source
    assert "held back" not in unfinished_page.cells
    assert _last_drawn(unfinished_page) == int(unfinished.bars.timestamps[len(world.markets[0].tape) - 1]) // 1000
    assert '"text":"held back"' not in unfinished_page.source


@pytest.mark.slow
def test_an_extended_campaign_hides_the_figures_again_and_says_that_they_were_opened(tmp_path: Path) -> None:
    campaign = Campaign.create(make_spec(), tmp_path / "extended")
    campaign.run("inline")
    records = campaign.champion_records()
    campaign.extend(3)
    campaign = Campaign.open(tmp_path / "extended")
    page = Page(campaign.report())
    assert "They were opened before, after epoch 2, and the campaign was extended since" in page.text
    assert not any(_has_run(page.cells, _held_back_cells(record["held_back"])) for record in records)
    assert _last_drawn(page) == int(campaign.bars.timestamps[len(campaign.world.markets[0].tape) - 1]) // 1000
    campaign.run("inline")
    again = Page(campaign.report())
    assert "Before the campaign was extended, they had been opened after epoch 2." in again.text
    assert "held back" in again.cells


def test_the_held_back_curve_goes_on_from_where_the_first_run_ended(finished: Campaign, finished_page: Page) -> None:
    champion, runs = finished.replays(1)[0]
    seen, held = runs[ONLY]
    assert held is not None
    name = f"1 {champion.strategy.family.name}"
    first, second = [t for t in finished_page.chart("growth") if (t["name"], t["yaxis"]) == (name, "y")]
    cash = finished.spec.account.initial_cash
    assert first["y"][0] == 1.0
    assert first["y"][-1] == second["y"][0] == np.float32(seen.equity[-1] / cash)
    assert second["y"][-1] == np.float32(seen.equity[-1] / cash * (held.equity[-1] / cash))
    assert first["x"][-1] == second["x"][0]


def test_convergence_draws_every_island(finished: Campaign, finished_page: Page) -> None:
    lines = finished_page.chart("convergence")
    island = finished.history().filter(pl.col("island") == 1)
    assert [line["name"] for line in lines] == [f"island {i}" for i in range(3) for _ in ("best", "median")]
    assert lines[2]["y"].tolist() == island["best"].cast(pl.Float32).to_list()
    assert lines[3]["y"].tolist() == island["median"].cast(pl.Float32).to_list()
    assert len(finished_page.chart("diversity")) == 3


def test_migration_is_summed_by_edge(finished: Campaign, finished_page: Page) -> None:
    arrivals = finished.migrations()
    edge = arrivals.filter((pl.col("source") == 0) & (pl.col("target") == 1))
    counts = [len(edge), *(edge["outcome"].eq(o).sum() for o in ("accepted", "already there"))]
    assert len(edge) > 0
    assert _has_run(finished_page.cells, ["0 → 1", *map(str, counts)])
    arrows = [trace["hovertemplate"] for trace in finished_page.chart("migration") if trace["mode"] == "lines+markers"]
    words = f"sent {counts[0]}<br>accepted {counts[1]}<br>already there {counts[2]}<br>survived {edge['survived'].sum()}"
    assert f"<b>0 → 1</b><br>{words}<extra></extra>" in arrows


def test_the_contents_lead_to_every_section(finished_page: Page, unfinished_page: Page) -> None:
    for page in (finished_page, unfinished_page):
        anchors = [a["id"] for tag, a in page.tags if tag == "h2"]
        assert [a["href"] for tag, a in page.tags if tag == "a"] == [f"#{anchor}" for anchor in anchors]
        assert anchors[anchors.index("champions") :][:3] == ["champions", "growth", "calendars"] and anchors[-1] == "repeat"
        assert not set(anchors) & {f"chart-{name}" for name in chart_names(page.source)}


def test_the_first_numbers_set_the_held_back_figure_beside_the_one_that_was_searched(
    finished: Campaign, finished_page: Page, unfinished_page: Page
) -> None:
    best = finished.champion_records()[0]
    assert f"{shown('sharpe', best['value'])} first champion's Sharpe, in-sample" in finished_page.text
    assert f"{shown('sharpe', best['held_back']['sharpe'])} its Sharpe on the held-back bars" in finished_page.text
    assert "on the held-back bars" not in unfinished_page.text


def test_months_multiply_to_what_the_champion_earned(finished: Campaign, finished_page: Page) -> None:
    seen, held = finished.replays(1)[0][1][ONLY]
    assert held is not None
    first = finished.world.warmup
    by_year = calendar(accounts_of(finished, 1, revealed=True)[0][finished.bars.name]).rows
    earned = np.prod(1.0 + seen.returns[first:]) * np.prod(1.0 + held.returns[len(finished.world.markets[0].tape) :])
    assert np.prod([1.0 + total.value for _, _, total in by_year]) == pytest.approx(earned, rel=1e-12)
    year = next(row for row in by_year if row[0] == "2010")
    assert _has_run(
        finished_page.cells,
        ["2010", *(f"{round(100 * c.value, 1) + 0.0:.1f}" for c in year[1] if c), f"{round(100 * year[2].value, 1) + 0.0:.1f}"],
    )


def test_an_unfinished_campaign_has_no_month_and_no_trade_of_the_held_back_bars(unfinished_page: Page) -> None:
    assert not {a.get("class") for tag, a in unfinished_page.tags if tag == "td"} & {" later", " partly", "total later"}
    assert "bars of evolution" in unfinished_page.cells and "2014" in unfinished_page.cells
    assert "2015" not in unfinished_page.cells


def test_every_searched_gene_of_a_family_that_is_left_has_its_distribution(finished: Campaign, finished_page: Page) -> None:
    held = np.concatenate([state.deme.families for state in finished.position().states])
    for index, space in enumerate(finished.world.spaces):
        names = [f"gene-{space.family.name}-{gene.name}" for gene in space.genes]
        if index in held:
            assert {sum(finished_page.chart(name)[0]["y"]) for name in names} == {np.sum(held == index)}
        else:
            assert not any(f"chart-{name}" in finished_page.source for name in names)


@pytest.mark.slow
def test_hostile_names_stay_text(tmp_path: Path) -> None:
    bars = sample("sp500")
    hostile = type(bars)("<img src=x onerror=alert(2)>", bars.tape)
    campaign = Campaign.create(make_spec(name=HOSTILE), tmp_path / "a 'quoted' <b>folder</b>", hostile)
    campaign.run("inline")
    page = Page(campaign.report())
    tags = [tag for tag, _ in page.tags]
    assert HOSTILE in page.text and "<img src=x onerror=alert(2)>" in page.text
    assert HOSTILE not in page.source
    assert "img" not in tags and "b" not in tags
    assert tags.count("script") == 2 + len(chart_names(page.source))  # plotly.js, the page's own, and one a chart


def test_a_campaign_without_a_commit_has_a_page(fresh: Campaign) -> None:
    page = Page(fresh.report())
    assert "No strategy has been tried yet." in page.text
    assert "None yet: the campaign has no commit." in page.text
    assert "newPlot(" not in page.source.replace(get_plotlyjs(), "")


def test_a_campaign_without_a_feasible_champion_has_a_page(tmp_path: Path) -> None:
    campaign = Campaign.create(make_spec(limits={"min_trades": 1_000_000}), tmp_path / "infeasible")
    campaign.run("inline")
    page = Page(campaign.report())
    assert "No champion: no strategy tried so far kept within the limits" in page.text
    assert "there was no champion to score there" in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.slow
def test_a_campaign_that_holds_nothing_back_says_so(tmp_path: Path) -> None:
    campaign = Campaign.create(make_spec(bars={"path": "sample:sp500", "held_back": 0.0}), tmp_path / "all")
    campaign.run("inline")
    page = Page(campaign.report())
    assert "No bars were held back" in page.text
    assert _last_drawn(page) == int(campaign.bars.timestamps[-1]) // 1000


@pytest.mark.slow
def test_a_long_series_gives_a_small_page(tmp_path: Path) -> None:
    bars = synthetic("planted", bars=200_000, seed=3)
    spec = make_spec(evolution={"population": 10, "epochs": 1, "generations_per_epoch": 1})
    campaign = Campaign.create(spec, tmp_path / "long", bars)
    campaign.run("inline")
    page = Page(campaign.report())
    assert page.chart("growth")
    assert max(len(line["x"]) for line in page.chart("growth")) <= POINTS_A_LINE
    assert page.own_size < 800_000


def test_thinning_keeps_both_ends_and_every_extreme() -> None:
    values = np.cumsum(np.random.default_rng(5).normal(size=100_001))
    rows = thinned(values, 500)
    assert len(rows) <= 500 and np.all(np.diff(rows) > 0)
    assert (rows[0], rows[-1]) == (0, 100_000)
    assert (values[rows].min(), values[rows].max()) == (values.min(), values.max())


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501])
def test_a_short_series_is_thinned_little_or_not_at_all(count: int) -> None:
    rows = thinned(np.linspace(0.0, 1.0, count), 500)
    assert len(rows) <= 500
    assert rows.tolist() == list(range(count)) if count <= 500 else rows[-1] == count - 1


def test_thinning_bears_series_without_values() -> None:
    assert thinned(np.full(1000, np.nan), 100).tolist() == [0, 999]


def test_the_spec_on_the_page_is_the_campaigns(finished: Campaign, finished_page: Page) -> None:
    assert spec_text(finished.spec) in "".join(finished_page.words)


def test_a_spec_written_as_toml_reads_as_the_same_spec() -> None:
    spec = make_spec(
        name='quotes " \\ tab \t é \x7f',
        families=[
            {"name": "ema_crossover", "genes": {"band": {"low": 1e-4, "high": 0.01, "log": True}, "fast": [3, 20]}},
            {"name": "sma_trend", "genes": {"direction": ["long", "both"], "slow": 50}},
        ],
        archipelago={"islands": [["ema_crossover"], ["sma_trend", "ema_crossover"]]},
        initial=[{"family": "sma_trend", "fast": 10, "slow": 50}],
        bars={"path": "a b.csv", "columns": {"close": "Close, adj."}},
    )
    assert CampaignSpec.parse(tomllib.loads(spec_text(spec))) == spec
