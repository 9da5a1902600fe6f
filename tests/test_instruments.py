"""A campaign over several instruments: where their bars come from, what they cost, where they are cut, how they are pooled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from islands.kernels.metrics import METRICS
from worlds import funded, links, play, tiny, tiny_bars, tiny_market, tiny_world, world_of

import islands as isl
from islands.errors import BarsError, InputError, ManifestMismatch, SpecError
from islands.evolution.world import training_bars
from islands.market.bars import Bars

COSTS = {"A": {"fee": 1e-4, "slippage": 5e-5}, "B": {"fee": 0.0, "slippage": 4e-4}}
TWO: dict[str, Any] = {
    "instruments": {"A": {}, "B": {"costs": COSTS["B"]}},
    "pooling": {"rule": "minimum"},
    "archipelago.islands": [{}, {"instruments": ["B"]}, {"instruments": ["A"], "train": [0.2, 0.7]}],
}


def markets() -> dict[str, Bars]:
    return {"A": tiny_market(0), "B": tiny_market(1)}


def others() -> Bars:
    return isl.synthetic("planted", bars=1_500, seed=4, edge=0.2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """Three islands: one is scored on both instruments, one on the second, one on a part of the first."""
    campaign = isl.Campaign.create(tiny(TWO), tmp_path_factory.mktemp("two") / "run", bars=markets())
    assert campaign.run("inline").finished
    return campaign


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with both instruments' files and a spec in TOML that names them."""

    def write(toml: str) -> Path:
        folder = tmp_path / "given"
        (folder / "data").mkdir(parents=True)
        tiny_market(0).write(folder / "data" / "a.csv")
        tiny_market(1).write(folder / "data" / "b.parquet")
        head = """
        seed = 7
        costs = { fee = 1e-4, slippage = 5e-5 }
        evolution = { population = 8, epochs = 2, generations_per_epoch = 1 }
        archipelago.islands = 2
        families = [{ name = "sma_trend", genes = { fast = [2, 20], slow = [10, 60] } }]
        """
        (folder / "spec.toml").write_text(head + toml)
        return folder / "spec.toml"

    return write


TOML = """
pooling.rule = "median"
[instruments.A]
path = "data/a.csv"
[instruments.B]
path = "data/b.parquet"
costs = { fee = 0.0, slippage = 4e-4 }
"""


# Where they come from


def test_bars_given_in_memory_by_name_are_kept_in_its_folder(finished: isl.Campaign, tmp_path: Path) -> None:
    assert sorted(path.name for path in finished.path.glob("*.parquet")) == ["bars-0.parquet", "bars-1.parquet"]
    shutil.copytree(finished.path, tmp_path / "moved")
    moved = isl.Campaign.open(tmp_path / "moved")
    assert {name: (b.fingerprint, b.name) for name, b in moved.instruments.items()} == {
        name: (b.fingerprint, b.name) for name, b in markets().items()
    }
    assert moved.verify() == []
    moved.extend(4)
    assert moved.run("inline").started_at == 3
    assert moved.digest() == links(play(tiny_world(TWO), 4))[-1]


def test_names_of_bars_in_memory_are_the_instruments_of_a_spec_that_names_none(tmp_path: Path) -> None:
    given = isl.Campaign.create(tiny(), tmp_path / "given", bars=markets())
    named = isl.Campaign.create(tiny({"instruments": {"A": {}, "B": {}}}), tmp_path / "named", bars=markets())
    assert list(given.spec.instruments) == ["A", "B"]
    assert given.manifest_hash == named.manifest_hash
    assert given.spec.identity() == named.spec.identity()


def test_one_of_several_may_be_given_in_memory_and_the_other_be_read(tmp_path: Path) -> None:
    place = tmp_path / "b.parquet"
    tiny_market(1).write(place)
    spec = tiny(TWO | {"instruments": {"A": {}, "B": {"path": str(place), "costs": COSTS["B"]}}})
    campaign = isl.Campaign.create(spec, tmp_path / "run", bars={"A": tiny_market(0)})
    campaign.run("inline", epochs=1)
    assert campaign.digest() == links(play(tiny_world(TWO), 1))[0]
    assert [path.name for path in campaign.path.glob("*.parquet")] == ["bars-0.parquet"]


