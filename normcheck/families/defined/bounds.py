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
from normcheck.families.defined.reference import answer, closed_form, complex_step, differences, output, with_errors

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


BY_COMPLEX_STEP, BY_DIFFERENCES = "complex step", "central differences of order eight"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a gradient was proved: against what, with the largest share of the bound, and how many numbers agreed."""

    way: str
    share: float
    numbers: int


def _steady(entry: DefinedNormalizer, case: DefinedCase, name: str) -> tuple[Array, Array]:
    """Differences, and how far apart two steps are: far at entries beside a kink, which say nothing."""
    wide, fine = differences(entry, case, name), differences(entry, case, name, near=2.0**-15)
    noise = 2.0**15 * float(np.abs(case.dy).sum()) * FLOAT64.u * float(np.abs(output(entry, case)).max())
    scale = noise / max(float(np.abs(case.x if name == "x" else case.arrays[name]).max()), 2.0**-30)
    return fine, np.where(np.abs(wide - fine) <= 2.0 * scale, 2.0 * scale, np.inf)


def prove(entry: DefinedNormalizer, case: DefinedCase) -> tuple[dict[str, Proof], dict[str, float]]:
    """The proofs of the traced gradients of a case, and the largest share of the bound of those of the closed form.

    A share above 1 is no proof: both ways are tried, and the one that comes nearer is returned.
    """
    exact, off = answer(entry, case), allowed(entry, case)
    proofs = {}
    for name, gradient in exact.gradients.items():
        error = np.abs(complex_step(entry, case, name) - gradient)
        best = Proof(BY_COMPLEX_STEP, _share(error, off.gradients[name]), error.size)
        if best.share > 1.0:
            found, noise = _steady(entry, case, name)
            room = off.gradients[name] + noise
            some = Proof(BY_DIFFERENCES, _share(np.abs(found - gradient), room), int(np.isfinite(room).sum()))
            best = min(best, some, key=lambda one: one.share) if some.numbers else best
        proofs[name] = best
    if entry.backward is None:
        return proofs, {}
    given = closed_form(entry, case)
    return proofs, {n: _share(np.abs(g - exact.gradients[n]), off.gradients[n]) for n, g in given.items()}


def _share(error: Array, room: Array) -> float:
    with np.errstate(all="ignore"):
        ratio = np.where(np.isfinite(room), error / room, 0.0)
    return float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))


