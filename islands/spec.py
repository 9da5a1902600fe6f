"""What a user may set: the spec of a campaign, as TOML or as these models, which are the Python API too.

Only form is checked here (types, ranges, unknown keys). Names of families, metrics, operators and topologies are checked
by the files that own those tables, before a campaign begins.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from islands.errors import SpecError

ONLY = "bars"
"""What the one instrument of a campaign without `instruments` is called."""

BUILT_IN = ("sample:", "synthetic:")
"""Prefixes of bars that no file holds."""

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


P = TypeVar("P", bound=_Part)


def _only_for(part: P, key: str, chooser: str, choice: str) -> P:
    """The part; one that sets a key which its choice does not read is refused, since the key would do nothing."""
    if getattr(part, chooser) != choice and getattr(part, key) != type(part).model_fields[key].default:
        raise ValueError(f"{key} belongs to {chooser} = {choice!r}; leave it out, or choose that")
    return part


class CostsSpec(_Part):
    """What trading costs, per side. Required: a strategy that trades for free is another strategy."""

    fee: Fraction = Field(description="fraction of the traded notional")
    slippage: Fraction = Field(description="fraction of the price")
    maker_fee: Fraction | None = Field(None, description="a take-profit's at its level, the only resting order; else the fee")
    fixed_fee: float = Field(0.0, ge=0.0, description="amount an order, in the currency of the prices, on top of the fee")
    minimum_fee: float = Field(0.0, ge=0.0, description="least amount that an order pays")
    participation: float | None = Field(
        None, gt=0.0, description="an order's share of the decision bar's volume at most; the rest of it is dropped"
    )
    borrow: float = Field(0.0, ge=0.0, description="what a short pays of its notional, per year")
    funding: bool = Field(True, description="book the bars' funding_rate, where they have one")


class ReadingSpec(_Part):
    """A file of bars and how to read it: the arguments of `read_bars`, whose documentation explains them."""

    path: str | None = Field(
        None, description="CSV, Parquet or Arrow file or glob, relative to the spec; or sample:NAME, synthetic:KIND"
    )
    columns: dict[str, str] | list[str] | None = Field(
        None, description="our column name -> the file's, where they differ; a list names the columns of a file without header"
    )
    time_zone: str | None = Field(None, description="of times that carry none: an IANA name, or an offset such as +03:00")
    time_format: str | None = Field(None, description="strftime pattern of the times, where they can't be recognised")
    time_unit: Literal["s", "ms", "us", "ns"] | None = Field(None, description="of times that are numbers")
    bar_time: Literal["open", "close"] = Field("open", description="whether a time is that of the bar's open or close")
    scale: float = Field(1.0, gt=0.0, description="factor of the prices, 0.00001 for points")
    sort: bool = Field(False, description="sort rows that are out of order")
    on_duplicate: Literal["first", "last"] | None = Field(None, description="which of two rows of one time to keep")
    delimiter: str | None = Field(None, description="between the cells of a text file, where it can't be recognised")

    @property
    def reading(self) -> dict[str, Any]:
        """The arguments of `read_bars` but the path."""
        return self.model_dump(include=set(ReadingSpec.model_fields) - {"path"})


class BarsSpec(ReadingSpec):
    """Which bars, and how much of their end is held back from evolution."""

    held_back: float = Field(0.2, ge=0.0, le=0.5, description="share of the bars, at the end, that evolution never sees")
    held_back_from: str | None = Field(None, description="in its place: the date or time from which on it never sees any")

    @field_validator("held_back_from", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return value.isoformat() if isinstance(value, date) else value  # TOML has dates of its own

    @model_validator(mode="after")
    def _one_way_to_hold_back(self) -> Self:
        if self.held_back_from is not None and self.held_back != type(self).model_fields["held_back"].default:
            raise ValueError("held_back and held_back_from: give one of them, the second says where the first would be counted")
        return self


class InstrumentSpec(ReadingSpec):
    """One of several instruments: its own bars, calendar and costs."""

    costs: CostsSpec | None = Field(None, description="where they differ from the campaign's")


class PoolingSpec(_Part):
    """How the figures of several instruments become one. Of worth: with goal min, the minimum is the largest figure."""

    rule: str = Field("mean", description="mean, median, minimum or quantile")
    quantile: float = Field(0.25, ge=0.0, le=1.0, description="which one, for rule quantile: 0 is the worst instrument")

    @model_validator(mode="after")
    def _quantile_belongs_to_its_rule(self) -> Self:
        return _only_for(self, "quantile", "rule", "quantile")


class SplitsSpec(_Part):
    """How the bars that evolution sees are divided. The held-back part is not among them."""

    kind: Literal["whole", "segments", "walk_forward", "combinatorial"] = Field(
        "whole",
        description="whole: one run over all; segments: one on each part, pooled; walk_forward: besides the campaign, one for "
        "each test part that sees only what lies before it; combinatorial: one for each choice of test parts, that sees the "
        "others",
    )
    parts: int = Field(4, ge=2, le=64, description="segments, or test parts: equal numbers of bars")
    windows: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list, description="segments: [from, to) of each, dates or times, in place of parts"
    )
    anew: bool = Field(
        False,
        description="windows: each sees its own bars and the warm-up before it alone, so that nothing older is remembered",
    )
    tests: int = Field(2, ge=1, le=32, description="combinatorial: parts that are tested at a time")
    embargo: int = Field(0, ge=0, le=10_000_000, description="combinatorial: bars left out behind test bars and the warm-up")
    rule: str = Field("mean", description="segments: what makes one figure of theirs: mean, median, minimum or quantile")
    quantile: float = Field(0.25, ge=0.0, le=1.0, description="which one, for rule quantile: 0 is the worst segment")
    train: float = Field(
        0.5, gt=0.0, lt=1.0, description="walk_forward: the share of the bars that lies before the first test part"
    )
    anchored: bool = Field(
        True, description="walk_forward: training begins with the first bar; false: it rolls on, equally long"
    )

    @model_validator(mode="after")
    def _keys_belong_to_their_kinds(self) -> Self:
        if self.kind == "whole":
            _only_for(self, "parts", "kind", "segments, walk_forward or combinatorial")
        if self.windows and (self.kind != "segments" or self.parts != type(self).model_fields["parts"].default):
            raise ValueError("windows belongs to kind = 'segments', in place of parts; leave one of them out")
        if self.anew and not self.windows:
            raise ValueError("anew belongs to windows; declare some, or leave it out")
        _only_for(_only_for(self, "tests", "kind", "combinatorial"), "embargo", "kind", "combinatorial")
        if self.kind == "combinatorial" and self.tests >= self.parts:
            raise ValueError(f"tests = {self.tests} of parts = {self.parts}: some part has to be left to train on")
        _only_for(_only_for(self, "rule", "kind", "segments"), "quantile", "rule", "quantile")
        return _only_for(_only_for(self, "train", "kind", "walk_forward"), "anchored", "kind", "walk_forward")

    @property
    def pooling(self) -> PoolingSpec:
        """How the figures of segments become one."""
        return PoolingSpec(rule=self.rule, quantile=self.quantile)


class GeneSpec(_Part):
    """Bounds of one gene's search."""

    low: float
    high: float
    step: float | None = Field(None, ge=0.0, description="the lattice; 0 for a continuous gene")
    log: bool = Field(False, description="search evenly in the logarithm")


