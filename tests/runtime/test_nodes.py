"""Several nodes: one is lost, one is gained, and the head itself; one digest."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import ENVIRONMENT as OURS
from worlds import in_another_process

import islands as isl
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
print(len(lost), sum(pid in lost for _, _, pid in report.lost) > 0, report.finished, campaign.digest())
ray.shutdown()
cluster.shutdown()
"""


def test_a_cluster_of_three_nodes_loses_one_and_gains_one(reference: Campaign, tmp_path: Path) -> None:
    """The node of a busy worker is killed with all it runs."""
    campaign = Campaign.create(spec(), tmp_path / "run")
    said = in_another_process(THREE_NODES, cwd=tmp_path, RAY_USAGE_STATS_ENABLED="0")
    assert said.splitlines()[-1].split() == ["1", "True", "True", reference.digest()]
    assert campaign.digest() == reference.digest()
    assert campaign.verify() == []


class Head:
    """A cluster of one node as a person starts it, with the processes of its own session."""

    def __init__(self, port: int, environment: dict[str, str]) -> None:
        options = ["--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *options],
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

    def end(self) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def resumed(campaign: Campaign, port: int, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`islands resume`, as soon as the cluster answers."""
    command = [sys.executable, "-m", "islands", "resume", str(campaign.path), "--workers", "2"]
    with open(log, "ab") as output:
        return subprocess.Popen(
            [*command, "--address", f"127.0.0.1:{port}"], env=environment, stdout=output, stderr=subprocess.STDOUT
        )


def test_a_head_whose_gcs_was_killed_is_started_again_and_the_campaign_resumed(reference: Campaign, tmp_path: Path) -> None:
    """Nothing of a cluster is needed but the folder."""
    campaign = Campaign.create(spec(), tmp_path / "run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    environment = {**OURS, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    environment |= {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}  # until who lost the GCS gives up, 60 s by default
    environment.pop("ISLANDS_FAILPOINTS", None)
    log = tmp_path / "log"
    head = Head(port, environment)
    try:
        driver = resumed(campaign, port, environment, log)
        while campaign.status().committed < 3:
            if driver.poll() is not None and campaign.status().committed < 3:  # the cluster was not there yet
                driver = resumed(campaign, port, environment, log)
            time.sleep(0.1)
        (gcs,) = [pid for pid, name in head.processes().items() if name == "gcs_server"]
        os.kill(gcs, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(timeout=90)
        assert driver.poll() not in (None, 0), "the run went on without a head"
        committed = campaign.status().committed
        assert 3 <= committed < EPOCHS, "nothing was lost"
        head.end()
        head = Head(port, environment)
        while resumed(campaign, port, environment, log).wait(timeout=120):
            assert campaign.status().committed == committed, log.read_text()
            time.sleep(1.0)
    finally:
        head.end()
    assert campaign.digest() == reference.digest()
    assert campaign.verify() == []
