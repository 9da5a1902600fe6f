"""The statistics in one place, each with the paper or book that it is taken from."""

from __future__ import annotations

import inspect
import re

import pytest

import islands as isl

FUNCTIONS = [name for name in isl.statistics.__all__ if inspect.isfunction(getattr(isl.statistics, name))]


def test_there_are_functions_to_look_at() -> None:
    assert {"pbo", "moments", "spa", "holm"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_statistic_names_its_source(name: str) -> None:
    told = inspect.getdoc(getattr(isl.statistics, name)) or ""
    _, found, source = told.partition("Source: ")
    assert found and re.search(r"\(\d{4}\)", source.partition("\n\n")[0]), told