class OverlaySpec(GeneSpec):
    """Bounds of one overlay's search."""

    optional: bool = Field(False, description="the search may also switch it off")


class FamilySpec(_Part):
    """One family, and the bounds of its search where they differ from the family's own."""

    name: str
    genes: dict[str, float | str | list[float] | list[str] | GeneSpec] = Field(
        default_factory=dict, description="a value fixes a gene, [low, high] bounds it, a list of options restricts it"
    )
    overlays: dict[str, Literal[False] | float | list[float] | OverlaySpec] = Field(
        default_factory=dict, description="where they differ from the campaign's; false: without that one"
    )


class ObjectiveSpec(_Part):
    """What evolution is after: a metric and a goal."""

    name: str = "sharpe"
    goal: Literal["max", "min"] = "max"
    reference: float | None = Field(
        None, description="the worst value of interest, from which several objectives' hypervolume is measured"
    )


class LimitsSpec(_Part):
    """What makes a strategy feasible; the infeasible rank below every feasible one."""

    min_trades: int | None = Field(None, ge=0, le=2**53)
    max_drawdown: float | None = Field(None, gt=0.0, le=1.0)


class OperatorSpec(_Part):
    """A DEAP operator by name, or a user's own as "module:function"; every other key is one of its parameters."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    operator: str

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})

    @model_validator(mode="after")
    def _parameters_are_finite(self) -> Self:
        for name, value in self.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} should be a finite number")
        return self


class VariationSpec(OperatorSpec):
    """An operator of variation, and the probability that it is applied."""

    rate: float = Field(ge=0.0, le=1.0)


class SurvivalSpec(_Part):
    """Who lives on. plus: the best of parents and offspring. generational: the offspring, and the best parents."""

    rule: Literal["plus", "generational"] = "plus"
    elites: int = Field(0, ge=0, le=1_000_000, description="parents that survive under the generational rule")

    @model_validator(mode="after")
    def _elites_belong_to_generational(self) -> SurvivalSpec:
        if self.rule == "plus" and self.elites:
            raise ValueError("elites are parents kept by the generational rule; the plus rule keeps the best anyway")
        return self


class EvolutionSpec(_Part):
    """How each island evolves."""

    population: int = Field(100, ge=2, le=1_000_000, description="individuals on each island")
    epochs: Count = 10
    generations_per_epoch: Count = 5
    selection: OperatorSpec = Field(
        default_factory=lambda: OperatorSpec.model_validate({"operator": "selTournament", "tournsize": 3})
    )
    crossover: VariationSpec = Field(
        default_factory=lambda: VariationSpec.model_validate({"operator": "cxSimulatedBinaryBounded", "rate": 0.7, "eta": 10.0})
    )
    mutation: VariationSpec = Field(
        default_factory=lambda: VariationSpec.model_validate(
            {"operator": "mutPolynomialBounded", "rate": 0.5, "eta": 10.0, "indpb": 0.4}
        )
    )
    survival: SurvivalSpec = SurvivalSpec()
    engine: Literal["batch", "deap"] = Field(
        "batch", description="batch: the whole population at once, where an operator has such a form; deap: DEAP's own"
    )
    precision: Literal["float64", "float32"] = Field(
        "float64",
        description="in which offspring are seen by the families that have a float32 form; the best of each generation are "
        "scored in float64 all the same",
    )

    @model_validator(mode="after")
    def _somebody_is_new(self) -> EvolutionSpec:
        if self.survival.elites >= self.population:
            raise ValueError(f"{self.survival.elites} elites leave no place for a child in {self.population}; keep fewer")
        return self


class TopologySpec(_Part):
    """Who sends to whom: a rule of `evolution.topology.TOPOLOGIES` and its parameters."""

    name: str = "ring"
    k: int | None = Field(None, ge=1, description="random_k: senders to each island; small_world: neighbours on each side")
    rewire: float | None = Field(None, ge=0.0, le=1.0, description="small_world: chance that an edge leads elsewhere")
    columns: int | None = Field(None, ge=1, description="grid, torus: islands in a row")
    edges: list[list[int | float]] | None = Field(
        None, description="edges: [from, to] or [from, to, weight]; the weight is the chance that a migration takes place"
    )


class IslandSpec(_Part):
    """One island, where it differs from the campaign: what is not given is the campaign's."""

    families: list[str] | None = None
    population: int | None = Field(None, ge=2, le=1_000_000)
    selection: dict[str, Any] | None = None
    crossover: dict[str, Any] | None = Field(None, description="without `operator`: the campaign's, with these parameters")
    mutation: dict[str, Any] | None = None
    survival: SurvivalSpec | None = None
    instruments: list[str] | None = Field(None, description="those that this island is scored on")
    train: list[float] | None = Field(
        None, min_length=2, max_length=2, description="the part of the bars of evolution that it is scored on: [0.0, 0.5]"
    )
    segments: list[int] | None = Field(
        None, description="with splits.kind = 'segments': the numbers of those that it is scored on, from 1"
    )

    @model_validator(mode="after")
    def _trained_on_one_or_the_other(self) -> Self:
        if self.train is not None and self.segments is not None:
            raise ValueError("train and segments both say what the island is scored on; leave one of them out")
        return self

    def evolution(self, campaign: EvolutionSpec) -> EvolutionSpec:
        """The campaign's settings with this island's own in their place.

        Raises:
            SpecError: together they make no settings.
        """
        values = campaign.model_dump()
        for name in ("population", "survival"):
            if getattr(self, name) is not None:
                values[name] = self.model_dump(include={name})[name]
        for name in ("selection", "crossover", "mutation"):
            own = getattr(self, name)
            if own is not None:
                rate = {key: value for key, value in values[name].items() if key == "rate"}
                values[name] = {**(rate if "operator" in own else values[name]), **own}
        try:
            return EvolutionSpec.model_validate(values)
        except ValidationError as error:
            raise SpecError("; ".join(_explain(error, EvolutionSpec))) from None