def test_files_of_a_spec_are_found_beside_it_from_any_working_directory(
    written: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = written(TOML)
    monkeypatch.chdir(tmp_path)
    campaign = isl.Campaign.create("given/spec.toml", "run")
    monkeypatch.chdir(tmp_path / "given" / "data")
    again = isl.Campaign.open(tmp_path / "run")
    assert {name: bars.fingerprint for name, bars in again.instruments.items()} == {
        name: bars.fingerprint for name, bars in markets().items()
    }
    assert {name: source.path for name, source in again.spec.sources.items()} == {
        "A": str(spec.parent / "data" / "a.csv"),
        "B": str(spec.parent / "data" / "b.parquet"),
    }
    assert again.run("inline").finished
    assert campaign.digest() == links(play(world_of(again.spec, markets()), 2))[-1]


def test_built_in_places_serve_instruments_too(tmp_path: Path) -> None:
    instruments = {"index": {"path": "sample:sp500"}, "pair": {"path": "synthetic:gbm"}}
    campaign = isl.Campaign.create(tiny({"instruments": instruments, "bars.held_back": 0.0}), tmp_path / "run")
    again = isl.Campaign.open(campaign.path)
    assert again.instruments["index"].fingerprint == isl.sample("sp500").fingerprint
    assert again.instruments["pair"].fingerprint == isl.synthetic("gbm").fingerprint
    assert not list(campaign.path.glob("*.parquet"))
    assert again.run("inline", epochs=1).committed == 1


def test_file_that_changed_is_refused_with_the_name_of_its_instrument(written: Callable[[str], Path], tmp_path: Path) -> None:
    spec = written(TOML)
    campaign = isl.Campaign.create(spec, tmp_path / "run")
    others().write(spec.parent / "data" / "b.parquet")
    with pytest.raises(ManifestMismatch) as error:
        isl.Campaign.open(campaign.path).run("inline")
    assert str(error.value) == (
        f"{campaign.path}: B: its bars' fingerprint {others().fingerprint[:12]} (1500 bars) differs from the campaign's "
        f"{tiny_market(1).fingerprint[:12]} (1400 bars); resume with the original file (--bars, where it has moved), or start "
        "a new campaign"
    )
    assert isl.Campaign.open(campaign.path, bars={"B": tiny_market(1)}).run("inline").finished


def test_files_that_moved_are_given_by_name(written: Callable[[str], Path], tmp_path: Path) -> None:
    spec = written(TOML)
    campaign = isl.Campaign.create(spec, tmp_path / "run")
    (spec.parent / "data" / "b.parquet").unlink()
    with pytest.raises(BarsError, match="no such file"):
        isl.Campaign.open(campaign.path).run("inline")
    with pytest.raises(ManifestMismatch, match="B: its bars' fingerprint"):
        isl.Campaign.open(campaign.path, bars={"B": tiny_market(0)}).run("inline")
    assert isl.Campaign.open(campaign.path, bars={"B": tiny_market(1)}).run("inline").finished


def test_instruments_that_changed_places_are_refused(finished: isl.Campaign) -> None:
    swapped = {"A": tiny_market(1), "B": tiny_market(0)}
    with pytest.raises(ManifestMismatch, match="A: its bars' fingerprint"):
        isl.Campaign.open(finished.path, bars=swapped).run("inline")


WRONG: dict[str, tuple[dict[str, Any], Any, str]] = {
    "a name that is none": (TWO, {"A": tiny_bars, "C": tiny_bars}, "no instrument 'C' in the spec; its instruments are A, B"),
    "one for several": (TWO, tiny_bars, r"several instruments \(A, B\); give bars by name: {name: bars}"),
    "a frame": (TWO, lambda: tiny_bars().to_polars(), "bars is a DataFrame: expected Bars, or a dict of bars by name"),
    "a list": (TWO, lambda: [tiny_bars(), tiny_bars()], "bars is a list: expected Bars, or a dict of bars by name"),
    "a dict of frames": (TWO, {"A": lambda: tiny_bars().to_polars(), "B": tiny_bars}, r"bars\['A'\] is a DataFrame: expected"),
    "nothing by name": ({}, {}, "bars is a dict: expected Bars, or a dict of bars by name with one at least"),
    "a frame for one": ({}, lambda: tiny_bars().to_polars(), "bars is a DataFrame: expected Bars, or a dict"),
    "no name": ({}, {"": tiny_bars}, "'' is no name for an instrument"),
    "a blank name": ({}, {" ": tiny_bars}, "' ' is no name for an instrument"),
    "a number for a name": ({}, {1: tiny_bars, 2: tiny_bars}, "1 is no name for an instrument"),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_wrong_bars_in_memory_are_refused_before_anything_is_written(case: str, tmp_path: Path) -> None:
    changes, made, words = WRONG[case]
    bars = {name: make() for name, make in made.items()} if isinstance(made, dict) else made()
    with pytest.raises(InputError, match=words):
        isl.Campaign.create(tiny(changes), tmp_path / "run", bars=bars)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("case", ["a name that is none", "one for several", "a frame", "a list", "a dict of frames"])
def test_wrong_bars_in_memory_are_refused_when_a_campaign_is_opened(case: str, finished: isl.Campaign) -> None:
    _, made, words = WRONG[case]
    bars = {name: make() for name, make in made.items()} if isinstance(made, dict) else made()
    with pytest.raises(InputError, match=words):
        isl.Campaign.open(finished.path, bars=bars)


def test_instrument_without_bars_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"instruments\.B\.path: required; give a file, a glob, sample:NAME"):
        isl.Campaign.create(tiny(TWO), tmp_path / "run", bars={"A": tiny_bars()})
    assert not (tmp_path / "run").exists()


def test_blank_name_in_a_spec_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"instruments.' ': no name for an instrument"):
        tiny({"instruments": {" ": {"path": "sample:sp500"}, "B": {"path": "sample:eurusd"}}})
    with pytest.raises(InputError, match="' ' is no name for an instrument"):
        isl.Campaign.create(tiny(), tmp_path / "run", bars={" ": tiny_bars(), "B": tiny_bars()})
    assert not (tmp_path / "run").exists()


