"""Proofs that the gradient of a forward is right: by the complex step, or by differences where it is not analytic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.errors import UsageError
from normcheck.core.floats import Array
from normcheck.families.defined import bounds
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.reference import answer, closed_form, complex_step, differences, output
from normcheck.families.defined.space import DefinedDraw, defined_case

BY_COMPLEX_STEP, BY_DIFFERENCES = "complex step", "central differences of order eight"


@dataclass(frozen=True, slots=True)
class Proof:
    """How a gradient was proved: against what, with the largest share of the bound, and how many numbers agreed."""

    way: str
    share: float
    numbers: int


def _steady(entry: DefinedNormalizer, case: DefinedCase, name: str) -> tuple[Array, Array]:
    """Differences and what rounding may do to them; infinite at entries beside a kink, where two steps disagree."""
    wide, fine = (differences(entry, case, name, near) for near in bounds.STEPS)
    size = float(np.abs(case.x if name == "x" else case.arrays[name]).max())
    noise = bounds.differences_noise(case, size, float(np.abs(answer(entry, case).y).max()))
    return fine, np.where(np.abs(wide - fine) <= 2.0 * noise, 2.0 * noise, np.inf)


def prove(entry: DefinedNormalizer, case: DefinedCase) -> tuple[dict[str, Proof], dict[str, float]]:
    """The proofs of the traced gradients of a case, and the largest share of the bound of those of the closed form.

    A share above 1 is no proof: both ways are tried, and the one that comes nearer is returned.
    """
    exact, off = answer(entry, case), bounds.allowed(entry, case)
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
        ratio = np.where(np.isfinite(room) & (error != 0.0), error / room, 0.0)
    return float(np.nan_to_num(ratio, nan=np.inf).max(initial=0.0))


def require(entry: DefinedNormalizer) -> None:
    """Raise `UsageError` unless the gradient of a forward is proved, and its closed form if it has one."""
    case = defined_case(entry, DefinedDraw())
    try:
        shape = output(entry, case).shape
        if shape != case.dy.shape:
            raise UsageError(f"{entry.name}: forward returned the shape {shape}, not {case.dy.shape}")
        found, closed = prove(entry, case)
    except (ValueError, IndexError, TypeError, AttributeError, KeyError) as error:
        size = "x".join(map(str, case.x.shape))
        raise UsageError(f"{entry.name}: forward raised {type(error).__name__}: {error} (a {size} input)") from error
    for name, proof in found.items():
        if proof.share > 1.0 or not proof.numbers:
            raise UsageError(
                f"{entry.name}: the gradient d{name} of forward agrees neither with the complex step nor with central "
                "differences: is it continuous, and the same in every call?"
            )
    for name, share in closed.items():
        if share > 1.0:
            raise UsageError(
                f"{entry.name}: backward is not the gradient of forward: d{name} is off by {share:.3g} times what "
                f"rounding explains, beside the {found[name].way if name in found else 'gradient'}"
            )
