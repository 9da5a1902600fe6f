"""Who looked at which held-back bars is known over all campaigns of a user, however they were cut."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds import tiny, tiny_bars

import islands as isl
from islands import openings
from islands.errors import IslandsWarning
from islands.market.tape import Tape
from islands.openings import Opening, booked, enter, lines, sketch


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "own" / "register.jsonl"))
    return tmp_path / "own" / "register.jsonl"


def opening(campaign: str = "a", digest: str = "1", start: int = 0, stop: int = 1_000) -> Opening:
    tape = tiny_bars().tape.cut(start, stop)
    return Opening(campaign, digest, "name", "/folder", 10, 0.0, 0, 1, sketch([tape]))


def test_the_first_look_finds_nobody_and_the_second_the_first() -> None:
    assert enter(opening("a")) == []
    assert [other.campaign for other in enter(opening("b"))] == ["a"]
    assert [other.campaign for other in booked()] == ["a", "b"]


def test_the_same_campaign_in_the_same_state_shows_nothing_new() -> None:
    enter(opening("a"))
    assert enter(opening("a")) == [] and len(booked()) == 1
    assert [other.digest for other in enter(opening("a", "2"))] == ["1"]


@pytest.mark.parametrize(
    ("start", "stop", "found"), [(1, 1_001, True), (500, 1_500, True), (990, 1_490, False), (1_000, 1_500, False)]
)
def test_bars_are_known_again_where_they_were_cut_otherwise(start: int, stop: int, found: bool) -> None:
    """Ten bars out of a thousand may go unnoticed; a hundred can't."""
    enter(opening("a"))
    shared = enter(opening("b", start=start, stop=stop))
    assert bool(shared) == found or start == 990


def test_bars_of_another_market_are_other_bars() -> None:
    enter(opening("a"))
    other = dataclasses.replace(opening("b"), sketch=sketch([isl.synthetic("planted", bars=1_000, seed=4).tape]))
    assert enter(other) == []


def changed(how: str) -> Tape:
    block = tiny_bars().tape.block[:, :1_000].copy()
    if how == "scaled":
        block[1:5] *= 1.0001
    if how == "shifted":
        block[0] += 3_600e6
    if how == "a bar less":
        block = np.delete(block, 500, axis=1)
    if how == "a bar more":
        block = np.insert(block, 500, block[:, 499] + np.array([1e6, 0, 0, 0, 0, 0]), axis=1)
    if how == "in single precision":
        block[1:5] = block[1:5].astype(np.float32)
    if how == "without its highs and lows":
        block[1:4] = block[4]
    return Tape(np.ascontiguousarray(block))


@pytest.mark.parametrize(
    "how", ["scaled", "shifted", "a bar less", "a bar more", "in single precision", "without its highs and lows"]
)
def test_bars_are_known_again_by_what_their_closes_do(how: str) -> None:
    enter(opening("a"))
    seen = enter(dataclasses.replace(opening("b"), sketch=sketch([changed(how)])))
    assert [other.campaign for other in seen] == ["a"]


def test_bars_without_a_move_are_known_as_these_very_bars_alone() -> None:
    flat = tiny_bars().tape.block[:, :100].copy()
    flat[1:5] = 3.5
    others = flat.copy()
    others[1:5] = 7.0
    assert len(sketch([Tape(flat)])) == 100
    assert {*sketch([Tape(flat)])}.isdisjoint(sketch([Tape(others)]))


def test_the_parts_of_a_series_share_no_runs() -> None:
    """Else what a campaign was evolved on would be taken for what it holds back."""
    for kind in ("gbm", "planted"):
        tape = isl.synthetic(kind, bars=20_000, seed=4).tape
        assert {*sketch([tape.cut(0, 10_000)])}.isdisjoint(sketch([tape.cut(10_000, 20_000)]))
    for name in isl.samples():
        tape = isl.sample(name).tape
        half = len(tape) // 2
        assert {*sketch([tape.cut(0, half)])}.isdisjoint(sketch([tape.cut(half, len(tape))]))


def test_a_torn_line_is_passed_over_loudly(empty: Path) -> None:
    enter(opening("a"))
    with empty.open("a") as file:
        file.write('{"campaign": "b", "dig\n')
    with pytest.warns(IslandsWarning, match="line 2: not readable"):
        assert [other.campaign for other in enter(opening("c"))] == ["a"]


