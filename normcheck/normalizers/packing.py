"""Where the tokens of an input lie in packed sequences, one after the other without padding.

A case is a sequence. Where cases share statistics the sequences end at other places than the cases, which must change
nothing. Where each case has statistics of its own a companion follows the first one: a longer sequence with tokens of
its own, whose output nobody looks at, so that no two neighbors are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array


@dataclass(frozen=True, slots=True)
class Packing:
    """The places of tokens.

    tokens: for each packed token, its number among those of the input, case by case, which are followed by those of
    the companion. at: where each token of the input lies. lengths: of the sequences, in order.
    """

    tokens: Array
    at: Array
    lengths: Array

    @property
    def boundaries(self) -> Array:
        """The cumulated lengths, from 0 on."""
        return np.concatenate(([0], np.cumsum(self.lengths)))


def packed(cases: int, length: int, *, shared: bool, companion: bool, empty: bool) -> Packing:
    """The packing of cases of equal length.

    shared: whether cases share statistics. companion: with one. empty: with a sequence of no tokens before the second
    case, or after the only one.
    """
    own = np.arange(cases * length)
    lengths, tokens = [length] * cases, own
    if shared and length > 1:
        for first in range(0, cases - 1, 2):
            lengths[first : first + 2] = [length + 1, length - 1]
    elif companion and len(own):
        lengths.insert(1, length + 1)
        tokens = np.concatenate((own[:length], len(own) + np.arange(length + 1), own[length:]))
    if empty:
        lengths.insert(2 if len(lengths) > cases else 1, 0)
    return Packing(tokens, np.argsort(tokens)[: len(own)], np.asarray(lengths, dtype=int))