class ArchipelagoSpec(_Part):
    """The islands, and who sends to whom."""

    islands: Annotated[int, Field(ge=1, le=10_000)] | list[list[str] | IslandSpec] = Field(
        4, description="a number; or for each island the families it holds, or a table of all in which it differs"
    )
    topology: str | TopologySpec = "ring"

    @property
    def rule(self) -> TopologySpec:
        return self.topology if isinstance(self.topology, TopologySpec) else TopologySpec(name=self.topology)


class MigrationSpec(_Part):
    """What travels between epochs, and whom it replaces."""

    emigrants: int = Field(3, ge=0, le=1_000_000, description="distinct individuals sent along each edge")
    selection: str = Field("best", description="who leaves: best, tournament or distance")
    tournament: int = Field(3, ge=1, le=1_000_000, description="individuals in a tournament")
    replacement: str = Field("worst", description="who makes room: worst, random or similar")
    interval: int = Field(1, ge=1, le=1_000_000, description="epochs from one migration to the next")
    delay: int = Field(1, ge=1, le=1_000, description="epochs on the way")

    @model_validator(mode="after")
    def _tournament_belongs_to_its_selection(self) -> Self:
        return _only_for(self, "tournament", "selection", "tournament")


class StagnationSpec(_Part):
    """What happens to an island whose best has not improved for some epochs."""

    epochs: int = Field(ge=1, le=1_000_000, description="without improvement")
    rule: str = Field(description="reset: the weakest become mutants of the best; mutate: mutation at a higher rate")
    share: float = Field(0.5, gt=0.0, lt=1.0, description="reset: the share of the deme")
    factor: float = Field(2.0, gt=1.0, le=1_000.0, description="mutate: times the rate, up to 1")

    @model_validator(mode="after")
    def _parameters_belong_to_their_rules(self) -> Self:
        return _only_for(_only_for(self, "share", "rule", "reset"), "factor", "rule", "mutate")


