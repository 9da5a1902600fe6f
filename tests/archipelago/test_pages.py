"""The page of a report: whole as it was written, and each change of a byte and each end cut off is noticed."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import islands as isl
from islands.archipelago.audit import audit
from islands.archipelago.journal import Journal
from islands.archipelago.pages import REPORT, is_whole, sealed, was_never_sealed

PAGE = "<!doctype html>\n<html>\n<p>–</p>\n</html>\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_page_is_whole_once_it_is_sealed_and_was_not_before(text: str) -> None:
    assert is_whole(sealed(text).encode())
    assert not is_whole(text.encode())
    assert not was_never_sealed(sealed(text).encode())


def test_the_seal_is_the_hash_of_everything_before_it() -> None:
    content, last = sealed(PAGE).encode().rsplit(b"<!-- sha256 ", 1)
    assert last.decode() == f"{hashlib.sha256(content).hexdigest()} -->\n"
    assert content.decode().replace(content.decode().splitlines(keepends=True)[1], "") == PAGE


def test_each_byte_and_each_end_of_a_page_is_noticed() -> None:
    page = sealed(PAGE).encode()
    for place in range(len(page)):
        for damaged in (
            page[:place],
            *(page[:place] + bytes([page[place] ^ 1 << bit]) + page[place + 1 :] for bit in range(8)),
        ):
            assert not is_whole(damaged)
            assert not was_never_sealed(damaged)


@pytest.mark.slow
def test_verify_names_a_damaged_report_and_tells_of_one_that_has_no_hash(finished: isl.Campaign) -> None:
    assert finished.verify() == []
    path = finished.report()
    journal, page, chance = Journal(finished.path), path.read_bytes(), Random(0)
    assert (finished.verify(), audit(journal).notes) == ([], [])
    problem = f"{finished.path}/{REPORT} is torn or changed; islands report writes it anew"
    for place in (0, len(page) - 1, len(page) - 40, *(chance.randrange(len(page)) for _ in range(7))):
        for damaged in (page[:place], page[:place] + bytes([page[place] ^ chance.randrange(1, 256)]) + page[place + 1 :]):
            assert not is_whole(damaged) and not was_never_sealed(damaged)
    path.write_bytes(page[:-1])
    assert finished.verify() == [problem]
    path.write_text("<!doctype html>\n<html>as former versions wrote it</html>\n")
    assert finished.verify() == []
    (note,) = audit(journal).notes
    assert note.startswith(f"{finished.path}/{REPORT} was written by an older version")
    path.unlink()
    path.mkdir()
    assert [f"{path} is no regular file" in words for words in finished.verify()] == [True]
    path.rmdir()
    finished.report()
    assert finished.verify() == []
