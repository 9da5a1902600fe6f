"""What a campaign stands on: its journal, and the manifest, the spec, the bars and the world that follow from it."""

from __future__ import annotations

import contextlib
import copy
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

from islands.archipelago import forking, ledger
from islands.archipelago.codec import MALFORMED
from islands.archipelago.journal import Entry, Journal
from islands.archipelago.manifest import LEDGER, Differences, make_manifest, require_same
from islands.errors import CorruptCampaign, IslandsWarning, ManifestMismatch, SpecError
from islands.evidence.champions import Champion, select_champions
from islands.evolution.world import World
from islands.instruments import GivenBars, by_instrument, read_source, tapes_of, world_of
from islands.market.bars import Bars, read_bars
from islands.spec import ONLY, CampaignSpec

OWN_BARS = "bars-{}.parquet"  # bars given in memory, kept in the campaign's folder, by the number of the instrument


class Foundation:
    """One campaign as it was founded, and as far as it is committed. Bars and world are made when first asked for."""

    def __init__(self, journal: Journal, bars: GivenBars = None) -> None:
        """bars: the same bars, where a file has moved; of several instruments by name.

        Raises:
            NotACampaign: the journal's folder holds none.
            ManifestMismatch: this version of the package can't read its spec.
        """
        self.journal = journal
        self.manifest, self.manifest_hash = journal.manifest()
        self.setup = journal.setup()
        self.spec = self._read_spec()
        self._given = by_instrument(bars, list(self.spec.sources))

    def _read_spec(self) -> CampaignSpec:
        try:
            values = copy.deepcopy(self.manifest["spec"])
            values["evolution"]["epochs"] = self.setup["epochs"]
            for name, source in self.setup["sources"].items():
                part = values["instruments"][name] if values["instruments"] else values["bars"]
                part |= {"path": source["path"], **source["reading"]}
        except MALFORMED as error:
            raise CorruptCampaign(f"{self.path}: its manifest or its setup is malformed ({error!r})") from None
        try:
            return CampaignSpec.parse(values, f"{self.path}/manifest")
        except SpecError as error:
            raise ManifestMismatch(f"{error}; this version of the package can't read the campaign's spec") from None

    @property
    def path(self) -> Path:
        """The campaign's folder."""
        return self.journal.root

    @property
    def is_fold(self) -> bool:
        """Whether it is a fold of a cross-validation."""
        return "fold_of" in self.setup

    # Bars, and what they make

    @cached_property
    def instruments(self) -> dict[str, Bars]:
        """See `Campaign.instruments`."""
        return {name: self._bars_of(name, source) for name, source in self.setup["sources"].items()}

    def _bars_of(self, name: str, source: dict[str, Any]) -> Bars:
        own = [OWN_BARS.format(number) for number in range(len(self.setup["sources"]))]
        if name in self._given:
            bars = self._given[name]
        elif source["path"] in own:
            bars = read_bars(self.path / source["path"], name=source["name"])
        else:
            bars = read_source(name, self.spec.sources[name])
        recorded = self.manifest["bars"][name]
        if bars.fingerprint != recorded["fingerprint"]:
            what = "the bars'" if name == ONLY else f"{name}: its bars'"
            raise ManifestMismatch(
                f"{self.path}: {what} fingerprint {bars.fingerprint[:12]} ({len(bars)} bars) differs from the "
                f"campaign's {recorded['fingerprint'][:12]} ({recorded['count']} bars); resume with the original file "
                "(--bars, where it has moved), or start a new campaign"
            )
        return bars

    @cached_property
    def world(self) -> World:
        """The spec resolved on the bars that evolution sees."""
        return world_of(self.spec, self.instruments)

    @property
    def holds_back(self) -> bool:
        """Whether there are bars that evolution does not see."""
        return any(len(market.tape) < len(self.instruments[market.name]) for market in self.world.markets)

    def manifest_now(self) -> dict[str, Any]:
        """The manifest that its spec and bars would have with the code and the machine at hand."""
        return make_manifest(self.world, tapes_of(self.instruments))

    def require_same(self, accepted: tuple[str, ...]) -> Differences:
        """The accepted differences.

        Raises:
            ManifestMismatch: spec, bars, code, libraries or arithmetic differ in another way from those it began with.
        """
        return require_same(self.manifest, self.manifest_now(), accepted, self.path)

    # Its ancestors

    @cached_property
    def ancestors(self) -> tuple[forking.Ancestor, ...]:
        """The campaigns that this one is a fork of, the oldest first."""
        return forking.ancestors(self.manifest)

    @cached_property
    def former_worlds(self) -> list[World]:
        """The ancestors' worlds."""
        return [world_of(past.parsed(), self.instruments) for past in self.ancestors]

    @cached_property
    def legend(self) -> ledger.Legend:
        """What the numbers in its ledger stand for."""
        return ledger.legend_of(self.spec, self.ancestors)

    # How far it has come

    def head(self) -> Entry | None:
        """The newest readable commit, which must be of this campaign."""
        head = self.journal.head()
        if head is not None:
            self.journal.require_own(head)
        return head

    def accepted(self) -> tuple[str, ...]:
        """The differences from its manifest that the newest commit went on with, and what its champions were judged with."""
        head = self.head()
        if head is None:
            return ()
        judged: list[str] = []
        with contextlib.suppress(CorruptCampaign):  # the next run makes the result anew
            judged = (self.journal.result(head.epoch) or {}).get("accepted", [])
        return tuple(dict.fromkeys((*head.accepted, *(name for name in judged if name != LEDGER))))

    def result(self) -> dict[str, Any] | None:
        """The stored result of a finished campaign; None while epochs are left to do, also after an extension."""
        head = self.head()
        if head is None or head.epoch < self.journal.epochs():
            return None
        try:
            return self.journal.result(head.epoch)
        except CorruptCampaign as error:
            warnings.warn(f"{error}; the next resume makes it anew from the last commit", IslandsWarning, stacklevel=3)
            return None

    def champions(self) -> list[Champion]:
        """The champions as of the last whole commit, best first."""
        self.require_own_families()
        return select_champions(self.world, self.journal.position().states)

    def require_own_families(self) -> None:
        """Refuses to score anew what a user's own family found with other code than it has now.

        Raises:
            ManifestMismatch: its code has changed, and no run of the campaign has accepted that.
        """
        accepted = self.accepted()
        recorded = self.manifest.get("own_families", {})
        for kind in (space.family for space in self.world.spaces):
            if recorded.get(kind.name, "") != kind.code and f"own_families.{kind.name}" not in accepted:
                raise ManifestMismatch(
                    f"{self.path}: the campaign has code {recorded.get(kind.name, '')[:12]!r} of family {kind.name}, here is "
                    f"{kind.code[:12]!r}, which would score its champions otherwise; bring the former back, or go on with the "
                    f"new one: islands resume --accept own_families.{kind.name}"
                )
