"""A line below pytest's own output, on a terminal: checks asked, causes so far, and the time that is left.

The time is that of earlier runs, which pytest's cache keeps by kind, check and effort. The line lives below the one
that pytest writes to, and is erased before pytest writes anything: its output is the same with it and without it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from normcheck.core.safe_text import safe
from normcheck.engine.coverage import Question
from normcheck.pytest_plugin import project

AFTER = 3.0
"""Seconds that a run has taken before the line appears: a shorter one needs none."""

CACHE_KEY = "normcheck/seconds"
"""In pytest's cache: by effort, the seconds of each check of each kind."""

ERASE_BELOW = "\x1b[J"
UP_TO_COLUMN = "\x1b[A\x1b[{}G"


class Progress:
    """What a run has asked and found so far. seconds: of earlier runs, by "KIND CHECK"."""

    def __init__(self, seconds: Mapping[str, float], processes: int = 1) -> None:
        self._before = dict(seconds)
        self._processes = processes
        self._asked: dict[str, Question] = {}  # by test
        self._taken: dict[str, float] = {}  # seconds by test
        self._causes: dict[str, None] = {}

    def take(self, line: Mapping[str, Any]) -> None:
        """Take a line of the journal: the questions of this run, or a finding with its cause."""
        self._asked |= {test: (kind, target, check) for test, kind, target, check in line.get("selected", ())}
        finding = line.get("outcome", {}).get("finding")
        if finding:
            names = finding["cause"].split("+") if finding["cause"] else [finding["check"]]
            self._causes |= dict.fromkeys(names)

    def ended(self, test: str, seconds: float) -> None:
        """Note that a test has ended."""
        if test in self._asked:
            self._taken[test] = self._taken.get(test, 0.0) + seconds

    def seconds(self) -> dict[str, float]:
        """The seconds of each check of each kind, of this run or else of earlier ones; of several targets the mean."""
        by_check: dict[str, list[float]] = {}
        for test, taken in self._taken.items():
            by_check.setdefault(self._key(test), []).append(taken)
        return self._before | {key: round(sum(some) / len(some), 3) for key, some in by_check.items()}

    def left(self) -> float | None:
        """Seconds that are left, if an earlier run knows how long at least half of the remaining checks take."""
        remaining = [self._key(test) for test in self._asked if test not in self._taken]
        known = [self._before[key] for key in remaining if key in self._before]
        if not known or 2 * len(known) < len(remaining):
            return None
        expected = sum(known) * len(remaining) / len(known)
        both = [
            (self._taken[test], self._before[key]) for test in self._taken if (key := self._key(test)) in self._before
        ]
        before = sum(old for _, old in both)
        slower = sum(new for new, _ in both) / before if before > 1.0 else 1.0  # of too little nothing follows
        return expected * slower / self._processes

    def _key(self, test: str) -> str:
        kind, _, check = self._asked[test]
        return f"{kind} {check}"

    def text(self, width: int) -> str:
        """The line, of which `width` columns are shown.

        >>> Progress({}).text(80)
        'normcheck: 0 of 0 checks, no cause so far'
        """
        names = list(self._causes)
        causes = f"{len(names)} {'cause' if len(names) == 1 else 'causes'}: " if names else "no cause so far"
        left = self.left()
        time_left = "" if left is None else f", {_duration(left)} left"
        head = f"normcheck: {len(self._taken)} of {len(self._asked)} checks{time_left}, {causes}"
        return safe(head + ", ".join(names))[:width]


def _duration(seconds: float) -> str:
    """About how long, in words.

    >>> _duration(7.2), _duration(95.0)
    ('about 8 s', 'about 2 min')
    """
    return f"about {int(seconds) + 1} s" if seconds < 90 else f"about {round(seconds / 60)} min"


class ProgressLine:
    """Shows the progress of a run, in the controlling process, and keeps how long each check took."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._effort = project.effort(config)
        self._cache: Any = getattr(config, "cache", None)  # absent with -p no:cacheprovider
        kept = self._cache.get(CACHE_KEY, {}) if self._cache is not None else {}
        self._kept: dict[str, dict[str, float]] = kept if isinstance(kept, dict) else {}
        processes = getattr(config.option, "numprocesses", None) or 1  # of pytest-xdist
        self._progress = Progress(self._kept.get(self._effort, {}), processes)
        self._began = time.monotonic()
        self._reporter = shown_by(config)
        self._shown = False

    def take(self, line: Mapping[str, Any]) -> None:
        """Take a line of the journal, before it is written."""
        self._progress.take(line)
        if "ended" in line:
            self._erase()

    def _erase(self) -> None:
        if self._shown:
            self._write(ERASE_BELOW)
            self._shown = False

    def _draw(self) -> None:
        if self._reporter is None or time.monotonic() - self._began < AFTER:
            return
        writer = self._reporter._tw  # noqa: SLF001  # there is no public one
        self._write(
            "\n" + self._progress.text(writer.fullwidth - 1) + UP_TO_COLUMN.format(writer.width_of_current_line + 1)
        )
        self._shown = True

    def _write(self, text: str) -> None:
        """Write past the terminal writer, which counts the columns that it has written."""
        assert self._reporter is not None
        file = self._reporter._tw._file  # noqa: SLF001  # there is no public one
        file.write(text)
        file.flush()

    def _around(self) -> Generator[None, Any, Any]:
        """Erase the line while pytest writes, and draw it again."""
        self._erase()
        result = yield
        self._draw()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logstart(self) -> Generator[None, Any, Any]:
        return (yield from self._around())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, Any, Any]:
        result = yield from self._around()
        if report.when == "call" or report.outcome == "skipped":
            self._progress.ended(report.nodeid, report.duration)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logfinish(self) -> Generator[None, Any, Any]:
        return (yield from self._around())

    @pytest.hookimpl(tryfirst=True)
    def pytest_enter_pdb(self) -> None:
        self._erase()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self._erase()

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self) -> None:
        self._erase()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._erase()
        self._reporter = None
        seconds = self._progress.seconds()
        if self._cache is not None and seconds:
            self._cache.set(CACHE_KEY, self._kept | {self._effort: seconds})


def shown_by(config: pytest.Config) -> TerminalReporter | None:
    """The reporter below whose output the line is shown; None where it would be in the way.

    That is in a pipe, on a terminal that cannot erase, in CI, with -q, with -s, where tests write themselves, and with
    a reporter that is not pytest's own.
    """
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    plain = type(reporter) is TerminalReporter
    quiet = config.get_verbosity() < 0 or config.getoption("capture") == "no" or bool(config.getoption("usepdb"))
    if not plain or quiet or os.environ.get("CI") or os.environ.get("TERM", "dumb") == "dumb":
        return None
    return reporter if reporter.isatty else None
