"""Fronts of non-domination over points of which more is better."""

from __future__ import annotations

import math

from .compile import device, kernel


@device
def _beaten(point, worths, members, last):
    """Whether a member of a front, from its last one down the links, is at least as good in all but the first objective."""
    member = last
    while member >= 0:
        k = 1
        while k < point.shape[0] and worths[member, k] >= point[k]:
            k += 1
        if k == point.shape[0]:
            return True
        # Of two objectives the last member has the largest second one.
        member = members[member] if point.shape[0] > 2 else -1
    return False


@kernel("sort_fronts")
def sort_fronts(worths, ranked, members, last, fronts):
    """Front of each point, (P, K) -> (P,), counted from 0: efficient non-dominated sort by binary search.

    ranked: (P,), rows by the first objective, then the second and so on, the largest first: nobody is dominated by one
    who follows. members, last: (P,), room for each front's members as a linked list. Equal points share a front.

    X. Zhang et al., An efficient approach to nondominated sorting, IEEE Trans. Evol. Comput. 19 (2015).
    """
    count = 0
    before = -1
    for row in ranked:
        same = before >= 0
        if same:
            for k in range(worths.shape[1]):
                same &= worths[row, k] == worths[before, k]
        if same:
            fronts[row] = fronts[before]
            continue
        low, high = 0, count  # whoever is dominated by a member of one front is by one of each front before it
        while low < high:
            middle = (low + high) // 2
            if _beaten(worths[row], worths, members, last[middle]):
                low = middle + 1
            else:
                high = middle
        members[row] = last[low] if low < count else -1
        last[low] = row
        count = max(count, low + 1)
        fronts[row] = low
        before = row


@kernel("add_crowding")
def add_crowding(worths, objective, ranked, fronts, room, last, crowding):
    """Adds to each point's crowding distance, (P,), what one objective gives: infinity to the ends of each front.

    To any other the gap between its two neighbours on the front, over the front's range and the number of objectives;
    nothing where all are equal. ranked: (P,), rows by this objective, the smallest first. room: (3, P), for the smallest
    and the largest value of each front and the one before its last. last: (P,), for its last point.
    """
    least, most, before = room[0], room[1], room[2]
    last[:] = -1
    for row in ranked:
        front = fronts[row]
        most[front] = worths[row, objective]
        if last[front] < 0:
            least[front] = worths[row, objective]
            crowding[row] = math.inf
        last[front] = row
    for front in range(last.shape[0]):
        if last[front] >= 0:
            crowding[last[front]] = math.inf
            last[front] = -1
    for row in ranked:
        front = fronts[row]
        middle = last[front]
        if middle >= 0:
            if before[front] == before[front] and most[front] != least[front]:
                gap = worths[row, objective] - before[front]
                crowding[middle] += gap / (worths.shape[1] * (most[front] - least[front]))
            before[front] = worths[middle, objective]
        else:
            before[front] = math.nan  # the first of a front has none before it
        last[front] = row
