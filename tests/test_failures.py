"""A genome that can't be scored is infeasible, with its error and a file that runs it again; the campaign goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import failing_families
import numpy as np
import pytest
from command import ENVIRONMENT, islands
from islands.kernels import batch
from islands.kernels.metrics import METRICS
from worlds import links, play, reopened, tiny_bars, tiny_world

import islands as isl
from islands.archipelago import failures
from islands.errors import CorruptCampaign, InputError, StrategyError
from islands.evolution.failures import MOST, Failure, require_numbers, told

RAISING = {
    "families": [
        {"name": "failing_families:raising", "genes": {"lag": [5, 8]}},
        {"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60]}},
    ],
    "evolution.population": 24,
}
ERROR = "ValueError: no luck with this lag"


def lags(*values: int) -> np.ndarray:
    """Genomes of a family of one lag, in both directions."""
    return np.array([[float(lag), 2.0] for lag in values])


# What is infeasible


def test_a_genome_that_raises_is_infeasible_and_the_others_keep_their_scores() -> None:
    world = tiny_world(RAISING)
    market = world.markets[0]
    with told() as found:
        metrics = world.metrics(market, 0, lags(5, 7, 6, 7, 12))
    assert np.isnan(metrics[[1, 3]]).all()
    sound = batch.population_metrics(world.spaces[0].family.signal, market.tape, lags(5, 6, 12), market.terms)
    np.testing.assert_array_equal(metrics[[0, 2, 4]], sound)
    place = ("bars", len(market.tape), market.terms.first, ERROR, int(market.tape.timestamps[0]))
    assert found == [Failure(0, (7.0, 2.0), *place)] * 2
    scores = world.score([market], np.zeros(2, dtype=np.int64), world.pad(lags(7, 5)))
    assert np.isnan(scores[0, 0]) and scores[0, 1] == np.inf
    assert np.isfinite(scores[1]).all()


def test_a_step_that_raises_leaves_this_process_its_denormals() -> None:
    """It leaves the kernel in its midst, which counts them as 0: Python's own floats would be other ones from there on."""
    unlucky = isl.Strategy(failing_families.raising, lag=failing_families.UNLUCKY)
    with pytest.raises(StrategyError):
        isl.evaluate(tiny_bars(), [unlucky], isl.Costs())
    with pytest.raises(ValueError, match="no luck"):
        unlucky.positions(tiny_bars())
    assert float.fromhex("0x1p-1074") > 0.0


@pytest.mark.parametrize("size", [1, 2, 3, 17])
def test_it_depends_on_the_genome_alone_who_is_infeasible(size: int) -> None:
    world = tiny_world(RAISING)
    genomes = lags(*np.random.default_rng(size).integers(4, 13, 40).tolist())
    together = world.metrics(world.markets[0], 0, genomes)
    apart = np.vstack([world.metrics(world.markets[0], 0, genomes[i : i + size]) for i in range(0, len(genomes), size)])
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_array_equal(np.isnan(together).all(axis=1), genomes[:, 0] == failing_families.UNLUCKY)


def test_where_all_raise_all_are_infeasible_and_few_are_told_of() -> None:
    world = tiny_world(RAISING)
    with told() as found:
        assert np.isnan(world.metrics(world.markets[0], 0, lags(*[7] * (MOST + 20)))).all()
    assert len(found) == MOST


def test_an_undefined_objective_of_a_strategy_that_traded_is_told_of() -> None:
    """Of one that never traded it is the rule, and no news."""
    world = tiny_world({"objective": {"name": "profit_factor"}, "families": [{"name": "ema_crossover"}]})
    market = world.markets[0]
    genomes = np.array([[2.0, 10.0, 0.0, 2.0], [2.0, 10.0, 0.0, 2.0], [2.0, 10.0, 0.0, 2.0]])
    metrics = np.zeros((3, len(METRICS)))
    metrics[:, METRICS.index("trades")] = [0.0, 1.0, 2.0]
    metrics[:, METRICS.index("profit_factor")] = [np.nan, np.inf, 1.5]
    with told() as found:
        require_numbers(metrics, ["profit_factor"], market, 0, genomes)
    assert [failure.error for failure in found] == ["profit_factor is inf after 1 trade"]


