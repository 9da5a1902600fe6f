"""A family of our own, which own_family.toml evolves. Try it: islands families own_rules:range_fade"""

from islands.kernels.steps import atr_next, true_range_at

import islands as isl


def step(genes, state, t, bars):
    """Fades a bar that is large for its time: sells what has risen, buys what has fallen, for some bars.

    ATR is Wilder's, over the bars up to t-1. Where close[t] - close[t-1] > width*ATR[t-1] the target is -1, where it is
    < -width*ATR[t-1] +1, on this bar and the hold-1 bars that follow; a new such bar begins anew. Else 0; 0 for t <= period.
    """
    atr, side, left = state
    if t == 0:
        return (atr, side, left), 0.0
    move = bars.close[t] - bars.close[t - 1]
    left -= 1
    if t > genes.period and abs(move) > genes.width * atr:
        side, left = (-1.0 if move > 0.0 else 1.0), genes.hold
    atr = atr_next(atr, true_range_at(bars.high, bars.low, bars.close, t), t, genes.period)
    return (atr, side, left), side if left > 0 else 0.0


def start(genes, bars):
    return 0.0, 0.0, 0


range_fade = isl.define_family(
    "range_fade",
    genes=[
        isl.Integer("period", 5, 60, 20),
        isl.Real("width", 0.5, 4.0, 1.5, step=0.05, least=0.0, most=100.0),
        isl.Integer("hold", 1, 48, 6),
    ],
    step=step,
    start=start,
    warmup=lambda genes: 8 * genes["period"] + 2,
)
