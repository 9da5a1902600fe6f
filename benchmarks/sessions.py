"""Drivers, each on an embedded Ray of its own, of which one fault after another strikes the driver or the raylet.

Whatever is lost then is the whole of that Ray; the next driver goes on with what is left, the folder. A driver that is stopped
keeps its campaign going, so the next one takes over; when it wakes up, it must find that out.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.failpoints import DRIVER, ENVIRONMENT, Cost, Fault, cost, diary, landed, plan, process_state
from islands.campaign import Campaign

PATIENCE_S = 120.0
PACE_S = 0.1
SOON = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "4", "RAY_health_check_timeout_ms": "2000"}
"""Has Ray give up a node that does not answer after some seconds, in place of a minute."""


@dataclass(frozen=True)
class Strike:
    """A fault that landed, what the diary says of it, and what it cost."""

    fault: Fault
    struck: dict[str, Any]
    cost: Cost


def resuming(campaign: Campaign, folder: Path, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    """The command line at work on a campaign, on a Ray of its own; its processes keep their diary in the folder."""
    folder.mkdir()
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "islands", "resume", str(campaign.path), "--workers", "2", *options],
        env={**os.environ, **environment, "PYTHONPATH": path, ENVIRONMENT: str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def is_gone(pid: int, within_s: float = 60.0) -> bool:
    """Whether a process has ended, or does soon: a worker that was given up is killed a while after the run went on."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ends = select.poll()
        ends.register(process, select.POLLIN)  # also of one that nobody has waited for yet
        return bool(ends.poll(within_s * 1000))
    finally:
        os.close(process)


def wait_until(holds: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> None:
    """Raises TimeoutError where it doesn't hold within that time."""
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.02)


class Session:
    """A driver on an embedded Ray, and the fault that is to strike it."""

    def __init__(self, campaign: Campaign, folder: Path, fault: Fault | None, *options: str) -> None:
        self.folder, self.fault = folder, fault
        self.driver = resuming(campaign, folder, *options, **SOON)
        plan(folder, [fault] if fault else [], driver=self.driver.pid, pace_s=PACE_S)

    def has_begun(self) -> bool:
        return any(entry["what"] == "coordinator" for entry in diary(self.folder))

    def strike(self) -> None:
        """Waits for the fault, and until everything has ended that it ends: all but a driver that is stopped."""
        assert self.fault is not None
        wait_until(lambda: landed(self.folder) or self.driver.poll() is not None, str(self.fault))
        if not landed(self.folder):
            raise RuntimeError(f"{self.fault}: the run ended with {self.driver.returncode} before that")
        if self.is_stopped:
            wait_until(lambda: process_state(self.driver.pid) == "T", f"{self.fault}: that the driver stands still")
        else:
            self.end()

    @property
    def is_stopped(self) -> bool:
        return self.fault is not None and (self.fault.target, self.fault.signal) == (DRIVER, signal.SIGSTOP)

    def end(self) -> None:
        """Waits for the end of everything.

        Raises:
            RuntimeError: the driver ended as if nothing had happened, or left something behind.
        """
        self.driver.send_signal(signal.SIGCONT)
        code = self.driver.wait(timeout=PATIENCE_S)
        if self.fault is not None and code == 0:
            raise RuntimeError(f"{self.fault}: the driver ended as if nothing had happened")
        if left := [pid for pid in {entry["pid"] for entry in diary(self.folder)} if not is_gone(pid)]:
            raise RuntimeError(f"{self.fault}: {len(left)} processes of its Ray did not end by themselves")


def strike_in_turn(
    campaign: Campaign, folder: Path, faults: Sequence[Fault], say: Callable[[Fault], None] = lambda fault: None
) -> list[Strike]:
    """Each fault in a session of its own, after the first commits of it; a last session goes on without one."""
    sessions: list[Session] = []
    stopped: Session | None = None
    try:
        for number, fault in enumerate((*faults, None)):
            if fault is not None:
                say(fault)
                fault = replace(fault, epoch=0 if fault.point == "resumed" else campaign.status().committed + 2)
            options = [*(["--take-over"] if stopped else []), *([] if fault else ["--for", "1s"])]
            session = Session(campaign, folder / f"session-{number}", fault, *options)
            sessions.append(session)
            if stopped:
                wait_until(session.has_begun, f"{stopped.fault}: that another driver takes over")
                stopped.end()
            if fault is None:
                session.end()
            else:
                session.strike()
                stopped = session if session.is_stopped else None
    finally:
        for session in sessions:
            session.driver.kill()  # which takes its Ray along, where something went wrong
            session.driver.wait()
    entries = [diary(*(session.folder for session in sessions[k:])) for k in range(len(faults))]
    return [
        Strike(fault, struck, cost(struck, entries[k]))
        for k, fault in enumerate(faults)
        for struck in landed(sessions[k].folder)
    ]
