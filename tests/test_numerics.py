"""The fingerprint of a machine's arithmetic."""

from __future__ import annotations

import math
import re
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from islands.kernels import batch, variation
from islands.kernels.overlays import OVERLAYS
from worlds import in_another_process, tiny_world

import islands as isl
from islands import numerics

FAMILIES = ("ema_crossover", "funding_carry")
SHOW = f"from islands import numerics; print(numerics.fingerprint({FAMILIES!r}))"


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_fingerprint_is_the_same_in_every_process_of_a_machine(hash_seed: str) -> None:
    assert in_another_process(SHOW, PYTHONHASHSEED=hash_seed) == numerics.fingerprint(FAMILIES)


def test_fingerprint_of_a_campaign_with_overlays_is_that_of_their_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, overlaid = tiny_world(), tiny_world({"overlays": {"stop_loss": [0.01, 0.05]}})
    families = tuple(space.family.name for space in plain.spaces)
    assert plain.numeric == numerics.fingerprint(families)
    assert overlaid.numeric == numerics.fingerprint(families, True) != plain.numeric
    assert tiny_world({"costs.borrow": 0.05}).numeric == overlaid.numeric
    whole = numerics.fingerprint.__wrapped__(families, True)
    for column in range(len(OVERLAYS)):
        other = numerics._OVERLAYS.copy()
        other[:, column] *= 1.5
        monkeypatch.setattr(numerics, "_OVERLAYS", other)
        assert numerics.fingerprint.__wrapped__(families, True) != whole, OVERLAYS[column]


def test_fingerprint_is_a_sha_256() -> None:
    assert re.fullmatch("[0-9a-f]{64}", numerics.fingerprint(FAMILIES))


@pytest.mark.parametrize("name", ["exp", "log"])
def test_fingerprint_notices_the_last_bit_of_a_function(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = numerics.fingerprint(FAMILIES)
    true = getattr(numerics, name)
    monkeypatch.setattr(numerics, name, lambda x: math.nextafter(true(x), math.inf))
    assert numerics.fingerprint.__wrapped__(FAMILIES) != here


def test_fingerprint_notices_the_last_bit_of_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    here = numerics.fingerprint(FAMILIES)
    true = batch.population_metrics

    def off(*arguments: object) -> object:
        figures = true(*arguments)
        figures[0, 3] = math.nextafter(figures[0, 3], math.inf)
        return figures

    monkeypatch.setattr(batch, "population_metrics", off)
    assert numerics.fingerprint.__wrapped__(FAMILIES) != here


@pytest.mark.parametrize(
    "name",
    ["cross_simulated_binary_bounded", "cross_simulated_binary", "mutate_polynomial_bounded", "mutate_gaussian"],
)
def test_fingerprint_notices_the_last_bit_of_a_kernel_of_variation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = numerics.fingerprint(FAMILIES)
    true = getattr(variation, name)

    def off(*arguments: Any) -> None:
        true(*arguments)
        arguments[-1][3, 2] = math.nextafter(arguments[-1][3, 2], math.inf)

    monkeypatch.setattr(variation, name, off)
    assert numerics.fingerprint.__wrapped__(FAMILIES) != here


@pytest.mark.parametrize("name", isl.families())
def test_every_family_has_a_probe_in_which_it_trades(name: str) -> None:
    market, (file, genomes) = numerics._probe_market(), numerics.PROBES[name]
    kind = isl.family(name)
    assert kind.signal.step is getattr(import_module(f"islands.kernels.{file}"), name).step
    assert all(len(genome) == len(kind.genes) for genome in genomes)
    targets = batch.positions(kind.signal, market, np.array(genomes[0], dtype=float))
    assert np.count_nonzero(np.diff(targets)) > 0


def test_exp_and_log_are_the_c_library_s() -> None:
    assert (numerics.exp(1.5), numerics.log(1.5)) == (math.exp(1.5), math.log(1.5))
