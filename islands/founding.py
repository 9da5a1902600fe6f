"""A new campaign in a folder of its own: from a spec, or as a fork of another campaign. Nothing is computed yet."""

from __future__ import annotations

import hashlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from islands.archipelago import forking
from islands.archipelago.journal import Entry, Journal
from islands.archipelago.manifest import make_manifest
from islands.archipelago.storage import LARGEST_BYTES, Folder
from islands.cross_validation import finished_folds, folds_of
from islands.errors import CampaignExists, CorruptCampaign, InputError, SpecError
from islands.evolution.island import try_settings
from islands.evolution.spaces import addressed
from islands.evolution.world import World
from islands.forecast import DISK_BLOCK, disk_estimate
from islands.foundation import OWN_BARS, Foundation
from islands.instruments import GivenBars, read_source, tapes_of, with_instruments, world_of
from islands.market.bars import Bars
from islands.spec import CampaignSpec


def found(
    spec: CampaignSpec | str | Path, path: str | Path, bars: GivenBars, fold_of: str | None
) -> tuple[Journal, dict[str, Bars]]:
    """The journal of a new campaign, and its bars by instrument; see `Campaign.create`."""
    if not isinstance(spec, (CampaignSpec, str, Path)):
        raise InputError(f"spec = {spec!r}: expected a CampaignSpec or the path of a TOML file")
    spec = spec if isinstance(spec, CampaignSpec) else CampaignSpec.read(spec)
    journal = Journal(path)
    if journal.root.exists() and not journal.root.is_dir():
        raise InputError(f"{journal.root} is a file: expected a folder for the campaign")
    if journal.exists():
        raise CampaignExists(f"{journal.root} holds a campaign already; `islands resume` it, or choose another --dir")
    spec, given = with_instruments(addressed(spec).beside(Path.cwd()), bars)
    known = {name: given[name] if name in given else read_source(name, source) for name, source in spec.sources.items()}
    world = world_of(spec, known)
    try_settings(world)
    folds_of(world)
    _require_disk(world, journal.root, sum(part.tape.block.nbytes + DISK_BLOCK for part in given.values()))
    sources, files = {}, {}
    for number, (name, source) in enumerate(spec.sources.items()):
        own = OWN_BARS.format(number)
        place = own if name in given else source.path
        sources[name] = {"path": place, "reading": source.reading, "name": known[name].name}
        if name in given:
            files[own] = _kept(given[name], journal.folder, own)
    setup = {"epochs": spec.evolution.epochs, "sources": sources, "files": files, **_birth(fold_of)}
    if not journal.create(make_manifest(world, tapes_of(known)), setup):
        raise CampaignExists(f"{journal.root}: another process has just created a campaign here")
    return journal, known


def fork(ancestor: Foundation, journal: Journal, spec: CampaignSpec, fold_of: str | None = None) -> None:
    """Founds a fork with this spec, its folds first; see `Campaign.fork`, and of `fold_of` `Campaign.create`."""
    entry = _forked_from(ancestor, spec)
    forking.require_allowed(ancestor.spec, spec)
    world = world_of(spec, ancestor.instruments)
    forking.require_homes(ancestor.world, world)
    try_settings(world)
    ancestor.require_same(ancestor.accepted())
    files: dict[str, str] = ancestor.setup.get("files", {})
    own = {name: ancestor.journal.folder.read(name, LARGEST_BYTES) or b"" for name in files}
    _require_disk(world, journal.root, forking.bytes_of(ancestor.journal, entry) + sum(map(len, own.values())))
    manifest = make_manifest(world, tapes_of(ancestor.instruments))
    manifest["fork"] = forking.fork_of(ancestor.manifest, ancestor.manifest_hash, entry)
    for fold, (place, part) in zip(folds_of(world), finished_folds(ancestor, entry.epoch), strict=True):
        fork(part, Journal(journal.root / place), fold.spec, forking.hash_of(manifest))
    for name, data in own.items():
        journal.folder.keep(name, data)
    setup = {
        "sources": ancestor.setup["sources"],
        "files": files,
        "epochs": spec.evolution.epochs,
        "openings": sorted({*ancestor.setup.get("openings", []), *_opened(ancestor.journal)}),
        **_birth(fold_of),
    }
    forking.found(journal, ancestor.journal, entry, manifest, setup)


def fork_folder(ancestor: Foundation, path: str | Path) -> Journal:
    """The folder of a fork that is yet to be made.

    Raises:
        CampaignExists: it is no empty folder.
        InputError: the ancestor is a fold of a cross-validation.
    """
    journal = Journal(path)
    if journal.root.exists() and (not journal.root.is_dir() or any(journal.root.iterdir())):
        raise CampaignExists(f"{journal.root} is no empty folder: a fork gets one of its own; choose another, or empty it")
    if ancestor.is_fold:
        raise InputError(f"{ancestor.path} is a fold of a cross-validation; fork the whole of it")
    return journal


def _forked_from(ancestor: Foundation, spec: CampaignSpec) -> Entry:
    """The commit that a fork with this spec goes on from."""
    entry = ancestor.journal.position().entry
    if entry is None:
        raise InputError(f"{ancestor.path} has no commit to go on from; run it, or start a new campaign")
    if spec.evolution.epochs <= entry.epoch:
        raise InputError(
            f"evolution.epochs = {spec.evolution.epochs}: {ancestor.path} stands at epoch {entry.epoch}, where its fork "
            "begins; give the fork a larger number"
        )
    return entry


def _opened(journal: Journal) -> Iterator[str]:
    """Digests of the states in which it opened the held-back bars."""
    for epoch in journal.openings():
        try:
            yield str((journal.opening(epoch) or {})["digest"])
        except (CorruptCampaign, KeyError):
            yield f"unknown, of epoch {epoch}"  # they were opened all the same


def _birth(fold_of: str | None) -> dict[str, Any]:
    """Of a setup: when and where it was founded, and of what it is a fold."""
    return {"created_at": time.time(), "host": socket.gethostname(), **({"fold_of": fold_of} if fold_of else {})}


def _kept(bars: Bars, folder: Folder, key: str) -> str:
    """Writes bars into a campaign's folder, and returns their file's SHA-256."""
    folder.root.mkdir(parents=True, exist_ok=True)
    bars.write(folder.root / key)
    folder.settle(key)
    return hashlib.sha256(folder.read(key, LARGEST_BYTES) or b"").hexdigest()


def _require_disk(world: World, root: Path, own: int) -> None:
    """own: bytes of the bars that the folder is to keep."""
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    needed, free = disk_estimate(world) + own, shutil.disk_usage(existing).free
    if needed > free:
        raise SpecError(
            f"{root}: the campaign may need {needed / 2**20:,.1f} MiB of disk, {free / 2**20:,.1f} MiB are free; choose "
            "another --dir, fewer epochs, or a smaller population"
        )
