"""The end of a run whose step kills every worker: who is to blame, kept in a file, and what a person can do."""

from __future__ import annotations

from islands.archipelago import failures
from islands.archipelago.journal import Paused, Writer
from islands.archipelago.machine import HOPELESS, SUSPICIOUS, Pause
from islands.errors import CampaignPaused
from islands.runtime.apart import Epoch, Setting, find_suspect
from islands.runtime.patience import Patience


def paused(pause: Pause, writer: Writer, setting: Setting, patience: Patience) -> CampaignPaused:
    """Looks for the genome that is to blame, keeps it, and says all of that in an error to be raised."""
    root = writer.journal.root
    committed = writer.last.epoch if writer.last else 0
    story = (
        f"paused after epoch {committed}: island {pause.island}, epoch {pause.epoch}, killed {pause.losses} workers or kept "
        f"them beyond their time, the last {HOPELESS - SUSPICIOUS} of them fresh ones that computed nothing else"
    )
    step = pause.island, pause.epoch
    if step in patience.outlasted:
        writer.write_paused(Paused(*step, patience.outlasted[step]))
    found = find_suspect(setting, Epoch(*step, pause.state, pause.immigrants), patience.budget_s(step, 1))
    keeper = failures.Keeper(writer)
    key = keeper.keep(pause.island, pause.epoch, found.failures, always=True) if found.failures else None
    if key:
        way_out = (
            f"it is kept: islands replay {root / key} runs it again; mend the family, or leave that value of its genes out, "
            f"and begin a new campaign, or go on with the mended code: islands resume {root} --accept own_families.NAME"
        )
    else:
        way_out = f"islands resume {root} tries again" + (
            f", and gives it {patience.outlasted[step]:g} s at first" if step in patience.outlasted else ""
        )
    error = CampaignPaused(f"{story}; {found.words}; {way_out}")
    error.island, error.epoch, error.file = pause.island, pause.epoch, str(root / key) if key else None
    return error
