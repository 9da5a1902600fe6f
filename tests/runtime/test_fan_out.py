"""Pieces of work on Ray: what becomes of them where Ray itself is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.failpoints import process_state
from benchmarks.sessions import SOON, wait_until

pytestmark = pytest.mark.slow

SLEEPERS = """
import time
from islands.errors import RuntimeFailed
from islands.runtime.fan_out import in_order

results = in_order(time.sleep, [0.1] * 100_000, [], "ray", 2)
next(results)
print("at work", flush=True)
try:
    list(results)
except RuntimeFailed as error:
    print(error)
"""


def raylet_of(driver: int) -> int:
    """The raylet that a process started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if name == "raylet" and int(rest.split()[1]) == driver:
            return int(folder.name)
    raise AssertionError(f"process {driver} has no raylet")


def test_pieces_end_with_words_where_the_raylet_is_stopped() -> None:
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    command = [sys.executable, "-c", SLEEPERS]
    with subprocess.Popen(command, env={**os.environ, **SOON, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True) as driver:
        try:
            assert driver.stdout is not None
            assert driver.stdout.readline() == "at work\n"
            raylet = raylet_of(driver.pid)
            os.kill(raylet, signal.SIGSTOP)
            wait_until(lambda: process_state(raylet) == "T", "that the raylet stands still")
            said, _ = driver.communicate(timeout=120)
        finally:
            driver.kill()
    assert "Ray has given up this machine: its raylet does not answer" in said
    assert driver.returncode == 0
