"""Who decides for whom: the loops that run a signal over the bars and hand its orders to the account.

`run_alone` decides for one genome, bar by bar; `run_lanes` for LANES genomes at once, each in a lane of its own, where the
signal's functions are written for vectors (see vectors.py). Both compile the same prepare, start and step, and give the
same orders to the same account: a row of the one is a row of the other, bit for bit, whatever stands in the other lanes.

A decision costs a few vector operations at each bar for all lanes together, an order some 20 ns for its own lane. So the
bars go in chunks: the chunk's decisions first, with what they carry in registers, noting each bar at which any target
changes; then those orders, lane by lane.
"""

from __future__ import annotations

from .compile import device
from .pnl import RUINED, bars_in, close_account, open_account, order
from .vectors import LANES, bits_of, index, lowest_bit, rows_of, store

CHUNK = 512  # bars; their notes (64 KiB at most, one bar in five has one) stay in the nearest caches


def make_alone(prepare, start, step):
    """The run of one genome: run_alone(world, inputs, genome, terms, book, notes, metrics).

    terms: fee, slippage, first scored bar, cash, periods per year. Two passes where the variance asks for a centre.
    """

    @device
    def one_pass(world, inputs, genome, terms, centre, book, notes, metrics):
        fee, slippage, first, cash, periods_per_year = terms
        bars = bars_in(world)
        open_account(book, first, cash, centre)
        genes = prepare(genome)
        state = start(genes, inputs)
        target = ordered = 0.0
        for t in range(first - 1):
            state, target = step(genes, state, t, inputs)
        for t in range(max(first - 1, 0), bars - 1):
            state, target = step(genes, state, t, inputs)
            if target != ordered:
                order(world, book, notes, t + 1, target, fee, slippage)
                ordered = target
                if book[RUINED] != 0.0:
                    break
        return close_account(world, book, notes, first, bars, cash, periods_per_year, metrics)

    @device
    def run_alone(world, inputs, genome, terms, book, notes, metrics):
        again, centre = one_pass(world, inputs, genome, terms, 0.0, book, notes, metrics)
        if again:
            one_pass(world, inputs, genome, terms, centre, book, notes, metrics)

    return run_alone


def make_lanes(prepare, start, step, lanes=LANES):
    """The run of a population: run_lanes(world, inputs, genomes, terms, changes, books, notes, out).

    changes: when, (CHUNK,), and which lanes, (CHUNK,), int64, to which targets, (CHUNK, lanes). books: (lanes, BOOK).
    """
    rows, run_alone = rows_of(lanes), make_alone(prepare, start, step)

    @device
    def decide(genes, state, target, ordered, inputs, begin, end, changes):
        """Goes from the decision of bar `begin`, which is `target`, to that of bar `end`, and notes each change before."""
        when, which, targets = changes
        count = 0
        for t in range(begin, end):
            store(targets, index(count), target)
            when[index(count)] = t
            bits = bits_of(target != ordered)
            which[index(count)] = bits
            count += bits != 0  # the next change overwrites what was none: a branch would be guessed wrong
            ordered = target
            state, target = step(genes, state, index(t + 1), inputs)
        return state, target, ordered, count

    @device
    def carry_out(world, changes, count, used, books, notes, fee, slippage):
        """The orders that were noted, each in the account of its lane."""
        when, which, targets = changes
        for change in range(count):
            bits = which[change] & used
            while bits != 0:
                lane = lowest_bit(bits)
                bits &= bits - 1
                if books[lane, RUINED] == 0.0:
                    order(world, books[lane], notes, when[change] + 1, targets[change, lane], fee, slippage)

    @device
    def run_block(world, inputs, genomes, terms, changes, books, notes, at, metrics):
        """The genomes from row `at` on, one a lane."""
        fee, slippage, first, cash, periods_per_year = terms
        bars, used = bars_in(world), min(lanes, genomes.shape[0] - at)
        for lane in range(used):
            open_account(books[lane], first, cash, 0.0)
        genes = prepare(rows(genomes, at))
        state, target = step(genes, start(genes, inputs), 0, inputs)  # plain numbers in, vectors out
        ordered = target * 0.0
        for t in range(1, first):
            state, target = step(genes, state, index(t), inputs)
        for begin in range(max(first - 1, 0), bars - 1, CHUNK):
            end = min(begin + CHUNK, bars - 1)
            state, target, ordered, count = decide(genes, state, target, ordered, inputs, begin, end, changes)
            carry_out(world, changes, count, (1 << used) - 1, books, notes, fee, slippage)
        for lane in range(used):
            again, _ = close_account(world, books[lane], notes, first, bars, cash, periods_per_year, metrics[at + lane])
            if again:
                run_alone(world, inputs, genomes[at + lane], terms, books[lane], notes, metrics[at + lane])

    @device
    def run_lanes(world, inputs, genomes, terms, changes, books, notes, metrics):
        for at in range(0, genomes.shape[0], lanes):
            run_block(world, inputs, genomes, terms, changes, books, notes, at, metrics)

    return run_lanes
