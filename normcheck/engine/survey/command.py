"""The survey as a command: which libraries, where its files are, and how it is interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normcheck.core.errors import UsageError, shortened, suggest
from normcheck.core.limits import Limits
from normcheck.core.working_directory import import_from_here
from normcheck.engine.batch.command import terminated
from normcheck.engine.search import EFFORTS
from normcheck.engine.settings import isolation_limits
from normcheck.engine.survey.examine import Speed
from normcheck.engine.survey.journal import opened
from normcheck.engine.survey.libraries import installed, library
from normcheck.engine.survey.survey import SurveyEffort, document, survey

JOURNAL = "survey.jsonl"
"""The name of the journal in the folder of a survey."""


@dataclass(frozen=True, slots=True)
class SurveyCommand:
    """The options of `normcheck survey`."""

    libraries: tuple[str, ...]  # none: all that are installed
    out: Path
    jobs: int = 0  # 0: one for each core
    effort: str = "quick"
    limits: Limits = field(default_factory=Limits)
    verify: bool = False  # of a survey that was made: run the scripts of its findings
    report: Path | None = None  # of a survey that was made: where a report of it is written, without an ending
    timed: bool = True  # whether what is right is timed

    def run(self, tell: Callable[[str], object], speed: Speed | None = None) -> tuple[dict[str, Any], bool]:
        """The document of the survey, and whether it was interrupted.

        speed: times an implementation in which every law holds; None: nothing is timed.
        Raises `UsageError` for options that are wrong and for files that cannot be read or written.
        """
        if not hasattr(os, "fork"):
            raise UsageError("survey needs a system with fork; this one has none")
        if self.jobs < 0:
            raise UsageError("--jobs is a number from 1 on")
        if self.effort not in EFFORTS:
            raise UsageError(f"unknown effort {shortened(self.effort)!r}; {suggest(self.effort, EFFORTS)}")
        isolation_limits(*(str(one) for one in (self.limits.seconds, self.limits.gigabytes, self.limits.total)))
        import_from_here()
        named = [library(name) for name in dict.fromkeys(self.libraries)]
        effort = SurveyEffort(self.effort, self.limits, self.jobs or len(os.sched_getaffinity(0)), speed)
        found: list[dict[str, Any]] = []
        interrupted = False
        with opened(self.out / JOURNAL) as lines, terminated():
            try:
                with closing(survey(named or list(installed()), effort, lines, tell)) as stream:
                    found.extend(stream)
            except KeyboardInterrupt:
                interrupted = True
        return document(found, effort, complete=not interrupted), interrupted