@pytest.mark.parametrize("left", [b'{"campaign": "b", "dig', b"\xff\xfe\n", b"\xff"])
def test_what_was_torn_costs_no_later_look_its_line(left: bytes, empty: Path) -> None:
    enter(opening("a"))
    with empty.open("ab") as file:
        file.write(left)
    with pytest.warns(IslandsWarning, match="line 2: not readable"):
        enter(opening("c"))
        assert [other.campaign for other in enter(opening("d"))] == ["a", "c"]


def test_a_look_that_finds_no_room_for_its_line_is_refused(empty: Path) -> None:
    """The operating system takes a hundred bytes of it and no more."""
    enter(opening("a"))
    size, former = empty.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, former[1]))
    try:
        with pytest.raises(OSError, match="No space left on device") as refused:
            enter(opening("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert (refused.value.filename, empty.stat().st_size) == (str(empty), size + 100)
    with pytest.warns(IslandsWarning, match="line 2: not readable"):
        assert [other.campaign for other in enter(opening("b"))] == ["a"]
        assert [other.campaign for other in booked()] == ["a", "b"]


def test_its_place_is_the_data_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ISLANDS_REGISTER")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert openings.place() == tmp_path / "strategy-islands" / "register.jsonl"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert openings.place() == Path.home() / ".local" / "share" / "strategy-islands" / "register.jsonl"


@pytest.mark.slow
def test_processes_that_open_at_once_lose_no_line(empty: Path) -> None:
    code = (
        "from islands.openings import Opening, enter\n"
        "for i in range(50): enter(Opening('{who}', str(i), 'n', '/f', 1, 0.0, 0, 1, (1,)))"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code.format(who=who)], env=os.environ) for who in "ab"]
    assert [run.wait() for run in runs] == [0, 0]
    assert len(booked()) == 100


def finished(folder: Path, **changes: object) -> isl.Campaign:
    campaign = isl.Campaign.create(tiny({key.replace("__", "."): value for key, value in changes.items()}), folder, tiny_bars())
    campaign.run("inline")
    return campaign


def unseen(campaign: isl.Campaign) -> dict[str, object]:
    found: dict[str, object] = campaign.champion_records()[0]["unseen"]
    return found


def test_a_campaign_books_its_look_before_it_looks_and_the_next_one_pays(tmp_path: Path) -> None:
    one = finished(tmp_path / "one")
    assert [(other.campaign, other.digest) for other in booked()] == [(one.manifest_hash, one.digest())]
    assert unseen(one)["openings"] == 1 and not unseen(one)["opened_before"]
    other = finished(tmp_path / "other", seed=8)
    assert unseen(other)["openings"] == 2 and not unseen(other)["opened_before"]
    assert unseen(one)["elsewhere"] == 0 and unseen(other)["elsewhere"] == booked()[0].trials == one.tried().defined > 0
    assert f"after {one.tried().defined:,} strategies that other campaigns" in other.verdicts()[0].claims[1].sentence
    count = len(other.champion_records())
    smallest = min(row["unseen"]["p"] for row in other.champion_records())
    adjusted = min(row["unseen"]["p_adjusted"] for row in other.champion_records())
    assert adjusted == pytest.approx(min(1.0, smallest * count * 2))


def test_the_same_campaign_elsewhere_is_no_second_look(tmp_path: Path) -> None:
    one, again = finished(tmp_path / "one"), finished(tmp_path / "again")
    assert unseen(one) == unseen(again) and len(booked()) == 1


def test_an_extended_campaign_has_looked_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = finished(tmp_path / "one")
    campaign.extend(4)
    assert campaign.verdicts() == []
    campaign.run("inline")
    assert unseen(campaign)["opened_before"] and unseen(campaign)["openings"] == 2
    assert all(verdict.word != "evidence" for verdict in campaign.verdicts())
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "elsewhere.jsonl"))  # the folder itself remembers
    campaign.extend(5)
    campaign.run("inline")
    assert unseen(campaign)["opened_before"]
    assert campaign.verify() == []


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [2, 3, 4])
def test_the_same_search_under_another_name_has_looked_before(epochs: int, tmp_path: Path) -> None:
    one = finished(tmp_path / "one")
    copy = finished(tmp_path / "copy", name="copy", evolution__epochs=epochs)
    assert copy.manifest_hash != one.manifest_hash and copy.digest(2) == one.digest(2)
    assert not unseen(one)["opened_before"]
    assert unseen(copy)["opened_before"] and unseen(copy)["openings"] == 2
    assert all(verdict.word != "evidence" for verdict in copy.verdicts())
    assert "under another name" in copy.verdicts()[0].claims[1].sentence


