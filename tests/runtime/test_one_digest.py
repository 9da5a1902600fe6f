"""Islands as different as a campaign allows, over two instruments: one digest wherever and however they are computed."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import ray
from worlds import different, different_bars, in_another_process, links, play, small, tiny_bars, world_of

import islands as isl
from islands.campaign import Campaign
from islands.runtime import coordinator
from islands.runtime.island_actor import RemoteIslandActor
from islands.runtime.report import Progress, RunReport
from islands.spec import ONLY

pytestmark = pytest.mark.slow

EPOCHS = 6
ALL_STEPS = Counter((island, epoch) for island in range(4) for epoch in range(1, EPOCHS + 1))


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], Campaign]:
    return lambda: Campaign.create(different(), tmp_path / "run", bars=different_bars())


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(different(), tmp_path_factory.mktemp("reference") / "run", bars=different_bars())
    assert campaign.run("inline").finished
    return campaign


def computed(report: RunReport) -> Counter[tuple[int, int]]:
    return Counter((step.island, step.epoch) for step in report.steps)


def same_result(campaign: Campaign, reference: Campaign) -> None:
    """Digests of all epochs, every frame of the account, and the champions with their held-back figures."""
    assert [campaign.digest(e) for e in range(EPOCHS + 1)] == [reference.digest(e) for e in range(EPOCHS + 1)]
    for ask in (Campaign.history, Campaign.migrations, Campaign.trials, Campaign.hall_of_fame, Campaign.population):
        assert ask(campaign).equals(ask(reference))
    assert campaign.champions().equals(reference.champions())
    assert campaign.champion_figures().equals(reference.champion_figures())
    assert campaign.verify() == []


def test_the_islands_differ_in_everything_and_meet(reference: Campaign) -> None:
    """The tests below are worth what this campaign goes through."""
    world = reference.world
    families = isl.families()[:4]
    assert {name for habitat in world.habitats for name in (families[i] for i in habitat.holdings)} == set(families)
    assert len({habitat.holdings for habitat in world.habitats}) >= 3
    assert len({habitat.evolution.population for habitat in world.habitats}) == 3
    assert len({habitat.evolution.model_dump_json() for habitat in world.habitats}) == 4
    scored_on = {
        tuple((market.name, len(market.tape), market.terms.first) for market in habitat.markets) for habitat in world.habitats
    }
    assert len(scored_on) == 4
    migrations, history = reference.migrations(), reference.history()
    assert set(migrations["epoch"]) == {3, 5}
    ways = migrations.select("epoch", "source", "target").unique()
    assert 4 < len(ways) < 2 * 6, "no weighted edge was closed"
    assert len(migrations.filter(outcome="accepted").select("source", "target").unique()) >= 3
    assert {"mutate", "mutate+reset"} <= set(history["stagnation_rule"])
    immigrants = reference.trials().filter(origin="immigrant")["born"]
    assert reference.trials()["parent"].is_in(immigrants.implode()).any(), "no immigrant had children"
    line = reference.lineage(reference.champions()["born"][0])
    assert set(line.filter(pl.col("parent").is_null())["origin"]) <= {"founder", "immigrant"}
    assert set(reference.champion_figures()["instrument"]) == {"EURUSD", "PLANTED"}


def test_the_digest_is_that_of_the_pure_steps(reference: Campaign) -> None:
    commits = play(world_of(different(), different_bars()), EPOCHS)
    assert [reference.digest(e) for e in range(1, EPOCHS + 1)] == links(commits)


def test_another_process_of_another_hash_seed_comes_to_it(tmp_path: Path, reference: Campaign) -> None:
    code = (
        "import islands as isl; from worlds import *\n"
        "c = isl.Campaign.create(different(), 'run', bars=different_bars()); c.run('inline'); print(c.digest())"
    )
    assert in_another_process(code, cwd=tmp_path, PYTHONHASHSEED="0") == reference.digest()


@pytest.mark.usefixtures("cluster")
def test_workers_come_to_it(make: Callable[[], Campaign], reference: Campaign) -> None:
    """Other numbers of workers: the tests below, and the whole matrix."""
    campaign = make()
    report = campaign.run(workers=2)
    assert report.finished
    assert computed(report) == ALL_STEPS
    pids = {step.pid for step in report.steps}
    assert len(pids) == 2
    assert os.getpid() not in pids
    same_result(campaign, reference)


class Killer:
    """Kills a busy island actor, and the next one where a kill cost no step since the actor was just done."""

    def __init__(self, after: int, times: int = 1) -> None:
        self.after, self.times = after, times
        self.killed: list[int] = []

    def __call__(self, progress: Progress) -> None:
        busy = [pid for pid in sorted(progress.running) if pid not in self.killed]
        if busy and progress.committed >= self.after and progress.lost < self.times:
            self.killed.append(busy[0])
            os.kill(busy[0], signal.SIGKILL)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("workers", "after"), [(2, 1), (4, 3)])
def test_an_actor_killed_in_the_middle_of_a_step_costs_no_bit(
    workers: int, after: int, make: Callable[[], Campaign], reference: Campaign
) -> None:
    campaign, kill = make(), Killer(after)
    report = campaign.run(workers=workers, on_progress=kill)
    assert kill.killed, "no live worker was killed"
    assert report.lost, "no kill cost a step"
    assert {pid for _, _, pid in report.lost} <= set(kill.killed)
    assert computed(report) == ALL_STEPS  # what was lost was computed by another process, and nothing twice
    for island, epoch, pid in report.lost:
        assert [step.pid for step in report.steps if (step.island, step.epoch) == (island, epoch)] != [pid]
    same_result(campaign, reference)


@pytest.mark.usefixtures("cluster")
def test_ray_after_inline_and_inline_after_ray(make: Callable[[], Campaign], reference: Campaign) -> None:
    path, committed = make().path, 0
    for runtime, epochs in (("inline", 1), ("ray", 2), ("inline", 1), ("ray", 2)):
        campaign = Campaign.open(path)
        report = campaign.run(runtime, workers=2 if runtime == "ray" else None, epochs=epochs)
        assert (report.started_at, report.committed) == (committed, committed + epochs)
        committed += epochs
        assert campaign.digest() == reference.digest(committed)
    same_result(campaign, reference)


@pytest.mark.usefixtures("cluster")
def test_with_a_longer_delay_too_one_go_slices_and_ray_are_the_same(tmp_path: Path, reference: Campaign) -> None:
    """Emigrants of two epochs are on their way across each stop."""
    whole, slices, spread = (
        Campaign.create(different(delay=2), tmp_path / name, bars=different_bars()) for name in ("whole", "slices", "spread")
    )
    whole.run("inline")
    assert set(whole.migrations()["epoch"]) == {4, 6}
    assert whole.digest() != reference.digest()
    for _ in range(EPOCHS):
        Campaign.open(slices.path).run("inline", epochs=1)
    spread.run(workers=2, epochs=4)
    Campaign.open(spread.path).run(workers=1)
    for campaign in (slices, spread):
        same_result(campaign, whole)


@pytest.mark.usefixtures("cluster")
def test_a_campaign_folder_that_moved_between_two_runs_comes_to_it(
    make: Callable[[], Campaign], reference: Campaign, tmp_path: Path
) -> None:
    """Its bars were given in memory, so they move with it."""
    make().run(workers=2, epochs=3)
    (tmp_path / "run").rename(tmp_path / "moved")
    campaign = Campaign.open(tmp_path / "moved")
    assert campaign.run("inline").started_at == 3
    same_result(campaign, reference)


@pytest.mark.usefixtures("cluster")
def test_frames_are_read_while_ray_works(make: Callable[[], Campaign], reference: Campaign) -> None:
    campaign = make()
    seen: list[int] = []

    def look(progress: Progress) -> None:
        watching = Campaign.open(campaign.path)
        committed = watching.status().committed
        if committed not in seen:
            seen.append(committed)
            history = watching.history()  # another commit may have come meanwhile
            there = history["epoch"].max() or 0
            assert there >= committed
            for name in ("history", "migrations", "trials"):
                frame = getattr(watching, name)().filter(pl.col("epoch") <= there)
                assert frame.equals(getattr(reference, name)().filter(pl.col("epoch") <= there))

    campaign.run(workers=2, on_progress=look)
    assert len(seen) >= 3
    same_result(campaign, reference)


# The whole matrix, on worlds that are cheap

WAYS = {"ring": "ring", "star": "star", "complete": "complete"}


@pytest.fixture(scope="module")
def played() -> Callable[[str, int], list[str]]:
    """The digests of the pure steps, by one worker on no disk."""

    @functools.cache
    def digests(topology: str, delay: int) -> list[str]:
        return links(play(world_of(small(topology, delay), {ONLY: tiny_bars()}), 3))

    return digests


@pytest.mark.parametrize("delay", [1, 2])
@pytest.mark.parametrize("topology", list(WAYS))
def test_topologies_and_delays_inline(
    topology: str, delay: int, tmp_path: Path, played: Callable[[str, int], list[str]]
) -> None:
    campaign = Campaign.create(small(topology, delay), tmp_path / "run", bars=tiny_bars())
    campaign.run("inline")
    assert [campaign.digest(e) for e in (1, 2, 3)] == played(topology, delay)


def test_topologies_and_delays_all_matter(played: Callable[[str, int], list[str]]) -> None:
    assert len({played(topology, delay)[-1] for topology in WAYS for delay in (1, 2)}) == 6


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("topology", "delay", "workers"),
    [("ring", 1, 8), ("ring", 2, 2), ("star", 1, 2), ("star", 2, 1), ("complete", 1, 1), ("complete", 2, 4)],
)
def test_topologies_and_delays_on_ray(
    topology: str, delay: int, workers: int, tmp_path: Path, played: Callable[[str, int], list[str]]
) -> None:
    """Each way once, on 1, 2, 4 and 8 workers, whole: with a coordinator that is an actor, and workers of its own. Of many on
    few cores the last may come when everything is done."""
    campaign = Campaign.create(small(topology, delay), tmp_path / "run", bars=tiny_bars())
    report = campaign.run(workers=workers)
    assert min(workers, 2) <= len({step.pid for step in report.steps}) <= workers
    assert [campaign.digest(e) for e in (1, 2, 3)] == played(topology, delay)


class Kept:
    """Island actors that stay for all campaigns of the matrix: to start its 90 would take minutes. Every second one has
    another seed of Python's hashes."""

    def __init__(self, most: int) -> None:
        seeds = ({"env_vars": {"PYTHONHASHSEED": str(number % 2 + 1)}} for number in range(most))
        self._actors = [RemoteIslandActor.options(num_cpus=0, runtime_env=seed).remote() for seed in seeds]
        self._next = 0

    def options(self, **_: Any) -> Kept:
        """As a coordinator asks for one."""
        return self

    def remote(self) -> Any:
        self._next += 1
        return self._actors[self._next - 1]

    def renew(self, crew: coordinator.Crew, worker: str) -> None:
        """At its end a coordinator lets its actors go."""
        crew._actors.pop(worker)
        self._next = 0

    def run(self, assignment: coordinator.Assignment, blocks: coordinator.Blocks, *_: Any) -> RunReport:
        """The coordinator at work in this process."""
        return coordinator.Coordinator().run(assignment, blocks, take_over=False)

    def end(self) -> None:
        for actor in self._actors:
            ray.kill(actor)


