"""The type `Check`: one property of an implementation, the same type in every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from normcheck.core.contract import Contract
from normcheck.core.result import Comparison
from normcheck.core.space import CaseSpace


def every(entry: Any) -> bool:
    """The default of `Check.concerns`: the law exists for every entry of the family."""
    return True


def nothing(subject: Any) -> str:
    """The default of `Check.lacks`: every subject can be checked."""
    return ""


@dataclass(frozen=True, slots=True)
class Check:
    """One property, tested on implementations of one family with cases from one space.

    law: what must hold, in words. source: where the law is stated. ask: tests it on a bound subject and a case.
    """

    name: str
    law: str
    source: str
    ask: Callable[[Any, Any], Comparison]  # arguments: a subject and a case of the family
    space: CaseSpace
    concerns: Callable[[Any], bool] = every  # the entries for which the law exists; false for entries of other families
    lacks: Callable[[Any], str] = nothing  # why this subject cannot be checked; empty if it can
    least: str = "quick"  # the least effort that includes it: some checks import or compile for seconds
    translation: str = ""  # of `Contract.translated`: it is asked only where the contract demands this program
    cost: float = 1.0  # time of one case relative to an ordinary check; a higher cost means fewer random draws

    def __post_init__(self) -> None:
        """Make `concerns` false for entries of other families, whose attributes its predicate does not know."""
        family, within = self.space.entries, self.concerns
        object.__setattr__(self, "concerns", lambda entry: isinstance(entry, family) and within(entry))

    def demanded(self, contract: Contract) -> bool:
        """Whether a contract demands what it tests; most checks are asked under any contract."""
        return not self.translation or self.translation in contract.translated
