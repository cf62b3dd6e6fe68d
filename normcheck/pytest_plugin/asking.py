"""What asks in tests: the fixtures of the property suite and of a user's tests, and how their events leave.

Imports nothing beyond pytest until something is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from normcheck.pytest_plugin import isolation_options, project, report_options
from normcheck.pytest_plugin.quiet_imports import quiet_imports
from normcheck.pytest_plugin.stash_keys import FIRST_LINES, KNOWN, LINES, SUITE, drained, emit

OWN = pytest.StashKey[list[Any]]()
"""On an item: the properties of it that are written here."""


@pytest.fixture
def norm_ask(request: pytest.FixtureRequest) -> Any:
    """Run a check of a claim, or bind it where the check is None; a finding fails the test."""
    suite = request.config.stash[SUITE]

    def ask(claim: Any, check: Any | None) -> None:
        _settle(request, suite.ask(claim, check), of_suite=True)

    return ask


@pytest.fixture
def norm_conventions(request: pytest.FixtureRequest) -> Any:
    """Compare the conventions of a claim with those that it follows; a difference fails the test."""
    suite = request.config.stash[SUITE]

    def compare(claim: Any) -> None:
        _settle(request, suite.conventions(claim))

    return compare


class Verifier:
    """The value of the fixture `normcheck`."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def verify(
        self,
        target: Any,
        *,
        as_: str,
        contract: dict[str, str] | None = None,
        effort: str | None = None,
        input_shapes: list[tuple[int, ...]] | None = None,
    ) -> None:
        """Check a target as a normalizer; the test fails with every law that does not hold.

        target: a function, a torch.nn.Module class or instance, a pair of numpy functions, or the text that names one.
        as_: the kind, as in "layer_norm". contract: conventions that differ, as in {"eps-place": "outside"}.
        input_shapes: shapes of the project, as in [(32, 768)], that are asked beside those of the suite.
        """
        from normcheck.core.errors import UsageError

        config, node = self._request.config, self._request.node
        chosen = effort or project.effort(config)
        try:
            limits = isolation_options.isolation(config, ()) if isinstance(target, str) else None
            with quiet_imports():
                from normcheck.core.contract import with_input_shapes
                from normcheck.pytest_plugin.suite_run import settings_of, verification
            words = [f"{key}={value}" for key, value in with_input_shapes(contract, input_shapes).items()]
            questions, events = verification(target, as_, words, settings_of(config, chosen, limits))
        except UsageError as error:
            pytest.fail(f"normcheck: {error}", pytrace=False)
        emit(node, {"expected": [[node.nodeid, *question] for question in questions]})
        _settle(self._request, events)


@pytest.fixture
def normcheck(request: pytest.FixtureRequest) -> Verifier:
    """`normcheck.verify(MyNorm, as_="layer_norm")` checks it as `pytest --norm` does, inside one test."""
    return Verifier(request)


def _ends_a_test() -> tuple[type[BaseException], ...]:
    """Exceptions by which code under test could skip a test, or end it or the run, without a failure.

    `unittest` is not imported for its exception: only code that has imported it can raise it.
    """
    ends = (pytest.skip.Exception, pytest.exit.Exception, pytest.xfail.Exception, SystemExit, GeneratorExit)
    return (*ends, sys.modules["unittest"].SkipTest) if "unittest" in sys.modules else ends


def take(item: pytest.Item, events: Iterable[Any]) -> list[Any]:
    """The events; each leaves as it comes. Code under test that would skip or end the test fails it."""
    from normcheck.core.foreign_code import first_line
    from normcheck.engine.journal import event_line

    found: list[Any] = []
    stream = iter(events)
    while True:
        try:
            one = next(stream, None)
        except _ends_a_test() as error:
            pytest.fail(f"the code under test raised {first_line(error)}, which is no result", pytrace=False)
        if one is None:
            return found
        found.append(one)
        emit(item, event_line(item.nodeid, one))


def _settle(request: pytest.FixtureRequest, events: Iterable[Any], *, of_suite: bool = False) -> None:
    """Take the events, and end the test as their outcomes demand: failed, skipped, or passed.

    of_suite: whether the test is a property of the suite, of which one that fails by a known cause has no block.
    """
    from normcheck.core.events import outcomes_of
    from normcheck.pytest_plugin import failure_messages

    item = request.node
    item.stash[KNOWN] = False
    found = outcomes_of(take(item, events))
    item.stash.setdefault(OWN, []).extend(report_options.properties(found))  # pytest's own --junitxml writes them
    item.user_properties += report_options.properties(found)
    records = [one.record() for one in found]
    item.stash[KNOWN] = of_suite and failure_messages.is_known(request.config, records)
    text = failure_messages.text(request.config, records)
    if text:
        pytest.fail(text, pytrace=False)
    if all(one.status == "skipped" for one in found):
        pytest.skip(found[0].reason)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is run again begins without what it left before."""
    own = drained(item.stash, OWN)
    item.user_properties[:] = [one for one in item.user_properties if one not in own]
    drained(item.stash, LINES)
    if KNOWN in item.stash:
        del item.stash[KNOWN]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The lines of a test travel with its report from a worker process."""
    report = yield
    lines = drained(item.config.stash, FIRST_LINES) + drained(item.stash, LINES)
    if lines:
        report.__dict__["normcheck"] = lines
    if report.when == "call" and KNOWN in item.stash:
        from normcheck.core.safe_text import safe
        from normcheck.pytest_plugin import failure_messages

        report.sections = [(name, safe(content)) for name, content in report.sections]  # what foreign code printed
        report.__dict__["normcheck_known"] = item.stash[KNOWN]
        failure_messages.first_line(report)
    return report
