"""A limit for a call that may never end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class Endless(Exception):
    """A call has not come to its end in time."""


def in_time(run: Callable[[], T], limit_s: float) -> T:
    """What a call returns or raises.

    It is left to a thread: nothing stops compiled code that never ends, but whoever waits for it is told, and may interrupt.
    The thread goes on until the process ends; kernels hold no lock of Python's meanwhile.

    Raises:
        Endless: it is not over after `limit_s` seconds.
    """
    outcome: Future[T] = Future()

    def go() -> None:
        try:
            outcome.set_result(run())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=go, daemon=True).start()
    if not wait([outcome], limit_s).done:
        raise Endless(f"is still computing after {limit_s:g} s")
    return outcome.result()
