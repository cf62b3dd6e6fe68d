"""The constants of code that does not take them, measured: those with which the reference gives the same outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT64, Array
from normcheck.families.defined.reference import output
from normcheck.families.defined.space import DEFAULTS, DefinedDraw, defined_case
from normcheck.families.defined.subject import DefinedSubject

EPS = (0.0, *(10.0**-k for k in range(2, 17)), 2.0**-23, 2.0**-52)
"""What code writes for an eps; the last two are the epsilon of a format."""

EXPONENTS = (0, -8, -14, -20, -26, -44, -56)
"""Powers of two that scale the input: under each of them another eps shows; under the last one a floor of 1e-16."""

FITS = 1e-6
"""The largest difference of an output from that of the right constants, relatively."""


def measured(subject: DefinedSubject) -> Mapping[str, Any]:
    """The constants that an implementation does not take; none if no values, or several, explain its outputs.

    Values with which the reference is the same function are one: an eps of 0 is so at any place.
    """
    entry, domain = subject.entry, subject.domain
    if not domain.ranks or domain.formats[:1] != (FLOAT64.name,):
        return {}
    draw = DefinedDraw(option=DEFAULTS, rank=min(domain.ranks), format=FLOAT64.name, seed=3)
    case = defined_case(entry, replace(draw, without="+".join(sorted(domain.missing))))
    some = [case.but(x=case.x * 2.0**k, constants={**case.constants, **domain.fixed}) for k in EXPONENTS]
    try:
        found = [subject.call(one, False).y for one in some]
    except CallError:
        return {}
    fitting: list[tuple[Mapping[str, Any], list[Array]]] = []
    for values in _candidates(subject):
        with np.errstate(all="ignore"):
            expected = [output(entry, one.but(constants={**one.constants, **values})) for one in some]
            if all(_off(y, right) < FITS for y, right in zip(found, expected, strict=True)):
                fitting.append((values, expected))
    same = all(all(map(np.array_equal, expected, fitting[0][1])) for _, expected in fitting)
    return fitting[0][0] if fitting and same else {}


def _candidates(subject: DefinedSubject) -> Iterator[Mapping[str, Any]]:
    """Values of the constants that code fixes: any usual eps, and what the entry says of others."""
    entry = subject.entry
    of_eps = (*EPS, *entry.options.get("eps", ()))
    some = {name: tuple(dict.fromkeys(of_eps if name == "eps" else entry.options[name]))
            for name in subject.domain.fixed if name == "eps" or name in entry.conventions}  # fmt: skip
    return (dict(zip(some, values, strict=True)) for values in product(*some.values()))


def _off(found: Array, expected: Array) -> float:
    size = float(np.abs(expected).max(initial=0.0))
    off = float(np.abs(found - expected).max(initial=0.0)) / size if size else np.inf
    return off if np.isfinite(off) else np.inf
