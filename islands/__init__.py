"""Evolve trading strategies on many islands at once, honestly, and survive any failure.

The names below are loaded when first used: importing this package costs nothing of Ray, DEAP, numba or polars.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from islands._version import __version__

# The folder kernels/ installs as islands.kernels. In a checkout, where it stands beside this folder, and in a Ray worker
# whose path holds the checkout's root, the parent folder takes part in the search for submodules.
if not (Path(__file__).parent / "kernels").is_dir():
    __path__.append(str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from islands.campaign import Campaign
    from islands.evaluation import Backtest, Costs, backtest, evaluate, metrics
    from islands.evidence import statistics
    from islands.kernels import indicators
    from islands.market.bars import Bars, read_bars
    from islands.market.sample import sample, samples
    from islands.market.synthetic import synthetic
    from islands.spec import CampaignSpec
    from islands.strategies.families import Family, families, family, register
    from islands.strategies.genome import Integer, Less, LogReal, Real, choice
    from islands.strategies.overlays import Sizing, Stops
    from islands.strategies.own import define_family
    from islands.strategies.strategy import Strategy

_HOME = {
    "Backtest": "islands.evaluation",
    "Bars": "islands.market.bars",
    "Campaign": "islands.campaign",
    "CampaignSpec": "islands.spec",
    "Costs": "islands.evaluation",
    "Family": "islands.strategies.families",
    "Integer": "islands.strategies.genome",
    "Less": "islands.strategies.genome",
    "LogReal": "islands.strategies.genome",
    "Real": "islands.strategies.genome",
    "Sizing": "islands.strategies.overlays",
    "Stops": "islands.strategies.overlays",
    "Strategy": "islands.strategies.strategy",
    "backtest": "islands.evaluation",
    "choice": "islands.strategies.genome",
    "define_family": "islands.strategies.own",
    "evaluate": "islands.evaluation",
    "families": "islands.strategies.families",
    "family": "islands.strategies.families",
    "indicators": "islands.kernels",
    "metrics": "islands.evaluation",
    "read_bars": "islands.market.bars",
    "register": "islands.strategies.families",
    "sample": "islands.market.sample",
    "samples": "islands.market.sample",
    "statistics": "islands.evidence",
    "synthetic": "islands.market.synthetic",
}

_MODULES = {"indicators", "statistics"}

__all__ = [
    "Backtest",
    "Bars",
    "Campaign",
    "CampaignSpec",
    "Costs",
    "Family",
    "Integer",
    "Less",
    "LogReal",
    "Real",
    "Sizing",
    "Stops",
    "Strategy",
    "__version__",
    "backtest",
    "choice",
    "define_family",
    "evaluate",
    "families",
    "family",
    "indicators",
    "metrics",
    "read_bars",
    "register",
    "sample",
    "samples",
    "statistics",
    "synthetic",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'islands' has no attribute {name!r}")
    home = _HOME[name]
    value = import_module(f"{home}.{name}") if name in _MODULES else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
