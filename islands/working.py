"""A run of a campaign: from its last commit to where the orders end, inline or on Ray, and its result at the end."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable

from islands import judging
from islands.archipelago.machine import GENESIS
from islands.archipelago.manifest import LEDGER, Differences, recorded
from islands.evidence.champions import select_champions
from islands.foundation import Foundation
from islands.orders import Orders
from islands.runtime.conductor import Bounds
from islands.runtime.report import Progress, RunReport
from islands.runtime.stopping import stop_signals


def prepare(ground: Foundation, orders: Orders) -> tuple[Differences, Bounds]:
    """The accepted differences, and how far the orders go from here; asks for their retention.

    A ledger that can't be counted is none of them: it is looked at when the champions are judged.

    Raises:
        ManifestMismatch: something differs from what the campaign began with, and that is not accepted.
        CampaignLive: another process works on it, and the retention can't be changed.
    """
    ground.head()
    accepted = ground.require_same(tuple(name for name in orders.accept if name != LEDGER))
    if orders.retention is not None:
        ground.journal.require_idle(orders.take_over)
        ground.journal.request_retention(orders.retention)
    return accepted, Bounds(
        until_epoch=None if orders.epochs is None else ground.journal.position().epoch + orders.epochs,
        deadline=None if orders.seconds is None else time.time() + orders.seconds,
    )


def work(ground: Foundation, orders: Orders, accepted: Differences, bounds: Bounds) -> RunReport:
    """Works on the campaign itself, without its folds; where it finishes, its champions are judged.

    The register of this user is told of it before, and of its trials however it ends.
    """
    judging.book(ground)
    try:
        report = _advanced(ground, orders, accepted, bounds)
        if report.finished:
            _finish(ground, orders, accepted)
    finally:
        judging.book(ground)
    return report


def _advanced(ground: Foundation, orders: Orders, accepted: Differences, bounds: Bounds) -> RunReport:
    """The campaign as far as the orders go, not judged yet."""
    position = ground.journal.position()
    if position.epoch >= ground.journal.epochs():
        return RunReport(position.epoch, position.epoch, position.epoch, finished=True)
    run = _run_inline if orders.runtime == "inline" else _run_on_ray
    with stop_signals() as stop_asked:
        report = run(ground, orders, accepted, bounds, stop_asked, orders.on_progress or _ignore)
        report.signal = stop_asked.signal
    return report


def _run_inline(
    ground: Foundation,
    orders: Orders,
    accepted: Differences,
    bounds: Bounds,
    stop_asked: Callable[[], bool],
    on_progress: Callable[[Progress], None],
) -> RunReport:
    from islands.runtime.inline import run_inline

    writer = ground.journal.acquire(orders.take_over)
    try:
        writer.sweep()
        return run_inline(ground.world, writer, bounds, accepted, stop_asked, on_progress)
    finally:
        writer.release()


def _run_on_ray(
    ground: Foundation,
    orders: Orders,
    accepted: Differences,
    bounds: Bounds,
    stop_asked: Callable[[], bool],
    on_progress: Callable[[Progress], None],
) -> RunReport:
    from islands import provenance
    from islands.runtime.coordinator import Assignment, run_on_ray
    from islands.runtime.session import ray_session, usable_workers

    ground.journal.require_idle(orders.take_over)
    blocks = {market.name: market.tape.block for market in ground.world.markets}
    with ray_session(orders.address, orders.workers or 1, sum(block.nbytes for block in blocks.values())):
        assignment = Assignment(
            root=str(ground.path),
            spec=ground.spec.model_dump_json(),
            workers=usable_workers(orders.workers, ground.world.islands),
            bounds=bounds,
            accepted=accepted,
            numeric=ground.manifest["numeric"] if "numeric" not in accepted else ground.world.numeric,
            code=provenance.code_digest(),
            folder=str(provenance.package_folder()),
            path=tuple(sys.path),
            families={space.family.name: space.family.code for space in ground.world.spaces},
        )
        return run_on_ray(assignment, blocks, orders.take_over, stop_asked, on_progress)


def _finish(ground: Foundation, orders: Orders, accepted: Differences) -> None:
    """Judges the champions, and opens the held-back bars, once: their figures become part of the result, and so do the
    differences that this run accepted, which may be others than those of the commits.

    Raises:
        CorruptCampaign: the trials can't be counted, and that is not accepted. Nothing was opened.
    """
    if ground.result() is not None:
        return
    position = ground.journal.position()
    champions = select_champions(ground.world, position.states)
    writer = ground.journal.acquire(orders.take_over)
    try:
        writer.sweep()
        found = judging.counted(ground, without=LEDGER in orders.accept)
        names = (*accepted, *((LEDGER,) if found is None and not ground.is_fold else ()))
        with_what = {"accepted": list(names), "differences": recorded(accepted)}
        rows = judging.judged(ground, writer, position, champions, found, with_what)
        writer.write_result(
            position.epoch,
            {
                "epoch": position.epoch,
                "digest": position.entry.digest if position.entry else GENESIS,
                "champions": rows,
                **with_what,
                "opened_at": time.time(),
                "host": socket.gethostname(),
                "pid": os.getpid(),
            },
        )
    finally:
        writer.release()


def _ignore(progress: Progress) -> None:
    """Nobody watches."""
