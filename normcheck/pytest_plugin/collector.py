"""The journal of a session, in the controlling process, and what is written and printed at its end.

Imports the engine: it is loaded when the first events arrive, or for a suite, and not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from normcheck.core.atomic_write import is_device
from normcheck.core.errors import UsageError
from normcheck.core.events import JOURNAL_SUFFIX, event, outcomes_of
from normcheck.core.foreign_code import first_line
from normcheck.core.version import __version__
from normcheck.engine import accepted_file
from normcheck.engine.journal import Journal, Line, event_line
from normcheck.engine.verdict import INCOMPLETE, environment
from normcheck.pytest_plugin import report_options
from normcheck.pytest_plugin.journal_file import JournalFile
from normcheck.pytest_plugin.stash_keys import RESUMED, SUITE
from normcheck.report.terminal.run_summary import summary


class Collector:
    """Takes the lines of the journal as they come, from worker processes too, and makes the document of the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._journal = Journal()
        self._ended = ""
        self._written: dict[Path, str] = {}
        self._run: dict[str, Any] = {}
        first = list(self._first_lines())
        for line in first:
            self._journal.take(line)
        name = config.getoption("norm_json")
        kept = bool(name) and not is_device(Path(name))  # beside a device there is no place for a file
        self._file = JournalFile(Path(name + JOURNAL_SUFFIX), first) if kept else None

    def _first_lines(self) -> list[Line]:
        """The header, and the answers of the run that this one goes on from."""
        suite = self._config.stash.get(SUITE, None)
        bare = {"normcheck": __version__, "settings": {}, "environment": environment(), "planned": []}
        before, answered = self._config.stash.get(RESUMED, (Journal(), set()))
        return [{"run": bare if suite is None else suite.header()}, *before.lines(answered)]

    def take(self, line: Line) -> None:
        """Take a line: it is written before anything else can happen."""
        if "selected" in line and self._journal.selected is not None:
            return  # every worker process sends the same
        if self._file is not None:
            self._file.write(line)
        self._journal.take(line)
        if "event" in line:
            record = {key: value for key, value in line.items() if key != "test"}
            self._config.hook.pytest_normcheck_event(event=event(record))

    def judge(self, report: pytest.TestReport) -> None:
        """Note the tests that end without a result: what they ask has no answer."""
        reason = self._journal.unanswered(report.nodeid)
        if report.when == "setup" and report.passed and reason:
            self.take({"test": report.nodeid, "unanswered": ""})  # it is run again
        elif (report.failed and not self._journal.explained(report.nodeid)) or (
            report.skipped and not self._journal.has_answered(report.nodeid)
        ):
            self.take({"test": report.nodeid, "unanswered": _reason(report)})

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._ended = self._ended or f"interrupted: {first_line(excinfo.value)}"

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._ended = self._ended or f"internal error: {first_line(excinfo.value)}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the files, whatever has happened, and decide the exit status."""
        try:
            for one in self._journal.unfinished_claims():
                self.take(event_line("", one))
        except BaseException as error:
            self._ended = self._ended or first_line(error)
            if not isinstance(error, pytest.exit.Exception):  # which would decide the exit status
                raise
        finally:
            self._finish(session)

    def _finish(self, session: pytest.Session) -> None:
        stopped = next((word for word in (session.shouldfail, session.shouldstop) if isinstance(word, str)), "")
        ended = self._ended or stopped
        self._journal.take({"ended": ended})
        if not self._journal.coverage().missing(self._journal.answered()):
            ended = self._ended  # a run that stops after its last question is whole
            self._journal.take({"ended": ended})
        self._run = self._journal.document()
        self._written = report_options.write(self._config, self._run)
        if self._file is not None:
            self._file.write({"ended": ended})
            self._file.close(remove=self._run["complete"] and not self._failed)
        session.exitstatus = self._status(session.exitstatus)

    @property
    def _failed(self) -> bool:
        """Whether a file was not written."""
        return any(self._written.values())

    def _status(self, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
        """4 if a target cannot be used or a file not be written; never 0 for what was not compared, or not answered."""
        records = self._run["implementations"]
        if self._failed or any(outcome.usage for outcome in outcomes_of(self._journal.events())):
            return pytest.ExitCode.USAGE_ERROR
        goes_on = RESUMED in self._config.stash
        if status == pytest.ExitCode.NO_TESTS_COLLECTED and goes_on and records:
            status = pytest.ExitCode.OK
        if status != pytest.ExitCode.OK:
            return status
        nothing = not records and bool(self._config.getoption("norm"))
        unsure = any(not one["compared"] or one["verdict"] == INCOMPLETE for one in records)
        failed = goes_on and any(one["verdict"] != "passed" for one in records)  # its test is not run again
        bad = nothing or unsure or failed or not self._run["complete"]
        return pytest.ExitCode.TESTS_FAILED if bad else status

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._run["implementations"] and not self._config.getoption("norm") and self._file is None:
            return  # the tests of a project that names implementations in its configuration, without the suite
        terminalreporter.section("normcheck", sep="=")
        width = terminalreporter._tw.fullwidth  # noqa: SLF001  # there is no public one
        full, color = self._config.get_verbosity() > 0, terminalreporter.hasmarkup
        for text, markup in summary(self._run, width, full=full, color=color):
            terminalreporter.write_line(text, **markup)
        for text in report_options.lines(self._config, self._run, self._written):
            terminalreporter.write_line(text)
        if self._file is not None and self._file.path.exists():
            terminalreporter.write_line(f"kept: {self._file.path}, to go on with --norm-resume {self._file.path}")
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


def _reason(report: pytest.TestReport) -> str:
    """Why a test ended without a result, in a line."""
    if report.skipped and isinstance(report.longrepr, tuple):
        return f"its test was skipped: {report.longrepr[2].removeprefix('Skipped: ')}"
    crash = getattr(report.longrepr, "reprcrash", None)
    said = (str(crash.message) if crash is not None else str(report.longrepr)).strip().splitlines()
    where = f" in {report.when}" if report.when in ("setup", "teardown") else ""
    first = (said or ["no reason"])[0].partition(" while running ")[0]  # xdist names the test once more
    return f"its test failed{where}: {first}"
