"""Who is blamed for an epoch that kills its workers: no genome for a slow machine, or for the compilation of kernels."""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import pytest
from failing_families import UNLUCKY
from hypothesis import given
from hypothesis import strategies as st
from islands.kernels.compile import cache_folder
from worlds import tiny_bars, tiny_world

import islands as isl
from islands.campaign import Campaign
from islands.evolution.failures import Failure, failure_on
from islands.evolution.island import advance_epoch
from islands.market.instants import instant_text
from islands.runtime import apart
from islands.runtime.apart import LONGER, Ending, Epoch, Genomes, Setting, Suspicion, find_suspect, run_apart

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
        if any(endless[int(one.genome[0])] for one in work.failures) or seconds > limit_s:
            return Ending(late, work.failures, ())
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


class Machine:
    """A machine on which a batch ends its process where it holds all of `deadly`; and what it was asked to compute."""

    def __init__(self, size: int, deadly: set[int], in_the_epoch_alone: bool = False) -> None:
        self.batch = tuple(genome(lag) for lag in range(size))
        self._deadly, self._once = deadly, in_the_epoch_alone
        self.asked: list[Epoch | Genomes] = []

    def run(self, setting: Setting, work: Epoch | Genomes, limit_s: float) -> Ending:
        self.asked.append(work)
        met = self.batch if isinstance(work, Epoch) else work.failures
        kills = self._deadly <= {int(one.genome[0]) for one in met} and (isinstance(work, Epoch) or not self._once)
        return Ending("died of SIGSEGV", met, ()) if kills else Ending(None, (), (((), {}),) * len(met))

    def suspicion(self) -> Suspicion:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(apart, "run_apart", self.run)
            return find_suspect(SETTING, EPOCH, 1.0)


@given(size=st.integers(1, 3_000), data=st.data())
def test_a_batch_is_bisected_to_the_genome_in_logarithmically_many_processes(size: int, data: st.DataObject) -> None:
    deadly = data.draw(st.integers(0, size - 1))
    machine = Machine(size, {deadly})
    found = machine.suspicion()
    (guilty,) = found.failures
    assert (guilty.genome, guilty.error) == ((float(deadly),), "died of SIGSEGV")
    assert found.words == "the evaluation of one genome died of SIGSEGV"
    assert len(machine.asked) <= 2 + 2 * math.ceil(math.log2(size))


@given(size=st.integers(2, 200), data=st.data())
def test_genomes_that_kill_together_alone_are_kept_together_in_the_smallest_batch_found(size: int, data: st.DataObject) -> None:
    deadly = data.draw(st.sets(st.integers(0, size - 1), min_size=2, max_size=3))
    machine = Machine(size, deadly)
    found = machine.suspicion()
    kept = [int(one.genome[0]) for one in found.failures]
    assert deadly <= set(kept) and len(kept) > 1
    middle = len(kept) // 2
    assert not deadly <= set(kept[:middle]) and not deadly <= set(kept[middle:])
    assert {one.error for one in found.failures} == {
        f"died of SIGSEGV, in a batch of {len(kept)} of which neither half does alone"
    }
    assert "no genome alone is to blame" in found.words
    assert len(machine.asked) <= 2 + 2 * math.ceil(math.log2(size))


def test_a_batch_that_kills_in_its_epoch_alone_is_kept_whole_and_that_is_said() -> None:
    machine = Machine(9, {4}, in_the_epoch_alone=True)
    found = machine.suspicion()
    assert [one.genome for one in found.failures] == [one.genome for one in machine.batch]
    assert found.words == (
        "the epoch died of SIGSEGV, in a batch of 9 genomes, but scored by themselves, in a process of their own, these came "
        "through"
    )
    assert sum(isinstance(work, Epoch) for work in machine.asked) == 2  # the second time with more patience


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
    sound = batch[:2] + batch[3:]
    ending = run_apart(setting, Genomes(sound), limit_s=1.0)
    assert list(cache.glob("*endless*.nbi")), "nothing was compiled"
    assert (ending.died, ending.during, len(ending.scored)) == (None, (), 3)
    assert run_apart(setting, Genomes(batch), limit_s=1.0) == Ending("is still computing after 1 s", batch, ())


def test_calls_that_see_in_float32_are_announced_as_others_are() -> None:
    """A process that dies in one would else have died outside of any evaluation."""
    world = tiny_world({"evolution.precision": "float32", "archipelago.islands": 1})
    receiving, sending = Pipe(duplex=False)
    with receiving, sending:
        told: list[object] = []
        reader = Thread(target=lambda: told.extend(iter(receiving.recv, None)))
        reader.start()
        apart._do(world, sending, EPOCH)
        sending.send(None)
        reader.join()
    begun = [one for one in told if isinstance(one, apart._Begun)]
    assert len(begun) == sum(isinstance(one, apart._Ended) for one in told)
    alone = advance_epoch(world, 0, 1, None, [])
    assert sum(len(one.batch) for one in begun) > len(alone.trials.deme), "those that leave are scored once more"


def test_parts_of_a_market_of_equal_length_are_told_apart() -> None:
    stamps = tiny_bars().timestamps
    windows = [[instant_text(int(stamps[at])).removesuffix(" UTC") for at in span] for span in ((200, 400), (500, 700))]
    world = tiny_world({"splits.kind": "segments", "splits.windows": windows, "splits.anew": True})
    first, second = world.habitats[0].markets
    assert (len(first.tape), first.terms.first) == (len(second.tape), second.terms.first)
    for market in (first, second):
        assert apart.market_of(world, failure_on(market, 0, (2.0, 10.0))) is market
    old = replace(failure_on(first, 0, (2.0, 10.0)), begins=0)
    assert apart.market_of(world, old) is first
