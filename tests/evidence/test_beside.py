"""What stands beside a verdict: each number is that of `isl.statistics` on the champions' returns, and none comes early."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from worlds import tiny, tiny_bars, tiny_market

import islands as isl
from islands.archipelago import ledger
from islands.archipelago.tally import Tally
from islands.evidence import beside
from islands.evidence.beside import BLOCKS, CONFIDENCE, DRAWS, Note
from islands.evolution.world import costs_of

statistics = isl.statistics
CUT = 1_200  # the first held-back bar of the tiny bars


@pytest.fixture(scope="module")
def found(finished: isl.Campaign) -> beside.Beside:
    stands = finished.beside_verdicts()
    assert stands is not None
    return stands


def named(notes: tuple[Note, ...], name: str) -> Note:
    (note,) = [note for note in notes if note.name == name]
    return note


def parts_of(campaign: isl.Campaign) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Of each champion the returns on the bars of evolution, those held back, and its mean exposure on these."""
    parts = []
    for _, runs in campaign.replays(99):
        seen, held = runs["bars"]
        assert held is not None
        exposure = np.mean(held.units[CUT:] * tiny_bars().close[CUT:] / held.equity[CUT:])
        parts.append((seen.returns[campaign.world.warmup :], held.returns[CUT:], float(exposure)))
    return parts


@pytest.mark.slow
def test_intervals_are_those_of_the_statistics_on_a_champions_returns(finished: isl.Campaign, found: beside.Beside) -> None:
    assert len(found.champions) == len(finished.verdicts()) == 5
    pace = tiny_bars().periods_per_year
    for (seen, held, _), notes, row in zip(parts_of(finished), found.champions, finished.champion_records(), strict=True):
        for name, returns, figures in (("evolution", seen, row["metrics"]), ("held back", held, row["held_back"])):
            note = named(notes, name)
            expected = statistics.bootstrap_intervals(returns, seed=7, confidence=CONFIDENCE, replications=DRAWS)
            assert note.figures["sharpe_low"] == pytest.approx(expected.sharpe.low * math.sqrt(pace), rel=1e-12)
            assert note.figures["sharpe_high"] == pytest.approx(expected.sharpe.high * math.sqrt(pace), rel=1e-12)
            assert (note.figures["max_drawdown_low"], note.figures["max_drawdown_high"]) == expected.max_drawdown
            assert note.figures["block"] == statistics.optimal_block(returns)
            assert note.figures["sharpe"] == pytest.approx(figures["sharpe"], rel=1e-9)
            assert note.figures["max_drawdown"] == pytest.approx(figures["max_drawdown"], rel=1e-9)
            assert f"from {note.figures['sharpe_low']:.2f} to {note.figures['sharpe_high']:.2f}" in note.sentence
            assert ("luck of being chosen" in note.sentence) == (name == "evolution")


