"""What a contract demands of the bits of an output beyond its accuracy; nothing unless it is declared."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from normcheck.core.floats import FORMATS
from normcheck.core.result import Comparison
from normcheck.normalizers.bounds.bounds import SOUND
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import resolved
from normcheck.normalizers.composition import COMPOSITION, steps, undefined
from normcheck.normalizers.reference.cast_order import LEAST, cast_bits
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.subject import Answer, Subject

STEPS = {
    "before-weight": "xh is rounded to the input's format, and then multiplied by the weight",
    "after-weight": "xh is multiplied by the weight, and then rounded to the input's format",
}
"""The law of each order."""

NEITHER = "the bits are of neither order on some cases, as where statistics are kept in half"
"""Why the order is not decided where the orders differ on enough entries."""


def declared(subject: Subject, truth: Truth, answer: Answer) -> Iterator[Comparison]:
    """The comparisons that the contract demands of a plain call."""
    if subject.contract.cast in STEPS and truth.case.format.narrow and truth.gain is not None:
        yield from _cast(subject, truth, answer)
    if subject.contract.exact_to == COMPOSITION and truth.case.training:
        yield from _bits(subject, truth.case, answer)


EQUAL = "y has the bits of the composition of basic operators"
"""The law of exact-to=composition."""


def _bits(subject: Subject, case: Case, answer: Answer) -> Iterator[Comparison]:
    """Bit for bit the composition; nothing under conventions for which none is defined."""
    composition = None if undefined(subject.normalizer, subject.contract) else subject.composed
    call = None if composition is None else composition(subject.contract)
    if call is None:
        return
    expected = call(case, False)
    if answer.format != expected.format:
        detail = f"the output is {answer.format}, that of the composition {expected.format}"
        yield Comparison(EQUAL, 1, float("inf"), detail=detail)
        return
    apart = FORMATS[expected.format].steps_apart(answer.y, expected.y)
    if not np.any(apart):
        yield Comparison(EQUAL, apart.size, 0.0)
        return
    where = tuple(int(i) for i in np.argwhere(apart)[0])
    detail = (
        f"{np.count_nonzero(apart)} of {apart.size} entries differ, the first by {int(apart[where])} ulp "
        f"({answer.y[where]!s}, the composition gives {expected.y[where]!s}), at most by {int(apart.max())} ulp; the "
        f"composition: {', '.join(steps(subject.normalizer, subject.contract))}"
    )
    error = float(np.abs(answer.y - expected.y)[where])
    yield Comparison(EQUAL, apart.size, float("inf"), error, 0.0, where, detail)


def _cast(subject: Subject, truth: Truth, answer: Answer) -> Iterator[Comparison]:
    """The order of cast and weight; nothing on a case in which too few entries can show it."""
    cast = subject.contract.cast
    found = cast_bits(truth, answer.y, np.broadcast_to(resolved(truth, SOUND), truth.y.shape))
    count = int(found.apart.sum())
    if not found.visible:
        neither = {f"cast={cast}": NEITHER} if count >= LEAST else {}
        yield Comparison(STEPS[cast], 0, 0.0, refused=neither)
        return
    if not found.strays(cast):
        yield Comparison(STEPS[cast], count, 0.0)
        return
    other = next(name for name in STEPS if name != cast)
    where = tuple(int(i) for i in np.argwhere(found.has[other])[0])
    detail = f"{int(found.has[other].sum())} of the {count} entries on which the orders differ have the bits of {other}"
    error = float(np.abs(answer.y - truth.y)[where])
    yield Comparison(STEPS[cast], count, float("inf"), error, 0.0, where, detail)
