"""The pytest plugin: options, the fixture, collection of the property suite, the section at the end, JSON.

Loaded by every pytest in an environment where normcheck is installed, so it imports nothing beyond pytest until an
implementation is named.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from normcheck.pytest_plugin import failure_messages, isolation_options, report_options, seed, speed_options, xdist
from normcheck.pytest_plugin.stash_keys import RECORDS, SESSION, properties

EFFORTS = ("quick", "default", "deep")
GRADIENTS = ("full", "mean-constant", "variance-constant", "statistics-constant")


class Hooks:
    """Hooks that a conftest may implement."""

    @pytest.hookspec
    def pytest_normcheck_implementations(self) -> list[Any]:
        """Return `normcheck.Implementation` values to check in this project."""
        raise NotImplementedError


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("normcheck", "checking normalization layers")
    group.addoption(
        "--norm", action="append", default=[], metavar="[KIND=]TARGET",
        help="check this implementation as that normalizer, as in layer_norm=mypkg.kernels:fast_layer_norm or "
        "batch_norm=./mine.py:MyBatchNorm (repeatable); without a kind, as what it is found to be",
    )  # fmt: skip
    group.addoption(
        "--norm-contract", action="append", default=[], metavar="KEY=VALUE",
        help="a convention that differs from torch's, as in eps-place=outside (repeatable)",
    )  # fmt: skip
    group.addoption("--norm-gradient", choices=GRADIENTS, help="the gradient that is claimed (default: full)")
    group.addoption("--norm-effort", choices=EFFORTS, help="examples per property (default: default)")
    group.addoption("--norm-replay", metavar="ID", help="ask one case again, by the id that its finding gives")
    group.addoption(
        "--norm-accept", metavar="REASON",
        help="write the findings of this run to pyproject.toml as expected, with this reason",
    )  # fmt: skip
    seed.add_options(group)
    report_options.add_options(group)
    isolation_options.add_options(group, parser)
    speed_options.add_options(group)
    parser.addini("norm", "implementations to check, KIND=TARGET a line", type="linelist", default=[])
    parser.addini(
        "norm_contract", "conventions that differ from torch's, KEY=VALUE a line", type="linelist", default=[]
    )
    parser.addini("norm_effort", "examples per property: quick, default or deep", default="default")


def _claims(config: pytest.Config) -> list[Any]:
    """What is to be checked: the options, or else the ini table and the conftest hooks."""
    named = config.getoption("norm")
    if named:
        return list(named)
    found: list[Any] = list(config.getini("norm"))
    for more in config.hook.pytest_normcheck_implementations():
        found += more
    return found


@pytest.hookimpl(trylast=True)  # a profile that is named on the command line is loaded before
def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config), "normcheck-collector")
        config.pluginmanager.register(seed, "normcheck-seed")
    config.pluginmanager.register(speed_options, "normcheck-speed-options")
    effort = config.getoption("norm_effort") or config.getini("norm_effort")
    seed.settle(config, effort)
    claims = _claims(config)
    if not claims:
        return
    config.pluginmanager.register(xdist, "normcheck-xdist")
    from normcheck.core.errors import UsageError

    words = [*config.getini("norm_contract"), *config.getoption("norm_contract")]
    if config.getoption("norm_gradient"):
        words.append(f"gradient={config.getoption('norm_gradient')}")
    try:
        limits = isolation_options.limits(config, claims)  # before anything is loaded here
        speed_options.prepare(config)
        config.stash[SESSION] = _session(config, claims, words, effort, limits)
        report_options.prepare(config)
    except UsageError as error:
        raise pytest.UsageError(f"normcheck: {error}") from None
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        suite = str(properties())
        config.args = [suite] if config.getoption("norm") else [*config.args, suite]


def _session(config: pytest.Config, claims: list[Any], words: list[str], effort: str, isolate: Any) -> Any:
    """A session under the options. Raises `UsageError` for one that is none."""
    with _imports():
        from normcheck.engine import accepted_findings
        from normcheck.engine.search import shared
        from normcheck.engine.session import Session
        from normcheck.families import CHECKS_BY_NAME

    session = Session.of(claims, words, effort, seed.seed(config), config.getoption("norm_replay"))
    session.effort = replace(session.effort, memory=shared())
    session.accepted = accepted_findings.known(_pyproject(config), config.getoption("norm_baseline"), CHECKS_BY_NAME)
    session.isolate, session.device = isolate, config.getoption("norm_device")
    return session


def pytest_report_header(config: pytest.Config) -> str | None:
    return seed.header(config, config.stash.get(SESSION, None))


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(SESSION, None)
    if session is not None:
        session.close()


@contextmanager
def _imports() -> Iterator[None]:
    """What is imported stays: it is not walked for cycles while it grows, nor at each later collection.

    A framework is a million objects, and pytest collects several times at its end: two of six seconds.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


