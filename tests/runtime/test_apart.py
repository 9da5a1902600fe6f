"""Who is blamed for an epoch that kills its workers: no genome for a slow machine, or for the compilation of kernels."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from failing_families import UNLUCKY
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.compile import cache_folder

import islands as isl
from islands.campaign import Campaign
from islands.evolution.failures import Failure
from islands.runtime import apart
from islands.runtime.apart import LONGER, Ending, Epoch, Genomes, Setting, find_suspect, run_apart

EPOCH = Epoch(0, 1, None, [])
SETTING = Setting("", {}, ())


def genome(lag: int) -> Failure:
    return Failure(0, (float(lag),), "A", 500, 50, "")


@given(
    endless=st.lists(st.booleans(), min_size=1, max_size=6),
    slowness=st.lists(st.sampled_from([0.1, 2.0, 3.9]), min_size=40, max_size=40),
)
def test_only_a_genome_that_never_ends_is_blamed_however_slow_each_process_is(
    endless: list[bool], slowness: list[float]
) -> None:
    """A model of the machine: a genome takes as long as its process is slow, in units of the limit; a batch is one call."""
    batch = tuple(genome(lag) for lag in range(len(endless)))
    slow = iter(slowness)

    def run(setting: Setting, work: Epoch | Genomes, limit_s: float) -> Ending:
        seconds = next(slow)
        late = f"is still computing after {limit_s:g} s"
        if isinstance(work, Epoch):
            return Ending(late, batch, ()) if any(endless) or seconds > limit_s else Ending(None, (), ())
        for done, one in enumerate(work.failures):
            if endless[int(one.genome[0])] or seconds > limit_s:
                return Ending(late, (one,), (((), {}),) * done)
        return Ending(None, (), (((), {}),) * len(work.failures))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "run_apart", run)
        found = find_suspect(SETTING, EPOCH, 1.0)
    if any(endless):
        (guilty,) = found.failures
        assert guilty.genome == batch[endless.index(True)].genome
        assert guilty.error == f"is still computing after {LONGER:g} s"
    else:
        assert found.failures == ()
        assert "it came through" in found.words


@pytest.mark.slow
def test_the_compilation_of_kernels_counts_for_no_genome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The family is compiled nowhere, and the limit is one that compilation exceeds by far."""
    spec = isl.CampaignSpec(
        seed=7,
        bars={"path": "sample:sp500"},
        costs={"fee": 1e-4, "slippage": 5e-5},
        families=[{"name": "failing_families:endless", "genes": {"lag": [1, 48]}}],
    )
    world = Campaign.create(spec, tmp_path / "run").world
    setting = Setting(world.spec.model_dump_json(), {m.name: m.tape.block for m in world.markets}, tuple(sys.path))
    place = world.markets[0].name, len(world.markets[0].tape), int(world.markets[0].terms.first)
    batch = tuple(Failure(0, (float(lag), 0.0), *place, "") for lag in (3, 5, UNLUCKY, 9))
    assert world.numeric  # what the family needs besides is compiled here, at the latest
    cache = tmp_path / "cache" / cache_folder().name
    shutil.copytree(cache_folder(), cache, ignore=shutil.ignore_patterns("*endless*", "*.tmp.*"))
    monkeypatch.setenv("ISLANDS_CACHE_DIR", str(cache.parent))
    ending = run_apart(setting, Genomes(batch), limit_s=1.0)
    assert list(cache.glob("*endless*.nbi")), "nothing was compiled"
    assert ending.during == (batch[2],)
    assert len(ending.scored) == 2
