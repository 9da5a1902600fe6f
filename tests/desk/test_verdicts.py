"""Verdicts as a person meets them: in the terminal, on the page, on the cards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import islands
from pages import Page
from rich.console import Console
from worlds import tiny, tiny_bars

import islands as isl
from islands.desk.verdicts import BESIDE, MARKS, fold_line, note_line, verdict_lines, verdict_summary

SPEC = """
name = "short"
[bars]
path = "sample:sp500"
[costs]
fee = 0.0005
slippage = 0.0001
[[families]]
name = "rsi_mean_reversion"
[evolution]
population = 6
epochs = {epochs}
generations_per_epoch = 1
[archipelago]
islands = 2
"""


def test_the_terminal_shows_each_claim_with_its_mark(finished: isl.Campaign) -> None:
    console = Console(width=400, record=True)
    with console.capture() as capture:
        console.print(verdict_lines(finished.champion_records(), finished.verdicts()))
    text = capture.get()
    for row, verdict in zip(finished.champion_records(), finished.verdicts(), strict=True):
        assert f"{row['rank']} {row['family']} " in text
        for claim in verdict.claims:
            assert f"{MARKS[claim.passed]} {claim.sentence}" in text
    assert verdict_summary(finished.verdicts()).startswith(f"{len(finished.verdicts())} champions: ")


@pytest.mark.slow
def test_the_terminal_shows_what_stands_beside_with_a_mark_of_its_own(finished: isl.Campaign) -> None:
    stands = finished.beside_verdicts()
    assert stands is not None
    console = Console(width=2_000, record=True)
    with console.capture() as capture:
        console.print(verdict_lines(finished.champion_records(), finished.verdicts(), stands), *map(note_line, stands.search))
    for note in (note for each in (stands.search, *stands.champions) for note in each):
        assert f"{BESIDE} {note.sentence}" in capture.get()
    assert BESIDE not in MARKS.values()


def test_a_fold_is_a_line_in_the_terminal(finished: isl.Campaign) -> None:
    found = finished.verdicts()
    failed = [claim.name for claim in found[0].claims if claim.passed is False]
    assert failed and fold_line(2, found) == f"fold 2: {verdict_summary(found)}; its best failed: {', '.join(failed)}"
    assert fold_line(3, []) == "fold 3: no champion, or not finished"


@pytest.mark.slow
def test_the_page_begins_with_the_question_and_its_answers(finished: isl.Campaign, tmp_path: Path) -> None:
    page = Page(finished.report(tmp_path / "report.html"))
    assert next(attributes["id"] for tag, attributes in page.tags if tag == "h2") == "verdicts"
    assert all(claim.sentence in page.text for verdict in finished.verdicts() for claim in verdict.claims)
    assert "What each champion hangs on" in page.text


@pytest.mark.slow
def test_what_stands_beside_is_on_the_page_and_is_no_claim(finished: isl.Campaign, tmp_path: Path) -> None:
    page, stands = Page(finished.report(tmp_path / "report.html")), finished.beside_verdicts()
    assert stands is not None
    notes = [note for each in (stands.search, *stands.champions) for note in each]
    assert {note.name for note in notes} == {"overfitting", "superior", "evolution", "held back"}
    assert all(f"{note.sentence}." in page.text for note in notes)
    marks = [attributes.get("class") for tag, attributes in page.tags if tag == "li"]
    assert marks.count("diagnostic") == sum(len(each) for each in stands.champions)
    assert not any(note.sentence == claim.sentence for v in finished.verdicts() for claim in v.claims for note in notes)


def test_an_unfinished_campaign_has_no_verdict_anywhere(tmp_path: Path) -> None:
    campaign = isl.Campaign.create(tiny(), tmp_path / "run", tiny_bars())
    campaign.run("inline", epochs=1)
    assert campaign.verdicts() == [] and "verdict" not in campaign.champions().columns
    page = Page(campaign.report())
    assert "Is it luck?" not in page.text and "drawn anew" not in page.text and "Hansen" not in page.text
    assert "verdict" not in json.loads(campaign.export().read_text())["champions"][0]


def test_cards_carry_the_verdict(finished: isl.Campaign, tmp_path: Path) -> None:
    cards = json.loads(finished.export(tmp_path / "cards.json").read_text())["champions"]
    assert [card["verdict"]["word"] for card in cards] == [verdict.word for verdict in finished.verdicts()]
    assert [claim["sentence"] for claim in cards[0]["verdict"]["claims"]] == [c.sentence for c in finished.verdicts()[0].claims]


@pytest.mark.slow
def test_the_commands_say_whether_it_is_luck(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(SPEC.format(epochs=2))
    done = islands("run", "spec.toml", "--dir", "run", "--runtime", "inline", cwd=tmp_path)
    assert done.returncode == 0 and "strategies were tried" in done.stdout and "islands null" in done.stdout
    told = islands("verdict", "run", cwd=tmp_path)
    assert told.returncode == 0 and "Against holding" in told.stdout
    assert f"  {BESIDE} On the bars of evolution, drawn anew" in told.stdout and f"{BESIDE} Hansen's test" in told.stdout
    segments = sorted((tmp_path / "run" / "ledger").iterdir())
    assert len(segments) == 2
    for segment in segments:  # the newest commit's, and an older one's
        whole = segment.read_bytes()
        segment.write_bytes(whole[:-1])
        torn = islands("verdict", "run", cwd=tmp_path)
        assert torn.returncode == 0 and "Against holding" in torn.stdout and "drawn anew" not in torn.stdout
        assert "could not be computed" in torn.stderr and segment.name in torn.stderr
        segment.write_bytes(whole)
    few = islands("null", "run", "--runs", "10", "--runtime", "inline", cwd=tmp_path)
    assert few.returncode == 2 and "99 or more" in few.stderr
    null = islands("null", "run", "--runtime", "inline", cwd=tmp_path)
    assert null.returncode == 0 and "at most 198 runs" in null.stdout and "zero drift: p = " in null.stdout
    assert "The search has not been repeated" not in islands("verdict", "run", cwd=tmp_path).stdout
    assert islands("extend", "run", "--epochs", "3", cwd=tmp_path).returncode == 0
    unfinished = islands("verdict", "run", cwd=tmp_path)
    assert unfinished.returncode == 2 and "2 of 3 epochs are committed" in unfinished.stderr
