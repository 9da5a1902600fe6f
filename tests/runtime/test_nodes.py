"""Several nodes: one is lost, one is gained, and the head itself; one digest."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import ENVIRONMENT as OURS
from worlds import in_another_process

import islands as isl
from benchmarks.failpoints import ENVIRONMENT, diary, plan
from benchmarks.sessions import is_gone
from islands.campaign import Campaign

pytestmark = pytest.mark.slow

ISLANDS, EPOCHS = 6, 60


def spec() -> isl.CampaignSpec:
    return isl.CampaignSpec(
        seed=3,
        bars={"path": "sample:eurusd"},
        costs={"fee": 2e-5, "slippage": 3e-5},
        families=[{"name": "benchmarks.failpoints:victim"}],
        evolution={"population": 60, "epochs": EPOCHS, "generations_per_epoch": 4},
        archipelago={"islands": ISLANDS},
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    campaign = Campaign.create(spec(), tmp_path_factory.mktemp("reference") / "run")
    campaign.run("inline")
    return campaign


# In another process, as the tests of this folder share one connection to another Ray.
THREE_NODES = """
import json
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from islands.campaign import Campaign

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
others = [cluster.add_node(num_cpus=2) for _ in range(2)]
ray.init(address=cluster.address, namespace="strategy-islands", log_to_driver=False, logging_level="ERROR")
campaign = Campaign.open("run")
lost, added = [], []

def look(progress):
    if progress.committed >= 3 and not lost:
        for pid in progress.running:
            parent = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
            for node in others:
                if parent == node.all_processes["raylet"][0].process.pid:
                    lost.append(pid)
                    cluster.remove_node(node, allow_graceful=False)
                    added.append(cluster.add_node(num_cpus=2))
                    return

