"""The search spaces of a campaign: what its spec says of families, genes and overlays, resolved against their tables."""

from __future__ import annotations

from islands.errors import SpecError, StrategyError
from islands.spec import CampaignSpec, FamilySpec, GeneSpec, IslandSpec, OverlaySpec
from islands.strategies.families import address_of, family, is_built_in, nearest
from islands.strategies.genome import Choice, Gene, Integer, LogReal, switched
from islands.strategies.overlays import OVERLAY_GENES, READ_BY, SWITCHES
from islands.strategies.space import Space

_Bounds = float | str | list[float] | list[str] | GeneSpec
_Overlays = dict[str, float | list[float] | OverlaySpec]


def addressed(spec: CampaignSpec) -> CampaignSpec:
    """The spec with every family that is registered in this process by its address, which other processes can import."""

    def island(part: list[str] | IslandSpec) -> list[str] | IslandSpec:
        if not isinstance(part, IslandSpec):
            return [address_of(name) for name in part]
        return part if part.families is None else part.model_copy(update={"families": [*map(address_of, part.families)]})

    islands = spec.archipelago.islands
    kept = islands if isinstance(islands, int) else [island(part) for part in islands]
    return spec.model_copy(
        update={
            "families": [part.model_copy(update={"name": address_of(part.name)}) for part in spec.families],
            "initial": [part.model_copy(update={"family": address_of(part.family)}) for part in spec.initial],
            "archipelago": spec.archipelago.model_copy(update={"islands": kept}),
        }
    )


def spaces_of(spec: CampaignSpec) -> tuple[Space, ...]:
    """One space a family of the spec, in its order; no bars are needed for that.

    Raises:
        SpecError: an unknown family, gene or overlay, bounds that no genome can keep, or a key that would do nothing.
    """
    names = [part.name for part in spec.families]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise SpecError(f"families: {', '.join(sorted(repeated))} is listed twice; give each family once")
    _require_overlays("overlays", dict(spec.overlays))
    for name in spec.overlays:
        if all(name in part.overlays for part in spec.families):
            raise SpecError(f"overlays.{name}: every family has its own, or none; leave it out of the campaign's")
    return tuple(_space(part, spec.overlays) for part in spec.families)


def _space(part: FamilySpec, common: _Overlays) -> Space:
    try:
        kind = family(part.name)
        if not (kind.code or is_built_in(kind)):
            raise SpecError("its signal was made by hand, so no other process finds it; a campaign takes isl.define_family's")
        bounds = {name: _bounded(kind.gene(name), value) for name, value in part.genes.items()}
        overlays = _overlays(part, common)
    except (StrategyError, SpecError) as error:
        raise SpecError(f"families.{part.name}: {error}") from None
    return Space(kind, (*(bounds.get(gene.name, gene) for gene in kind.genes), *overlays))


def _overlays(part: FamilySpec, common: _Overlays) -> list[Gene]:
    """The overlays over one family, in the order of their table: the campaign's, with the family's own in their place."""
    own: _Overlays = {}
    for name, value in part.overlays.items():
        if value is not False:
            own[name] = value
        elif name not in common:
            raise SpecError(f"overlays.{name} = false: the campaign has none; leave it out")
    kept = {name: value for name, value in common.items() if part.overlays.get(name) is not False}
    idle = {name for name in kept if name in READ_BY and not any(reader in {**kept, **own} for reader in READ_BY[name])}
    whole = {name: value for name, value in {**kept, **own}.items() if name in own or name not in idle}
    _require_overlays("overlays", whole)
    return [_overlay(gene, whole[name]) for name, gene in OVERLAY_GENES.items() if name in whole]


def _require_overlays(place: str, given: _Overlays) -> None:
    for name, value in given.items():
        if name not in OVERLAY_GENES:
            known = list(OVERLAY_GENES)
            raise SpecError(f"{place}.{name}: no such overlay{nearest(name, known)}; known: {', '.join(known)}")
        readers = READ_BY.get(name, ())
        if readers and not any(reader in given for reader in readers):
            raise SpecError(
                f"{place}.{name}: nothing reads it; it belongs to {', '.join(readers)}: give one of these, or leave it out"
            )
        if name not in SWITCHES and isinstance(value, OverlaySpec) and value.optional:
            raise SpecError(f"{place}.{name}: optional = true: it has no off, only values; leave it out")


def _overlay(gene: Gene, value: float | list[float] | OverlaySpec) -> Gene:
    bounded = _bounded(gene, value)
    return switched(bounded) if isinstance(value, OverlaySpec) and value.optional else bounded


def _bounded(gene: Gene, value: _Bounds) -> Gene:
    if isinstance(gene, Choice):
        options = [value] if isinstance(value, str) else value
        if not isinstance(options, list):
            raise SpecError(f"gene {gene.name} = {value!r}: expected options out of {', '.join(gene.options)}")
        return gene.restricted(tuple(str(option) for option in options))
    if isinstance(value, GeneSpec):
        if value.log:
            if isinstance(gene, Integer):
                raise SpecError(f"gene {gene.name}: log = true: a whole gene is searched on its lattice; leave log out")
            gene = LogReal(gene.name, gene.low, gene.high, gene.default, least=max(gene.least, 5e-324), most=gene.most)
        return gene.bounded(value.low, value.high, value.step)
    if isinstance(value, list):
        if len(value) != 2 or any(isinstance(end, str) for end in value):
            raise SpecError(f"gene {gene.name} = {value!r}: expected [low, high], a value, or a table with low and high")
        return gene.bounded(float(value[0]), float(value[1]))
    if isinstance(value, str):
        raise SpecError(f"gene {gene.name} = {value!r}: expected [low, high], a value, or a table with low and high")
    return gene.bounded(value, value)
