"""The text of a failing test: a finding in full once for each cause, and one line of it in pytest's summary."""

from __future__ import annotations

from typing import Any

import pytest

REPORTED = pytest.StashKey[dict[tuple[str, str, str], str]]()
"""On the config: the checks whose findings were written in full, by kind, target and cause."""


def text(config: pytest.Config, outcomes: list[dict[str, Any]]) -> str:
    """Why a test fails, given the records of its outcomes; empty if it does not. With -v every finding is in full."""
    from normcheck.report.failures import failure_text

    return failure_text(outcomes, config.stash.setdefault(REPORTED, {}), in_full=config.get_verbosity() > 0)


def first_line(report: pytest.TestReport) -> None:
    """Leave the first line of a failure to pytest's summary, which prints all of it where CI is set."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = str(crash.message).partition("\n")[0]
