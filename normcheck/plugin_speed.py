"""The pytest side of timing: loaded only where a run asks for speed, before any implementation is imported."""

from __future__ import annotations

from typing import Any

import pytest

from normcheck.bench import speed
from normcheck.checks import BY_NAME
from normcheck.errors import CallError, UsageError
from normcheck.result import PASSED, SKIPPED
from normcheck.session import CALL
from normcheck.stash import RECORDS, SESSION, SPEED


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each shape and pass."""
    if "norm_shape" in metafunc.fixturenames:
        metafunc.parametrize("norm_shape", speed.GRID, ids=str)


def _right(session: Any, claim: Any) -> tuple[list[Any], list[Any]]:
    """The outcomes of what must hold before a claim is timed, and those of them that no test has told yet."""
    fresh = [] if (claim, CALL) in session.known else [session.call(claim)]
    called = session.known[claim, CALL]
    if called.status != PASSED:
        return [called], fresh
    checks = [BY_NAME[name] for name in speed.FIRST if BY_NAME[name].concerns(session.subject(claim).entry)]
    fresh += [session.ask(claim, check) for check in checks if (claim, check.name) not in session.known]
    return [called, *(session.known[claim, check.name] for check in checks)], fresh


@pytest.fixture
def norm_time(request: pytest.FixtureRequest) -> Any:
    """Time a claim, if it is right, and judge it by the limit of this run."""
    config = request.config
    session, limit = config.stash[SESSION], config.getoption("norm_max_slowdown")

    def timed(claim: Any, question: Any, benchmark: Any) -> None:
        if hasattr(config, "workerinput"):
            pytest.skip("no timing beside other workers: run without -n")
        right, fresh = _right(session, claim)
        request.node.stash.setdefault(RECORDS, []).extend(o.record() for o in fresh)
        wrong = [o for o in right if o.status not in (PASSED, SKIPPED)]
        if wrong:
            pytest.fail(f"not timed: {claim.name} is wrong, see {wrong[0].check}: {wrong[0].reason}", pytrace=False)
        try:
            found = session.subject(claim)
            measured = speed.measure(found, question, 1.0 if limit is None else limit)
            speed.table(benchmark, found, question, measured)
        except (CallError, UsageError) as error:
            refused = isinstance(error, speed.RefusedError)
            (pytest.fail if refused else pytest.skip)(str(error))
        entry = speed.record(question, measured, limit)
        request.node.stash[SPEED] = [{"kind": claim.kind, "target": claim.name, "entry": entry}]
        if limit is not None and measured.verdict == speed.SLOWER:
            pytest.fail(f"{claim.name}: {speed.said(question, measured)}; allowed {limit:g}", pytrace=False)

    return timed
