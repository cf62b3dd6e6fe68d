"""The text of a failing test: a finding in full once for each cause, and one line of it in pytest's summary."""

from __future__ import annotations

from typing import Any

import pytest

from normcheck.pytest_plugin.stash_keys import SUITE

REPORTED = pytest.StashKey[dict[tuple[str, str, str], str]]()
"""On the config: the checks whose findings were written in full, by kind, target and cause."""

MOST_IN_FULL = 4
"""In a run of more implementations than this the text of a finding is brief."""

SAME_CAUSE = "same cause"
"""The category of a property test that fails by a cause of which a finding is written in full already."""


def text(config: pytest.Config, outcomes: list[dict[str, Any]]) -> str:
    """Why a test fails, given the records of its outcomes; empty if it does not. With -v every finding is in full.

    In a run of many implementations it is brief, so that all of them fit on a screen.
    """
    from normcheck.report.failures import failure_text

    suite = config.stash.get(SUITE, None)
    brief = suite is not None and len(suite.claims) > MOST_IN_FULL
    reported = config.stash.setdefault(REPORTED, {})
    return failure_text(outcomes, reported, in_full=config.get_verbosity() > 0, brief=brief)


def is_known(config: pytest.Config, outcomes: list[dict[str, Any]]) -> bool:
    """Whether all that fails has a cause of which a finding is written in full already; false with -v."""
    from normcheck.report import failures

    failing = [one for one in outcomes if one["status"] in ("failed", "error", "inconclusive")]
    reported = config.stash.get(REPORTED, {})
    return config.get_verbosity() <= 0 and all(one["finding"] and failures.is_known(one, reported) for one in failing)


def first_line(report: pytest.TestReport) -> None:
    """Leave the first line of a failure to pytest's summary, which prints all of it where CI is set."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = str(crash.message).partition("\n")[0]


def category(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Category, letter and word of a test that fails by a known cause: it fails, and has no block of its own."""
    if report.failed and getattr(report, "normcheck_known", False):
        return SAME_CAUSE, "F", SAME_CAUSE.upper()
    return None
