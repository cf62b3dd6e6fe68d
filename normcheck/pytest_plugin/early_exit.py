"""A process that is ended by code under test does not end with the status of a run that passed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from normcheck.pytest_plugin.stash_keys import SINK


def _tell(config: pytest.Config, sentence: str) -> None:
    """Print a sentence from within a test."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if terminal is not None:
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            terminal.write_line(f"\n{sentence}")
            terminal.flush()


@contextmanager
def no_early_success(config: pytest.Config) -> Iterator[None]:
    """While it lasts, `os._exit` in this process is reported and never ends it with status 0; a child is free."""
    plain, process = os._exit, os.getpid()

    def ends(status: int) -> Any:
        if os.getpid() == process:
            said = f"os._exit({status}) was called in the run"
            config.stash[SINK]({"ended": said})
            _tell(config, f"normcheck: {said}: it is not complete")
            status = status or int(pytest.ExitCode.TESTS_FAILED)
        plain(status)

    os._exit = ends
    try:
        yield
    finally:
        os._exit = plain


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Iterator[None]:
    """The tests of a run that checks implementations."""
    with no_early_success(session.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """What follows the tests, up to the files of the run."""
    with no_early_success(session.config):
        return (yield)
