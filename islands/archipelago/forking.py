"""A fork: a campaign that goes on from the last commit of another one, its ancestor, in its own folder and with other settings.

Its manifest names the ancestor by its manifest's hash, the epoch and the digest that it goes on from, the ancestor's spec, and
so on upwards: with the bars that determines the result, since the epochs before the fork are the ancestor's and those after it
its own. The ancestor's commits are copied under the new manifest, each with its part of the ledger, so that trials, lineage
and the chain of digests go through; of demes the last ones alone, with the emigrants on their way.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from islands.archipelago import codec
from islands.archipelago.journal import Entry, Journal
from islands.errors import CampaignExists, CorruptCampaign, SpecError
from islands.evolution.world import Habitat, World
from islands.spec import CampaignSpec

FREE = (
    "name",
    "seed",
    "champions",
    "most_alike",
    "evolution.epochs",
    "evolution.selection",
    "evolution.crossover",
    "evolution.mutation",
    "evolution.survival",
    "evolution.engine",
    "archipelago.topology",
    "archipelago.islands",  # what of them may differ is decided by the worlds
    "migration.emigrants",
    "migration.selection",
    "migration.tournament",
    "migration.replacement",
    "migration.interval",
    "stagnation",
    "evidence.prior_trials",
)
"""What a fork may change of its ancestor's spec: how evolution goes on. A key stands for all that is below it."""

REASONS = {
    "evidence.level": "how champions are judged is fixed before the first run",
    "evidence.null_runs": "how champions are judged is fixed before the first run",
    "evolution.population": "the demes go on as large as they are",
    "evolution.generations_per_epoch": "births are numbered by it",
    "migration.delay": "emigrants are on their way",
    "families": "the genomes of demes and ledger are written in these genes",
    "overlays": "the genomes of demes and ledger are written in these genes",
    "initial": "who the founders were is a fact by now",
}
"""Why what a fork may not change stays; of anything else because the scores of the demes come from it."""


@dataclass(frozen=True)
class Ancestor:
    """A campaign that a fork descends from: its manifest's hash, where it was left, and its spec as plain values."""

    campaign: str
    epoch: int
    digest: str
    spec: Mapping[str, Any]

    def parsed(self) -> CampaignSpec:
        """Its spec, without the place of the bars, asked for the epochs up to where it was left."""
        values = copy.deepcopy(dict(self.spec))
        values["evolution"]["epochs"] = self.epoch
        return CampaignSpec.parse(values, f"the manifest of campaign {self.campaign[:12]}")


def ancestors(manifest: Mapping[str, Any]) -> tuple[Ancestor, ...]:
    """Those of the campaign with this manifest, the oldest first; none of one that is no fork.

    Raises:
        CorruptCampaign: the manifest says something impossible.
    """
    found, fork = [], manifest.get("fork")
    try:
        while fork is not None:
            found.append(Ancestor(str(fork["campaign"]), int(fork["epoch"]), str(fork["digest"]), dict(fork["spec"])))
            fork = fork["fork"]
    except codec.MALFORMED as error:
        raise CorruptCampaign(f"the manifest of a fork is malformed ({error!r})") from None
    return tuple(reversed(found))


def fork_of(manifest: Mapping[str, Any], campaign: str, entry: Entry) -> dict[str, Any]:
    """The manifest's part `fork` of one that goes on from a commit of the campaign with this manifest, and its hash."""
    return {
        "campaign": campaign,
        "epoch": entry.epoch,
        "digest": entry.digest,
        "spec": manifest["spec"],
        "fork": manifest.get("fork"),
    }


def hash_of(manifest: Mapping[str, Any]) -> str:
    """The hash that a campaign founded with this manifest will be known by."""
    return hashlib.sha256(codec.pack("manifest", dict(manifest))).hexdigest()


