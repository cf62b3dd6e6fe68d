"""Which faults of steps a forward can have: those whose answers are neither right nor those of another fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from normcheck.families.defined.case import DefinedAnswer
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults.base import DefinedFault, right
from normcheck.families.defined.space import FAR, SMALL, DefinedDraw, defined_case


def distinct(faults: Sequence[DefinedFault], earlier: Sequence[DefinedFault]) -> tuple[DefinedFault, ...]:
    """The faults, each of which concerns an entry if its answer differs from the right one and from all before it.

    earlier: faults that are known of an entry by themselves, as its slips are.
    """

    @lru_cache(maxsize=128)
    def able(entry: DefinedNormalizer) -> frozenset[str]:
        return frozenset(_apart(entry, faults, [fault for fault in earlier if fault.concerns(entry)]))

    def concerns(name: str, entry: DefinedNormalizer) -> bool:
        return name in able(entry)

    return tuple(replace(fault, concerns=partial(concerns, fault.name), suspected=fault.concerns) for fault in faults)


def _apart(entry: DefinedNormalizer, faults: Sequence[DefinedFault], earlier: Sequence[DefinedFault]) -> Iterator[str]:
    """Names of the faults with answers of their own, on cases of the highest rank."""
    plain = DefinedDraw(seed=1, rank=max(entry.served), values="offset")
    draws = [plain, replace(plain, values=SMALL, option=1)]  # beside which an eps is large
    far = [replace(plain, values=FAR)]  # where noise is seen
    known = [found for fault in (_RIGHT, *earlier) if (found := _answers(fault, entry, draws)) is not None]
    exact = _answers(_RIGHT, entry, far)
    for fault in faults:
        if not fault.concerns(entry):
            continue
        found = _answers(fault, entry, far if fault.noisy else draws)
        if found is None or any(_same(found, one) for one in ([exact] if fault.noisy else known) if one is not None):
            continue
        if not fault.noisy:
            known.append(found)
        yield fault.name


_RIGHT = DefinedFault(name="none", story="", source="", answer=right)


def _answers(
    fault: DefinedFault, entry: DefinedNormalizer, draws: Sequence[DefinedDraw]
) -> tuple[DefinedAnswer, ...] | None:
    """The answers of a fault; None where it has none, because arrays do not fit each other."""
    try:
        with np.errstate(all="ignore"):
            return tuple(fault.answer(entry, defined_case(entry, draw)) for draw in draws)
    except (ValueError, IndexError):
        return None


def _same(some: Sequence[DefinedAnswer], others: Sequence[DefinedAnswer]) -> bool:
    """Whether answers to the same cases are equal but for rounding."""
    return all(_alike(a, b) for a, b in zip(some, others, strict=True))


def _alike(a: DefinedAnswer, b: DefinedAnswer) -> bool:
    parts = ((a.gradients, b.gradients), (a.state, b.state))
    pairs = [(a.y, b.y), *((one[name], other[name]) for one, other in parts for name in other)]
    return all(one.shape == other.shape and np.allclose(one, other, equal_nan=True) for one, other in pairs)
