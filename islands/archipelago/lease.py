"""Who works on a campaign now. A clock decides who works, never what results."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

LEASE_S = 30.0


class Host:
    """This machine and this process, as far as leases and records tell of them; a simulation has hosts of its own."""

    def __init__(self) -> None:
        self.name = socket.gethostname()
        self.pid = os.getpid()

    def now(self) -> float:
        return time.time()

    def process_start(self, pid: int) -> float:
        """When a process of this machine started, in clock ticks since boot; 0 where it doesn't run, 1 if it can't be told.

        One that has ended and that nobody has waited for yet doesn't run.
        """
        try:
            state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return 0.0 if state in "ZX" else float(rest[18])
        except (OSError, IndexError, ValueError):
            pass
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return 0.0
        except OSError:
            return 1.0
        return 1.0


@dataclass(frozen=True)
class Lease:
    """Who works on a campaign, as the holder last wrote it."""

    token: int
    host: str
    pid: int
    process_start: float
    renewed_at: float

    def is_live(self, here: Host | None = None) -> bool:
        """Renewed within the last 30 s, and, where it is of this machine, by a process that still runs."""
        here = here or Host()
        if here.now() - self.renewed_at > LEASE_S:
            return False
        return self.host != here.name or here.process_start(self.pid) == self.process_start
