"""What evolution may not see, what champions are worth there, and what a campaign tells of itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from islands.kernels.metrics import METRICS
from worlds import play, tiny_bars, tiny_world

import islands as isl
from islands.errors import SpecError
from islands.evolution.world import costs_of
from islands.market.bars import Bars
from islands.market.instants import instant_text
from islands.market.tape import Tape

# What evolution may not see


def held_back_altered() -> Bars:
    """The tiny bars with another end: the same bars of evolution, every held-back bar another."""
    frame, others = tiny_bars().to_polars(), isl.synthetic("gbm", bars=1_500, seed=9).to_polars()
    scale = frame["close"][1_199] / others["open"][1_200]
    prices = [pl.col(name) * scale for name in ("open", "high", "low", "close")]
    return isl.Bars.from_polars(frame.head(1_200).vstack(others.tail(300).with_columns(prices)), name="altered")


def test_held_back_bars_reach_nothing_before_the_end(make: Callable[..., isl.Campaign]) -> None:
    one, other = make(), make(bars=held_back_altered())
    assert one.bars.fingerprint != other.bars.fingerprint
    assert one.world.markets[0].tape.fingerprint == other.world.markets[0].tape.fingerprint
    for campaign in (one, other):
        campaign.run("inline", epochs=2)
    assert one.digest() == other.digest()
    assert one.history().equals(other.history())
    assert one.trials().equals(other.trials())
    assert one.status().islands.equals(other.status().islands)
    assert one.champions().equals(other.champions())
    np.testing.assert_equal(one.champion_records(), other.champion_records())
    assert not any("held_back" in name for name in one.champions().columns)

    for campaign in (one, other):
        campaign.run("inline")
    assert one.digest() == other.digest()
    assert one.history().equals(other.history())
    seen = [name for name in one.champions().columns if not name.startswith("held_back") and name != "verdict"]
    assert one.champions().select(seen).equals(other.champions().select(seen))
    assert not one.champions()["held_back_total_return"].equals(other.champions()["held_back_total_return"])


@pytest.mark.slow
def test_of_a_champion_that_does_not_trade_there_no_figure_is_said(make: Callable[..., isl.Campaign]) -> None:
    """Prices that only fall from before the held-back bars on, and rules that are long or flat."""
    block = np.array(tiny_bars().tape.block)
    block[1:5, 1_100:] = block[4, 1_099] * 0.998 ** np.arange(block.shape[1] - 1_100)
    families = [{"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60], "direction": "long"}}]
    campaign = make({"champions": 2, "families": families}, bars=Bars("falling", Tape(block)))
    campaign.run("inline")
    assert [row["held_back"]["trades"] for row in campaign.champion_records()] == [0.0, 0.0]
    for verdict in campaign.verdicts():
        assert verdict.word == "no evidence"
        assert [claim.passed for claim in verdict.claims[1:3]] == [False, False]
        assert verdict.claims[1].sentence.startswith("It did not trade on the held-back bars, so that no Sharpe ratio")
    stands = campaign.beside_verdicts()
    assert stands is not None
    assert [note.name for note in stands.search] == ["overfitting"]
    assert [[note.name for note in notes] for notes in stands.champions] == [["evolution"], ["evolution"]]
    page = campaign.report().read_text()
    assert "It did not trade on the held-back bars" in page and "is nan" not in page and "nan%" not in page


def strategies_of(campaign: isl.Campaign) -> list[isl.Strategy]:
    return [isl.Strategy(record["family"], **record["genes"]) for record in campaign.champion_records()]


def test_held_back_figures_are_the_backtest_from_the_first_held_back_bar(finished: isl.Campaign) -> None:
    rows = finished.champion_records()
    assert len(rows) == 5
    for row, strategy in zip(rows, strategies_of(finished), strict=True):
        expected = isl.backtest(tiny_bars(), strategy, costs_of(finished.spec.costs), score_from=1_200).metrics
        np.testing.assert_equal(row["held_back"], expected)


def test_champions_are_scored_on_the_bars_of_evolution_from_the_common_first_bar(finished: isl.Campaign) -> None:
    seen = Bars("seen", tiny_bars().tape.head(1_200))
    for row, strategy in zip(finished.champion_records(), strategies_of(finished), strict=True):
        expected = isl.backtest(seen, strategy, costs_of(finished.spec.costs), score_from=finished.world.warmup).metrics
        np.testing.assert_equal(row["metrics"], expected)
        assert row["value"] == expected["sharpe"]


def test_champions_are_the_best_trials_of_the_campaign_that_differ(finished: isl.Campaign) -> None:
    best = (
        finished.trials()
        .filter(pl.col("violation") == 0.0)
        .unique(["family", "genome"], keep="first", maintain_order=True)
        .sort("value", descending=True, maintain_order=True)
    )
    champions = finished.champions()
    assert champions["rank"].to_list() == [1, 2, 3, 4, 5]
    assert champions["value"].to_list() == best["value"].unique(maintain_order=True).head(5).to_list()
    assert set(champions["genes"]) <= set(best["genome"])


def test_table_of_champions_has_a_column_for_each_figure(finished: isl.Campaign) -> None:
    assert finished.champions().columns == [
        "rank",
        "family",
        "genes",
        "born",
        "value",
        *METRICS,
        *(f"held_back_{name}" for name in METRICS),
        "verdict",
    ]


def test_campaign_without_anyone_feasible_has_no_champions(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({"limits.min_trades": 10_000})
    assert campaign.run("inline").finished
    assert len(campaign.champions()) == 0


def test_campaign_that_holds_nothing_back_has_no_such_figures(make: Callable[..., isl.Campaign]) -> None:
    campaign = make({"bars.held_back": 0.0})
    campaign.run("inline")
    assert campaign.champions().columns == ["rank", "family", "genes", "born", "value", *METRICS, "verdict"]
    assert [held_back for _, runs in campaign.replays(2) for _, held_back in runs.values()] == [None, None]


@pytest.mark.parametrize(("share", "bars"), [(1e-4, 0), (1e-3, 2), (6e-3, 9)])
def test_too_few_bars_to_judge_by_are_refused_before_anything_runs(
    share: float, bars: int, make: Callable[..., isl.Campaign]
) -> None:
    with pytest.raises(
        SpecError, match=rf"bars\.held_back = {share!r}: holds {bars} bars back, of 1,500; .* 10 at least: hold"
    ):
        make({"bars.held_back": share})


def test_the_same_of_an_instant(make: Callable[..., isl.Campaign]) -> None:
    last = instant_text(int(tiny_bars().timestamps[-1])).removesuffix(" UTC")
    with pytest.raises(SpecError, match=rf"bars\.held_back_from = '{last}': holds 1 bars back"):
        make({"bars": {"held_back_from": last}})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["max_drawdown", "volatility"])
def test_of_a_champion_that_never_trades_no_figure_is_said(name: str, make: Callable[..., isl.Campaign]) -> None:
    """Nothing is as calm as an account that stays flat."""
    families = [{"name": "momentum", "genes": {"lookback": [2, 20], "band": [0.0, 0.5], "direction": "long"}}]
    changes = {"objective": {"name": name, "goal": "min"}, "families": families, "champions": 1}
    campaign = make(changes)
    campaign.run("inline")
    assert campaign.champion_records()[0]["metrics"]["trades"] == 0.0
    verdict = campaign.verdicts()[0]
    assert verdict.word == "no evidence" and not any("nan" in claim.sentence for claim in verdict.claims)
    page = campaign.report().read_text()
    assert "so that no Sharpe ratio is defined there" in page and "is nan" not in page and "nan%" not in page


def test_extended_campaign_shows_no_held_back_figures_until_it_has_finished_again(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline")
    campaign.extend(5)
    for epochs in (0, 1):
        if epochs:
            campaign.run("inline", epochs=epochs)
        assert "held_back_sharpe" not in campaign.champions().columns
        assert campaign.replays(1)[0][1]["bars"][1] is None
    campaign.run("inline")
    assert "held_back_sharpe" in campaign.champions().columns


def test_replays_agree_with_the_figures(finished: isl.Campaign) -> None:
    for champion, runs in finished.replays(3):
        ((seen, held_back),) = runs.values()
        row = finished.champion_records()[champion.rank - 1]
        np.testing.assert_equal(seen.metrics, row["metrics"])
        np.testing.assert_equal(held_back.metrics, row["held_back"])
        assert (len(seen.equity), len(held_back.equity)) == (1_200, 1_500)


# Asking


def test_history_has_a_row_for_each_generation_of_each_island(finished: isl.Campaign) -> None:
    history = finished.history()
    assert len(history) == 3 * 7
    assert history.columns == [
        *("epoch", "island", "generation", "best", "median", "diversity", "feasible", "trials"),
        *("stagnant", "stagnation_rule"),
    ]
    best = history.filter(pl.col("island") == 0)["best"].to_list()
    assert best == sorted(best)  # survival of the best of parents and children


def test_trials_are_counted_once_a_step(finished: isl.Campaign) -> None:
    trials = finished.trials()
    assert len(trials.unique(["epoch", "island", "family", "genome"])) == len(trials)
    accepted = finished.migrations().filter(pl.col("outcome") == "accepted")
    assert len(trials) == finished.history()["trials"].sum() + len(accepted)
    assert len(trials) == sum(len(a.trials) for c in play(tiny_world(), 3) for a in c.answers)