def test_one_named_instrument_keeps_its_name(tmp_path: Path) -> None:
    campaign = isl.Campaign.create(tiny(), tmp_path / "run", bars={"coin": tiny_bars()})
    campaign.run("inline")
    assert set(campaign.champion_figures()["instrument"]) == {"coin"}
    assert campaign.bars.fingerprint == tiny_bars().fingerprint
    assert campaign.digest() == links(play(tiny_world(), 3))[-1]  # its name reaches no score


def test_bars_of_several_instruments_are_asked_for_by_name(finished: isl.Campaign) -> None:
    with pytest.raises(InputError, match=r"several instruments \(A, B\); ask campaign\.instruments"):
        finished.bars  # noqa: B018


# Where they are cut


def test_bars_are_held_back_from_one_instant_on(finished: isl.Campaign) -> None:
    shares = {name: len(bars) - round(0.2 * len(bars)) for name, bars in markets().items()}
    cut = min(int(bars.timestamps[shares[name]]) for name, bars in markets().items())
    seen = {market.name: market.tape for market in finished.world.markets}
    for name, bars in markets().items():
        assert seen[name].timestamps.tolist() == [stamp for stamp in bars.timestamps.tolist() if stamp < cut]
    assert len(seen["A"]) == shares["A"]  # the first to reach its share
    assert len(seen["B"]) < shares["B"]


