"""The spec: what it refuses and in which words, how it is read, and what of it makes a campaign's identity."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from worlds import tiny, values

from islands.errors import SpecError
from islands.spec import ONLY, CampaignSpec, GeneSpec, IslandSpec, OperatorSpec

SMALLEST = """
[costs]
fee = 0.0
slippage = 0.0
[[families]]
name = "sma_trend"
"""

NOT_A_NUMBER = float("nan")


def family_with(gene: object) -> list[dict[str, Any]]:
    return [{"name": "sma_trend", "genes": {"fast": gene}}]


REFUSED = [
    ("seeds", 1, "seeds: unknown key; did you mean 'seed'?"),
    (
        "colour",
        1,
        "colour: unknown key; known: name, seed, bars, instruments, pooling, splits, costs, families, overlays, objective, "
        "limits, evolution, archipelago, migration, stagnation, initial, account, evidence, champions, "
        "most_alike",
    ),
    ("seed", -1, "seed = -1: should be greater than or equal to 0"),
    ("seed", 2**63, "seed = 9223372036854775808: should be less than 9223372036854775808"),
    ("seed", 1.5, "seed = 1.5: should be a valid integer"),
    ("seed", True, "seed = True: should be a valid integer"),
    ("seed", "7", "seed = '7': should be a valid integer"),
    (
        "evolution.survival",
        {"rule": "generational", "elites": 12},
        "evolution = {'population': 12, 'epochs': 3, 'generations_per_epoch': 2, 'survival': {'rule': 'generational', "
        "'elites': 12}}: 12 elites leave no place for a child in 12; keep fewer",
    ),
    ("champions", 0, "champions = 0: should be greater than or equal to 1"),
    ("bars.paths", "x.csv", "bars.paths: unknown key; did you mean 'path'?"),
    ("bars.held_back", 0.6, "bars.held_back = 0.6: should be less than or equal to 0.5"),
    ("bars.held_back", -0.1, "bars.held_back = -0.1: should be greater than or equal to 0"),
    (
        "bars",
        {"held_back": 0.3, "held_back_from": "2020-01-01"},
        "bars = {'held_back': 0.3, 'held_back_from': '2020-01-01'}: held_back and held_back_from: give one of them, the second "
        "says where the first would be counted",
    ),
    ("instruments", {" ": {}}, "instruments.' ': no name for an instrument; a name is text that is not empty"),
    ("costs.fee", 1.0, "costs.fee = 1.0: should be less than 1"),
    ("costs.fee", -1e-4, "costs.fee = -0.0001: should be greater than or equal to 0"),
    ("costs.fees", 1e-4, "costs.fees: unknown key; did you mean 'fee'?"),
    ("costs", 3, "costs = 3: should be a table"),
    ("families", [], "families = []: list should have at least 1 item after validation, not 0"),
    ("families", [{"name": "sma_trend", "gene": {}}], "families.0.gene: unknown key; did you mean 'genes'?"),
    ("families", [{}], "families.0.name: required"),
    ("families", family_with({"low": 1, "hight": 2}), "families.0.genes.fast.hight: unknown key; did you mean 'high'?"),
    ("families", family_with({"low": 1}), "families.0.genes.fast.high: required"),
    (
        "families",
        family_with({"low": 1, "high": 3, "step": -1}),
        "families.0.genes.fast.step = -1: should be greater than or equal to 0",
    ),
    ("families", family_with(NOT_A_NUMBER), "families.0.genes.fast = nan: should be a finite number"),
    ("costs.borrow", -0.1, "costs.borrow = -0.1: should be greater than or equal to 0"),
    ("costs.participation", 0, "costs.participation = 0: should be greater than 0"),
    ("account.intrabar", "best", "account.intrabar = 'best': should be 'pessimistic' or 'optimistic'"),
    ("overlays", ["stop_loss"], "overlays = ['stop_loss']: should be a table"),
    (
        "overlays.stop_loss",
        {"low": 0.01, "hihg": 0.05},
        "overlays.stop_loss.hihg: unknown key; did you mean 'high'?",
    ),
    ("objective.goal", "maximum", "objective.goal = 'maximum': should be 'max' or 'min'"),
    ("objective", {"goal": "maximum"}, "objective.goal = 'maximum': should be 'max' or 'min'"),
    ("objective", [{"goal": "maximum"}], "objective.0.goal = 'maximum': should be 'max' or 'min'"),
    ("objective", [{"nam": "sharpe"}], "objective.0.nam: unknown key; did you mean 'name'?"),
    ("objective", 3, "objective = 3: should be a table or should be a valid list"),
    ("objective", [], "objective = []: should be a table or list should have at least 1 item after validation, not 0"),
    (
        "instruments",
        {"a": {"pth": "x.csv"}},
        "instruments.a.pth: unknown key; did you mean 'path'?",
    ),
    ("instruments", {"costs": {"pth": "x.csv"}}, "instruments.costs.pth: unknown key; did you mean 'path'?"),
    (
        "instruments",
        {"a": {"costs": {"fee": 0.0, "slip": 0.0}}},
        "instruments.a.costs.slip: unknown key; did you mean 'slippage'?",
    ),
    ("instruments", {"a": 3}, "instruments.a = 3: should be a table"),
    ("instruments", ["a"], "instruments = ['a']: should be a table"),
    ("pooling.rul", "mean", "pooling.rul: unknown key; did you mean 'rule'?"),
    ("pooling.quantile", 1.5, "pooling.quantile = 1.5: should be less than or equal to 1"),
    ("limits.min_trade", 3, "limits.min_trade: unknown key; did you mean 'min_trades'?"),
    ("limits.min_trades", -1, "limits.min_trades = -1: should be greater than or equal to 0"),
    ("limits.max_drawdown", 0, "limits.max_drawdown = 0: should be greater than 0"),
    ("evolution.populations", 3, "evolution.populations: unknown key; did you mean 'population'?"),
    ("evolution.population", 1, "evolution.population = 1: should be greater than or equal to 2"),
    ("evolution.population", float("inf"), "evolution.population = inf: should be a valid integer"),
    ("evolution.epochs", 0, "evolution.epochs = 0: should be greater than or equal to 1"),
    ("evolution.generations_per_epoch", 0, "evolution.generations_per_epoch = 0: should be greater than or equal to 1"),
    ("evolution.selection", {"tournsize": 3}, "evolution.selection.operator: required"),
    ("evolution.crossover", {"operator": "cxBlend"}, "evolution.crossover.rate: required"),
    (
        "evolution.mutation",
        {"operator": "mutFlipBit", "rate": 1.5},
        "evolution.mutation.rate = 1.5: should be less than or equal to 1",
    ),
    (
        "evolution.mutation",
        {"operator": "mutGaussian", "rate": 0.5, "mu": NOT_A_NUMBER},
        "evolution.mutation = {'operator': 'mutGaussian', 'rate': 0.5, 'mu': nan}: mu should be a finite number",
    ),
    ("evolution.survival.rule", "pluss", "evolution.survival.rule = 'pluss': should be 'plus' or 'generational'"),
    (
        "evolution.survival",
        {"elites": 2},
        "evolution.survival = {'elites': 2}: elites are parents kept by the generational rule; the plus rule keeps the "
        "best anyway",
    ),
    ("archipelago.topologie", "ring", "archipelago.topologie: unknown key; did you mean 'topology'?"),
    ("archipelago.islands", 0, "archipelago.islands = 0: should be greater than or equal to 1 or should be a valid list"),
    ("archipelago.islands", [["sma_trend", 3]], "archipelago.islands.0.1 = 3: should be a valid string"),
    ("archipelago.islands", [3], "archipelago.islands.0 = 3: should be a valid list or should be a table"),
    ("archipelago.islands", [{"famlies": []}], "archipelago.islands.0.famlies: unknown key; did you mean 'families'?"),
    ("archipelago.islands", [{"population": 1}], "archipelago.islands.0.population = 1: should be greater than or equal to 2"),
    (
        "archipelago.islands",
        [{"train": [0.5]}],
        "archipelago.islands.0.train = [0.5]: list should have at least 2 items after validation, not 1",
    ),
    (
        "archipelago.islands",
        [{"survival": {"rul": "plus"}}],
        "archipelago.islands.0.survival.rul: unknown key; did you mean 'rule'?",
    ),
    ("archipelago.islands", [{"mutation": "mutFlipBit"}], "archipelago.islands.0.mutation = 'mutFlipBit': should be a table"),
    ("archipelago.topology", 3, "archipelago.topology = 3: should be a valid string or should be a table"),
    ("archipelago.topology", {"name": "random_k", "kk": 2}, "archipelago.topology.kk: unknown key; did you mean 'k'?"),
    ("archipelago.topology", {"name": "random_k", "k": 0}, "archipelago.topology.k = 0: should be greater than or equal to 1"),
    (
        "archipelago.topology",
        {"name": "small_world", "rewire": 1.5},
        "archipelago.topology.rewire = 1.5: should be less than or equal to 1",
    ),
    (
        "archipelago.topology",
        {"name": "edges", "edges": [[0, 1, NOT_A_NUMBER]]},
        "archipelago.topology.edges.0.2 = nan: should be a valid integer or should be a finite number",
    ),
    ("migration.interval", 0, "migration.interval = 0: should be greater than or equal to 1"),
    ("migration.tournament", 0, "migration.tournament = 0: should be greater than or equal to 1"),
    ("stagnation", {"rule": "reset", "epochs": 2}, "stagnation = {'rule': 'reset', 'epochs': 2}: should be a valid list"),
    ("stagnation", [{"rule": "reset"}], "stagnation.0.epochs: required"),
    ("stagnation", [{"rule": "reset", "epochs": 2, "share": 1.0}], "stagnation.0.share = 1.0: should be less than 1"),
    ("stagnation", [{"rule": "mutate", "epochs": 2, "factor": 1.0}], "stagnation.0.factor = 1.0: should be greater than 1"),
    ("migration.emigrants", -1, "migration.emigrants = -1: should be greater than or equal to 0"),
    ("migration.delay", 0, "migration.delay = 0: should be greater than or equal to 1"),
    ("initial", [{"fast": 3}], "initial.0.family: required"),
    ("account.initial_cash", 0, "account.initial_cash = 0: should be greater than 0"),
    ("account.periods_per_year", -1, "account.periods_per_year = -1: should be greater than 0"),
]


@pytest.mark.parametrize(("key", "value", "line"), REFUSED, ids=[f"{key}={value}" for key, value, _ in REFUSED])
def test_spec_is_refused_with_key_value_rule_and_nearest_name(key: str, value: object, line: str) -> None:
    with pytest.raises(SpecError) as error:
        tiny({key: value})
    assert any(said == line or said.startswith(f"{line} or ") for said in str(error.value).splitlines())


@pytest.mark.parametrize(("key", "value", "line"), REFUSED, ids=[f"{key}={value}" for key, value, _ in REFUSED])
def test_words_of_a_refusal_are_a_users_and_not_those_of_the_models(key: str, value: object, line: str) -> None:
    with pytest.raises(SpecError) as error:
        tiny({key: value})
    internal = ("Spec", "instance of", "dictionary", "Value error", "Input", "constrained", "[str]", "pydantic")
    said = str(error.value).replace(repr(value), "")
    assert [word for word in internal if word in said] == []


@pytest.mark.parametrize("key", ["path", "time_zone", "columns", "sort"])
def test_bars_are_read_from_one_place(key: str) -> None:
    """What stands beside instruments under bars would be read by nobody."""
    given = {"path": "x.csv", "time_zone": "UTC", "columns": {"close": "Last"}, "sort": True}[key]
    with pytest.raises(SpecError) as error:
        tiny({"instruments": {"a": {"path": "a.csv"}}, f"bars.{key}": given})
    assert str(error.value) == (
        f"bars.{key} and instruments: give one of them, each instrument has its own; held_back stays under bars"
    )
    assert tiny({"instruments": {"a": {"path": "a.csv"}}, "bars.held_back": 0.3}).bars.held_back == 0.3


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(SpecError) as error:
        tiny({"seed": -1, "champions": 0})
    assert [line.partition(" ")[0] for line in str(error.value).splitlines()] == ["seed", "champions"]


@pytest.mark.parametrize(("costs", "missing"), [(None, ["costs"]), ({"fee": 0.0}, ["costs.slippage"]), ({}, 2)])
def test_costs_have_no_default(costs: dict[str, float] | None, missing: Any) -> None:
    given = values()
    del given["costs"]
    if costs is not None:
        given["costs"] = costs
    with pytest.raises(SpecError) as error:
        CampaignSpec(**given)
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == (["costs.fee", "costs.slippage"] if missing == 2 else missing)
    assert all("required; a campaign without costs is refused: give fee and slippage, 0.0 if you mean it" in x for x in lines)


def test_a_gene_takes_a_value_bounds_options_or_a_table() -> None:
    genes = {"a": 3, "b": "long", "c": [1, 5], "d": ["long", "both"], "e": {"low": 1, "high": 9, "log": True}}
    spec = tiny({"families": [{"name": "any", "genes": genes}]})
    assert spec.families[0].genes == {
        "a": 3.0,
        "b": "long",
        "c": [1.0, 5.0],
        "d": ["long", "both"],
        "e": GeneSpec(low=1, high=9, log=True),
    }


def test_every_key_but_operator_and_rate_is_a_parameter_of_the_operator() -> None:
    mutation = tiny({"evolution.mutation": {"operator": "mutGaussian", "rate": 0.2, "sigma": 0.1, "mu": 0}}).evolution.mutation
    assert (mutation.operator, mutation.rate, mutation.parameters) == ("mutGaussian", 0.2, {"sigma": 0.1, "mu": 0})
    assert OperatorSpec(operator="selBest").parameters == {}


def test_records_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        tiny().costs.fee = 0.5


# Reading


def written(folder: Path, text: str = SMALLEST) -> Path:
    path = folder / "spec.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_file_equals_the_models_made_in_python(tmp_path: Path) -> None:
    made = CampaignSpec(costs={"fee": 0.0, "slippage": 0.0}, families=[{"name": "sma_trend"}])
    assert CampaignSpec.read(written(tmp_path)) == made


def test_error_in_a_file_names_the_file_in_every_line(tmp_path: Path) -> None:
    path = written(tmp_path, "seed = -1\nchampions = 0\n" + SMALLEST)
    with pytest.raises(SpecError) as error:
        CampaignSpec.read(path)
    assert [line.startswith(f"{path}: ") for line in str(error.value).splitlines()] == [True, True]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.toml: no such file; `islands run` without a spec runs the sample campaign"):
        CampaignSpec.read(tmp_path / "none.toml")


def test_folder_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is a folder: expected a spec in TOML"):
        CampaignSpec.read(tmp_path)


def test_text_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"spec\.toml is not TOML: .*line 1"):
        CampaignSpec.read(written(tmp_path, "seed 1"))


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "spec.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(SpecError, match=r"spec\.toml is not TOML: .*utf-8"):
        CampaignSpec.read(path)


@pytest.mark.parametrize("place", ["bars.csv", "deep/er/*.csv", "../bars.csv"])
def test_relative_bars_count_from_the_folder_of_the_file(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    spec = CampaignSpec.read(written(folder, SMALLEST + f'[bars]\npath = "{place}"\n'))
    assert spec.bars.path == str((folder / place).resolve())


@pytest.mark.parametrize("place", ["sample:eurusd", "/elsewhere/bars.csv"])
def test_samples_and_absolute_paths_are_left_alone(place: str, tmp_path: Path) -> None:
    assert CampaignSpec.read(written(tmp_path, SMALLEST + f'[bars]\npath = "{place}"\n')).bars.path == place


def test_relative_bars_of_instruments_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    text = SMALLEST + '[instruments.a]\npath = "a.csv"\n[instruments.b]\npath = "sample:eurusd"\n'
    spec = CampaignSpec.read(written(tmp_path, text))
    assert [part.path for part in spec.instruments.values()] == [str(tmp_path / "a.csv"), "sample:eurusd"]
    assert list(spec.sources) == ["a", "b"]
    assert list(CampaignSpec.read(written(tmp_path)).sources) == [ONLY]


@pytest.mark.parametrize(
    ("written_as", "read_as"),
    [("2020-02-01", "2020-02-01"), ("2020-02-01T12:00:00Z", "2020-02-01T12:00:00+00:00"), ('"2020-02"', "2020-02")],
)
def test_dates_of_toml_are_dates_of_the_spec(written_as: str, read_as: str, tmp_path: Path) -> None:
    spec = CampaignSpec.read(written(tmp_path, SMALLEST + f"[bars]\nheld_back_from = {written_as}\n"))
    assert spec.bars.held_back_from == read_as


# One island's own settings

BASE = {
    "evolution.population": 40,
    "evolution.selection": {"operator": "selTournament", "tournsize": 3},
    "evolution.mutation": {"operator": "mutGaussian", "rate": 0.5, "mu": 0.0, "sigma": 0.3, "indpb": 0.4},
}

OWN: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "nothing": ({}, "mutation", BASE["evolution.mutation"]),
    "a rate alone": ({"mutation": {"rate": 0.9}}, "mutation", {**BASE["evolution.mutation"], "rate": 0.9}),
    "a parameter alone": ({"mutation": {"sigma": 0.1}}, "mutation", {**BASE["evolution.mutation"], "sigma": 0.1}),
    "another operator keeps the rate and nothing else": (
        {"mutation": {"operator": "mutFlipBit", "indpb": 0.1}},
        "mutation",
        {"operator": "mutFlipBit", "rate": 0.5, "indpb": 0.1},
    ),
    "another operator with a rate of its own": (
        {"mutation": {"operator": "mutFlipBit", "rate": 0.2, "indpb": 0.1}},
        "mutation",
        {"operator": "mutFlipBit", "rate": 0.2, "indpb": 0.1},
    ),
    "another selection": ({"selection": {"operator": "selBest"}}, "selection", {"operator": "selBest"}),
    "a larger tournament": ({"selection": {"tournsize": 7}}, "selection", {"operator": "selTournament", "tournsize": 7}),
    "another rule of survival": (
        {"survival": {"rule": "generational", "elites": 2}},
        "survival",
        {"rule": "generational", "elites": 2},
    ),
}


@pytest.mark.parametrize("case", list(OWN))
def test_an_island_takes_from_the_campaign_what_it_does_not_say_itself(case: str) -> None:
    own, part, expected = OWN[case]
    campaign = tiny(BASE).evolution
    settings = IslandSpec(**own).evolution(campaign)
    assert settings.model_dump()[part] == expected
    others = {key: value for key, value in campaign.model_dump().items() if key != part}
    assert {key: value for key, value in settings.model_dump().items() if key != part} == others


def test_an_islands_own_population_takes_the_place_of_the_campaigns() -> None:
    settings = IslandSpec(population=7).evolution(tiny(BASE).evolution)
    assert settings == tiny({**BASE, "evolution.population": 7}).evolution


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"mutation": {"rate": 1.5}}, "mutation.rate = 1.5: should be less than or equal to 1"),
        ({"mutation": {"operator": 3}}, "mutation.operator = 3: should be a valid string"),
        ({"population": 3}, "3 elites leave no place for a child in 3; keep fewer"),
    ],
    ids=str,
)
def test_settings_that_an_island_and_its_campaign_make_together_are_checked(own: dict[str, Any], message: str) -> None:
    elites = {"evolution.survival": {"rule": "generational", "elites": 3}}
    with pytest.raises(SpecError) as error:
        IslandSpec(**own).evolution(tiny(elites).evolution)
    assert str(error.value) == message


# Identity


NOT_IDENTITY = {
    "evolution.epochs": 99,
    "bars.path": "elsewhere.csv",
    "bars.columns": {"close": "Last"},
    "bars.time_zone": "UTC",
    "bars.time_format": "%Y",
    "bars.time_unit": "s",
    "bars.bar_time": "close",
    "bars.scale": 0.01,
    "bars.sort": True,
    "bars.on_duplicate": "last",
    "bars.delimiter": ";",
}

IDENTITY = {
    "name": "another",
    "seed": 8,
    "costs.fee": 2e-4,
    "costs.slippage": 2e-4,
    "costs.funding": False,
    "costs.maker_fee": 0.0,
    "costs.fixed_fee": 1.0,
    "costs.minimum_fee": 1.0,
    "costs.participation": 0.1,
    "costs.borrow": 0.05,
    "instruments": {"a": {}, "b": {"costs": {"fee": 0.0, "slippage": 0.0}}},
    "pooling.rule": "quantile",
    "pooling.quantile": 0.5,
    "families": [{"name": "sma_trend"}],
    "overlays": {"stop_loss": [0.01, 0.05]},
    "bars.held_back": 0.3,
    "bars.held_back_from": "2020-02-01",
    "objective.name": "calmar",
    "objective.goal": "min",
    "objective.reference": 1.0,
    "limits.min_trades": 5,
    "limits.max_drawdown": 0.5,
    "evolution.population": 13,
    "evolution.generations_per_epoch": 3,
    "evolution.selection": {"operator": "selBest"},
    "evolution.crossover": {"operator": "cxBlend", "rate": 0.5, "alpha": 0.1},
    "evolution.mutation": {"operator": "mutFlipBit", "rate": 0.5, "indpb": 0.1},
    "evolution.engine": "deap",
    "evolution.precision": "float32",
    "evolution.survival": {"rule": "generational"},
    "archipelago.islands": 4,
    "archipelago.topology": "none",
    "migration.emigrants": 1,
    "migration.delay": 2,
    "migration.interval": 2,
    "migration.selection": "tournament",
    "migration.tournament": 5,
    "migration.replacement": "similar",
    "stagnation": [{"rule": "reset", "epochs": 3}],
    "initial": [{"family": "sma_trend"}],
    "account.initial_cash": 5.0,
    "account.periods_per_year": 252.0,
    "account.intrabar": "optimistic",
    "splits.kind": "segments",
    "splits.parts": 5,
    "splits.rule": "quantile",
    "splits.quantile": 0.4,
    "evidence.level": 0.01,
    "evidence.prior_trials": 1_000,
    "evidence.null_runs": 199,
    "champions": 6,
    "most_alike": 0.8,
}


@pytest.mark.parametrize("key", list(NOT_IDENTITY))
def test_number_of_epochs_and_place_of_the_bars_are_no_part_of_the_identity(key: str) -> None:
    assert tiny({key: NOT_IDENTITY[key]}).identity() == tiny().identity()


READ_BY = {
    "pooling.quantile": "pooling.rule",
    "migration.tournament": "migration.selection",
    "splits.parts": "splits.kind",
    "splits.rule": "splits.kind",
    "splits.quantile": "splits.rule",
}
"""Keys that only one choice of another key reads."""


def around(key: str) -> dict[str, Any]:
    """What has to be set for a key to be read."""
    return {**around(READ_BY[key]), READ_BY[key]: IDENTITY[READ_BY[key]]} if key in READ_BY else {}


@pytest.mark.parametrize("key", list(IDENTITY))
def test_everything_else_is_part_of_the_identity(key: str) -> None:
    assert tiny({**around(key), key: IDENTITY[key]}).identity() != tiny(around(key)).identity()


OTHER_SPLITS: dict[str, tuple[str, object]] = {
    "splits.train": ("walk_forward", 0.3),
    "splits.anchored": ("walk_forward", False),
    "splits.tests": ("combinatorial", 3),
    "splits.embargo": ("combinatorial", 10),
    "splits.windows": ("segments", [["2020-01-10", "2020-01-20"]]),
    "splits.anew": ("segments", True),
}
"""Keys that another kind of splits reads, so that they can't stand beside the others: the kind, and a value."""