@pytest.mark.parametrize("error", [MemoryError("none left"), OSError("no such device")])
def test_what_is_no_genomes_fault_makes_none_infeasible(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    world = tiny_world(RAISING)

    def broken(*arguments: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(batch, "population_metrics", broken)
    with pytest.raises(type(error), match=str(error)):
        world.metrics(world.markets[0], 0, lags(5, 6))


# The campaign


@pytest.fixture
def campaign(make: Callable[..., isl.Campaign]) -> isl.Campaign:
    return make(RAISING)


@pytest.mark.slow
def test_the_campaign_ends_in_the_digest_of_the_pure_steps(campaign: isl.Campaign) -> None:
    report = campaign.run("inline")
    assert report.finished
    assert campaign.digest() == links(play(tiny_world(RAISING), 3))[-1]
    assert campaign.verify() == []
    trials = campaign.trials()
    unlucky = trials.filter(trials["family"] == "failing_families:raising", trials["genome"].str.contains("lag=7"))
    assert unlucky.height
    assert unlucky["value"].is_null().all() or unlucky["value"].is_nan().all()
    (note,) = [note for note in report.notes if ERROR in note]
    assert "islands replay " in note
    assert not [row for row in campaign.champion_records() if row["genes"].get("lag") == failing_families.UNLUCKY]


@pytest.mark.slow
def test_its_files_say_what_failed_and_run_it_again(campaign: isl.Campaign) -> None:
    campaign.run("inline")
    frame = reopened(campaign).failures()
    assert 1 <= frame.height <= 3  # a genome on some bars has one file: there are three directions
    assert frame["file"].n_unique() == frame.height
    assert set(frame["error"]) == {ERROR}
    assert all(genes.startswith("lag=7 ") for genes in frame["genes"])
    ((what, error),) = campaign.replay_failure(frame["file"][0])
    assert error == ERROR
    assert what.startswith("Strategy('failing_families:raising', lag=7, ")


@pytest.mark.slow
def test_a_file_of_several_genomes_runs_them_again_together_and_tells_of_each(campaign: isl.Campaign) -> None:
    """As one has them that keeps a batch of which neither half kills alone."""
    market = campaign.world.markets[0]
    place = market.name, len(market.tape), int(market.terms.first)
    batch = tuple(Failure(0, (float(lag), 2.0), *place, "died of SIGSEGV, in a batch of 2") for lag in (5, 7))
    writer = campaign._journal.acquire()
    key = failures.Keeper(writer).keep(0, 1, batch)
    writer.release()
    (good, none), (bad, error) = campaign.replay_failure(campaign.path / str(key))
    assert good.startswith("Strategy('failing_families:raising', lag=5, ") and "sharpe" in good
    assert bad.startswith("Strategy('failing_families:raising', lag=7, ")
    assert (none, error) == (None, ERROR)


@pytest.mark.slow
def test_files_are_the_same_after_a_replay_and_no_part_of_the_digest(make: Callable[..., isl.Campaign], tmp_path: Path) -> None:
    campaign = make(RAISING)
    campaign.run("inline")
    before = {path.name: path.read_bytes() for path in (campaign.path / failures.FOLDER).iterdir()}
    assert before
    digest = campaign.digest()
    for path in (campaign.path / failures.FOLDER).iterdir():
        path.unlink()
    assert campaign.verify() == []
    assert campaign.digest() == digest
    assert campaign.verify(replay="all") == []


@pytest.mark.slow
def test_a_file_that_was_changed_or_is_anothers_is_refused(campaign: isl.Campaign, tmp_path: Path) -> None:
    campaign.run("inline")
    file = Path(campaign.failures()["file"][0])
    with pytest.raises(InputError, match="expected a file of"):
        campaign.replay_failure(tmp_path / "elsewhere")
    with pytest.raises(CorruptCampaign, match="nothing is missing"):
        campaign.replay_failure(file.parent / "nothing")
    data = file.read_bytes()
    file.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    with pytest.raises(CorruptCampaign):
        campaign.replay_failure(file)
    assert any(str(file) in problem for problem in campaign.verify())


@pytest.mark.slow
def test_no_more_files_are_kept_than_say_something_new(campaign: isl.Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST_KEPT", 1)
    campaign.run("inline")
    assert campaign.failures().height == 1


@pytest.mark.slow
def test_beyond_these_each_kind_of_error_has_a_file_and_a_pause_always_has(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_KEPT", 2)
    monkeypatch.setattr(failures, "MOST_KINDS", 2)
    campaign = make(RAISING)
    writer = campaign._journal.acquire()

    def keep(lag: int, error: str, keeper: failures.Keeper, always: bool = False) -> bool:
        return keeper.keep(0, 1, (Failure(0, (float(lag), 2.0), "bars", 500, 50, error),), always=always) is not None

    first = failures.Keeper(writer)
    said = ["no luck at bar 3", "no luck at bar 4", "no luck at bar 5.5e-3", "no memory at bar 6", "no memory at bar 7"]
    assert [keep(lag, error, first) for lag, error in enumerate(said)] == [True, True, False, True, False]
    again = failures.Keeper(writer)  # of the next run, which knows them from the files
    assert [keep(20, "no memory at bar 8", again), keep(3, "the same genome", again)] == [False, True]
    assert [keep(21, "no time", again), keep(22, "no room", again)] == [True, False]
    assert keep(23, "no room", again, always=True)
    assert len(list((campaign.path / failures.FOLDER).iterdir())) == 5
    writer.release()


@pytest.mark.slow
def test_every_genome_that_failed_is_in_the_ledger_and_runs_again_from_there(
    campaign: isl.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "MOST_KEPT", 0)
    monkeypatch.setattr(failures, "MOST_KINDS", 0)
    campaign.run("inline")
    assert campaign.failures().height == 0
    trials = campaign.trials()
    failed = trials.filter(trials["genome"].str.contains("lag=7 ") & (trials["family"] == "failing_families:raising"))
    ((what, error),) = campaign.replay_trial(failed["born"][0])
    assert error == ERROR
    assert what.startswith("Strategy('failing_families:raising', lag=7, ")
    sound = trials.filter(trials["value"].is_finite() & (trials["origin"] != "immigrant"))
    (what, error), *_ = campaign.replay_trial(sound["born"][0])
    assert error is None and f"sharpe {sound['value'][0]:.6g}" in what
    for nobody in ("9.9.9", "nobody", "1.2"):
        with pytest.raises(InputError, match=f"'{nobody}' is no individual of"):
            campaign.replay_trial(nobody)


@pytest.mark.slow
def test_what_raises_on_held_back_bars_alone_has_no_figures_there(
    make: Callable[..., isl.Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unlucky bar lies behind those of evolution."""
    families = [{"name": "failing_families:raising", "genes": {"lag": [6, 8]}}]
    campaign = make({"families": families, "bars.held_back": 0.4, "champions": 3})
    assert len(campaign.world.markets[0].tape) < failing_families.LATE
    assert campaign.run("inline").finished
    champions = campaign.champions()
    unlucky = champions.filter(champions["genes"].str.starts_with("lag=7 "))
    assert len(unlucky) == 1
    assert unlucky["sharpe"].is_finite().all()
    assert unlucky["held_back_sharpe"].is_nan().all()
    assert champions.filter(~champions["genes"].str.starts_with("lag=7 "))["held_back_sharpe"].is_not_nan().any()
    (verdict,) = (v for v, lag in zip(campaign.verdicts(), champions["genes"], strict=True) if lag.startswith("lag=7 "))
    assert [claim.passed for claim in verdict.claims[1:3]] == [False, False]
    assert "raised an error on the held-back bars" in verdict.claims[1].sentence
    assert not any("nan" in claim.sentence for claim in verdict.claims)


def test_a_single_strategy_that_raises_is_named() -> None:
    bad = isl.Strategy(failing_families.raising, lag=7)
    for ask in (lambda: isl.backtest(tiny_bars(), bad), lambda: isl.evaluate(tiny_bars(), [bad])):
        with pytest.raises(StrategyError, match=r"lag=7, direction='both'\) raises ValueError on .*: no luck with this lag"):
            ask()
    good = isl.Strategy(failing_families.raising, lag=5)
    with pytest.raises(StrategyError, match="one of 2 of failing_families:raising raises ValueError"):
        isl.evaluate(tiny_bars(), [good, bad])


# The command line


@pytest.mark.slow
def test_the_command_line_says_what_failed_and_replays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = os.path.dirname(failing_families.__file__)
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", os.pathsep.join([ENVIRONMENT["PYTHONPATH"], here]))
    spec = """
    seed = 5
    [bars]
    path = "sample:sp500"
    [costs]
    fee = 0.0005
    slippage = 0.0001
    [[families]]
    name = "failing_families:raising"
    genes = { lag = [4, 12] }
    [evolution]
    population = 12
    epochs = 2
    generations_per_epoch = 2
    [archipelago]
    islands = 2
    """
    (tmp_path / "spec.toml").write_text(spec)
    done = islands("run", "spec.toml", "--dir", "run", "--runtime", "inline", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"so that the genomes are infeasible: {ERROR}; run one again: islands replay " in said
    file = said.partition("islands replay ")[2].split()[0]
    again = islands("replay", file, cwd=tmp_path)
    assert again.returncode == 1
    assert f"fails: {ERROR}" in " ".join(again.stdout.split())
    assert islands("replay", tmp_path / "run" / "failures" / "none", cwd=tmp_path).returncode == 1
    trials = isl.Campaign.open(tmp_path / "run").trials()
    born = trials.filter(trials["genome"].str.contains("lag=7 "))["born"][0]
    from_ledger = islands("replay", "run", born, cwd=tmp_path)
    assert from_ledger.returncode == 1
    assert f"fails: {ERROR}" in " ".join(from_ledger.stdout.split())
    assert islands("replay", file, "--limit", "soon", cwd=tmp_path).returncode == 2


def test_modules_are_where_workers_find_them() -> None:
    """The tests above are worth nothing where another module of that name is imported."""
    assert sys.modules["failing_families"] is failing_families
