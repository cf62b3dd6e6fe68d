"""One problem for each finding and error of a run, with its place in the source, for continuous integration.

The place is found by parsing the target's file, or files below a folder; nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normcheck.core.target import split
from normcheck.report.message import finding

ERROR = "error"
"""Name of the rule for an implementation that could not be checked at all."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file. path: with slashes, relative to the root folder if the file is below it."""

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, or that is known to be wrong and accepted."""

    kind: str
    target: str
    check: str
    law: str
    text: str  # as in the terminal, several lines
    place: Place
    accepted: str = ""  # why it does not fail the run; empty if it does
    record: Mapping[str, Any] | None = None  # the record of the finding

    @property
    def title(self) -> str:
        """Kind, target and check in one line."""
        return f"{self.kind} {self.target}: {self.check}" + ("" if self.check == ERROR else " does not hold")

    @property
    def fingerprint(self) -> str:
        """An id that depends on kind, target and check only, not on numbers."""
        return hashlib.sha256(f"{self.kind}\0{self.target}\0{self.check}".encode()).hexdigest()


def problems(run: Mapping[str, Any], root: Path) -> Iterator[Problem]:
    """Every error, finding and accepted finding of a run."""
    for one in run["implementations"]:
        kind, target = str(one["kind"]), str(one["target"])
        place = locate(target, root)
        for text in one.get("errors", []):
            yield Problem(kind, target, ERROR, "an implementation can be called", text, place)
        for found in one["findings"]:
            text = finding(kind, target, found)
            yield Problem(kind, target, str(found["check"]), str(found["law"]), text, place, record=found)
        for check, reason in one.get("expected_findings", {}).items():
            yield Problem(kind, target, check, check, f"{check} does not hold, as expected: {reason}", place, reason)


def locate(target: str, root: Path) -> Place:
    """Where a target is defined, if its file is found; else line 1 of the file that its module would have."""
    module, attribute, _ = split(target)
    stem = module.replace(".", "/")
    names = [module] if module.endswith(".py") else [f"{stem}.py", f"{stem}/__init__.py"]
    for name in names:
        for file in (root / name, root / "src" / name):
            if file.is_file():
                return Place(_below(file, root), _line(file, attribute.partition(".")[0]))
    return Place(names[0].replace("\\", "/") if module else "unknown", 1)


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
