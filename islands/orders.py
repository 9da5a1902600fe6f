"""What somebody asks of a campaign's run: checked at once, before anything is read or computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from islands.archipelago.retention import Retention
from islands.errors import InputError
from islands.runtime.report import Progress


@dataclass(frozen=True)
class Orders:
    """The arguments of `Campaign.run`, which says what they mean.

    Raises:
        InputError: one of them can't be meant.
    """

    runtime: Literal["ray", "inline"] = "ray"
    workers: int | None = None
    address: str | None = None
    epochs: int | None = None
    seconds: float | None = None
    keep_last: int | None = None
    keep_every: int | None = None
    accept: tuple[str, ...] = ()
    take_over: bool = False
    on_progress: Callable[[Progress], None] | None = None

    def __post_init__(self) -> None:
        require_runtime(self.runtime, self.workers, self.address)
        require_count("epochs", self.epochs)
        seconds = self.seconds
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0):
            raise InputError(f"seconds = {seconds!r}: expected a positive number")
        _ = self.retention

    @property
    def retention(self) -> Retention | None:
        """The rule that is asked for; None where none is.

        Raises:
            InputError: a number that can't be meant, or `keep_every` alone.
        """
        if self.keep_last is not None:
            return Retention(self.keep_last, 0 if self.keep_every is None else self.keep_every)
        if self.keep_every is not None:
            raise InputError(
                f"keep_every = {self.keep_every!r}: it says which epochs stay beside the last ones; give keep_last, too"
            )
        return None


def require_runtime(runtime: str, workers: int | None, address: str | None) -> None:
    """Raises InputError where a runtime is none, or can't have what else is asked for."""
    if runtime not in ("ray", "inline"):
        raise InputError(f"runtime = {runtime!r}: expected 'ray' or 'inline'")
    if runtime == "inline" and (workers not in (None, 1) or address is not None):
        raise InputError("runtime 'inline' computes in this process: workers and address belong to runtime 'ray'")
    require_count("workers", workers)


def require_count(name: str, value: int | None) -> None:
    """Raises InputError where a number of things is none."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InputError(f"{name} = {value!r}: expected a whole number of at least 1")
