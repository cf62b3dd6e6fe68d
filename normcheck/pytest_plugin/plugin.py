"""The pytest plugin: options, hooks, fixtures, and collection of the property suite.

Every pytest run in an environment with normcheck loads it, so it imports nothing beyond pytest until an implementation
is named.
"""

from __future__ import annotations

from typing import Any

import pytest

from normcheck.pytest_plugin import asking, isolation_options, own_modules, project, report_options, seed, speed_options
from normcheck.pytest_plugin.quiet_imports import quiet_imports
from normcheck.pytest_plugin.stash_keys import SINK, SUITE, properties

EFFORTS = ("smoke", "quick", "default", "deep")
GRADIENTS = ("full", "mean-constant", "variance-constant", "statistics-constant")


class Hooks:
    """Hooks that a conftest may implement."""

    @pytest.hookspec
    def pytest_normcheck_implementations(self) -> list[Any]:
        """Return `normcheck.Implementation` values to check in this project."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_normcheck_normalizers(self) -> list[Any]:
        """Return `normcheck.DefinedNormalizer` values: kinds of this project, beside those of the catalog."""
        raise NotImplementedError

    @pytest.hookspec
    def pytest_normcheck_event(self, event: Any) -> None:
        """Receive each event of a run, as `normcheck.check` gives them to `progress`; in the controlling process."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(Hooks)