def test_a_longer_copy_of_what_an_older_version_booked_has_looked_before(empty: Path, tmp_path: Path) -> None:
    finished(tmp_path / "one")
    line = json.loads(empty.read_text().splitlines()[-1])
    del line["origin"], line["champions"]
    empty.write_text(json.dumps(line) + "\n")
    assert unseen(finished(tmp_path / "copy", name="copy", evolution__epochs=4))["opened_before"]


def test_a_search_that_begins_with_a_champion_that_was_looked_at_has_looked_before(tmp_path: Path) -> None:
    """As another campaign would take it over from a card; one that begins with anything else has not."""
    champions = [
        {"family": row["family"], **row["genes"]} for row in finished(tmp_path / "one", champions=2).champion_records()
    ]
    seeded = finished(tmp_path / "seeded", seed=8, initial=[{"family": "rsi_mean_reversion", "period": 9}, champions[1]])
    assert unseen(seeded)["opened_before"] and unseen(seeded)["openings"] == 2
    other = {"family": "sma_trend", "fast": 3, "slow": 17}
    assert other not in champions
    assert not unseen(finished(tmp_path / "other", seed=9, initial=[other]))["opened_before"]


def test_a_champion_is_known_again_by_nine_digits_of_its_genes() -> None:
    known = openings.key_of("sma_trend", {"fast": 3, "band": 0.1 + 0.2, "direction": "long"})
    assert known == openings.key_of("sma_trend", {"direction": "long", "band": 0.3, "fast": 3.0})
    assert known != openings.key_of("ema_crossover", {"fast": 3, "band": 0.3, "direction": "long"})
    assert known != openings.key_of("sma_trend", {"fast": 3, "band": 0.300001, "direction": "long"})


def luck(campaign: isl.Campaign) -> dict[str, Any]:
    found: dict[str, Any] = campaign.champion_records()[0]["luck"]
    return found


def begun(folder: Path, **changes: object) -> isl.Campaign:
    campaign = isl.Campaign.create(tiny({key.replace("__", "."): value for key, value in changes.items()}), folder, tiny_bars())
    campaign.run("inline", epochs=1)
    return campaign


@pytest.mark.slow
def test_what_was_tried_and_abandoned_counts_against_the_next_campaign(tmp_path: Path) -> None:
    """It has opened nothing: its trials alone count, and luck has so many more of them."""
    alone = finished(tmp_path / "alone")
    one, two = begun(tmp_path / "one", seed=8), begun(tmp_path / "two", seed=9, bars__held_back=0.0)
    before = one.tried().defined + two.tried().defined
    assert len(booked()) == 1 and before > 0
    last = finished(tmp_path / "last", seed=10)
    assert luck(last)["elsewhere"] == before + alone.tried().defined == unseen(last)["elsewhere"]
    assert f"and {luck(last)['elsewhere']:,} by other campaigns on these bars" in last.verdicts()[0].claims[0].sentence
    again = finished(tmp_path / "again", name="again", seed=10, evidence__prior_trials=luck(last)["elsewhere"])
    assert luck(again)["elsewhere"] == luck(last)["elsewhere"]  # `last` is the same search: counted in its own ledger
    assert luck(again)["probability"] < luck(last)["probability"] and again.digest() == last.digest()


def test_a_campaign_counts_once_however_often_it_was_stopped_judged_or_computed(tmp_path: Path, empty: Path) -> None:
    one = begun(tmp_path / "one", seed=8)
    written = empty.read_bytes()
    assert len(lines()) == 2  # begun, and stopped
    one.run("inline", epochs=1)
    one.run("inline")
    one.run("inline")
    assert empty.read_bytes().startswith(written) and len(lines()) == 4
    finished(tmp_path / "copy", seed=8)
    one.extend(4)
    one.run("inline")
    assert luck(one)["elsewhere"] == 0
    other = finished(tmp_path / "other", seed=9)
    assert luck(other)["elsewhere"] == one.tried().defined