def _pyproject(config: pytest.Config) -> Path:
    """Where a project keeps the findings that it expects."""
    return config.rootpath / "pyproject.toml"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each implementation, or for each implementation and check that concerns it."""
    wanted = {"norm_claim", "norm_question"} & set(metafunc.fixturenames)
    if not wanted:
        return
    session = metafunc.config.stash.get(SESSION, None)
    if session is None:
        raise pytest.UsageError(
            "the properties need an implementation: add --norm KIND=TARGET, "
            "as in --norm layer_norm=torch.nn.functional:layer_norm"
        )
    if "norm_claim" in wanted:
        metafunc.parametrize("norm_claim", session.claims, ids=session.names(), scope="session")
        return
    questions = session.questions(metafunc.module.CHECKS)
    ids = [f"{claim.kind}={claim.name}-{check.name}" for claim, check in questions]
    metafunc.parametrize("norm_question", questions, ids=ids)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file of the suite that asks nothing of the kinds at hand leaves no skipped test behind."""
    items[:] = [item for item in items if "norm_question" not in getattr(item, "fixturenames", ()) or _is_asked(item)]


def _is_asked(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and isinstance(callspec.params.get("norm_question"), tuple)


@pytest.fixture
def norm_ask(request: pytest.FixtureRequest) -> Any:
    """Ask a check of a claim; the outcome is kept for the summary, and a finding fails the test."""
    session = request.config.stash[SESSION]

    def ask(claim: Any, check: Any | None) -> None:
        _settle(request, [session.call(claim) if check is None else session.ask(claim, check)])

    return ask


class Verifier:
    """What the fixture `normcheck` gives: one verb."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request

    def verify(
        self,
        target: Any,
        *,
        as_: str,
        contract: dict[str, str] | None = None,
        effort: str | None = None,
    ) -> None:
        """Check a target as a normalizer; fails the test with every law that does not hold.

        target: a function, a torch.nn.Module class or instance, a pair of numpy functions, or the text that names one.
        as_: the kind, as in "layer_norm". contract: conventions that differ, as in {"eps-place": "outside"}.
        """
        from normcheck.core.errors import UsageError

        config = self._request.config
        words = [f"{key}={value}" for key, value in (contract or {}).items()]
        chosen = effort or config.getoption("norm_effort") or config.getini("norm_effort")
        try:
            limits = (
                isolation_options.limits(config, ()) if isinstance(target, str) else None
            )  # an object is here already
            session = _session(config, [(as_, target)], words, chosen, limits)
        except UsageError as error:
            pytest.fail(f"normcheck: {error}", pytrace=False)
        try:
            _settle(self._request, session.all())
        finally:
            session.close()


@pytest.fixture
def normcheck(request: pytest.FixtureRequest) -> Verifier:
    """`normcheck.verify(MyNorm, as_="layer_norm")` checks it as `pytest --norm` does, inside one test."""
    return Verifier(request)


def _settle(request: pytest.FixtureRequest, outcomes: list[Any]) -> None:
    """Keep the outcomes, and end the test as they say: failed, skipped, or passed."""
    request.node.stash.setdefault(RECORDS, []).extend(o.record() for o in outcomes)
    request.node.user_properties += report_options.properties(outcomes)  # pytest's own --junitxml writes them
    bad = [o for o in outcomes if o.status in ("failed", "error", "inconclusive")]
    texts = [
        failure_messages.told(request.config, o) if o.finding else f"{o.target}: {o.check}: {o.reason}" for o in bad
    ]
    if texts:
        pytest.fail("\n\n".join(dict.fromkeys(texts)), pytrace=False)
    if all(o.status == "skipped" for o in outcomes):
        pytest.skip(outcomes[0].reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Outcomes travel with the report, from a worker process too."""
    report = yield
    if report.when == "call" and RECORDS in item.stash:
        report.__dict__["normcheck"] = item.stash[RECORDS]
        failure_messages.first_line(report)
    return report


class Collector:
    """Gathers the outcomes in the controlling process, and at the end says and writes what they amount to."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._records: list[dict[str, Any]] = []
        self._speeds: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._records += getattr(report, "normcheck", [])
        self._speeds += getattr(report, "normcheck_speed", [])

    def run(self) -> dict[str, Any] | None:
        """The document of the run; None where nothing was asked."""
        if not self._records:
            return None
        from normcheck import __version__
        from normcheck.core.result import outcome
        from normcheck.engine import verdict

        session = self._config.stash.get(SESSION, None)
        settings = {} if session is None else session.settings()
        order = {} if session is None else {name: i for i, name in enumerate(session.names())}
        records = sorted(self._records, key=lambda r: order.get(f"{r['kind']}={r['target']}", len(order)))
        return speed_options.placed(
            verdict.run(__version__, [outcome(record) for record in records], settings), self._speeds
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Exit with 4 if a target cannot be used, and never with 0 if an implementation was not compared at all."""
        run = self.run()
        if run is None:
            return
        report_options.write(self._config, run)
        if any(record["usage"] for record in self._records):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif session.exitstatus == pytest.ExitCode.OK and any(not one["compared"] for one in run["implementations"]):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        run = self.run()
        if run is None:
            return
        from normcheck.report.terminal import summary

        terminalreporter.section("normcheck", sep="=")
        for text, markup in summary(run, terminalreporter._tw.fullwidth):  # noqa: SLF001  # no public width
            terminalreporter.write_line(text, **markup)
        for text in report_options.lines(self._config, run):
            terminalreporter.write_line(text)
        reason = self._config.getoption("norm_accept")
        if reason:
            from normcheck.engine import accepted_findings

            found = [(one["target"], finding["check"]) for one in run["implementations"] for finding in one["findings"]]
            count = accepted_findings.write(_pyproject(self._config), found, reason)
            terminalreporter.write_line(f"written: {count} expected findings to {_pyproject(self._config)}")
