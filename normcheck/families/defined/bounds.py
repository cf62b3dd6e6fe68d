"""How far a right answer may be off on a case: the running errors of the forward and of its gradient, as traced.

u is the unit roundoff of the format in which a sound implementation computes. The trace adds up what each operation of
the reference may lose, sums of n terms with n u, and passes it on. Other right code has another order of operations and
another closed form of the gradient, with as many roundings or a few more: `OTHERS` times that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import FLOAT64, Array, Format
from normcheck.core.kept import keeping
from normcheck.core.result import WITNESS
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.reference import with_errors

OTHERS = 4.0
"""Roundings of other right code beside those of the reference, in the same steps."""

FINAL = 2.0
"""Roundings of the result itself, and of a constant such as eps to the format."""

UNDERFLOW = 8.0
"""Halves of the smallest number that intermediate values may lose, each beside a factor of the size of the output."""

NEGLIGIBLE = 2.0**-60
"""Factor that makes an eps so small that it changes nothing, and leaves it a normal number in float32."""

SHOWN = 2.0 * WITNESS
"""Bounds by which a predicted change must exceed the allowed error, so that a correct layer shows `WITNESS` of them."""


@dataclass(frozen=True, slots=True, eq=False)
class DefinedBounds:
    """What each array of an answer may be off by, of its shape; infinite where first-order analysis does not hold."""

    y: Array
    gradients: Mapping[str, Array]
    state: Mapping[str, Array]


def _off(value: Array, off: Array, format: Format) -> Array:
    size = np.abs(value)
    with np.errstate(all="ignore"):
        off = np.where(np.isnan(off), np.inf, off)  # infinite times 0
        return np.asarray(OTHERS * off + FINAL * format.u * size + UNDERFLOW * format.floor * (1.0 + size))


@keeping
def allowed(entry: DefinedNormalizer, case: DefinedCase, *, graded: bool = True) -> DefinedBounds:
    """The bounds of a case; graded: of gradients too."""
    found, off = with_errors(entry, case, graded=graded)

    def all_of(values: Mapping[str, Array], errors: Mapping[str, Array]) -> dict[str, Array]:
        return {name: _off(value, errors[name], case.format) for name, value in values.items()}

    y = _off(found.y, off.y, case.format)
    return DefinedBounds(y, all_of(found.gradients, off.gradients), all_of(found.state, off.state))


def product(data: Array, weights: Array, off: Array, format: Format) -> Array:
    """Bound of data times normalized weights, (cases, units), from the bound of the weights."""
    sizes = np.abs(data)
    with np.errstate(all="ignore"):
        return np.asarray(sizes @ off.T + data.shape[1] * format.u * (sizes @ np.abs(weights).T))


def difference(off: Array, other: Array) -> Array:
    """Bound of the difference of two answers."""
    return off + other


def resolved(off: Array) -> Array:
    """Entries whose bound is finite."""
    return np.isfinite(off)


STEPS = (2.0**-12, 2.0**-15)
"""Two steps of differences, beside the size of the argument: where both agree, no kink lies between."""


def differences_noise(case: DefinedCase, size: float, output: float) -> float:
    """What rounding may do to a central difference of <dy, y> at the smaller step; size, output: of argument and y.

    Each evaluation is off by a few u times sum |dy| |y|, and is divided by the step; weights sum to less than 2.
    """
    return 2.0 * OTHERS * FLOAT64.u * float(np.abs(case.dy).sum()) * output / (STEPS[1] * max(size, 2.0**-30))
