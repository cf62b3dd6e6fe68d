"""How a failing test tells a finding: in full once for each fault, then in a line; in pytest's summary in one line."""

from __future__ import annotations

from typing import Any

import pytest

TOLD = pytest.StashKey[dict[tuple[str, str, tuple[str, ...]], str]]()
"""On the config: the checks whose findings were told in full, by kind, target and diagnosis."""


def told(config: pytest.Config, outcome: Any) -> str:
    """A finding in full the first time that its diagnosis is told of a target, or with -v; in short from then on."""
    from normcheck.report.message import finding, short_finding

    before = config.stash.setdefault(TOLD, {})
    key = (outcome.kind, outcome.target, outcome.diagnosis)
    if outcome.diagnosis and key in before and config.get_verbosity() <= 0:
        return short_finding(outcome.finding.record(), before[key])
    before.setdefault(key, outcome.check)
    return finding(outcome.kind, outcome.target, outcome.finding.record())


def first_line(report: pytest.TestReport) -> None:
    """Leave the first line of a failure to pytest's summary, which repeats all of it on the machines of a CI."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = str(crash.message).partition("\n")[0]
