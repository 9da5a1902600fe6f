"""What research asks of a campaign: its frames while it runs and after, who descends from whom, what each island found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from worlds import in_another_process, play, tiny, tiny_bars, tiny_world

import islands as isl
from islands.archipelago.journal import Journal
from islands.errors import InputError, IslandsWarning
from islands.runtime.report import Progress

FAR = {  # two islands breed the same family in other bounds, the third another; guests are repaired or stay away
    "families": [
        {"name": "sma_trend", "genes": {"fast": [2, 20], "slow": [10, 60]}},
        {"name": "rsi_mean_reversion", "genes": {"period": [2, 20]}},
    ],
    "evolution": {"population": 10, "epochs": 6, "generations_per_epoch": 2},
    "archipelago": {"islands": [["sma_trend"], ["sma_trend", "rsi_mean_reversion"], ["rsi_mean_reversion", "sma_trend"]]},
    "stagnation": [{"epochs": 2, "rule": "reset", "share": 0.4}],
    "seed": 13,  # of a campaign in which an island stands still
}
FRAMES: dict[str, Callable[[isl.Campaign], pl.DataFrame]] = {
    "history": isl.Campaign.history,
    "migrations": isl.Campaign.migrations,
    "trials": isl.Campaign.trials,
    "hall_of_fame": isl.Campaign.hall_of_fame,
    "population": isl.Campaign.population,
    "front": isl.Campaign.front,
    "champions": isl.Campaign.champions,
    "champion_figures": isl.Campaign.champion_figures,
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> isl.Campaign:
    """Six epochs of three islands, run whole."""
    made = isl.Campaign.create(tiny(FAR), tmp_path_factory.mktemp("history") / "run", bars=tiny_bars())
    assert made.run("inline").finished
    return made


# History


def test_history_tells_how_long_an_island_stood_still_and_what_was_done(campaign: isl.Campaign) -> None:
    history = campaign.history()
    hall = {island: float("-inf") for island in range(3)}
    stagnant = dict.fromkeys(range(3), 0)
    for epoch in range(1, 7):
        for island in range(3):
            rows = history.filter(pl.col("epoch") == epoch, pl.col("island") == island)
            assert set(rows.filter(pl.col("generation") > 0)["stagnant"]) == {stagnant[island]}
            relieved = stagnant[island] >= 2
            expected = "reset" if relieved else None
            assert set(rows.filter(pl.col("generation") > 0)["stagnation_rule"]) == {expected}
            tried = campaign.trials().filter(epoch=epoch, island=island, violation=0.0)
            best = max(hall[island], tried["value"].max())
            stagnant[island] = 0 if best > hall[island] else 1 if relieved else stagnant[island] + 1
            hall[island] = best
    assert "reset" in set(history["stagnation_rule"])
    resets = campaign.trials().filter(origin="reset")
    relieved = history.filter(pl.col("stagnation_rule") == "reset").select("epoch", "island").unique()
    assert resets.select("epoch", "island").unique().sort("epoch", "island").equals(relieved.sort("epoch", "island"))
    assert resets["parent"].null_count() == 0


# Lineage


def parents_of(trials: pl.DataFrame) -> dict[str, tuple[str | None, str | None]]:
    arose = trials.filter(pl.col("origin") != "immigrant")
    assert arose["born"].is_unique().all()
    return {born: (parent, mate) for born, parent, mate in arose.select("born", "parent", "mate").iter_rows()}


def depths_of(born: str, parents: dict[str, tuple[str | None, str | None]]) -> dict[str, int]:
    """The slow twin: generation by generation over the whole table of trials."""
    found, newest, depth = {born: 0}, {born}, 0
    while newest:
        depth += 1
        newest = {p for child in newest for p in parents[child] if p is not None and p not in found}
        found |= dict.fromkeys(newest, depth)
    return found


def everybody(campaign: isl.Campaign) -> Iterator[str]:
    yield from campaign.population()["born"].unique()
    yield from campaign.champions()["born"]


def test_lineage_is_the_whole_ancestry_with_the_least_depth(campaign: isl.Campaign) -> None:
    trials = campaign.trials()
    parents = parents_of(trials)
    deepest = 0
    for born in set(everybody(campaign)):
        frame = campaign.lineage(born)
        expected = depths_of(born, parents)
        assert frame.columns == ["depth", *trials.columns]
        assert {b: d for b, d in frame.select("born", "depth").iter_rows()} == expected
        kin = trials.filter(pl.col("born").is_in(list(expected)))
        order = ["epoch", "island", "born"]
        assert frame.drop("depth").sort(order).equals(kin.sort(order))
        assert frame["depth"].is_sorted()
        deepest = max(deepest, frame["depth"].max())
    assert deepest >= 5


def test_lineage_begins_with_the_individual_and_ends_in_founders(campaign: isl.Campaign) -> None:
    champion = campaign.champions()["born"][0]
    frame = campaign.lineage(champion)
    assert frame.filter(depth=0)["born"].unique().to_list() == [champion]
    roots = frame.filter(pl.col("parent").is_null(), pl.col("origin") != "immigrant")
    assert set(roots["origin"]) == {"founder"}
    assert set(roots["epoch"]) == {1}
    assert set(frame["parent"].drop_nulls()) | set(frame["mate"].drop_nulls()) <= set(frame["born"])


def test_lineage_shows_the_travels_of_each_ancestor(campaign: isl.Campaign) -> None:
    accepted = campaign.migrations().filter(outcome="accepted")
    trials = campaign.trials()
    guests = trials.filter(origin="immigrant")
    assert len(guests) == len(accepted) > 0
    bred_from = set(trials["parent"].drop_nulls()) & set(guests["born"])
    assert bred_from, "no immigrant had children"
    for born in sorted(bred_from):
        child = trials.filter(pl.col("parent") == born)["born"][0]
        frame = campaign.lineage(child).filter(born=born)
        travelled = accepted.filter(born=born)
        arrived = frame.filter(origin="immigrant").select("epoch", island="island")
        expected = travelled.select("epoch", island="target")
        assert sorted(arrived.rows()) == sorted(expected.rows())
        home = frame.filter(pl.col("origin") != "immigrant")
        assert home["island"].to_list() == [int(born.split(".")[0])]


@pytest.mark.parametrize(
    "born", ["9.9.9", "0.0.999", "0.0", "", "best", "0.0.0 ", "-1.-1.-1", "٠.٠.٠", "0." * 30, None, [0, 0, 0]]
)
def test_nobody_has_no_lineage(born: Any, campaign: isl.Campaign) -> None:
    with pytest.raises(InputError, match=r"is no individual of .*run; give `born` as champions\(\), trials\(\)"):
        campaign.lineage(born)


def test_campaign_that_has_not_begun_has_no_lineage(tmp_path: Path) -> None:
    made = isl.Campaign.create(tiny(FAR), tmp_path / "run", bars=tiny_bars())
    with pytest.raises(InputError, match="is no individual"):
        made.lineage("0.0.0")


# What each island found


def test_hall_of_fame_is_the_best_distinct_that_each_island_scored(campaign: isl.Campaign) -> None:
    hall = campaign.hall_of_fame()
    for island in range(3):
        own = campaign.trials().filter(pl.col("violation") == 0.0, pl.col("island") == island)
        best = own.unique(["family", "genome"], keep="first", maintain_order=True).sort("value", descending=True).head(5)
        part = hall.filter(island=island)
        assert part["rank"].to_list() == [1, 2, 3, 4, 5]
        assert part["value"].to_list() == best["value"].to_list()
        assert set(part["genome"]) == set(best["genome"])
    assert hall.columns == ["island", "rank", "born", "family", "genome", "value", "violation"]


def test_population_is_the_deme_after_the_last_commit(campaign: isl.Campaign) -> None:
    frame = campaign.population()
    assert frame.columns == campaign.hall_of_fame().columns
    demes = [answer.state.deme for answer in play(tiny_world(FAR), 6)[-1].answers]
    assert frame["island"].to_list() == [island for island in range(3) for _ in range(10)]
    assert frame["rank"].to_list() == list(range(1, 11)) * 3
    np.testing.assert_array_equal(frame.select("value", "violation").to_numpy(), np.vstack([deme.scores for deme in demes]))
    assert frame["born"].to_list() == [".".join(map(str, birth)) for deme in demes for birth in deme.births.tolist()]


def test_front_of_one_objective_is_the_first_champion(campaign: isl.Campaign) -> None:
    front, champion = campaign.front(), campaign.champions().row(0, named=True)
    assert front.columns == ["rank", "born", "family", "genome", "value", "violation"]
    assert len(front) == 1
    assert front["born"].to_list() == [champion["born"]]
    assert front["genome"].to_list() == [champion["genes"]]
    assert front["value"].to_list() == [champion["value"]]


def test_champion_figures_are_those_of_the_champions(campaign: isl.Campaign) -> None:
    figures, champions = campaign.champion_figures(), campaign.champions()
    assert figures.select("rank", "instrument", "part").rows() == [
        (rank, "bars", part) for rank in range(1, 6) for part in ("evolution", "held back")
    ]
    for part, prefix in (("evolution", ""), ("held back", "held_back_")):
        rows = figures.filter(part=part)
        for metric in rows.columns[3:]:
            assert rows[metric].to_list() == champions[f"{prefix}{metric}"].to_list()


# While it runs


@pytest.mark.slow
def test_all_frames_can_be_read_while_the_campaign_runs(tmp_path: Path, campaign: isl.Campaign) -> None:
    running = isl.Campaign.create(tiny(FAR), tmp_path / "run", bars=tiny_bars())
    whole = {name: FRAMES[name](campaign) for name in ("history", "migrations", "trials")}
    seen: list[int] = []

    def look(progress: Progress) -> None:
        watching = isl.Campaign.open(running.path)
        for name, expected in whole.items():
            assert FRAMES[name](watching).equals(expected.filter(pl.col("epoch") <= progress.committed))
        for name in FRAMES.keys() - whole.keys():
            assert len(FRAMES[name](watching)) > 0 or progress.committed == 0
        assert not any("held_back" in column for column in watching.champions().columns) or progress.committed == 6
        if progress.committed:
            best = watching.champions()["born"][0]
            assert watching.lineage(best)["depth"][0] == 0
        seen.append(progress.committed)

    running.run("inline", on_progress=look)
    assert sorted(set(seen)) == [0, 1, 2, 3, 4, 5, 6]
    assert running.digest() == campaign.digest()


@pytest.mark.slow
def test_another_process_reads_the_frames_while_the_campaign_runs(tmp_path: Path, campaign: isl.Campaign) -> None:
    running = isl.Campaign.create(tiny(FAR), tmp_path / "run", bars=tiny_bars())
    code = (
        "import islands as isl, json; c = isl.Campaign.open('run'); "
        "print(json.dumps([c.status().state, len(c.history()), len(c.migrations()), len(c.trials()), len(c.hall_of_fame()),"
        " len(c.lineage(c.champions()['born'][0]))]))"
    )
    told: list[list[Any]] = []

    def look(progress: Progress) -> None:
        if progress.committed == 3 and not told:
            told.append(json.loads(in_another_process(code, cwd=tmp_path)))

    running.run("inline", on_progress=look)
    there = [len(FRAMES[name](campaign).filter(pl.col("epoch") <= 3)) for name in ("history", "migrations", "trials")]
    assert told[0][:4] == ["running", *there]
    assert told[0][4] == 3 * 5
    assert told[0][5] > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["blob", "segment"])
def test_frames_are_the_same_after_a_resume_passed_over_a_torn_commit(
    kind: str, tmp_path: Path, campaign: isl.Campaign
) -> None:
    torn = isl.Campaign.create(tiny(FAR), tmp_path / "run", bars=tiny_bars())
    torn.run("inline", epochs=4)
    place, _ = getattr(Journal(torn.path).read_entry(4), kind)
    (torn.path / place).write_bytes((torn.path / place).read_bytes()[:-20])
    if kind == "segment":
        with pytest.warns(IslandsWarning, match="passed over commit 4"):
            assert torn.trials().equals(campaign.trials().filter(pl.col("epoch") < 4))
    with pytest.warns(IslandsWarning, match="passed over commit 4"):
        isl.Campaign.open(torn.path).run("inline")
    again = isl.Campaign.open(torn.path)
    for name, ask in FRAMES.items():
        assert ask(again).equals(ask(campaign)), name
    best = campaign.champions()["born"][0]
    assert again.lineage(best).equals(campaign.lineage(best))


def test_account_is_read_where_the_bars_are_gone(tmp_path: Path, campaign: isl.Campaign) -> None:
    place = tmp_path / "bars.parquet"
    tiny_bars().write(place)
    made = isl.Campaign.create(tiny(FAR | {"bars.path": str(place)}), tmp_path / "run")
    made.run("inline")
    place.unlink()
    again = isl.Campaign.open(made.path)
    assert again.digest() == campaign.digest()
    for name in ("history", "migrations", "trials", "hall_of_fame", "population"):
        assert FRAMES[name](again).equals(FRAMES[name](campaign)), name
    best = again.hall_of_fame()["born"][0]
    assert again.lineage(best).equals(campaign.lineage(best))


# The account is large


def test_lineage_reads_no_more_than_it_needs_in_words(campaign: isl.Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long campaign's trials almost nobody is an ancestor."""
    from islands.archipelago import ledger

    written: list[int] = []
    original = ledger._genome_texts

    def counted(legend: ledger.Legend, families: np.ndarray, genomes: np.ndarray) -> pl.Series:
        written.append(len(families))
        return original(legend, families, genomes)

    monkeypatch.setattr(ledger, "_genome_texts", counted)
    frame = campaign.lineage(campaign.champions()["born"][0])
    assert sum(written) == len(frame) < len(campaign.trials())
