"""The fingerprint of a machine's arithmetic."""

from __future__ import annotations

import math
import re

import pytest
from worlds import in_another_process

from islands import numerics

SHOW = "from islands import numerics; print(numerics.fingerprint())"


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_fingerprint_is_the_same_in_every_process_of_a_machine(hash_seed: str) -> None:
    assert in_another_process(SHOW, PYTHONHASHSEED=hash_seed) == numerics.fingerprint()


def test_fingerprint_is_a_sha_256() -> None:
    assert re.fullmatch("[0-9a-f]{64}", numerics.fingerprint())


@pytest.mark.parametrize("name", ["exp", "log"])
def test_fingerprint_notices_the_last_bit_of_a_function(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = numerics.fingerprint()
    true = getattr(numerics, name)
    monkeypatch.setattr(numerics, name, lambda x: math.nextafter(true(x), math.inf))
    assert numerics.fingerprint.__wrapped__() != here


def test_fingerprint_notices_the_last_bit_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    from islands.kernels import batch

    here = numerics.fingerprint()
    true = batch.population_metrics

    def off(*arguments: object) -> object:
        figures = true(*arguments)
        figures[0, 3] = math.nextafter(figures[0, 3], math.inf)
        return figures

    monkeypatch.setattr(batch, "population_metrics", off)
    assert numerics.fingerprint.__wrapped__() != here


def test_exp_and_log_are_the_c_library_s() -> None:
    assert (numerics.exp(1.5), numerics.log(1.5)) == (math.exp(1.5), math.log(1.5))
