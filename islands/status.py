"""Where a campaign stands, from its journal alone: nothing is read but entries and one segment, and nobody is disturbed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from islands.archipelago import ledger
from islands.archipelago.lease import Lease
from islands.archipelago.machine import GENESIS
from islands.errors import CorruptCampaign, InputError, IslandsWarning
from islands.foundation import Foundation

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Status:
    """A glance at a campaign, running or not, from its journal alone. Islands: the newest generation's record of each."""

    name: str
    root: str
    state: Literal["running", "stopped", "finished"]
    committed: int
    epochs: int
    digest: str | None
    written_at: float | None
    worker: Lease | None
    islands: pl.DataFrame


def status_of(ground: Foundation) -> Status:
    """See `Campaign.status`."""
    head = ground.head()
    epochs = ground.journal.epochs()
    lease = ground.journal.lease()
    worker = lease if lease is not None and lease.is_live() else None
    finished = head is not None and head.epoch >= epochs
    return Status(
        name=ground.spec.name,
        root=str(ground.path),
        state="running" if worker else "finished" if finished else "stopped",
        committed=head.epoch if head else 0,
        epochs=epochs,
        digest=head.digest if head else None,
        written_at=head.written_at if head else None,
        worker=worker,
        islands=_newest_generations(ground).group_by("island", maintain_order=True).last(),
    )


def _newest_generations(ground: Foundation) -> pl.DataFrame:
    """The generations of the newest commit whose segment is whole."""
    for entry in ground.journal.chain():
        try:
            return ledger.generations(ground.journal, ground.legend, [entry])
        except CorruptCampaign as error:
            warnings.warn(f"passed over commit {entry.number}: {error}", IslandsWarning, stacklevel=2)
    return ledger.generations(ground.journal, ground.legend, [])


def digest_at(ground: Foundation, epoch: int | None) -> str:
    """See `Campaign.digest`."""
    head = ground.head()
    if epoch is None:
        return head.digest if head else GENESIS
    if epoch == 0:
        return GENESIS
    for entry in ground.journal.chain(head):
        if entry.epoch == epoch:
            return entry.digest
    raise InputError(f"epoch {epoch!r} of {ground.path} is not committed; it stands at {head.epoch if head else 0}")
