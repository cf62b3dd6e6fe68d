"""Where the entries of an input lie among padding: no two cases alike, so that no case can take the place of another.

An input of (cases, length) entries, whatever its units, is laid out in twice that length. Where cases share statistics
their entries may lie in the rows of other cases, and the rows have unequal numbers of them. Where each case has
statistics of its own its row has as many entries as the case, and further rows have more of them: companions, with
entries of their own, whose output nobody looks at. Every entry of the input and of the padding is there once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The places of entries and padding.

    cases, places: for each (row, place) of what is padded, where its entry is in the input, which is followed along the
    length by as much padding, and that by as many entries of companions. valid: whether it is an entry, in companions
    too. rows, at: for each (case, place) of the input, where it lies.
    """

    cases: Array
    places: Array
    valid: Array
    rows: Array
    at: Array


def prefix(cases: int, length: int, *, shared: bool, companions: bool) -> Arrangement:
    """Entries from the first place of each row on, as lengths tell them.

    shared: whether cases share statistics. companions: with further rows.
    """
    return _arranged(cases, length, _counts(cases, length, shared=shared), companions, scattered=False)


def scattered(cases: int, length: int, *, shared: bool, companions: bool) -> Arrangement:
    """Entries at other places in each row, as a mask tells them. Arguments as of `prefix`."""
    return _arranged(cases, length, _counts(cases, length, shared=shared), companions, scattered=True)


def _counts(cases: int, length: int, *, shared: bool) -> list[int]:
    """How many entries each row of the input gets: one more and one less in turn, where rows may differ."""
    counts = [length] * cases
    if shared and length > 1:
        for first in range(0, cases - 1, 2):
            counts[first : first + 2] = [length + 1, length - 1]
    return counts


def _arranged(cases: int, length: int, counts: list[int], companions: bool, *, scattered: bool) -> Arrangement:
    wide = 2 * length
    before, after = ([min(length + more, wide)] if companions and length and cases else [] for more in (1, 2))
    own = range(len(before), len(before) + cases)
    whole = [*before, *counts, *after]
    shape = (len(whole), wide)
    row = np.broadcast_to(np.arange(len(whole))[:, None], shape)
    place = np.broadcast_to(np.arange(wide), shape)
    if scattered:  # 2 places are left out before the entries of the first row, 3 before those of the next
        place = (place - 2 - row) % max(wide, 1)
    valid = place < np.asarray(whole, dtype=int).reshape(-1, 1)
    mine = np.isin(row, own)
    source = np.zeros((2, *shape), dtype=int)
    source[0] = row % max(cases, 1)
    source[1] = np.where(valid, 2, 1) * length + place % max(length, 1)  # of companions
    entries = np.argwhere(valid & mine)
    rest = np.argwhere(~valid & mine)
    each = np.indices((cases, length)).reshape(2, -1)
    source[:, entries[:, 0], entries[:, 1]] = each
    source[:, rest[:, 0], rest[:, 1]] = each + np.array([[0], [length]])
    rows, at = entries.T.reshape(2, cases, length)
    return Arrangement(source[0], source[1], valid, rows, at)
