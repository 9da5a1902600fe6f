"""One strategy: a family with a value for every gene, and the overlays that lie over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from islands.errors import InputError, StrategyError
from islands.kernels import batch
from islands.kernels.overlays import OVERLAYS
from islands.strategies.families import Family, family, nearest
from islands.strategies.overlays import NO_STOPS, READ_BY, WHOLE, Sizing, Stops, live, overlay_warmup, overlays_of

if TYPE_CHECKING:
    from islands.market.bars import Bars
    from islands.strategies.space import Space


class Strategy:
    """A point of a family, immutable: `Strategy("ema_crossover", fast=12, slow=26, direction="long", stop_loss=0.02)`.

    Genes that are not given take the family's defaults. Values outside the bounds of the search are welcome; a broken
    constraint is refused, never repaired. Every field of `Stops` (but intrabar, which is the account's) and of `Sizing`
    may be given as well: such overlays belong to the strategy, as `stops` and `sizing`, and None (or "off") switches one off.

    Raises:
        StrategyError: unknown family or gene, a value that the rule can't bear, a broken constraint, a parameter that
            nothing reads.
    """

    __slots__ = ("family", "genome", "sizing", "stops")

    family: Family
    genome: np.ndarray
    stops: Stops
    sizing: Sizing

    def __init__(self, family_name: str | Family, /, **genes: Any) -> None:
        kind = family(family_name)
        _require_known(kind, genes)
        row = np.array([g.parse(genes[g.name]) if g.name in genes else g.default for g in kind.genes])
        row.flags.writeable = False
        stops, sizing = _overlays({name: genes[name] for name in OVERLAYS if genes.get(name, "off") not in (None, "off")})
        for slot, value in (("family", kind), ("genome", row), ("stops", stops), ("sizing", sizing)):
            object.__setattr__(self, slot, value)
        entries = dict(zip((g.name for g in kind.genes), row.tolist(), strict=True))
        for rule in kind.constraints:
            if not rule.holds(entries[rule.small], entries[rule.large]):
                raise StrategyError(
                    f"{self!r} breaks {rule} of family {kind.name}: {rule.small} is {entries[rule.small]:g}, "
                    f"{rule.large} is {entries[rule.large]:g}"
                )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Strategy is immutable; make another one to change {name}")

    @classmethod
    def from_genome(cls, space: Space, genome: np.ndarray) -> Strategy:
        """The strategy of one genome of a search space (what lies behind its genes is padding)."""
        entries = {g.name: g.show(float(v)) for g, v in zip(space.genes, genome, strict=False)}
        rows = space.overlay_rows(genome[None, : len(space.genes)])
        idle = {gene.name for gene in space.overlays} - set(() if rows is None else live(rows[0]))
        return cls(space.family, **{name: value for name, value in entries.items() if name not in idle})

    @property
    def overlays(self) -> np.ndarray | None:
        """The row of kernels.overlays.OVERLAYS, (O,); None where it has no overlays."""
        return overlays_of(self.stops, self.sizing)

    @property
    def genes(self) -> dict[str, int | float | str]:
        """Genes by name, as a person writes them, and the overlays that are on."""
        own = {g.name: g.show(float(v)) for g, v in zip(self.family.genes, self.genome, strict=True)}
        row = self.overlays
        on = [] if row is None else live(row)
        return own | {name: getattr(self.stops if hasattr(self.stops, name) else self.sizing, name) for name in on}

    @property
    def warmup(self) -> int:
        """Bars until the decisions no longer depend on where the data begin."""
        own = self.family.warmup({g.name: float(v) for g, v in zip(self.family.genes, self.genome, strict=True)})
        return max(own, overlay_warmup({**vars(self.stops), **vars(self.sizing)}))

    def positions(self, bars: Bars) -> np.ndarray:
        """Target exposure in [-1, 1] decided at each close, float64 (T,); bar t is decided from bars up to t.

        Before overlays, which act inside the account.
        """
        return batch.positions(self.family.signal, bars.tape, self.genome)

    def to_dict(self) -> dict[str, Any]:
        """{"family": name, "version": n, "genes": {...}}, of a user's own family "code" too: plain values for JSON."""
        own = {"code": self.family.code} if self.family.code else {}
        return {"family": self.family.name, "version": self.family.version, **own, "genes": self.genes}

    def __repr__(self) -> str:
        return f"Strategy({self.family.name!r}, {', '.join(f'{k}={v!r}' for k, v in self.genes.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strategy) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.family.name, self.genes)

    @property
    def _identity(self) -> tuple[str, str, bytes, bytes]:
        row = self.overlays
        return self.family.name, self.family.code, self.genome.tobytes(), b"" if row is None else row.tobytes()


def _require_known(kind: Family, given: dict[str, Any]) -> None:
    names = [gene.name for gene in kind.genes]
    for name in given:
        if name not in names and name not in OVERLAYS:
            raise StrategyError(
                f"family {kind.name} has no gene {name!r}{nearest(name, [*names, *OVERLAYS])}; its genes are "
                f"{', '.join(names)}; overlays are {', '.join(OVERLAYS)}"
            )


def _overlays(given: dict[str, Any]) -> tuple[Stops, Sizing]:
    """The overlays of these values by name, plain numbers whatever kind they were given in."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
    try:
        stops = Stops(**{name: value for name, value in plain.items() if hasattr(NO_STOPS, name)})
        sizing = Sizing(**{name: value for name, value in plain.items() if hasattr(WHOLE, name)})
    except InputError as error:
        raise StrategyError(str(error)) from None
    for name in given:
        if name in READ_BY and not any(reader in given for reader in READ_BY[name]):
            raise StrategyError(
                f"overlay {name} = {given[name]!r}: nothing reads it; it belongs to {', '.join(READ_BY[name])}, set one of "
                "these or leave it out"
            )
    return stops, sizing


def _rebuild(name: str, genes: dict[str, Any]) -> Strategy:
    return Strategy(name, **genes)
