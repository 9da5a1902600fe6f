"""How figures are written for a person, the same on the page and on the terminal. What is undefined is a dash."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from islands.strategies.genome import Choice, Gene, Switched

if TYPE_CHECKING:
    from islands.spec import CostsSpec

NOTHING = "–"

SHARES = frozenset({"total_return", "cagr", "volatility", "max_drawdown", "win_rate", "exposure"})
"""Metrics that are fractions, written as percentages."""

SIGNED = frozenset({"total_return", "cagr"})
"""Those of them that carry their sign."""

HELD_BACK = "held_back_"
"""What a column on the held-back bars is called: this, then the metric."""


_HEADINGS = {"sharpe": "Sharpe", "total_return": "return", "max_drawdown": "drawdown", "win_rate": "wins"}


def heading(metric: str) -> str:
    """What one of METRICS is called above a column and beside an axis."""
    return _HEADINGS.get(metric, metric.replace("_", " "))


def shown(metric: str, value: float | None) -> str:
    """One value of one of METRICS; `metric` may be that of a held-back column."""
    name = metric.removeprefix(HELD_BACK)
    if value is None or not math.isfinite(value):
        return NOTHING
    if name in SHARES:
        return percent(value, signed=name in SIGNED)
    if name == "trades":
        return f"{round(value):,}"
    return number(value)


def percent(value: float, signed: bool = False, digits: int = 1) -> str:
    """A fraction in per cent, with so many decimals below 1,000 %."""
    if not math.isfinite(value):
        return NOTHING
    shown_digits = digits if abs(value) < 10.0 else 0
    return f"{100.0 * value:{'+' if signed else ''},.{shown_digits}f}%"


def number(value: float | None, digits: int = 3) -> str:
    """A plain number: `digits` decimals up to 10,000, three significant digits where they would show none of it."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    tiny = 0.0 < size < 0.5 * 10.0**-digits
    return f"{value:.2e}" if tiny or size >= 1e9 else f"{value:,.{digits if size < 1e4 else 0}f}"


def cost(value: float) -> str:
    """A fee or slippage: a fraction as a percentage with all of its digits."""
    return f"{100.0 * value:.6g}%"


def costs_words(costs: CostsSpec) -> str:
    """What trading costs, in words; what is not charged is left out."""
    words = [f"fee {cost(costs.fee)}", f"slippage {cost(costs.slippage)}"]
    if costs.maker_fee is not None:
        words.append(f"maker fee {cost(costs.maker_fee)}")
    if costs.fixed_fee:
        words.append(f"{costs.fixed_fee:g} an order")
    if costs.minimum_fee:
        words.append(f"at least {costs.minimum_fee:g} an order")
    if costs.participation is not None:
        words.append(f"at most {cost(costs.participation)} of a bar's volume")
    if costs.borrow:
        words.append(f"shorts borrow at {cost(costs.borrow)} a year")
    return ", ".join(words)


def searched(gene: Gene) -> str:
    """The bounds of a gene's search, or its one value."""
    if isinstance(gene, Choice):
        return "|".join(gene.options[i] for i in gene.allowed)
    words = f"{gene.low:g}" if gene.low == gene.high else f"{gene.low:g} to {gene.high:g}"
    return f"off or {words}" if isinstance(gene, Switched) else words


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units; tenths of a second below ten."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def short_gene(value: object, digits: int = 6) -> str:
    """A gene's value of so many significant digits; the cards hold all of them."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def short_genes(genes: str, digits: int = 6) -> str:
    """A genome's text, such as `width=2.8000000000000003 direction=long`, with such values."""
    return re.sub(r"(?<==)-?[0-9]+\.[0-9]+(e[-+]?[0-9]+)?", lambda found: short_gene(float(found[0]), digits), genes)


def genes_line(genes: Mapping[str, object]) -> str:
    """The text of these genes, with such values."""
    return " ".join(f"{name}={short_gene(value)}" for name, value in genes.items())


def count(amount: int, one: str, many: str | None = None) -> str:
    """An amount with its noun: 1 bar, 5,031 bars."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"
