"""How a person stops a run: the first Ctrl-C or SIGTERM is a wish, the second an interrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Wish:
    """Whether a signal has asked to stop, and which."""

    signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


@contextlib.contextmanager
def stop_signals() -> Iterator[Wish]:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop, and the second into KeyboardInterrupt."""
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def ask(number: int, frame: object) -> None:
        if wish.signal is not None:
            raise KeyboardInterrupt
        wish.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
