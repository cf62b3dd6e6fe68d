"""The order of the last two steps in a narrow format: rounding to it, and the product with the weight.

Llama's RMS norm rounds xh and multiplies the result by the weight; Gemma's multiplies in float32 and rounds once. Both
are right; they differ in bits. With a weight of a wider format the first returns that format, the second the input's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array, Format
from normcheck.core.uses import WIDE
from normcheck.normalizers.case import Case
from normcheck.normalizers.reference.oracle import Truth

BEFORE, AFTER = "before-weight", "after-weight"
"""The two orders, as the contract names them."""

LEAST = 16
"""Entries on which the orders must differ: on fewer, an output that follows neither can look like one of them."""

CLEAR = 0.9
"""Share of these entries that must have the bits of one order or of the other: statistics kept in half have fewer."""


def output_format(case: Case, cast: str) -> Format:
    """The format of the output under a declared order: a wide weight makes the product wide, unless that is cast."""
    return case.format.wide if cast == BEFORE and case.use == WIDE and case.weight is not None else case.format


def outputs(truth: Truth) -> dict[str, tuple[Array, ...]]:
    """The outputs of each order, for all places in which the gain and the sum with the bias may be rounded too."""
    assert truth.gain is not None, "the case has no weight"
    number, bias, gain = truth.case.format.round, truth.bias, truth.gain

    def shifted(product: Array) -> tuple[Array, ...]:
        once = number(product)
        return (once,) if bias is None else (number(product + bias), number(once + bias))

    rounded = number(truth.xh)
    return {BEFORE: (*shifted(rounded * gain), *shifted(rounded * number(gain))), AFTER: shifted(truth.xh * gain)}


@dataclass(frozen=True, slots=True, eq=False)
class CastBits:
    """The entries of an output on which the two orders differ, and those that have the bits of each."""

    apart: Array
    has: dict[str, Array]

    @property
    def visible(self) -> bool:
        """Whether the output follows the one or the other, entry by entry."""
        count = int(self.apart.sum())
        return count >= LEAST and sum(int(one.sum()) for one in self.has.values()) >= CLEAR * count

    @property
    def order(self) -> str:
        """The order that most of them follow; empty if it is not visible."""
        return max(self.has, key=lambda name: int(self.has[name].sum())) if self.visible else ""

    def strays(self, cast: str) -> bool:
        """Whether more entries have the bits of the other order than rounding errors in float32 explain."""
        others = sum(int(one.sum()) for name, one in self.has.items() if name != cast)
        return self.visible and others > (1.0 - CLEAR) * int(self.apart.sum())


def cast_bits(truth: Truth, y: Array, counted: Array) -> CastBits:
    """Compare an output with both orders. counted: the entries that are exact enough, of its shape."""
    made = outputs(truth)
    apart = counted & np.isfinite(truth.y)
    for one in made[BEFORE]:
        for other in made[AFTER]:
            apart &= one != other
    return CastBits(apart, {name: apart & np.any([y == one for one in some], axis=0) for name, some in made.items()})
