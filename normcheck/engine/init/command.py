"""The command: finds the normalizers of a project, checks them, and says what its files lack."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normcheck.core.atomic_write import atomic_write
from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.limits import Limits
from normcheck.engine.accepted_file import read
from normcheck.engine.init import project, workflow
from normcheck.engine.init.additions import CLAIMED, claims_of, entries_of, with_claims, with_findings
from normcheck.engine.project_table import text_of
from normcheck.engine.search import EFFORTS
from normcheck.engine.survey.journal import opened
from normcheck.engine.survey.survey import SurveyEffort, survey
from normcheck.families import CHECKS_BY_NAME

USUAL = "default"
"""The effort of pytest where nothing else is written."""

LIMITS = Limits(120.0, 4.0, 120.0)
"""Of each normalizer: seconds of one answer, gigabytes, seconds of all."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file of a project with its text before (empty: there is no file) and after."""

    path: Path
    before: str
    after: str

    def difference(self, folder: Path) -> str:
        """The change as a unified diff."""
        name = self.path.relative_to(folder).as_posix()
        old, new = (text.splitlines(keepends=True) for text in (self.before, self.after))
        source = f"a/{name}" if self.before else "/dev/null"
        return "".join(difflib.unified_diff(old, new, source, f"b/{name}", n=1))

    def write(self) -> None:
        """Write it. Raises `UsageError` if that is not possible; then the file is unchanged."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self.path, self.after.encode())
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a project lacks: changes of its files, and remarks for the user."""

    changes: tuple[FileChange, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InitCommand:
    """The options of `normcheck init`."""

    folder: Path = Path()
    effort: str = USUAL
    jobs: int = 0  # 0: one for each core
    limits: Limits = LIMITS

    def plan(self, tell: Callable[[str], object]) -> Plan:
        """What the project lacks. Nothing is written. Raises `UsageError` for what is no project, or cannot be read."""
        if not hasattr(os, "fork"):
            raise UsageError("init needs a system with fork; this one has none")
        if self.effort not in EFFORTS:
            raise UsageError(f"unknown effort {shortened(self.effort)!r}; {suggest(self.effort, EFFORTS)}")
        if not self.folder.is_dir():
            raise UsageError(f"there is no folder {self.folder}")
        pyproject = self.folder / project.PYPROJECT
        read(pyproject, CHECKS_BY_NAME)  # raises for expected findings that are wrong
        if str(self.folder.resolve()) not in sys.path:
            sys.path.append(str(self.folder.resolve()))
        rows = self._surveyed(tell)
        claims = claims_of(rows)
        elsewhere = project.options_elsewhere(self.folder)
        before = text_of(pyproject)
        options = {} if self.effort == USUAL else {"norm_effort": self.effort}
        after = before if elsewhere else with_claims(pyproject, before, claims, options)
        after = with_findings(pyproject, after, entries_of(rows))
        changes = [FileChange(pyproject, before, after)] if after != before else []
        lacking = workflow.missing(self.folder) if claims else None
        if lacking is not None:
            changes.append(FileChange(lacking[0], "", lacking[1]))
        return Plan(tuple(changes), (*_by_hand(elsewhere, claims), *_left_out(rows)))

    def _surveyed(self, tell: Callable[[str], object]) -> list[Mapping[str, Any]]:
        effort = SurveyEffort(self.effort, self.limits, self.jobs or len(os.sched_getaffinity(0)))
        packages = project.packages(self.folder)
        with (
            tempfile.TemporaryDirectory() as place,
            opened(Path(place) / "lines.jsonl") as lines,
            closing(survey(packages, effort, lines, tell)) as stream,
        ):
            return [row for library in stream for row in library["normalizers"]]


def _by_hand(elsewhere: str, claims: Sequence[str]) -> Iterable[str]:
    if elsewhere and claims:
        lines = "".join(f"\n    {claim}" for claim in claims)
        yield f"pytest reads its options from {elsewhere}, not from pyproject.toml: add there\nnorm ={lines}"


def _left_out(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for row in rows:
        if row["standing"] not in CLAIMED:
            nearest = next(iter(row["card"].get("nearest", ())), "")
            meant = f"; if it is meant to be one, add {nearest}={row['target']}" if nearest else ""
            yield f"left out: {row['target']}: {row['reason'] or row['standing']}{meant}"
