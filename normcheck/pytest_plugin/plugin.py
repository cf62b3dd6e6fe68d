"""The pytest plugin: options, hooks, fixtures, and collection of the property suite.

Every pytest run in an environment with normcheck loads it, so it imports nothing beyond pytest until an implementation
is named.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from normcheck.pytest_plugin import isolation_options, report_options, seed, speed_options
from normcheck.pytest_plugin.stash_keys import EVENTS, KNOWN, LAST, SUITE, properties

EFFORTS = ("quick", "default", "deep")
GRADIENTS = ("full", "mean-constant", "variance-constant", "statistics-constant")


class Hooks:
    """Hooks that a conftest may implement."""

    @pytest.hookspec
    def pytest_normcheck_implementations(self) -> list[Any]:
        """Return `normcheck.Implementation` values to check in this project."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_normcheck_event(self, event: Any) -> None:
        """Receive each event of a run, as `normcheck.check` gives them to `progress`; in the controlling process."""


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
    group.addoption("--norm-strict", action="store_true", default=None, help="let warnings fail too")
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
    parser.addini("norm_strict", "let warnings fail too", type="bool", default=False)
    parser.addini("norm_effort", "examples per property: quick, default or deep", default="default")


def _claims(config: pytest.Config) -> list[Any]:
    """The implementations to check: those of the options, or else those of the ini table and of conftest hooks."""
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
        config.pluginmanager.register(ReportGate(config), "normcheck-reports")
        config.pluginmanager.register(seed, "normcheck-seed")
    config.pluginmanager.register(speed_options, "normcheck-speed-options")
    config.pluginmanager.register(isolation_options, "normcheck-isolation-options")
    effort = config.getoption("norm_effort") or config.getini("norm_effort")
    seed.settle(config, effort)
    claims = _claims(config)
    if not claims:
        return
    from normcheck.core.errors import UsageError
    from normcheck.pytest_plugin import xdist

    config.pluginmanager.register(xdist, "normcheck-xdist")

    words = [*config.getini("norm_contract"), *config.getoption("norm_contract")]
    if config.getoption("norm_gradient"):
        words.append(f"gradient={config.getoption('norm_gradient')}")
    try:
        limits = isolation_options.limits(config, claims)  # before anything is loaded here
        speed_options.prepare(config)
        config.stash[SUITE] = _suite(config, claims, words, effort, limits)
        report_options.prepare(config)
    except UsageError as error:
        raise pytest.UsageError(f"normcheck: {error}") from None
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        suite = str(properties())
        config.args = [suite] if config.getoption("norm") else [*config.args, suite]


def _suite(config: pytest.Config, claims: list[Any], words: list[str], effort: str, isolate: Any) -> Any:
    """The run of the property suite. Raises `UsageError` for options that cannot be understood."""
    with _imports():
        from normcheck.pytest_plugin.suite_run import settings_of, suite_run

    return suite_run(claims, words, settings_of(config, effort, isolate))


def pytest_report_header(config: pytest.Config) -> str | None:
    suite = config.stash.get(SUITE, None)
    return seed.header(config, None if suite is None else suite.asker.settings.record())


def pytest_unconfigure(config: pytest.Config) -> None:
    suite = config.stash.get(SUITE, None)
    if suite is not None:
        suite.asker.close()


@contextmanager
def _imports() -> Iterator[None]:
    """Imports without garbage collection, whose results no later collection examines.

    A framework is a million objects that stay, and pytest collects several times at its end: two of six seconds.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each implementation, or for each implementation and check that concerns it."""
    wanted = {"norm_claim", "norm_measured", "norm_question"} & set(metafunc.fixturenames)
    if not wanted:
        return
    suite = metafunc.config.stash.get(SUITE, None)
    if suite is None:
        raise pytest.UsageError(
            "the properties need an implementation: add --norm KIND=TARGET, "
            "as in --norm layer_norm=torch.nn.functional:layer_norm"
        )
    if "norm_claim" in wanted:
        metafunc.parametrize("norm_claim", suite.claims, ids=suite.names(), scope="session")
        return
    if "norm_measured" in wanted:
        some = suite.measured()
        names = [f"{claim.kind}={claim.name}" for claim in some]
        metafunc.parametrize("norm_measured", some, ids=names, scope="session")
        return
    questions = suite.questions(metafunc.module.CHECKS)
    ids = [f"{claim.kind}={claim.name}-{check.name}" for claim, check in questions]
    metafunc.parametrize("norm_question", questions, ids=ids)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Remove the skipped tests that pytest makes for files without a check for the kinds of this run."""
    items[:] = [item for item in items if _is_asked(item)]


def _is_asked(item: pytest.Item) -> bool:
    """Whether an item of the suite has a claim to run on; other items have no such parameter."""
    wanted = {"norm_question", "norm_measured"} & set(getattr(item, "fixturenames", ()))
    callspec = getattr(item, "callspec", None)
    params = {} if callspec is None else callspec.params
    return all(name in params and _given(params[name]) for name in wanted)


def _given(value: Any) -> bool:
    """Whether a parameter is a claim, or a claim and a check, and not pytest's mark of an empty set."""
    return type(value).__module__.startswith("normcheck.") or isinstance(value, tuple)


