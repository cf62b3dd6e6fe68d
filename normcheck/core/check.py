"""What a check is, in any family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from normcheck.core.result import Comparison
from normcheck.core.space import CaseSpace


def every(entry: Any) -> bool:
    """A law of every entry of the family."""
    return True


def nothing(subject: Any) -> str:
    """Nothing is lacking."""
    return ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question, asked of any implementation of its family on any case of its space."""

    name: str
    law: str
    source: str
    ask: Callable[[Any, Any], Comparison]  # of a subject and a case of the family
    space: CaseSpace
    concerns: Callable[[Any], bool] = every  # entries for which the law exists; never those of another family
    lacks: Callable[[Any], str] = nothing  # why this subject cannot be asked
    least: str = "quick"  # the least effort at which it is asked: some questions import or compile for seconds
    cost: float = 1.0  # of one question, in ordinary ones: the dearer, the fewer random draws

    def __post_init__(self) -> None:
        """Let `concerns` answer for entries of every family: a predicate of one knows nothing of another's entries."""
        family, within = self.space.entries, self.concerns
        object.__setattr__(self, "concerns", lambda entry: isinstance(entry, family) and within(entry))
