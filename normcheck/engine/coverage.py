"""Which questions a run was to ask, which were left out by its user, and why others have no answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

Question = tuple[str, str, str]
"""What is asked once in a run: a kind, a target, and the name of a check."""

NOT_REACHED = "not reached"
"""Why a question has no answer if nothing else is known."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The questions of a run. Without any, a run is complete with what it has."""

    asked: tuple[Question, ...] = ()  # those that were to be asked
    deselected: tuple[Question, ...] = ()  # those that the user left out, as with -k
    unanswered: Mapping[Question, str] = field(default_factory=dict)  # why one has no answer, or no valid one
    ended: str = ""  # what ended the run early; empty for a run that reached its end

    def missing(self, answered: Collection[Question]) -> dict[Question, str]:
        """The questions without an answer, each with the reason."""
        plain = f"{NOT_REACHED}: {self.ended}" if self.ended else NOT_REACHED
        return {
            question: self.unanswered.get(question, plain)
            for question in dict.fromkeys((*self.asked, *self.unanswered))
            if question in self.unanswered or question not in answered
        }