def changed(spec: CampaignSpec, changes: Mapping[str, Any]) -> CampaignSpec:
    """The spec with other values, by dotted key: {"evolution.mutation.eta": 5.0}.

    Raises:
        SpecError: a key leads nowhere, or what comes of it is no spec.
    """
    values = spec.model_dump()
    for key, value in changes.items():
        *path, last = key.split(".")
        part = values
        for name in path:
            part = part.get(name) if isinstance(part, dict) else None  # type: ignore[assignment]
        if not isinstance(part, dict):
            raise SpecError(f"{key} = {value!r}: there is no table {'.'.join(path)!r} in the spec; set that as a whole")
        part[last] = value
    return CampaignSpec.parse(values, "fork")


def require_allowed(former: CampaignSpec, later: CampaignSpec) -> None:
    """Raises SpecError where a fork's spec differs from its ancestor's in what can't be changed on the way."""
    for key, was, now in _differing(former.identity(), later.identity()):
        if not _is_below(key, FREE):
            own = (why for place, why in REASONS.items() if _is_below(key, (place,)))
            why = next(own, "the scores of the demes come from it")
            raise SpecError(
                f"{key} = {now!r}: a fork keeps its ancestor's {was!r}, since {why}; start a new campaign for another"
            )
    before, after = former.evidence.prior_trials, later.evidence.prior_trials
    if after < before:
        raise SpecError(f"evidence.prior_trials = {after}: the ancestor knows of {before}, and they can't become fewer")


def require_homes(former: World, later: World) -> None:
    """Raises SpecError where an island of a fork is none in which the ancestor's deme can go on."""
    if former.islands != later.islands:
        raise SpecError(
            f"archipelago.islands: a fork keeps its ancestor's {former.islands} islands, whose demes go on, and "
            f"{later.islands} are asked for: start a new campaign for another number"
        )
    for island, (was, now) in enumerate(zip(map(_home, former.habitats), map(_home, later.habitats), strict=True)):
        if was != now:
            raise SpecError(
                f"archipelago.islands: island {island} would hold other families, be larger or smaller, or be scored on other "
                "bars than its deme was; a fork changes the operators of an island alone"
            )


def _home(habitat: Habitat) -> tuple[object, ...]:
    """What an island's deme depends on besides how it evolves."""
    scored = tuple((market.name, len(market.tape), int(market.terms.first)) for market in habitat.markets)
    return habitat.holdings, habitat.evolution.population, scored


def _differing(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differing(old.get(key), new.get(key), f"{place}.{key}" if place else key)
    elif old != new:
        yield place, old, new


def _is_below(key: str, places: Sequence[str]) -> bool:
    return any(key == place or key.startswith(f"{place}.") for place in places)


def bytes_of(ancestor: Journal, entry: Entry) -> int:
    """What the copies of an ancestor's commits up to this one will take."""
    return entry.sizes[0] + sum(len(ancestor.blob(past.segment, past.sizes[1])) for past in ancestor.chain(entry))


def found(journal: Journal, ancestor: Journal, entry: Entry, manifest: dict[str, Any], setup: dict[str, Any]) -> None:
    """Founds a fork in a new folder. The manifest comes last: without it there is no campaign.

    entry: the ancestor's commit that it goes on from, all of which was found whole.

    Raises:
        CampaignExists: another process was first.
        CorruptCampaign: a commit of the ancestor, or its part of the ledger, is damaged.
    """
    own = hash_of(manifest)
    parent: tuple[int, str] | None = None
    journal.folder.keep(entry.blob[0], ancestor.blob(entry.blob, entry.sizes[0]))
    for number, past in enumerate(reversed(list(ancestor.chain(entry))), 1):
        segment = ancestor.blob(past.segment, past.sizes[1])
        journal.folder.keep(past.segment[0], segment)
        parent = journal.adopt(
            replace(past, number=number, parent=parent, manifest=own, token=0, sizes=(past.sizes[0], len(segment)))
        )
        if parent is None:
            break
    if parent is None or not journal.found(manifest, setup):
        raise CampaignExists(f"{journal.root}: another process has just begun a campaign here; choose another folder")