@pytest.fixture
def norm_ask(request: pytest.FixtureRequest) -> Any:
    """Run a check of a claim, or bind it where the check is None; a finding fails the test."""
    suite = request.config.stash[SUITE]

    def ask(claim: Any, check: Any | None) -> None:
        _settle(request, suite.ask(claim, check, last=LAST in request.node.stash), of_suite=True)

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
    ) -> None:
        """Check a target as a normalizer; the test fails with every law that does not hold.

        target: a function, a torch.nn.Module class or instance, a pair of numpy functions, or the text that names one.
        as_: the kind, as in "layer_norm". contract: conventions that differ, as in {"eps-place": "outside"}.
        """
        from normcheck.core.errors import UsageError

        config = self._request.config
        words = [f"{key}={value}" for key, value in (contract or {}).items()]
        chosen = effort or config.getoption("norm_effort") or config.getini("norm_effort")
        try:
            limits = isolation_options.limits(config, ()) if isinstance(target, str) else None
            with _imports():
                from normcheck.pytest_plugin.suite_run import settings_of, verify_events
            events = verify_events(target, as_, words, settings_of(config, chosen, limits))
        except UsageError as error:
            pytest.fail(f"normcheck: {error}", pytrace=False)
        _settle(self._request, list(events))


@pytest.fixture
def normcheck(request: pytest.FixtureRequest) -> Verifier:
    """`normcheck.verify(MyNorm, as_="layer_norm")` checks it as `pytest --norm` does, inside one test."""
    return Verifier(request)


def _settle(request: pytest.FixtureRequest, events: list[Any], *, of_suite: bool = False) -> None:
    """Keep the events, and end the test as their outcomes demand: failed, skipped, or passed.

    of_suite: whether the test is a property of the suite, of which one that fails by a known cause has no block.
    """
    from normcheck.core.events import outcomes_of, record
    from normcheck.pytest_plugin import failure_messages

    request.node.stash.setdefault(EVENTS, []).extend(map(record, events))
    found = outcomes_of(events)
    request.node.user_properties += report_options.properties(found)  # pytest's own --junitxml writes them
    records = [one.record() for one in found]
    request.node.stash[KNOWN] = of_suite and failure_messages.is_known(request.config, records)
    text = failure_messages.text(request.config, records)
    if text:
        pytest.fail(text, pytrace=False)
    if all(one.status == "skipped" for one in found):
        pytest.skip(found[0].reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The events of a test travel with its report, from a worker process too."""
    report = yield
    if report.when == "call" and EVENTS in item.stash:
        from normcheck.core.safe_text import safe
        from normcheck.pytest_plugin import failure_messages

        report.sections = [(name, safe(content)) for name, content in report.sections]  # what foreign code printed
        report.__dict__["normcheck"] = item.stash[EVENTS]
        report.__dict__["normcheck_known"] = item.stash.get(KNOWN, False)
        failure_messages.first_line(report)
    return report


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    """A category of its own for properties that fail by a known cause: in the list of failures a cause is once."""
    if not hasattr(report, "normcheck_known"):
        return None
    from normcheck.pytest_plugin import failure_messages

    return failure_messages.category(report)


class ReportGate:
    """Loads the collector of events when the first report with events arrives in the controlling process."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collector: Any = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._collector is None:
            if not getattr(report, "normcheck", []):
                return
            from normcheck.pytest_plugin.collector import Collector

            self._collector = Collector(self._config)
            self._config.pluginmanager.register(self._collector, "normcheck-collector")
        self._collector.take(report)