@pytest.mark.slow
def test_what_forks_share_counts_once(tmp_path: Path) -> None:
    root = begun(tmp_path / "root", seed=8)
    shared = root.tried().defined
    one, two = root.fork(tmp_path / "one", {"seed": 11}), root.fork(tmp_path / "two", {"seed": 12})
    one.run("inline")
    two.run("inline")
    root.run("inline", epochs=1)
    more = [campaign.tried().defined - shared for campaign in (root, one, two)]
    assert min(more) > 0
    assert luck(two)["elsewhere"] == more[1]
    grand = one.fork(tmp_path / "grand", {"evolution.epochs": 4})
    grand.run("inline")
    assert luck(grand)["elsewhere"] == more[0] + more[2]
    own = grand.tried().defined - one.tried().defined
    assert luck(finished(tmp_path / "other", seed=9))["elsewhere"] == shared + sum(more) + own


@pytest.mark.slow
def test_a_killed_campaign_counts_by_its_folder(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.path.insert(0, {tests!r})\n"
        "from worlds import tiny, tiny_bars; import islands as isl\n"
        "campaign = isl.Campaign.create(tiny({{'seed': 8}}), {folder!r}, tiny_bars())\n"
        "campaign.run('inline', on_progress=lambda now: os._exit(9) if now.committed == 2 else None)"
    )
    folder = tmp_path / "killed"
    source = code.format(tests=str(Path(__file__).parent), folder=str(folder))
    assert subprocess.run([sys.executable, "-c", source], env=os.environ).returncode == 9
    assert [(line.epoch, line.trials) for line in lines()] == [(0, 0)]
    killed = isl.Campaign.open(folder)
    assert killed.status().committed == 2
    found = luck(finished(tmp_path / "next", seed=9))["elsewhere"]
    assert killed.tried().defined <= found == killed.tried().scored
    shutil.rmtree(folder)  # what is left of it is what is booked
    assert luck(finished(tmp_path / "after", seed=10))["elsewhere"] == booked()[0].trials


def test_a_campaign_that_was_evolved_on_these_bars_has_looked_at_them(tmp_path: Path) -> None:
    whole = finished(tmp_path / "whole", seed=8, bars__held_back=0.0)
    best = whole.champion_records()[0]
    seeded = finished(tmp_path / "seeded", seed=9, initial=[{"family": best["family"], **best["genes"]}])
    assert unseen(seeded)["openings"] == 2 and unseen(seeded)["opened_before"]
    other = finished(tmp_path / "other", seed=10)
    assert unseen(other)["openings"] == 3 and not unseen(other)["opened_before"]


@pytest.mark.slow
def test_folds_count_against_others_and_not_against_their_own(tmp_path: Path) -> None:
    folded = {"splits": {"kind": "walk_forward", "parts": 2}, "evolution__epochs": 2, "evolution__population": 6}
    whole = finished(tmp_path / "whole", seed=8, **folded)
    parts = sum(fold.tried().defined for fold in whole.folds())
    assert parts > 0
    whole.extend(3)
    whole.run("inline", epochs=1)
    assert luck(whole)["elsewhere"] == 0 and unseen(whole)["openings"] == 2
    other = finished(tmp_path / "other", seed=9)
    assert luck(other)["elsewhere"] == whole.tried().defined + parts


def test_what_an_older_version_opened_stays_opened(empty: Path) -> None:
    enter(opening("a"))
    line = json.loads(empty.read_text())
    del line["seen"]
    line["sketch"] = np.unique(openings._bars(tiny_bars().tape.cut(0, 1_000)))[: openings.SKETCH].tolist()
    empty.write_text(json.dumps(line) + "\n")
    assert [other.campaign for other in enter(opening("b"))] == ["a"]


def test_lines_of_a_register_without_champions_are_read(empty: Path) -> None:
    enter(opening("a"))
    line = json.loads(empty.read_text())
    del line["origin"], line["champions"]
    empty.write_text(json.dumps(line) + "\n")
    assert [(other.campaign, other.origin, other.champions) for other in enter(opening("b"))] == [("a", "", ())]


def test_a_register_that_cant_be_kept_is_said_and_costs_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISLANDS_REGISTER", str(tmp_path / "file" / "register.jsonl"))
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(IslandsWarning, match="ISLANDS_REGISTER"):
        campaign = finished(tmp_path / "one")
    assert unseen(campaign)["openings"] is None
    assert any("unknown number" in claim.sentence for claim in campaign.verdicts()[0].claims)


def test_nothing_held_back_opens_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        campaign = finished(tmp_path / "one", bars__held_back=0.0)
    assert booked() == [] and campaign.champion_records()[0]["unseen"] is None
