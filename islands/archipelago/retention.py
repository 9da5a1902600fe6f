"""Which epochs keep their demes on the disk. Entries and ledger segments stay of all: what is dropped can be computed again."""

from __future__ import annotations

from dataclasses import dataclass, field

from islands.errors import InputError

LEAST = 2
"""Epochs that are kept at least: the one to go on from, and the one before it, should that be damaged."""


@dataclass(frozen=True, order=True)
class Retention:
    """The last `last` epochs keep their demes, and every `every`-th of all; 0 is none of the others, 1 all of them.

    A blob of demes holds the emigrants on their way as well, so that a resume needs the blob of one epoch, whatever the delay.

    Raises:
        InputError: fewer than two epochs, or less than none of the others.
    """

    last: int
    every: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (("keep_last", self.last, LEAST), ("keep_every", self.every, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} = {value!r}: expected a whole number of at least {least}")

    def keeps(self, epoch: int, committed: int) -> bool:
        """Whether an epoch keeps its demes once `committed` is the last one."""
        return epoch > committed - self.last or (self.every > 0 and epoch % self.every == 0)


@dataclass
class Allowance:
    """What the entries that were seen so far have let go: each rule, with the newest epoch at which it held. forked: the epoch
    that a fork goes on from, since the demes of those before stay with its ancestor."""

    rules: dict[Retention, int] = field(default_factory=dict)
    forked: int = 0

    def add(self, rule: Retention | None, epoch: int) -> None:
        """An entry of this epoch, and the rule that it records."""
        if rule is not None:
            self.rules[rule] = max(self.rules.get(rule, 0), epoch)

    def covers(self, epoch: int) -> bool:
        """Whether the demes of an epoch may be gone."""
        return epoch < self.forked or any(not rule.keeps(epoch, committed) for rule, committed in self.rules.items())
