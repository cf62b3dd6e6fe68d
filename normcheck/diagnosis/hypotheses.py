"""What a diagnosis considers: every fault of the catalog, its other variants, and two faults at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from normcheck.core.contract import Contract
from normcheck.normalizers import faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.forms import related
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Subject
from normcheck.normalizers.variants import variants

ROUNDING = frozenset(
    {
        "one-pass-variance", "one-pass-variance-clamped", "half-accumulator", "squares-in-half", "statistics-in-half",
        "float64-in-float32", "dx-in-float32", "saved-statistics-in-half", "rough-root",
    }
)  # fmt: skip
"""Faults whose error depends on the order of operations: its size and place can be compared, not its digits."""

WITHIN_HALF = ("statistics-in-half", "eps-in-half")
"""Faults that the class of accuracy `half` allows."""

OVER_CALLS = ("forward", "running", "evaluation", "memory")
"""What faults damage that may show only over several calls of one layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """One fault, or two at once, that may explain what was seen."""

    names: tuple[str, ...]
    fault: Fault
    variant: int = 0  # 0: as the catalog has it
    parts: tuple[Hypothesis, ...] = ()
    when: Callable[[Case], bool] | None = None  # the cases in which it is wrong; None: all
    somewhere: bool = False  # it is wrong in some sets of a case, and which these are is not known

    def subject(self, normalizer: Normalizer, contract: Contract) -> Subject:
        """The reference with the fault."""
        faulty = faults.subject(normalizer, self.fault, contract)
        when = self.when
        if when is None:
            return faulty
        right = faults.subject(normalizer, None, contract)
        return replace(right, call=lambda case, gradient: (faulty if when(case) else right).call(case, gradient))

    @property
    def noisy(self) -> bool:
        """Whether its errors are rounding noise."""
        return bool(ROUNDING & set(self.names))

    @property
    def lasting(self) -> bool:
        """Whether its answers depend on earlier calls."""
        if self.parts:
            return any(part.lasting for part in self.parts)
        return self.fault.around is not faults.base.NONE.around

    @property
    def over_calls(self) -> bool:
        """Whether it may show over several calls, and if it is a variant, in another way than in one call."""
        if self.variant and self.fault.layer_hooks is faults.get(self.names[0]).layer_hooks:
            return False
        return self.fault.where in OVER_CALLS or self.fault.transforms


NOTHING = Hypothesis((), faults.base.NONE)
"""Nothing is wrong."""


def both(first: Hypothesis, second: Hypothesis) -> Hypothesis:
    """Two hypotheses at once."""
    made = faults.compose(first.fault, second.fault)
    return Hypothesis((*first.names, *second.names), made, max(first.variant, second.variant), (first, second))


def within_half() -> Iterator[Hypothesis]:
    """What the class of accuracy `half` allows, as hypotheses."""
    return (Hypothesis((name,), faults.get(name)) for name in WITHIN_HALF)


@lru_cache(maxsize=64)
def hypotheses(normalizer: Normalizer, form: str) -> tuple[Hypothesis, ...]:
    """All single hypotheses on code of a form, those of the catalog first."""
    known = [Hypothesis((fault.name,), fault) for fault in faults.concerning(normalizer) if _of_form(fault, form)]
    more = [fault for fault in variants(normalizer) if fault.concerns(normalizer) and _of_form(fault, form)]
    return (*known, *(Hypothesis((fault.name,), fault, i + 1) for i, fault in enumerate(more)))


def _of_form(fault: Fault, form: str) -> bool:
    return related(fault.under.form, form)
