"""One problem for each cause, error and warning of a run, with its place in the source, for continuous integration.

The place is found by parsing the target's file, or files below a folder; nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from normcheck.core.target import split
from normcheck.report import causes, completeness
from normcheck.report.message import finding, short_finding

ERROR = "error"
"""Name of the rule for an implementation that could not be checked at all."""

INCOMPLETE = completeness.INCOMPLETE
"""Name of the rule for an implementation of which a question has no answer."""

FAILS, WARNS, KNOWN = "error", "warning", "note"
"""The level of what fails a run, of what is right but weak, and of what is accepted."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file. path: with slashes, relative to the root folder if the file is below it."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A cause of findings, an error, a warning, or a finding that is known and accepted."""

    kind: str
    target: str
    level: str  # FAILS, WARNS or KNOWN
    rule: str  # name of the cause, of the warning, of the accepted check, or ERROR
    summary: str  # what the rule means, in a sentence
    title: str  # in a few words
    text: str  # as in the terminal, several lines
    place: Place
    reason: str = ""  # why it is accepted
    cause: Mapping[str, Any] | None = None  # the record of the cause
    story: str = ""  # what the rule means, in full; empty: no more than the summary
    source: str = ""  # of what is known about the rule

    @property
    def fingerprint(self) -> str:
        """An id that depends on kind, target and rule only, not on numbers, cases or lines."""
        return hashlib.sha256(f"{self.kind}\0{self.target}\0{self.rule}".encode()).hexdigest()


def problems(run: Mapping[str, Any], root: Path) -> Iterator[Problem]:
    """Every error, cause, warning and accepted finding of a run."""
    for one in run["implementations"]:
        kind, target = str(one["kind"]), str(one["target"])
        made = partial(Problem, kind, target, place=locate(target, root))
        head = f"{kind} {target}: "
        for text in one.get("errors", []):
            yield made(FAILS, ERROR, "an implementation can be called", f"{head}{ERROR}", text)
        left = completeness.unanswered(one)
        if left:
            yield made(FAILS, INCOMPLETE, "every question that is asked has an answer", f"{head}{INCOMPLETE}", left)
        for cause, findings in causes.grouped(one):
            name, story = str(cause["name"]), str(cause["story"]).partition(". ")[0]
            text = _text(kind, target, cause, findings)
            yield made(
                FAILS, name, story or name, head + causes.title(cause), text, cause=cause,
                story=str(cause["story"]), source=str(cause["source"]),
            )  # fmt: skip
        for warning in one.get("warnings", []):
            (text,) = causes.warnings([warning])
            yield made(WARNS, str(warning["name"]), str(warning["text"]), f"{head}{warning['name']}", text)
        for check, reason in one.get("expected_findings", {}).items():
            text = f"{check} does not hold, as expected: {reason}"
            yield made(KNOWN, check, check, f"{head}{check} does not hold", text, reason=reason)


def _text(kind: str, target: str, cause: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> str:
    """A cause in a paragraph, its most telling finding in full, and a line for each other finding."""
    telling = cause["finding"]
    lines = "\n".join(short_finding(one, str(telling["check"])) for one in findings if one != telling)
    return "\n\n".join(part for part in (causes.cause(cause), finding(kind, target, telling), lines) if part)


def locate(target: str, root: Path) -> Place:
    """Where a target is defined, if its file is found; else line 1 of the file that its module would have."""
    module, attribute, _ = split(target)
    stem = module.replace(".", "/")
    names = [module] if module.endswith(".py") else [f"{stem}.py", f"{stem}/__init__.py"]
    for name in names:
        for file in (root / name, root / "src" / name):
            if _is_file(file):
                return Place(_below(file, root), _line(file, attribute.partition(".")[0]))
    return Place(names[0].replace("\\", "/") if module else "unknown", 1)


def _is_file(path: Path) -> bool:
    """Whether there is such a file; false for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _below(file: Path, root: Path) -> str:
    whole, top = file.resolve(), root.resolve()
    return (whole.relative_to(top) if whole.is_relative_to(top) else whole).as_posix()


def _line(file: Path, name: str) -> int:
    """The line on which a name is defined or assigned at the top level of a file; 1 if it is not."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):
        return 1
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if getattr(node, "name", None) == name or any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return node.lineno
    return 1