GROUPS = {
    "what is checked": "--norm batch_norm=./mine.py:MyBatchNorm",
    "how it is checked": "--norm layer_norm=./mine.py:f --norm-effort quick --norm-strict",
    "what is written and read": "--norm layer_norm=./mine.py:f --norm-json run.json",
    "speed": "--norm layer_norm=./mine.py:f --benchmark-only --norm-max-slowdown 1.5",
}
"""The groups of options in `pytest --help`, each with an example."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group, conditions, written, timed = (
        parser.getgroup(f"normcheck {topic}", f"normalization layers: {topic}\n  example: pytest {example}\n  options")
        for topic, example in GROUPS.items()
    )
    group.addoption(
        "--norm", action="append", default=[], metavar="[KIND=]TARGET",
        help="check this implementation as that normalizer, as in layer_norm=mypkg.kernels:fast_layer_norm or "
        "batch_norm=./mine.py:MyBatchNorm (repeatable); without a kind, as what it is found to be",
    )  # fmt: skip
    group.addoption(
        "--norm-package", action="append", default=[], metavar="PACKAGE",
        help="check all code of this package that is marked with @normcheck.normalizer (repeatable)",
    )  # fmt: skip
    conditions.addoption(
        "--norm-contract", action="append", default=[], metavar="KEY=VALUE",
        help="a convention that differs from torch's, as in eps-place=outside (repeatable)",
    )  # fmt: skip
    conditions.addoption("--norm-gradient", choices=GRADIENTS, help="the gradient that is claimed (default: full)")
    conditions.addoption(
        "--norm-translated", metavar="NAMES",
        help="programs made of the code that must be right too: of compiled, exported, onnx, joined by commas",
    )  # fmt: skip
    conditions.addoption(
        "--norm-input-shape", action="append", default=[], metavar="SHAPE",
        help="an input shape of yours, as in 32x768, that is asked beside those of the suite (repeatable)",
    )  # fmt: skip
    conditions.addoption("--norm-effort", choices=EFFORTS, help="examples per property (default: default)")
    conditions.addoption(
        "--norm-ranks", type=int, choices=(2, 3, 4), metavar="N",
        help="processes that run an implementation which divides its input among processes (default: 3)",
    )  # fmt: skip
    conditions.addoption("--norm-strict", action="store_true", default=None, help="let warnings fail too")
    conditions.addoption("--norm-replay", metavar="ID", help="ask one case again, by the id that its finding gives")
    conditions.addoption(
        "--norm-accept", metavar="REASON",
        help="write the findings of this run to pyproject.toml as expected, with this reason",
    )  # fmt: skip
    seed.add_options(conditions)
    report_options.add_options(written)
    isolation_options.add_options(conditions, parser)
    speed_options.add_options(timed)
    parser.addini("norm", "implementations to check, KIND=TARGET a line", type="linelist", default=[])
    parser.addini("norm_package", "packages whose marked code is checked", type="linelist", default=[])
    parser.addini(
        "norm_contract", "conventions that differ from torch's, KEY=VALUE a line", type="linelist", default=[]
    )
    parser.addini("norm_strict", "let warnings fail too", type="bool", default=False)
    parser.addini("norm_effort", "examples per property: smoke, quick, default or deep", default="")


def _claims(config: pytest.Config) -> list[Any]:
    """The implementations to check: those of the options, or else those of the project (ini, table, hooks)."""
    if _named(config):
        return [*config.getoption("norm"), *_marked(config.getoption("norm_package"))]
    found: list[Any] = [*config.getini("norm"), *project.said(config, "implementations", ())]
    found += _marked([*config.getini("norm_package"), *project.said(config, "packages", ())])
    for more in config.hook.pytest_normcheck_implementations():
        found += more
    return found


def _named(config: pytest.Config) -> bool:
    """Whether options name implementations, so that this run is about nothing else."""
    return bool(config.getoption("norm") or config.getoption("norm_package"))


def _marked(packages: list[str]) -> list[Any]:
    """The marked implementations of packages."""
    if not packages:
        return []
    from normcheck.core.errors import UsageError
    from normcheck.engine.marked import marked

    try:
        return [one for package in packages for one in marked(package)]
    except UsageError as error:
        raise pytest.UsageError(f"normcheck: {error}") from None


def _add_kinds(config: pytest.Config) -> None:
    """Add the kinds of this project to the catalog."""
    own = [entry for some in config.hook.pytest_normcheck_normalizers() for entry in some]
    if not own:
        return
    from normcheck import families
    from normcheck.core.errors import UsageError

    try:
        for entry in own:
            families.add(entry)
    except UsageError as error:
        raise pytest.UsageError(f"normcheck: {error}") from None


@pytest.hookimpl(trylast=True)  # a profile that is named on the command line is loaded before
def pytest_configure(config: pytest.Config) -> None:
    controls = not hasattr(config, "workerinput")
    if controls:
        gate = ReportGate(config)
        config.stash[SINK] = gate.take
        config.pluginmanager.register(gate, "normcheck-reports")
        config.pluginmanager.register(seed, "normcheck-seed")
    config.pluginmanager.register(asking, "normcheck-asking")
    config.pluginmanager.register(speed_options, "normcheck-speed-options")
    config.pluginmanager.register(isolation_options, "normcheck-isolation-options")
    project.read(config)
    effort = project.effort(config)
    seed.settle(config, effort)
    _add_kinds(config)
    claims = _claims(config)
    if not claims and not report_options.asked_for(config):
        return
    from normcheck.core.errors import UsageError

    try:
        if claims:
            _prepare_suite(config, claims, effort)
        if controls:
            report_options.prepare(config)
        report_options.resume(config)
    except UsageError as error:
        raise pytest.UsageError(f"normcheck: {error}") from None
    if claims and config.args_source is pytest.Config.ArgsSource.ARGS:
        from normcheck.pytest_plugin.selection import placed

        config.args = placed(config)
    elif claims:
        suite = str(properties())
        config.args = [suite] if _named(config) else [*config.args, suite]


def _prepare_suite(config: pytest.Config, claims: list[Any], effort: str) -> None:
    """Make the run of the property suite, and register what it needs. Raises `UsageError` for invalid options."""
    own_modules.install()
    from normcheck.pytest_plugin import xdist

    config.pluginmanager.register(xdist, "normcheck-xdist")
    of_project = project.words(config)
    words = [*of_project, *config.getini("norm_contract"), *config.getoption("norm_contract")]
    if config.getoption("norm_gradient"):
        words.append(f"gradient={config.getoption('norm_gradient')}")
    if config.getoption("norm_input_shape"):
        words.append(f"input-shapes={','.join(config.getoption('norm_input_shape'))}")
    if config.getoption("norm_translated"):
        words.append(f"translated={config.getoption('norm_translated')}")
    limits = isolation_options.isolation(config, claims)  # before anything is loaded here
    speed_options.prepare(config)
    config.stash[SUITE] = _suite(config, claims, words, effort, limits)
    from normcheck.pytest_plugin import early_exit, selection

    config.pluginmanager.register(selection, "normcheck-selection")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(early_exit, "normcheck-early-exit")


def _suite(config: pytest.Config, claims: list[Any], words: list[str], effort: str, isolate: Any) -> Any:
    """The run of the property suite. Raises `UsageError` for options that cannot be understood."""
    with quiet_imports():
        from normcheck.pytest_plugin.suite_run import settings_of, suite_run

    return suite_run(claims, words, settings_of(config, effort, isolate))


def pytest_report_header(config: pytest.Config) -> str | None:
    suite = config.stash.get(SUITE, None)
    return seed.header(config, None if suite is None else suite.asker.settings.record())


def pytest_unconfigure(config: pytest.Config) -> None:
    suite = config.stash.get(SUITE, None)
    if suite is not None:
        suite.asker.close()


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


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    """A category of its own for properties that fail by a known cause: in the list of failures a cause is once."""
    if not hasattr(report, "normcheck_known"):
        return None
    from normcheck.pytest_plugin import failure_messages

    return failure_messages.category(report)


class ReportGate:
    """The way into the collector of a session, in the controlling process; it is loaded by the first line."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._collector: Any = None
        self._progress: Any = None

    def take(self, line: dict[str, Any]) -> None:
        """Take a line of the journal."""
        if self._progress is not None:
            self._progress.take(line)
        self._load().take(line)

    def _load(self) -> Any:
        if self._collector is None:
            from normcheck.pytest_plugin.collector import Collector

            self._collector = Collector(self._config)
            self._config.pluginmanager.register(self._collector, "normcheck-collector")
        return self._collector

    def pytest_sessionstart(self) -> None:
        """With a suite there is something to report in any case."""
        if SUITE in self._config.stash and not self._config.option.collectonly:
            from normcheck.pytest_plugin.progress_line import ProgressLine

            self._progress = ProgressLine(self._config)
            self._config.pluginmanager.register(self._progress, "normcheck-progress")
            self._load()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for line in getattr(report, "normcheck", []):
            self.take(line)
        if self._collector is not None:
            self._collector.judge(report)
