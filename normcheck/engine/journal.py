"""The journal of a run: a line for everything that happens, in a file beside the document.

The document of a run is made from these lines. A run that was killed is read from its file, and can be continued.
A line is a JSON object of one of these forms:

    {"run": {...}}                                     versions, settings, conditions and all questions of the claims
    {"selected": [[TEST, KIND, TARGET, CHECK], ...]}   the questions that are asked, each with the test that asks it
    {"expected": [[TEST, KIND, TARGET, CHECK], ...]}   the same, of a test of the user
    {"test": TEST, "event": ...}                       an event, as `core.events.record` writes it
    {"test": TEST, "unanswered": REASON}               a test that failed without a finding; an empty reason clears it
    {"test": TEST, "speed": {...}}                     a measurement
    {"ended": REASON}                                  the run has ended, with an empty reason at its own end
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.events import JOURNAL_SUFFIX, CheckDone, CheckStarted, ClaimBound, ClaimDone, Event, event, record
from normcheck.core.result import ERROR, FAILED, INCONCLUSIVE
from normcheck.core.version import __version__
from normcheck.engine.coverage import Coverage, Question
from normcheck.engine.run import in_order
from normcheck.engine.verdict import document

KILLED = "the run was killed"
"""How a run ended whose journal has no last line."""

Line = dict[str, Any]


def event_line(test: str, one: Event) -> Line:
    """The line of an event. test: the id of the test in which it happened."""
    return {"test": test, **record(one)}


def _questions(pairs: Iterable[Iterable[str]]) -> list[tuple[str, Question]]:
    return [(test, (kind, target, check)) for test, kind, target, check in pairs]


def _question(one: Event) -> Question:
    if isinstance(one, (ClaimBound, CheckDone)):
        return one.kind, one.target, one.outcome.check
    return one.kind, one.target, one.check if isinstance(one, CheckStarted) else ""


def _has_outcome(some: Iterable[Event]) -> bool:
    return any(isinstance(one, (ClaimBound, CheckDone)) for one in some)


class Journal:
    """What the lines of a run say; lines are taken one by one."""

    def __init__(self) -> None:
        self.run: dict[str, Any] = {}
        self.planned: list[Question] = []  # all that concern the claims of the run
        self.ended: str | None = None  # None: not yet
        self.selected: dict[str, Question] | None = None  # by test; None: not known
        self.expected: dict[Question, str] = {}  # of tests of the user, with the test
        self._events: dict[tuple[str, Question], list[Event]] = {}
        self._unanswered: dict[str, str] = {}  # by test
        self._speeds: dict[str, dict[str, Any]] = {}  # by test

    def take(self, line: Mapping[str, Any]) -> None:
        """Take one line. Of a test that is run again, its latest answers count."""
        if "event" in line:
            self._take_event(line["test"], event({key: value for key, value in line.items() if key != "test"}))
        elif "unanswered" in line:
            self._unanswered[line["test"]] = line["unanswered"]
        elif "selected" in line:
            self.selected = (self.selected or {}) | dict(_questions(line["selected"]))
        elif "expected" in line:
            self.expected |= {question: test for test, question in _questions(line["expected"])}
        elif "speed" in line:
            self._speeds[line["test"]] = line["speed"]
        elif "run" in line:
            self._begin(line["run"])
        elif "ended" in line:
            self.ended = line["ended"]

    def _begin(self, header: Mapping[str, Any]) -> None:
        if not all(isinstance(header.get(key, {}), dict) for key in ("settings", "environment", "conditions")):
            raise TypeError("a header holds mappings")
        self.planned = [(str(kind), str(target), str(check)) for kind, target, check in header.get("planned", ())]
        self.run, self.ended = dict(header), None

    def _take_event(self, test: str, one: Event) -> None:
        key = test, _question(one)
        if not isinstance(one, CheckDone):  # it begins anew
            self._events.pop(key, None)
        self._events.setdefault(key, []).append(one)

    def events(self) -> list[Event]:
        """All events, as they came."""
        return [one for some in self._events.values() for one in some]

    def unanswered(self, test: str) -> str:
        """Why a test ended without a result; empty if it did not."""
        return self._unanswered.get(test, "")

    def has_answered(self, test: str) -> bool:
        """Whether a test has an outcome."""
        return any(asker == test and _has_outcome(some) for (asker, _), some in self._events.items())

    def explained(self, test: str) -> bool:
        """Whether a test has an outcome by which it fails."""
        failing = (FAILED, ERROR, INCONCLUSIVE)
        return any(
            isinstance(one, (ClaimBound, CheckDone)) and one.outcome.status in failing
            for (asker, _), some in self._events.items() if asker == test for one in some
        )  # fmt: skip

    def answered(self) -> set[Question]:
        """The questions that have an outcome, and whose test did not fail without a finding."""
        doubted = self._doubted()
        return {
            question for (_, question), some in self._events.items()
            if question not in doubted and _has_outcome(some)
        }  # fmt: skip

    def _doubted(self) -> dict[Question, str]:
        """The questions of tests that failed without a finding, with the reason."""
        asked = self.selected or {}
        return {asked[test]: why for test, why in self._unanswered.items() if why and test in asked}

    def coverage(self) -> Coverage:
        """Which questions were to be asked, and why some have no answer."""
        planned, own = self.planned, set((self.selected or {}).values())
        asked = [one for one in planned if self.selected is None or one in own]
        begun = {question: test for test, question in self._events if question[2]}
        ended = KILLED if self.ended is None else self.ended
        why = self._doubted()
        answered = self.answered()
        for question, test in begun.items():
            if question not in answered and question not in why:
                said = self._unanswered.get(test) or ended
                why[question] = f"begun and not finished: {said}" if said else "begun and not finished"
        for question, test in self.expected.items():
            if question not in answered and question not in why and self._unanswered.get(test):
                why[question] = self._unanswered[test]
        return Coverage(
            tuple(dict.fromkeys((*asked, *self.expected, *(one for one in begun if one not in planned)))),
            tuple(one for one in planned if self.selected is not None and one not in own and one not in answered),
            why, ended,
        )  # fmt: skip

    def document(self) -> dict[str, Any]:
        """The JSON document of the run, so far."""
        planned = dict.fromkeys((kind, target) for kind, target, _ in self.planned)
        made = document(in_order(self.events(), planned), self.run.get("settings", {}), self.coverage())
        made["environment"] |= self.run.get("environment", {})
        return _with_speeds(made, list(self._speeds.values()))

    def unfinished_claims(self) -> Iterator[ClaimDone]:
        """The end of each claim whose stream has none yet, in the order of the claims."""
        planned = dict.fromkeys((kind, target) for kind, target, _ in self.planned)
        known = set(map(id, self.events()))
        for one in in_order(self.events(), planned):
            if isinstance(one, ClaimDone) and id(one) not in known:
                yield one

    def lines(self, questions: Iterable[Question]) -> Iterator[Line]:
        """The lines that answer these questions, and the measurements."""
        chosen = set(questions)
        for (test, question), some in self._events.items():
            if question in chosen:
                yield from (event_line(test, one) for one in some)
        yield from ({"test": test, "speed": one} for test, one in self._speeds.items())


def _with_speeds(run: dict[str, Any], speeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The document of a run with the measurements, each in the record of its implementation, and the machine."""
    for one in run["implementations"]:
        own = [s for s in speeds if (s["kind"], s["target"]) == (one["kind"], one["target"])]
        one["speed"] = [s["speed"] for s in own if "speed" in s]
        one["growth"] = [s["growth"] for s in own if "growth" in s]
    run["machine"] = next((s["machine"] for s in speeds), None)
    return run


def read(path: Path) -> Journal:
    """The journal of a file, up to its end or to the first line that was not written whole.

    Raises `UsageError` for a file that cannot be read or is no journal.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    found = Journal()
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        for line in text.split(b"\n")[:-1]:
            found.take(json.loads(line))
    if not found.run:
        raise UsageError(f"{path} is no journal of a run: name the FILE{JOURNAL_SUFFIX} that --norm-json FILE leaves")
    if found.run.get("normcheck") != __version__:
        raise UsageError(
            f"{path} was written by normcheck {found.run.get('normcheck')}, and this is {__version__}: run it again"
        )
    return found
