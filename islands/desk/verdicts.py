"""Verdicts in words, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from islands.desk.figures import count, genes_line

if TYPE_CHECKING:
    from islands.evidence.beside import Beside, Note
    from islands.evidence.verdict import Verdict

MARKS = {True: "+", False: "-", None: "?"}
"""Whether a claim was passed; a question that nobody has asked yet has no answer."""

BESIDE = "="
"""What stands beside a verdict, and changes none."""

_COLOURS = {"no evidence": "red", "weak": "yellow", "evidence": "green"}


def verdict_lines(rows: Sequence[dict[str, Any]], verdicts: Sequence[Verdict], beside: Beside | None = None) -> RenderableType:
    """Each champion's verdict with the sentences behind it, and those that stand beside it. rows:
    `Campaign.champion_records()`."""
    parts: list[RenderableType] = []
    notes = beside.champions if beside else [()] * len(rows)
    for row, verdict, diagnostics in zip(rows, verdicts, notes, strict=True):
        which = (f"{row['rank']} {row['family']} ", "bold"), genes_line(row["genes"])
        title = Text.assemble(*which, ": ", (verdict.word, _COLOURS[verdict.word]))
        claims = Table.grid(padding=(0, 1))
        claims.add_column(no_wrap=True)
        claims.add_column(overflow="fold")
        for claim in verdict.claims:
            claims.add_row(f"  {MARKS[claim.passed]}", Text(claim.sentence))
        for note in diagnostics:
            claims.add_row(f"  {BESIDE}", Text(note.sentence, style="dim"))
        parts += [title, claims]
    return Group(*parts)


def note_line(note: Note) -> RenderableType:
    """What stands beside all verdicts."""
    return Text(f"{BESIDE} {note.sentence}", style="dim")


def verdict_summary(verdicts: Sequence[Verdict]) -> str:
    """How many champions come to which word: "10 champions: 9 no evidence, 1 weak"."""
    words = [verdict.word for verdict in verdicts]
    counted = [f"{words.count(word)} {word}" for word in _COLOURS if word in words]
    return f"{count(len(words), 'champion')}: {', '.join(counted)}"


def fold_line(number: int, verdicts: Sequence[Verdict]) -> str:
    """What the champions of a fold come to, and the tests that its best one has not passed."""
    if not verdicts:
        return f"fold {number}: no champion, or not finished"
    failed = [claim.name for claim in verdicts[0].claims if claim.passed is False]
    return f"fold {number}: {verdict_summary(verdicts)}" + (f"; its best failed: {', '.join(failed)}" if failed else "")