def test_held_back_bars_of_no_instrument_reach_anything_before_the_end(tmp_path: Path) -> None:
    seen = {market.name: len(market.tape) for market in tiny_world(TWO).markets}

    def altered(name: str, bars: Bars) -> Bars:
        frame, count = bars.to_polars(), seen[name]
        prices = [pl.col(column) * 3.0 for column in ("open", "high", "low", "close")]
        return Bars.from_polars(frame.head(count).vstack(frame.tail(len(frame) - count).with_columns(prices)), name=bars.name)

    one = isl.Campaign.create(tiny(TWO), tmp_path / "one", bars=markets())
    other = isl.Campaign.create(tiny(TWO), tmp_path / "other", bars={n: altered(n, b) for n, b in markets().items()})
    for campaign in (one, other):
        campaign.run("inline", epochs=2)
    assert one.digest() == other.digest()
    for ask in (isl.Campaign.history, isl.Campaign.trials, isl.Campaign.migrations, isl.Campaign.champions):
        assert ask(one).equals(ask(other))
    assert one.champion_figures().equals(other.champion_figures())
    for campaign in (one, other):
        campaign.run("inline")
    assert one.digest() == other.digest()
    assert not one.champions().equals(other.champions())


# On what terms


def strategies_of(campaign: isl.Campaign) -> list[isl.Strategy]:
    return [isl.Strategy(record["family"], **record["genes"]) for record in campaign.champion_records()]


def evaluated(campaign: isl.Campaign, strategies: list[isl.Strategy]) -> dict[str, pl.DataFrame]:
    """Figures by hand: each instrument with its own costs, from the common first bar up to its own cut."""
    counts = training_bars(campaign.spec, {name: bars.tape for name, bars in markets().items()})
    return {
        name: isl.evaluate(
            Bars("seen", bars.tape.head(counts[name])),
            strategies,
            isl.Costs(**COSTS[name]),
            score_from=campaign.world.warmup,
        )
        for name, bars in markets().items()
    }


POOLED = {
    "mean": lambda a, b: (a + b) / 2,
    "minimum": min,
    "median": lambda a, b: (a + b) / 2,
    "quantile": lambda a, b: min(a, b) + 0.25 * (max(a, b) - min(a, b)),
}


@pytest.mark.parametrize("rule", list(POOLED))
def test_champions_are_valued_on_all_instruments_wherever_they_were_scored(rule: str, tmp_path: Path) -> None:
    campaign = isl.Campaign.create(tiny(TWO | {"pooling.rule": rule}), tmp_path / "run", bars=markets())
    campaign.run("inline", epochs=2)
    strategies = strategies_of(campaign)
    by_hand = evaluated(campaign, strategies)
    values = [POOLED[rule](a, b) for a, b in zip(by_hand["A"]["sharpe"], by_hand["B"]["sharpe"], strict=True)]
    assert campaign.champions()["value"].to_list() == pytest.approx(values, rel=1e-15)
    assert values == sorted(values, reverse=True)
    figures = campaign.champion_figures()
    for name, frame in by_hand.items():
        own = figures.filter(instrument=name, part="evolution")
        np.testing.assert_array_equal(own.select(METRICS).to_numpy(), frame.select(METRICS).to_numpy())


def test_champions_are_the_best_of_all_halls_of_fame_on_common_terms(finished: isl.Campaign) -> None:
    hall = finished.hall_of_fame().unique(["family", "genome"])
    strategies = []
    for family, genome in hall.select("family", "genome").iter_rows():
        genes = dict(part.split("=") for part in genome.split())
        strategies.append(isl.Strategy(family, **{k: v if k == "direction" else float(v) for k, v in genes.items()}))
    by_hand = evaluated(finished, strategies)
    values = sorted(map(min, by_hand["A"]["sharpe"], by_hand["B"]["sharpe"]), reverse=True)
    chosen = finished.champions()["value"].to_list()
    assert len(chosen) == 5 and chosen[0] == values[0]
    assert {value for value in values if value >= chosen[-1]} <= set(chosen)
    homes = {int(born.split(".")[0]) for born in finished.champions()["born"]}
    assert homes <= {0, 1, 2}


