"""The events of all checks of a session, in the controlling process: what is written and printed at its end.

Imports the engine: it is loaded when the first events arrive, and not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from normcheck.core.errors import UsageError
from normcheck.core.events import Event, event, outcomes_of
from normcheck.engine import accepted_file
from normcheck.engine.run import in_order
from normcheck.engine.verdict import document
from normcheck.pytest_plugin import report_options, speed_options
from normcheck.pytest_plugin.stash_keys import SUITE
from normcheck.report.terminal import summary


class Collector:
    """Gathers events as they come, from worker processes too, and makes the document of the run from them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._events: list[Event] = []
        self._speeds: list[dict[str, Any]] = []
        self._run: dict[str, Any] = {}

    def take(self, report: pytest.TestReport) -> None:
        """Take the events and measurements that travel with a report."""
        for record in getattr(report, "normcheck", []):
            self._add(event(record))
        self._speeds += getattr(report, "normcheck_speed", [])

    def _add(self, one: Event) -> None:
        self._events.append(one)
        self._config.hook.pytest_normcheck_event(event=one)

    def _finish(self) -> dict[str, Any]:
        """End the stream of every claim, and make the document."""
        suite = self._config.stash.get(SUITE, None)
        ordered = in_order(self._events, () if suite is None else suite.claims)
        known = set(map(id, self._events))
        for one in ordered:
            if id(one) not in known:
                self._add(one)
        made = document(ordered, {} if suite is None else suite.asker.settings.record())
        return speed_options.placed(made, self._speeds)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Exit with 4 if a target cannot be used, and never with 0 if an implementation was not compared at all."""
        self._run = self._finish()
        report_options.write(self._config, self._run)
        if any(outcome.usage for outcome in outcomes_of(self._events)):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif session.exitstatus == pytest.ExitCode.OK and any(not o["compared"] for o in self._run["implementations"]):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("normcheck", sep="=")
        for text, markup in summary(self._run, terminalreporter._tw.fullwidth):  # noqa: SLF001  # no public width
            terminalreporter.write_line(text, **markup)
        for text in report_options.lines(self._config, self._run):
            terminalreporter.write_line(text)
        reason = self._config.getoption("norm_accept")
        if reason:
            terminalreporter.write_line(self._accept(reason))

    def _accept(self, reason: str) -> str:
        """Write the findings of the run to pyproject.toml as accepted; the line that reports it."""
        path: Path = self._config.rootpath / "pyproject.toml"
        records = self._run["implementations"]
        found = [(one["target"], finding["check"]) for one in records for finding in one["findings"]]
        try:
            return f"written: {accepted_file.write(path, found, reason)} expected findings to {path}"
        except UsageError as error:
            return f"not written: {error}"
