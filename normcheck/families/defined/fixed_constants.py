"""The constants of code that does not take them, measured: those with which the reference does the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT64, Array
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.reference import answer, output
from normcheck.families.defined.space import DEFAULTS, DefinedDraw, defined_case
from normcheck.families.defined.subject import DefinedSubject

Values = Mapping[str, Any]
"""Constants by name."""

EPS = (0.0, *(10.0**-k for k in range(2, 17)), 2.0**-23, 2.0**-52)
"""What code writes for an eps; the last two are the epsilon of a format."""

EXPONENTS = (0, -8, -14, -20, -26, -44, -56)
"""Powers of two that scale the input: under each of them another eps shows; under the last one a floor of 1e-16."""

FITS = 1e-6
"""The largest difference of an output from that of the right constants, relatively."""


def measured(subject: DefinedSubject) -> Mapping[str, Any]:
    """The constants that an implementation does not take: values that explain its outputs, and then its gradients.

    Values with which the reference gives the same outputs are one: an eps of 0 is so at any place. Of several that
    differ, what all of them agree on is kept; nothing is, if nothing explains what the code does.
    """
    entry, domain = subject.entry, subject.domain
    if not domain.ranks or domain.formats[:1] != (FLOAT64.name,):
        return {}
    draw = DefinedDraw(option=DEFAULTS, rank=min(domain.ranks), format=FLOAT64.name, seed=3)
    case = defined_case(entry, replace(draw, without="+".join(sorted(domain.missing))))
    some = [case.but(x=case.x * 2.0**k, constants={**case.constants, **domain.fixed}) for k in EXPONENTS]
    try:
        fitting = _fitting(subject, some, list(_candidates(subject)), gradient=False)
        if len(fitting) > 1 and domain.gradient:
            fitting = _fitting(subject, some, fitting, gradient=True) or fitting
    except CallError:
        return {}
    if not fitting or _alike(subject, some, fitting):
        return fitting[0] if fitting else {}
    return {n: v for n, v in fitting[0].items() if all(one[n] == v for one in fitting)}


def _alike(subject: DefinedSubject, some: Sequence[DefinedCase], values: Sequence[Values]) -> bool:
    """Whether the reference has the same outputs with all of the values."""
    with np.errstate(all="ignore"):
        outputs = [[output(subject.entry, one.but(constants={**one.constants, **v})) for one in some] for v in values]
    return all(all(map(np.array_equal, one, outputs[0])) for one in outputs)


def _fitting(
    subject: DefinedSubject, some: Sequence[DefinedCase], values: Sequence[Values], *, gradient: bool
) -> Sequence[Values]:
    """The values with which the reference gives the same outputs on all cases, or the same gradients."""
    found = [_shown(subject.call(one, gradient), gradient) for one in some]

    def explain(given: Values) -> bool:
        with np.errstate(all="ignore"):
            expected = (_expected(subject, one.but(constants={**one.constants, **given}), gradient) for one in some)
            return all(
                _off(got[name], right) < FITS
                for got, due in zip(found, expected, strict=True)
                for name, right in due.items()
            )

    return [given for given in values if explain(given)]


def _shown(got: DefinedAnswer, gradient: bool) -> Mapping[str, Array]:
    """What is compared of an answer."""
    return got.gradients if gradient else {"y": got.y}


def _expected(subject: DefinedSubject, case: DefinedCase, gradient: bool) -> Mapping[str, Array]:
    """The same of the reference."""
    return answer(subject.entry, case).gradients if gradient else {"y": output(subject.entry, case)}


def _candidates(subject: DefinedSubject) -> Iterator[Values]:
    """Values of the constants that code fixes: any usual eps, and what the entry says of others."""
    entry = subject.entry
    of_eps = (*EPS, *entry.options.get("eps", ()))
    some = {name: tuple(dict.fromkeys(of_eps if name == "eps" else entry.options[name]))
            for name in subject.domain.fixed if name == "eps" or name in entry.conventions}  # fmt: skip
    return (dict(zip(some, values, strict=True)) for values in product(*some.values()))


def _off(found: Array, expected: Array) -> float:
    size = float(np.abs(expected).max(initial=0.0))
    off = float(np.abs(found - expected).max(initial=0.0)) / (size or 1.0)
    return off if np.isfinite(off) else np.inf