@pytest.mark.parametrize("booked", [True, False])
def test_funding_is_booked_on_the_instrument_that_has_it_unless_its_costs_say_no(booked: bool, tmp_path: Path) -> None:
    costs = COSTS["B"] | {"funding": booked}
    spec = tiny({"instruments": {"A": {}, "B": {"costs": costs}}, "bars.held_back": 0.0})
    bars = {"A": tiny_market(0), "B": funded(tiny_market(1))}
    campaign = isl.Campaign.create(spec, tmp_path / "run", bars=bars)
    campaign.run("inline", epochs=1)
    again = isl.Campaign.open(campaign.path)
    assert again.instruments["B"].fingerprint == bars["B"].fingerprint != tiny_market(1).fingerprint
    strategies = strategies_of(again)
    by_hand = {
        name: isl.evaluate(bars[name], strategies, isl.Costs(**own), score_from=again.world.warmup)
        for name, own in (("A", COSTS["A"]), ("B", costs))
    }
    plain = isl.evaluate(tiny_market(1), strategies, isl.Costs(**COSTS["B"]), score_from=again.world.warmup)
    assert by_hand["B"].drop("funding", strict=False).equals(plain.drop("funding", strict=False)) is not booked
    values = [(a + b) / 2 for a, b in zip(by_hand["A"]["sharpe"], by_hand["B"]["sharpe"], strict=True)]
    assert again.champions()["value"].to_list() == values


def test_islands_were_scored_on_what_they_live_in(finished: isl.Campaign) -> None:
    counts = training_bars(finished.spec, {name: bars.tape for name, bars in markets().items()})
    warmup = finished.world.warmup
    first = max(warmup, round(0.2 * counts["A"]))
    homes = {
        1: ("B", counts["B"], warmup),
        2: ("A", round(0.7 * counts["A"]), first),
    }
    whole_year = {name: bars.tape.head(counts[name]).periods_per_year for name, bars in markets().items()}
    for island, (name, last, start) in homes.items():
        rows = finished.hall_of_fame().filter(island=island)
        strategies = []
        for family, genome in rows.select("family", "genome").iter_rows():
            genes = dict(part.split("=") for part in genome.split())
            strategies.append(isl.Strategy(family, **{k: v if k == "direction" else float(v) for k, v in genes.items()}))
        bars = Bars("part", markets()[name].tape.head(last))
        terms = {"score_from": start, "periods_per_year": whole_year[name]}
        table = isl.evaluate(bars, strategies, isl.Costs(**COSTS[name]), **terms)
        assert table["sharpe"].to_list() == rows["value"].to_list()


def test_replays_and_held_back_figures_are_those_of_each_instrument(finished: isl.Campaign) -> None:
    figures = finished.champion_figures()
    counts = {market.name: len(market.tape) for market in finished.world.markets}
    replays = finished.replays(2)
    assert len(replays) == 2
    for champion, runs in replays:
        assert list(runs) == ["A", "B"]
        for name, (seen, held) in runs.items():
            assert len(seen.equity) == counts[name]
            assert held is not None and len(held.equity) == len(markets()[name])
            own = figures.filter(rank=champion.rank, instrument=name).to_dicts()
            by_part = {row.pop("part"): {metric: row[metric] for metric in METRICS} for row in own}
            np.testing.assert_equal(by_part, {"evolution": seen.metrics, "held back": held.metrics})
            by_hand = isl.backtest(
                markets()[name], champion.strategy, isl.Costs(**COSTS[name]), score_from=counts[name]
            ).metrics
            np.testing.assert_equal(held.metrics, by_hand)
    table = finished.champions()
    for metric in ("total_return", "trades", "max_drawdown"):
        means = figures.filter(part="held back").group_by("rank", maintain_order=True).agg(pl.col(metric).mean())
        assert table[f"held_back_{metric}"].to_list() == means[metric].to_list()
