"""Ray as a driver and a coordinator meet it: connecting, the machine they are on, and the end of actors."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from islands.errors import IslandsWarning, RuntimeFailed

NAMESPACE = "strategy-islands"

ASK_S = 5.0
"""After so long a silence Ray is asked whether this machine is still there."""

SENT_S = 2.0
"""Ray's own call comes back within milliseconds, or never."""


@contextlib.contextmanager
def ray_session(address: str | None, workers: int, tape_bytes: int) -> Iterator[None]:
    """A connection to Ray: the one that is there, the cluster at `address`, or an embedded one that ends with the block.

    Raises:
        RuntimeFailed: Ray could not be started or reached.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"address": address, "namespace": NAMESPACE}
    if address == "local":
        options["num_cpus"] = max(workers, os.cpu_count() or 1)
        options["include_dashboard"] = False
        options["object_store_memory"] = 128 * 2**20 + 4 * tape_bytes
    try:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
    except Exception as error:
        raise RuntimeFailed(
            f"Ray at {address!r} could not be started or reached: {error}; check the address, and that RAY_AUTH_MODE is the "
            "same on every side (token, where the cluster asks for one), or use runtime='inline'"
        ) from error
    try:
        yield
    finally:
        if address == "local":
            _end_stopped_raylet()
        ray.shutdown()


def _end_stopped_raylet() -> None:
    """An embedded raylet that is stopped would keep a shutdown waiting for ever."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            if name == "raylet" and state == "T" and int(parent) == os.getpid():
                os.kill(int(folder.name), signal.SIGKILL)


def usable_workers(asked: int | None, islands: int) -> int:
    """How many island actors to start: as asked, by default one a CPU; at most one an island and one a CPU."""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    if asked is not None and asked > cpus:
        warnings.warn(
            f"workers = {asked}: the cluster has {cpus} CPUs, so {cpus} workers are started", IslandsWarning, stacklevel=2
        )
    return max(1, min(asked or cpus, islands, cpus))


def this_node() -> str:
    """Ray's name of this machine, where the campaign's folder is and coordinators run.

    Raises:
        RuntimeFailed: Ray has given it up: its raylet is stopped or dead, and calls would wait for it for ever.
    """
    here: str = ray.get_runtime_context().get_node_id()
    with contextlib.suppress(RayError):
        if any(node["NodeID"] == here and not node["Alive"] for node in ray.nodes()):
            raise RuntimeFailed(
                "Ray has given up this machine: its raylet does not answer; start the same again: what was done is kept, and a "
                "campaign goes on from its last commit by islands resume"
            )
    return here


def end(actor: Any) -> threading.Thread:
    """Asks Ray to end an actor's process, in a thread of its own.

    Ray's call waits for the word of the actor's raylet; one that is stopped, or cut off, has it wait for ever, and with it
    whoever called.
    """
    thread = threading.Thread(target=_kill, args=(actor,), name="end of an actor", daemon=True)
    thread.start()
    return thread


def are_sent(endings: Iterable[threading.Thread]) -> None:
    """Waits until these were asked for, all together for at most SENT_S."""
    until = time.monotonic() + SENT_S
    for thread in endings:
        thread.join(max(until - time.monotonic(), 0.0))


def _kill(actor: Any) -> None:
    with contextlib.suppress(RayError, ValueError):  # it is dead, or Ray knows it no more
        ray.kill(actor)
