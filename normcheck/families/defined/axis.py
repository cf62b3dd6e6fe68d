"""Defined normalizers of the last axis whose implementation takes that axis as axis 1, as for maps.

As `frameworks.axis` does it for the other normalizers: a case keeps its units in the last axis, the call gets them in
axis 1, and what it returns is moved back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import INPUT
from normcheck.families.defined.subject import DefinedSubject
from normcheck.frameworks.axis import NOTE

FULL = 4
"""The rank of maps, which code over the last axis takes."""


@dataclass(frozen=True, slots=True, eq=False)
class MovedDefined:
    """The calls of an implementation that takes the units in axis 1.

    least: the lowest rank that it takes; inputs of fewer axes get positions of length 1.
    """

    subject: DefinedSubject
    least: int

    def call(self, case: DefinedCase, gradient: bool) -> DefinedAnswer:
        return self._answer(self.subject.call(self._moved(case), gradient), case)

    def successive(self, cases: Sequence[DefinedCase]) -> tuple[DefinedAnswer, ...]:
        found = self.subject.successive(list(map(self._moved, cases)))
        return tuple(self._answer(one, case) for one, case in zip(found, cases, strict=True))

    def _like_input(self, name: str) -> bool:
        """Whether an array has the axes of the input."""
        return name == "x" or self.subject.entry.shapes.get(name) == INPUT

    def _there(self, array: Array) -> Array:
        array = np.moveaxis(array, -1, 1)
        return np.ascontiguousarray(array.reshape(*array.shape, *(1,) * (self.least - array.ndim)))

    def _moved(self, case: DefinedCase) -> DefinedCase:
        arrays = {name: self._there(one) if self._like_input(name) else one for name, one in case.arrays.items()}
        return case.but(x=self._there(case.x), dy=self._there(case.dy), arrays=arrays, units_first=True)

    def _answer(self, found: DefinedAnswer, case: DefinedCase) -> DefinedAnswer:
        def back(array: Array) -> Array:
            return np.ascontiguousarray(np.moveaxis(array.reshape(array.shape[: case.x.ndim]), 1, -1))

        gradients = {name: back(one) if self._like_input(name) else one for name, one in found.gradients.items()}
        return replace(found, y=back(found.y), gradients=gradients)


def moved(subject: DefinedSubject, least: int = 2) -> DefinedSubject:
    """The subject, called with its units in axis 1, and with at least so many axes."""
    calls = MovedDefined(subject, least)
    domain = replace(subject.domain, notes=NOTE)
    return replace(subject, call=calls.call, successive=calls.successive, domain=domain)
