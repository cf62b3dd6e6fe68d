"""What a diagnosis considers: every fault of the catalog, its other forms, and two at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from normcheck.normalizers import faults
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.variants import forms

ROUNDING = frozenset(
    {
        "one-pass-variance", "one-pass-variance-clamped", "half-accumulator", "squares-in-half", "statistics-in-half",
        "float64-in-float32", "dx-in-float32", "saved-statistics-in-half", "rough-root",
    }
)  # fmt: skip
"""Faults whose error depends on the order of operations: its size and place can be compared, not its digits."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One fault, or two at once, that may explain what was seen."""

    names: tuple[str, ...]
    fault: Fault
    form: int = 0  # 0: as the catalog has it
    parts: tuple[Hypothesis, ...] = field(default=())

    @property
    def noisy(self) -> bool:
        return bool(ROUNDING & set(self.names))

    @property
    def lasting(self) -> bool:
        """Whether its answers depend on earlier calls."""
        return any(p.lasting for p in self.parts) or (
            not self.parts and self.fault.around is not faults.base.NONE.around
        )


def both(first: Hypothesis, second: Hypothesis) -> Hypothesis:
    """Two hypotheses at once."""
    made = faults.compose(first.fault, second.fault)
    return Hypothesis((*first.names, *second.names), made, max(first.form, second.form), (first, second))


@lru_cache(maxsize=64)
def hypotheses(normalizer: Normalizer) -> tuple[Hypothesis, ...]:
    """All single hypotheses, those of the catalog first."""
    known = [Hypothesis((fault.name,), fault) for fault in faults.concerning(normalizer)]
    more = [f for f in forms(normalizer) if f.concerns(normalizer)]
    return (*known, *(Hypothesis((fault.name,), fault, i + 1) for i, fault in enumerate(more)))


NOTHING = Hypothesis((), faults.base.NONE)