class InitialSpec(_Part):
    """A known strategy that starts on every island that holds its family."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    family: str

    @property
    def genes(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class AccountSpec(_Part):
    """The account that every strategy starts with."""

    initial_cash: float = Field(10_000.0, gt=0.0)
    periods_per_year: float | None = Field(None, gt=0.0, description="measured from the bars where it is not given")
    intrabar: Literal["pessimistic", "optimistic"] = Field(
        "pessimistic", description="where one bar touches a stop and a take-profit: the stop comes first, or the take-profit"
    )


class EvidenceSpec(_Part):
    """How champions are judged when all is done: fixed before the run, as part of what determines the campaign."""

    level: float = Field(0.05, gt=0.0, le=0.5, description="how often each test may be passed by luck")
    prior_trials: int = Field(0, ge=0, le=2**53, description="strategies tried on these bars elsewhere, by whatever means")
    null_runs: int = Field(99, ge=99, le=1_000_000, description="repetitions of each null that count; more are a diagnostic")


_UNREAD = ReadingSpec().model_dump()


class CampaignSpec(_Part):
    """A whole campaign. Everything but `evolution.epochs` and the place of the bars determines its result.

    Raises:
        SpecError: a key is unknown, missing or out of range.
    """

    name: str = "campaign"
    seed: int = Field(1, ge=0, lt=2**63)
    bars: BarsSpec = BarsSpec()
    instruments: dict[str, InstrumentSpec] = Field(
        default_factory=dict, description="several bars by name, in place of bars.path; every genome is scored on each"
    )
    pooling: PoolingSpec = PoolingSpec()
    splits: SplitsSpec = SplitsSpec()
    costs: CostsSpec
    families: list[FamilySpec] = Field(min_length=1)
    overlays: dict[str, float | list[float] | OverlaySpec] = Field(
        default_factory=dict, description="stops and sizes over every family: a value fixes one, [low, high] has it searched"
    )
    objective: ObjectiveSpec | Annotated[list[ObjectiveSpec], Field(min_length=1)] = Field(
        ObjectiveSpec(), description="one, or a list of several (NSGA-II)"
    )
    limits: LimitsSpec = LimitsSpec()
    evolution: EvolutionSpec = EvolutionSpec()
    archipelago: ArchipelagoSpec = ArchipelagoSpec()
    migration: MigrationSpec = MigrationSpec()
    stagnation: list[StagnationSpec] = Field(default_factory=list)
    initial: list[InitialSpec] = Field(default_factory=list)
    account: AccountSpec = AccountSpec()
    evidence: EvidenceSpec = EvidenceSpec()
    champions: int = Field(10, ge=1, le=10_000, description="how many of the best different strategies are proposed, at most")
    most_alike: float = Field(
        0.7, gt=0.0, le=1.0, description="the correlation of positions or returns from which on one is a copy of a better one"
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SpecError("\n".join(_explain(error, CampaignSpec))) from None

    @classmethod
    def parse(cls, values: dict[str, Any], source: str = "spec") -> CampaignSpec:
        """The spec of plain values, with errors a person can act on."""
        try:
            return cls(**values)
        except SpecError as error:
            raise SpecError("\n".join(f"{source}: {line}" for line in str(error).splitlines())) from None

    @classmethod
    def read(cls, path: str | Path) -> CampaignSpec:
        """The spec of a TOML file; a relative path of bars counts from the file's folder."""
        path = Path(path)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SpecError(f"{path}: no such file; `islands run` without a spec runs the sample campaign") from None
        except IsADirectoryError:
            raise SpecError(f"{path} is a folder: expected a spec in TOML") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecError(f"{path} is not TOML: {error}") from None
        except OSError as error:
            raise SpecError(f"{path} can't be read: {error.strerror}") from None
        return cls.parse(values, str(path)).beside(path.parent)

    def beside(self, folder: Path) -> CampaignSpec:
        """The same spec with paths of bars that are relative to a folder made absolute."""
        bars = self.bars.model_copy(update={"path": _absolute(self.bars.path, folder)})
        instruments = {
            name: part.model_copy(update={"path": _absolute(part.path, folder)}) for name, part in self.instruments.items()
        }
        return self.model_copy(update={"bars": bars, "instruments": instruments})

    @property
    def objectives(self) -> tuple[ObjectiveSpec, ...]:
        """The objectives, one or several, in the order given."""
        return tuple(self.objective) if isinstance(self.objective, list) else (self.objective,)

    @property
    def sources(self) -> dict[str, ReadingSpec]:
        """Where the bars of each instrument come from; the only one of a plain campaign is called ONLY."""
        return dict(self.instruments) or {ONLY: self.bars}

    def costs_of(self, instrument: str) -> CostsSpec:
        """What trading an instrument costs."""
        part = self.instruments.get(instrument)
        return self.costs if part is None or part.costs is None else part.costs

    def identity(self) -> dict[str, Any]:
        """The part of the spec that the manifest holds: all but the number of epochs and where the bars come from."""
        values = self.model_dump(mode="json")
        del values["evolution"]["epochs"]
        if self.evolution.precision == EvolutionSpec.model_fields["precision"].default:
            del values["evolution"]["precision"]  # manifests are older than this key
        if self.splits.anew == SplitsSpec.model_fields["anew"].default:
            del values["splits"]["anew"]  # manifests are older than this key
        if self.evidence.null_runs == EvidenceSpec.model_fields["null_runs"].default:
            del values["evidence"]["null_runs"]  # manifests are older than this key
        for part in (values["bars"], *values["instruments"].values()):
            for key in ReadingSpec.model_fields:
                del part[key]
        return values

    @model_validator(mode="after")
    def _bars_come_from_one_place(self) -> CampaignSpec:
        if self.instruments and (given := [key for key, value in self.bars if key in _UNREAD and value != _UNREAD[key]]):
            raise ValueError(
                f"bars.{given[0]} and instruments: give one of them, each instrument has its own; held_back stays under bars"
            )
        return self

    @model_validator(mode="after")
    def _float32_has_few_elites(self) -> Self:
        if self.evolution.precision == "float32" and len(self.objectives) > 1:
            raise ValueError(
                "evolution.precision = 'float32' and several objectives: whole demes are elites there, which are scored in "
                "float64 as well, so it would take longer; leave evolution.precision out, or give one objective"
            )
        return self

    @model_validator(mode="after")
    def _instruments_have_names(self) -> CampaignSpec:
        for name in self.instruments:
            if not name.strip():
                raise ValueError(f"instruments.{name!r}: no name for an instrument; a name is text that is not empty")
        return self

    @model_validator(mode="after")
    def _folds_say_what_their_islands_see(self) -> CampaignSpec:
        """The folds of a walk-forward hold nothing but their training and test bars, and `train` is a share of the former;
        those of a combinatorial hold all bars, so that a share of them would reach into their test parts."""
        islands = self.archipelago.islands
        for number, island in enumerate([] if isinstance(islands, int) else islands):
            if self.splits.kind == "combinatorial" and isinstance(island, IslandSpec) and island.train is not None:
                raise ValueError(
                    f"archipelago.islands[{number}]: train = {island.train}: with splits.kind = 'combinatorial' each fold says "
                    "what its islands are scored on, and a share of all bars would hold bars that it tests; leave train out, "
                    "or take another splits.kind"
                )
        return self