@pytest.mark.parametrize("key", list(OTHER_SPLITS))
def test_how_a_campaign_is_split_is_part_of_the_identity(key: str) -> None:
    kind, value = OTHER_SPLITS[key]
    read = {"splits.windows": OTHER_SPLITS["splits.windows"][1]} if key == "splits.anew" else {}
    around = {"splits.kind": kind, **read}
    assert tiny({**around, key: value}).identity() != tiny(around).identity()


def leaves(part: dict[str, Any], place: str = "") -> set[str]:
    """Dotted keys of a spec as plain values; an operator or the rule of survival is one of them."""
    whole = ("selection", "crossover", "mutation", "survival")
    return {
        found
        for key, value in part.items()
        for found in (
            leaves(value, f"{place}{key}.") if isinstance(value, dict) and value and key not in whole else {f"{place}{key}"}
        )
    }


def test_the_two_tables_above_hold_every_key_of_a_spec() -> None:
    assert leaves(tiny().model_dump()) == {*IDENTITY, *NOT_IDENTITY, *OTHER_SPLITS}


SEVERAL: dict[str, Any] = {
    "instruments": {"a": {"path": "a.csv"}, "b": {"costs": {"fee": 0.0, "slippage": 0.0}}},
    "objective": [{"name": "sharpe"}, {"name": "calmar"}],
    "archipelago.islands": [["sma_trend"], {"population": 20, "mutation": {"rate": 0.9}, "train": [0.0, 0.5]}, {}],
    "archipelago.topology": {"name": "edges", "edges": [[0, 1], [1, 2, 0.5]]},
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("instruments", {"a": {}, "b": {"costs": {"fee": 0.0, "slippage": 0.1}}}),
        ("instruments", {"a": {}, "c": {"costs": {"fee": 0.0, "slippage": 0.0}}}),
        ("objective", [{"name": "calmar"}, {"name": "sharpe"}]),
        ("archipelago.islands", [["sma_trend"], {"population": 20, "mutation": {"rate": 0.8}, "train": [0.0, 0.5]}, {}]),
        ("archipelago.islands", [["sma_trend"], {"population": 20, "mutation": {"rate": 0.9}, "train": [0.0, 0.4]}, {}]),
        ("archipelago.topology", {"name": "edges", "edges": [[0, 1], [1, 2, 0.6]]}),
    ],
    ids=str,
)
def test_details_of_several_worlds_are_part_of_the_identity(key: str, value: object) -> None:
    assert tiny({**SEVERAL, key: value}).identity() != tiny(SEVERAL).identity()


