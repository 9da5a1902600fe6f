"""The lease, renewed by a thread, also while a long step computes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from islands.archipelago.journal import Writer
from islands.errors import Fenced

RENEW_S = 5.0


@contextlib.contextmanager
def beating(writer: Writer) -> Iterator[None]:
    """Renews the lease while the block runs."""
    stopped = threading.Event()
    thread = threading.Thread(target=_beat, args=(writer, stopped), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _beat(writer: Writer, stopped: threading.Event) -> None:
    while not stopped.wait(RENEW_S):
        try:
            writer.renew()
        except Fenced:
            return  # the next commit says so
        except OSError:
            continue  # a full or absent disk; the commit will meet it