def test_overfitting_is_that_of_choosing_among_all_trials_and_champions(finished: isl.Campaign, found: beside.Beside) -> None:
    """Of a small campaign the sample is every distinct trial of the ledger."""
    world, seen = finished.world, isl.Bars("seen", tiny_bars().tape.head(CUT))

    def returns(strategy: isl.Strategy) -> np.ndarray:
        run = isl.backtest(seen, strategy, costs_of(finished.spec.costs), score_from=world.warmup)
        return run.returns[world.warmup :]

    tried = finished.tried()
    rows = [part.trials.deme for part in ledger.segments(finished._journal)]
    genomes = {(int(f), g.tobytes()): (int(f), g) for deme in rows for f, g in zip(deme.families, deme.genomes, strict=True)}
    assert len(genomes) == tried.distinct == len(tried.sample)
    every = [returns(world.strategy(index, genome)) for index, genome in genomes.values()]
    columns = {series.tobytes(): series for series in every if series.std() > 0.0}
    together = {**columns, **{series.tobytes(): series for series, _, _ in parts_of(finished)}}
    alone = [series for index, genome in tried.founders if (series := returns(world.strategy(index, genome))).std() > 0.0]
    assert 20 < len(alone) <= 36 < len(columns)
    note = named(found.search, "overfitting")
    assert note.figures["strategies"] == len(together) and note.figures["trials"] == len(columns)
    assert note.figures["founders"] == len(alone)
    assert note.figures["pbo"] == statistics.pbo(np.column_stack(list(together.values())), BLOCKS)
    assert note.figures["pbo_founders"] == statistics.pbo(np.column_stack(alone), BLOCKS)
    assert note.figures["splits"] == math.comb(BLOCKS, BLOCKS // 2)
    assert f"in {note.figures['pbo']:.0%} of them" in note.sentence
    assert f"({len(columns)} that trade" in note.sentence and f"of the {tried.distinct} trials" in note.sentence


def test_superior_is_hansens_test_on_the_held_back_bars_and_its_steps(finished: isl.Campaign, found: beside.Beside) -> None:
    parts, close = parts_of(finished), tiny_bars().close
    own = np.column_stack([held for _, held, _ in parts])
    market = close[CUT:] / close[CUT - 1 : -1] - 1.0
    steady = np.column_stack([exposure * market for _, _, exposure in parts])
    whole = named(found.search, "superior").figures
    assert whole["p_flat"] == statistics.spa(own, seed=7).consistent
    assert whole["p_holding"] == statistics.spa(own, steady, seed=7).consistent
    each = [named(notes, "superior").figures for notes in found.champions]
    assert [figures["p_flat"] for figures in each] == statistics.stepwise_spa(own, seed=7).tolist()
    assert [figures["p_holding"] for figures in each] == statistics.stepwise_spa(own, steady, seed=7).tolist()
    assert whole["draws"] == 1_000


@pytest.mark.slow
def test_the_same_campaign_elsewhere_has_the_same_diagnostics(
    finished: isl.Campaign, found: beside.Beside, make: Callable[..., isl.Campaign]
) -> None:
    again = make()
    again.run("inline", epochs=1)
    again.run("inline")
    assert again.beside_verdicts() == found == finished.beside_verdicts()


@pytest.mark.slow
def test_nothing_stands_beside_before_the_end_and_after_an_extension(make: Callable[..., isl.Campaign]) -> None:
    campaign = make()
    campaign.run("inline", epochs=2)
    assert campaign.beside_verdicts() is None
    campaign.run("inline")
    assert campaign.beside_verdicts() is not None
    campaign.extend(4)
    assert campaign.beside_verdicts() is None


@pytest.mark.slow
def test_held_back_bars_are_looked_at_only_where_they_were_opened(
    finished: isl.Campaign, found: beside.Beside, make: Callable[..., isl.Campaign]
) -> None:
    closed = beside.beside(finished.world, finished.proposed(), finished.tried(), None)
    assert [note.name for note in closed.search] == ["overfitting"]
    assert [[note.name for note in notes] for notes in closed.champions] == [["evolution"]] * 5
    assert closed.search[0] == found.search[0]
    assert [notes[0] for notes in closed.champions] == [notes[0] for notes in found.champions]

    without = make({"bars.held_back": 0.0})
    without.run("inline")
    stands = without.beside_verdicts()
    assert stands is not None and {note.name for notes in stands.champions for note in notes} == {"evolution"}
    assert not any("held-back" in note.sentence for notes in (stands.search, *stands.champions) for note in notes)


def test_verdicts_are_the_same_with_and_without(finished: isl.Campaign) -> None:
    before, file = finished.verdicts(), {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    finished.beside_verdicts()
    assert finished.verdicts() == before
    assert {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()} == file


def test_many_bars_are_drawn_less_often_and_for_the_first_champions_alone(
    finished: isl.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    length = CUT - finished.world.warmup
    for budget, draws, who in ((5 * 200 * length, 200, 5), (3 * 100 * length, 100, 3), (1, 100, 1)):
        monkeypatch.setattr(beside, "DRAWN", budget)
        stands = beside.beside(finished.world, finished.proposed(), Tally(0, 0, 0, ()), None)
        assert [len(notes) for notes in stands.champions] == [1] * who + [0] * (5 - who)
        assert {note.figures["draws"] for notes in stands.champions for note in notes} == {draws}
        assert stands.search == ()  # without founders nothing is said of choosing among them


@pytest.mark.slow
def test_of_several_instruments_the_pooled_account_is_resampled(tmp_path: Path) -> None:
    campaign = isl.Campaign.create(
        tiny({"instruments": {"A": {}, "B": {}}, "champions": 2}),
        tmp_path / "run",
        bars={"A": tiny_market(0), "B": tiny_market(1)},
    )
    campaign.run("inline")
    stands = campaign.beside_verdicts()
    assert stands is not None
    counts = {market.name: len(market.tape) for market in campaign.world.markets}
    total: dict[int, float] = {}
    for name, (_, held) in campaign.replays(1)[0][1].items():
        first, stamps = counts[name], campaign.instruments[name].timestamps
        assert held is not None
        for at, value in zip(stamps[first:].tolist(), held.returns[first:].tolist(), strict=True):
            total[at] = total.get(at, 0.0) + value / 2.0
    pooled = np.array([total[at] for at in sorted(total)])
    expected = statistics.bootstrap_intervals(pooled, seed=7, confidence=CONFIDENCE, replications=DRAWS)
    note = named(stands.champions[0], "held back")
    assert note.figures["max_drawdown_high"] == pytest.approx(expected.max_drawdown.high, rel=1e-9)
    assert note.figures["sharpe_low"] < note.figures["sharpe"] < note.figures["sharpe_high"]


@pytest.mark.slow
def test_a_champion_that_raises_on_the_held_back_bars_leaves_the_tests_of_the_others(make: Callable[..., isl.Campaign]) -> None:
    campaign = make(
        {
            "bars.held_back": 0.4,
            "families": [{"name": "failing_families:raising", "genes": {"lag": [6, 8]}}],
            "champions": 3,
        }
    )
    campaign.run("inline")
    lags = [row["genes"]["lag"] for row in campaign.champion_records()]
    assert sorted(lags) == [6, 7, 8]
    stands = campaign.beside_verdicts()
    assert stands is not None
    for lag, notes in zip(lags, stands.champions, strict=True):
        assert [note.name for note in notes] == (["evolution"] if lag == 7 else ["evolution", "held back", "superior"])
    assert "2 champions" in named(stands.search, "superior").sentence