def test_place_of_an_instruments_bars_is_no_part_of_the_identity() -> None:
    moved = {"a": {"path": "elsewhere.csv", "sort": True}, "b": SEVERAL["instruments"]["b"]}
    assert tiny({**SEVERAL, "instruments": moved}).identity() == tiny(SEVERAL).identity()


def test_identity_is_plain_json() -> None:
    identity = tiny({"initial": [{"family": "sma_trend", "fast": 3}]}).identity()
    assert json.loads(json.dumps(identity)) == identity


EVERY_KEY = {key: value for key, value in IDENTITY.items() if key != "bars.held_back"}
"""That is, all but the one in whose place held_back_from stands."""


@pytest.mark.parametrize("changes", [{}, EVERY_KEY, SEVERAL], ids=["tiny", "every key set", "different worlds"])
def test_spec_survives_json_and_pickle(changes: dict[str, Any]) -> None:
    spec = tiny(changes)
    again = [
        CampaignSpec.model_validate_json(spec.model_dump_json()),
        CampaignSpec.parse(json.loads(spec.model_dump_json())),
        pickle.loads(pickle.dumps(spec)),
    ]
    assert again == [spec] * 3
    assert [copy.identity() for copy in again] == [spec.identity()] * 3
    assert [copy.evolution.mutation.parameters for copy in again] == [spec.evolution.mutation.parameters] * 3


def test_errors_pickle() -> None:
    with pytest.raises(SpecError) as error:
        tiny({"seed": -1})
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pooling": {"quantile": 0.4}}, "quantile belongs to rule = 'quantile'"),
        ({"migration.tournament": 5}, "tournament belongs to selection = 'tournament'"),
        ({"stagnation": [{"epochs": 2, "rule": "mutate", "share": 0.3}]}, "share belongs to rule = 'reset'"),
        ({"stagnation": [{"epochs": 2, "rule": "reset", "factor": 3.0}]}, "factor belongs to rule = 'mutate'"),
    ],
)
def test_a_parameter_that_its_rule_does_not_read_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        tiny(changes)
