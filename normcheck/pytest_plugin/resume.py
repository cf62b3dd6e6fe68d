"""A run that goes on where an earlier one ended: what that has answered is not asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from normcheck.core.errors import UsageError
from normcheck.core.events import JOURNAL_SUFFIX
from normcheck.engine.coverage import Question
from normcheck.engine.journal import Journal, read
from normcheck.pytest_plugin.suite_run import SuiteRun


def resumed(config: pytest.Config, suite: SuiteRun) -> tuple[Journal, set[Question]]:
    """The journal that this run goes on from, and those of its questions that are answered.

    Raises `UsageError` for a file that is no journal, and for one of a run under other conditions.
    """
    path = Path(config.getoption("norm_resume"))
    beside = path.with_name(path.name + JOURNAL_SUFFIX)
    journal = read(beside if path.suffix != ".jsonl" and beside.is_file() else path)
    header = suite.header()
    before, now = journal.run.get("conditions", {}), header["conditions"]
    differing = [key for key in now if before.get(key) != now[key]]
    if differing == ["sources"]:
        changed = [name for name, digest in now["sources"].items() if before["sources"].get(name) != digest]
        raise UsageError(f"--norm-resume {path}: {changed[0]} has changed since that run: leave --norm-resume out")
    if differing:
        key = differing[0]
        raise UsageError(
            f"--norm-resume {path}: {key} was {_words(before.get(key))} in that run and is {_words(now[key])} now: "
            "repeat its options, or leave --norm-resume out"
        )
    planned = {(kind, target, check) for kind, target, check in header["planned"]}
    return journal, journal.answered() & planned


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}".strip() for key, one in value.items()) or ""
    return "unset" if value is None else str(value)