def _absolute(place: str | None, folder: Path) -> str | None:
    if not place or place.startswith(BUILT_IN) or Path(place).is_absolute():
        return place
    return str((folder / place).resolve())


def reading_of(values: dict[str, Any], source: str) -> ReadingSpec:
    """How to read bars, of plain values; `source` is what errors begin with.

    Raises:
        SpecError: a key is unknown or a value out of range.
    """
    try:
        return ReadingSpec.model_validate(values)
    except ValidationError as error:
        raise SpecError("\n".join(f"{source} {line}" for line in _explain(error, ReadingSpec))) from None


# A union reports an error for each of its members, under the member's name, which is not a key the user wrote.
_MEMBERS = {"float", "int", "str", "GeneSpec", "IslandSpec", "ObjectiveSpec", "OverlaySpec", "TopologySpec", "constrained-int"}


def _is_member(part: int | str) -> bool:
    return isinstance(part, str) and ("[" in part or part in _MEMBERS)


def _explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line an error; of a union's errors those deepest inside, or one line that names all it would take."""
    lines: dict[str, list[str]] = {}
    errors = error.errors()
    for item in errors:
        loc = item["loc"]
        if loc and _is_member(loc[-1]):
            around = loc[:-1]
            if any(len(other["loc"]) > len(loc) and other["loc"][: len(around)] == around for other in errors):
                continue
        place = ".".join(str(part) for part in loc if not _is_member(part))
        words = _words(model, loc, item["type"], item["msg"], item.get("input"))
        if place in lines:  # the value has been shown
            words = words.removeprefix(f" = {item.get('input')!r}: ")
        if words not in lines.setdefault(place, []):
            lines[place].append(words)
    return [f"{place}{' or '.join(words)}" for place, words in lines.items()]


_TABLE = re.compile("valid dictionary( or instance of \\w+)?")  # pydantic names our classes, a person writes tables


def _words(model: type[BaseModel], loc: tuple[int | str, ...], kind: str, message: str, value: object) -> str:
    if kind == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return f": unknown key; did you mean {close[0]!r}?" if close else f": unknown key; known: {', '.join(known)}"
    if kind == "missing":
        way = "; a campaign without costs is refused: give fee and slippage, 0.0 if you mean it" if "costs" in loc else ""
        return f": required{way}"
    message = _TABLE.sub("table", message.removeprefix("Value error, ").removeprefix("Input "))
    if not loc:  # of the whole: its keys name themselves
        return message
    return f" = {value!r}: {message[:1].lower()}{message[1:]}"


def _known_keys(whole: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    model: Any = whole
    parts = iter(loc)
    for part in parts:
        if isinstance(part, str) and part in getattr(model, "model_fields", {}):
            annotation = model.model_fields[part].annotation
            model = _model_within(annotation)
            if get_origin(annotation) is dict:
                next(parts, None)  # a name that the user chose
    return list(getattr(model, "model_fields", {}))


def _model_within(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_within(inner)
        if found is not None:
            return found
    return None
