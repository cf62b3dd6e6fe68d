"""A case on which a known fault shows: the arrays that the check which finds it has compared, right and faulty.

The faulty implementation is the one on which the suite proves that it finds the fault, so a picture of these arrays
shows what the fault does, and no drawing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from normcheck.core.ask import draws, run_case
from normcheck.core.check import Check
from normcheck.core.compare import ComparedArrays, compared_arrays
from normcheck.core.contract import Contract
from normcheck.core.family import Family, KnownFault
from normcheck.core.floats import Array
from normcheck.core.foreign_code import quiet
from normcheck.core.replay import encode

RANDOM, SEED = 8, 1
"""Random draws beyond the explicit examples of a check; those are few where a fault needs a rare case."""

FIRST = 4
"""Checks that a family begins with, which are its plain questions where it names none."""

A_FEW = 4
"""Explicit examples of each further check that are tried first, since most faults show on most of them."""

LOOKED_AT = 6
"""Failing cases of the check that finds a fault, from which the one is taken that shows most."""


@dataclass(frozen=True, slots=True)
class FaultCase:
    """A case on which an implementation with a fault is wrong; right and faulty: what was compared, of one shape.

    Both are None where the check compares no arrays: detail then says in words what it found.
    """

    kind: str
    check: str
    case: Mapping[str, Any]
    replay: str
    detail: str
    right: Array | None = None
    faulty: Array | None = None
    where: tuple[int, ...] = ()  # the entry that is furthest off, relative to its bound

    @property
    def share(self) -> float:
        """The largest difference over the largest right number, at most 1: how well a picture can show it."""
        if self.right is None or self.faulty is None:
            return 0.0
        finite = np.isfinite(self.right)
        apart = np.abs(np.where(finite, self.faulty, 0.0) - np.where(finite, self.right, 0.0))
        if not np.isfinite(apart).all():
            return 1.0
        largest = float(np.abs(self.right[finite]).max(initial=0.0))
        return min(1.0, float(apart.max(initial=0.0)) / largest) if largest else 1.0


def fault_cases(family: Family, names: Sequence[str]) -> dict[str, FaultCase | None]:
    """The case that shows each of these faults of a family.

    Checks that found the faults before which damage the same are asked first.
    """
    lately: dict[str, list[str]] = {}
    cases = {}
    for name in names:
        fault = family.faults[name]
        likely = lately.setdefault(fault.damages, [])
        found = cases[name] = fault_case(family, fault, likely)
        if found is not None:
            likely[:] = [found.check, *(check for check in likely if check != found.check)]
    return cases


def fault_case(family: Family, fault: KnownFault, likely: Sequence[str] = ()) -> FaultCase | None:
    """The case that shows a fault best, of those on which the first check that finds it fails; None if none does.

    Plain questions come first, since their arrays are outputs, gradients and statistics; then the likely checks.
    """
    entry = next(entry for entry in family.entries if fault.concerns(entry))
    plain = family.plain or tuple(check.name for check in family.checks[:FIRST])
    order = [*plain, *likely]
    with quiet():
        subject = family.faulty(entry, fault, Contract())
        able = [check for check in family.checks if check.concerns(entry) and not check.lacks(subject)]
        able.sort(key=lambda check: order.index(check.name) if check.name in order else len(order) + check.cost)
        some = [(check, None if check.name in plain else A_FEW, 0) for check in able]
        every = [(check, None, int(RANDOM / check.cost)) for check in able]
        for check, count, random in (*some, *every):
            samples = [*islice(check.space.explicit_examples(subject), count), *draws(subject, check, random, SEED)]
            if cases := list(_failing(family, entry, fault, check, samples)):
                return max(cases, key=_shows)
    return None


def _shows(case: FaultCase) -> tuple[float, float]:
    """A key to sort by: what a picture shows, in steps, then the fewest entries."""
    return round(case.share, 1), 0.0 if case.right is None else -float(case.right.size)


def _failing(
    family: Family, entry: Any, fault: KnownFault, check: Check, samples: Iterable[Any]
) -> Iterator[FaultCase]:
    subject = family.faulty(entry, fault, Contract())
    found = 0
    for draw in samples:
        with compared_arrays() as arrays:
            case, comparison = run_case(subject, check, draw)
        if comparison.seeks or comparison.holds:
            continue
        told = FaultCase(entry.name, check.name, case.describe(), encode(check.name, draw), comparison.detail)
        yield max((_with(told, one) for one in arrays if not one.comparison.holds), key=_shows, default=told)
        found += 1
        if found == LOOKED_AT or check.cost > 1.0:
            return


def _with(told: FaultCase, arrays: ComparedArrays) -> FaultCase:
    return FaultCase(
        told.kind, told.check, told.case, told.replay, told.detail, np.asarray(arrays.expected, np.float64),
        np.asarray(arrays.observed, np.float64), arrays.comparison.where,
    )  # fmt: skip
