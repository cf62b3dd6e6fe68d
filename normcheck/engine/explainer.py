"""What is added to a finding for its reader: its cause, a script, a remedy, the command that repeats it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from normcheck import families
from normcheck.core.ask import EXCEPTION, run_check
from normcheck.core.check import Check
from normcheck.core.floats import FORMATS
from normcheck.core.result import Finding, Outcome
from normcheck.core.subject import BoundSubject
from normcheck.engine.claims import Claim
from normcheck.engine.replays import draw_of, replay_command

UNEXPLAINED = "unexplained"
"""The cause of findings that no known fault explains."""

RAISES = "raises"
"""How the name of a cause begins that is an exception."""

SLIGHT = 30.0
"""Findings of at most so many bounds are slight: they are no second cause where another is known."""

MOST_UNEXPLAINED = 3
"""Diagnoses without a name after which no other is made for a claim: each takes the time of several checks."""


@dataclass(slots=True)
class Causes:
    """What explains the findings of one claim so far, each by the names of faults, most likely first."""

    known: list[tuple[str, ...]] = field(default_factory=list)
    unexplained: int = 0  # diagnoses that named nothing

    def diagnosed(self, subject: BoundSubject, outcome: Outcome) -> tuple[str, ...]:
        """The names of a new cause; none where nothing explains the finding, or nothing has explained earlier ones."""
        if self.unexplained >= MOST_UNEXPLAINED:
            return ()
        family = families.of(subject.entry)
        weaker = {warning.name for warning in family.convention_warnings.values()}
        names = tuple(dict.fromkeys(_beyond(weaker, name) for name in family.diagnose(subject, [outcome])))
        if names and names not in self.known:
            self.known.append(names)
        self.unexplained += not names
        return names

    def explaining(self, subject: BoundSubject, check: Check, draw: Any) -> tuple[str, ...] | None:
        """The names of the known cause whose fault, applied to the reference, fails the same check on the same case.

        If the check is of a special use of a call, the fault may as well fail one of a plain call, as the subject does:
        what is wrong there is wrong in every use.
        """
        family = families.of(subject.entry)
        plain = [families.CHECKS_BY_NAME[name] for name in family.plain if check.name in family.uses]
        for one in [check, *plain]:
            if one is check or (not one.lacks(subject) and run_check(subject, one, [draw]).finding is not None):
                names = self._making(subject, one, draw)
                if names is not None:
                    return names
        return None

    def _making(self, subject: BoundSubject, check: Check, draw: Any) -> tuple[str, ...] | None:
        family = families.of(subject.entry)
        for names in self.known:
            for fault in _faults(family, names[:1]):
                faulty = family.like(family.faulty(subject.entry, fault, subject.contract), subject)
                if not check.lacks(faulty) and run_check(faulty, check, [draw]).finding is not None:
                    return names
        return None

    def beside(self, draw: Any, finding: Finding) -> tuple[str, ...]:
        """The first known cause, for a finding in a narrow format, or a slight one, that nothing explains by itself.

        What a fault does in a narrow format depends on what else is kept in it. A bound is that of right code: where a
        fault takes its statistics from other entries, their conditioning is another one. Another fault that shows only
        there is told once the first is repaired.
        """
        format = FORMATS.get(getattr(draw, "format", ""))
        narrow = format is not None and format.narrow
        slight = finding.allowed > 0.0 and finding.observed <= SLIGHT * finding.allowed
        return self.known[0] if self.known and (narrow or slight) else ()


def _beyond(weaker: Collection[str], names: str) -> str:
    """The faults of a name without those that are only a warning by themselves, where others remain."""
    return "+".join(one for one in names.split("+") if one not in weaker) or names


def _faults(family: Any, names: Sequence[str]) -> Iterator[Any]:
    """The faults of a name, which is several with a plus between for faults that are needed together."""
    return (family.faults[name] for joined in names for name in joined.split("+") if name in family.faults)


def raised(finding: Finding) -> bool:
    """Whether a finding is an exception: nothing was answered that a fault could explain."""
    return finding.law == EXCEPTION


def explain_finding(outcome: Outcome, claim: Claim, check: Check, subject: BoundSubject, causes: Causes) -> Outcome:
    """The outcome of a check whose law does not hold, with all that a reader needs to reproduce and to repair it.

    A finding whose cause is known already gets its name, and no script or remedy of its own.
    """
    assert outcome.finding is not None, "nothing to explain"
    found = outcome.finding
    draw, family = draw_of(check, subject, found), families.of(subject.entry)
    replay = replay_command(claim, subject, found.replay)
    smallest = replay_command(claim, subject, found.smallest) if found.smallest else ""
    found = replace(found, replay=replay, smallest=smallest)
    if raised(found):
        return replace(outcome, finding=replace(found, cause=_exception(found.detail)))
    names = causes.explaining(subject, check, draw)
    new = () if names else causes.diagnosed(subject, outcome)
    names = names or (() if new else causes.beside(draw, found))
    if names:
        return replace(outcome, finding=replace(found, cause=names[0]), diagnosis=_split(names))
    found = replace(
        found,
        cause=new[0] if new else UNEXPLAINED,
        script=family.script(subject, check.space.recipe(subject.entry, draw)),
        remedy="" if causes.unexplained > 1 else family.remedy(subject, check, draw),
        likely=_likely(_split(new)),
    )
    return replace(outcome, finding=found, diagnosis=_split(new))


def _exception(detail: str) -> str:
    """The cause of a finding that is an exception: its type."""
    named = re.search(r"\braised (\w+)", detail)
    return f"{RAISES} {named[1]}" if named else f"{RAISES} an exception"


def _split(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for name in names for one in name.split("+")))


def _likely(names: Sequence[str]) -> str:
    """The first two faults, each with what it does."""
    return "; ".join(f"{name}: {families.fault(name).story.partition('.')[0]}" for name in names[:2])