def hash_seed(pid: int) -> bytes:
    """PYTHONHASHSEED of a process."""
    environment = dict(pair.split(b"=", 1) for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if b"=" in pair)
    return environment[b"PYTHONHASHSEED"]


@pytest.fixture(scope="module")
def pool(cluster: None) -> Iterator[Kept]:
    found = Kept(8)
    yield found
    found.end()


@pytest.fixture
def kept(pool: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "RemoteIslandActor", pool)
    monkeypatch.setattr(coordinator.Crew, "renew", lambda crew, worker: pool.renew(crew, worker))
    monkeypatch.setattr(coordinator, "run_on_ray", pool.run)
    monkeypatch.setattr(coordinator, "LINGER_S", threading.TIMEOUT_MAX)  # after which it would end this process


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("delay", [1, 2])
@pytest.mark.parametrize("topology", list(WAYS))
def test_every_number_of_workers_delay_and_topology_on_ray(
    workers: int, delay: int, topology: str, tmp_path: Path, played: Callable[[str, int], list[str]]
) -> None:
    campaign = Campaign.create(small(topology, delay), tmp_path / "run", bars=tiny_bars())
    report = campaign.run(workers=workers)
    pids = {step.pid for step in report.steps} - {os.getpid()}
    assert len(pids) == workers
    assert len({hash_seed(pid) for pid in pids}) == min(workers, 2)
    assert [campaign.digest(e) for e in (1, 2, 3)] == played(topology, delay)


def test_ray_in_a_process_of_yet_another(tmp_path: Path, played: Callable[[str, int], list[str]]) -> None:
    """Its workers inherit the seed."""
    code = (
        "import islands as isl; from worlds import small, tiny_bars\n"
        "c = isl.Campaign.create(small('complete', 2), 'run', bars=tiny_bars()); c.run(workers=2); print(c.digest())"
    )
    assert in_another_process(code, cwd=tmp_path, PYTHONHASHSEED="12345") == played("complete", 2)[-1]