report = campaign.run(workers=6, on_progress=look)
outcome = [len(lost), any(pid in lost for _, _, pid in report.lost), report.finished, campaign.digest()]
Path("outcome").write_text(json.dumps(outcome))  # not to stdout: Ray writes there too
ray.shutdown()
cluster.shutdown()
"""


def test_a_cluster_of_three_nodes_loses_one_and_gains_one(reference: Campaign, tmp_path: Path) -> None:
    """The node of a busy worker is killed with all it runs."""
    campaign = Campaign.create(spec(), tmp_path / "run")
    in_another_process(THREE_NODES, cwd=tmp_path, RAY_USAGE_STATS_ENABLED="0")
    assert json.loads((tmp_path / "outcome").read_text()) == [1, True, True, reference.digest()]
    assert campaign.digest() == reference.digest()
    assert campaign.verify() == []


def begun(notes: Path, pids: set[int]) -> set[tuple[int, int]]:
    """The steps, as (island, epoch), that these processes began."""
    return {(e["island"], e["epoch"]) for e in diary(notes) if e["what"] == "begins" and e["pid"] in pids}


def workers(notes: Path) -> set[int]:
    """Every process that has begun a step."""
    return {entry["pid"] for entry in diary(notes) if entry["what"] == "begins"}


def has_just_begun(notes: Path, pids: set[int]) -> bool:
    """Whether one of these processes has begun a step within the last tenth of a second."""
    last = {entry["pid"]: entry for entry in diary(notes) if entry["pid"] in pids}
    return any(entry["what"] == "begins" and entry["at"] > time.time() - 0.1 for entry in last.values())


class Node:
    """A node as a person starts it, with the processes of its own session. before: a command that it is started by."""

    def __init__(self, environment: dict[str, str], *options: str, before: tuple[str, ...] = ()) -> None:
        self._arguments, self._before = (environment, *options), before
        self._process = subprocess.Popen(
            [*before, sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--block"],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def processes(self) -> dict[int, str]:
        """What runs of its session, by pid."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                session = int((path / "stat").read_text().rpartition(")")[2].split()[3])
                if session == self._process.pid:
                    found[int(path.name)] = (path / "comm").read_text().strip()
            except OSError:
                continue
        return found

    def again(self) -> Node:
        """The same node once more."""
        return Node(*self._arguments, before=self._before)

    def end(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def surroundings(**more: str) -> dict[str, str]:
    """The environment of a cluster and of its drivers."""
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    found = {**OURS, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    found.pop(ENVIRONMENT, None)
    return found | more


def resumed(campaign: Campaign, address: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`islands resume` on a cluster."""
    command = [sys.executable, "-m", "islands", "resume", str(campaign.path), "--workers", "2"]
    with open(log, "ab") as output:
        return subprocess.Popen([*command, "--address", address], env=environment, stdout=output, stderr=subprocess.STDOUT)


def test_a_head_whose_gcs_was_killed_is_started_again_and_the_campaign_resumed(reference: Campaign, tmp_path: Path) -> None:
    """Nothing of a cluster is needed but the folder."""
    campaign, notes = Campaign.create(spec(), tmp_path / "run"), tmp_path / "notes"
    plan(notes, [])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    patience = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}  # until who lost the GCS gives up; else 60
    environment = surroundings(**patience, **{ENVIRONMENT: str(notes)})
    log = tmp_path / "log"
    options = ("--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false")
    head = Node(environment, *options)
    try:
        driver = resumed(campaign, address, environment, log)
        while campaign.status().committed < 3:
            if driver.poll() is not None and campaign.status().committed < 3:  # the cluster was not there yet
                driver = resumed(campaign, address, environment, log)
            time.sleep(0.1)
        (gcs,) = [pid for pid, name in head.processes().items() if name == "gcs_server"]
        os.kill(gcs, signal.SIGKILL)
        assert is_gone(gcs)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(timeout=90)
        assert driver.poll() not in (None, 0), "the run went on without a head"
        head.end()
        before = workers(notes)
        assert all(is_gone(pid) for pid in before)
        committed = campaign.status().committed
        assert 3 <= committed < EPOCHS, "it came too late"
        head = Node(environment, *options)
        while resumed(campaign, address, environment, log).wait(timeout=120):
            assert campaign.status().committed == committed, log.read_text()
            time.sleep(1.0)
    finally:
        head.end()
    assert begun(notes, before) & begun(notes, workers(notes) - before), "nothing was lost"
    assert campaign.digest() == reference.digest()
    assert campaign.verify() == []


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with one link to this one, 10.213.7.1 here and 10.213.7.2 there."""
    name = f"isl{os.getpid()}"
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespace can be made here, which takes root: {error}")
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        ip("link", "set", f"{name}b", "netns", name)
        ip("addr", "add", "10.213.7.1/24", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "addr", "add", "10.213.7.2/24", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


def test_a_partition_that_heals_after_the_replacement_took_over(namespace: str, reference: Campaign, tmp_path: Path) -> None:
    """The node that is cut off goes on with its step all the time; what it comes to is of no account."""
    campaign, notes = Campaign.create(spec(), tmp_path / "run"), tmp_path / "notes"
    plan(notes, [], pace_s=0.4)  # a step lasts, for the cut to come in the middle of one
    checks = {"period_ms": "1000", "timeout_ms": "1000", "failure_threshold": "3"}
    environment = surroundings(
        **{f"RAY_health_check_{key}": value for key, value in checks.items()}, **{ENVIRONMENT: str(notes)}
    )
    address = "10.213.7.1:6497"
    head = Node(
        environment, "--head", "--port=6497", "--node-ip-address=10.213.7.1", "--num-cpus=3", "--include-dashboard=false"
    )
    away = Node(
        environment,
        f"--address={address}",
        "--node-ip-address=10.213.7.2",
        "--num-cpus=3",
        before=("ip", "netns", "exec", namespace),
    )
    log = tmp_path / "log"
    try:
        while not any(name.startswith("ray::RuntimeEnv") for name in away.processes().values()):  # it has joined
            away = away if away.processes() else away.again()  # it was there before the head was
            time.sleep(0.1)
        driver = resumed(campaign, address, environment, log)
        cut_off: set[int] = set()
        while campaign.status().committed < 3 or not has_just_begun(notes, cut_off):
            assert driver.poll() is None, log.read_text()
            cut_off = workers(notes) & set(away.processes())
            time.sleep(0.02)
        ip("link", "set", f"{namespace}a", "down")
        (notes / "plan").unlink()  # and from here on it may take as long as it takes
        committed = campaign.status().committed
        assert committed < EPOCHS - 10, "it came too late"
        while campaign.status().committed <= committed + 5:  # more than the others may lead: the replacement took over
            assert driver.poll() is None, log.read_text()
            time.sleep(0.1)
        assert cut_off <= set(away.processes()), "who was cut off did not live on"
        ip("link", "set", f"{namespace}a", "up")
        assert driver.wait(timeout=120) == 0, log.read_text()
    finally:
        away.end()
        head.end()
    assert begun(notes, cut_off) & begun(notes, workers(notes) - cut_off), "nothing was lost"
    assert campaign.digest() == reference.digest()
    assert campaign.verify() == []
