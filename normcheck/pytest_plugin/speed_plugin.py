"""Timing in pytest: loaded only in a run that times, before any implementation is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from normcheck.bench import limits, memory, saved, speed, torch_device
from normcheck.bench.baselines import parse_names
from normcheck.bench.ceilings import bandwidth_curve
from normcheck.bench.grid import GRIDS
from normcheck.bench.traffic import FORWARD, PASSES
from normcheck.core.errors import CallError, UsageError
from normcheck.core.events import Event
from normcheck.core.result import PASSED, SKIPPED, Outcome
from normcheck.engine.asker import CALL, checks_of
from normcheck.engine.claims import Claim
from normcheck.engine.journal import event_line
from normcheck.engine.verdict import environment
from normcheck.families import CHECKS_BY_NAME
from normcheck.pytest_plugin.stash_keys import SUITE, emit
from normcheck.pytest_plugin.suite_run import SuiteRun
from normcheck.report import speed as speed_report

SETTING = pytest.StashKey[speed.SpeedSetting]()
MACHINE = pytest.StashKey[dict[str, Any]]()
"""On the config: the options of timing, and the machine as the record has it."""


LEAST = {"slowdown": 0.0, "memory": 1.0, "regression": 0.0}
"""The limits of a run, each with its least allowed value."""


def place(config: pytest.Config, name: str) -> None:
    """Put the tensors of every case on that device. Raises `UsageError` for a device that this machine lacks."""
    torch_device.find_device(name)
    if name != torch_device.CPU and config.getoption("norm_isolate", None):
        raise UsageError("--norm-device and --norm-isolate cannot be combined: leave one of them out")
    config.add_cleanup(torch_device.use_device(name))  # the next run in this process is where it was


def settle(config: pytest.Config) -> None:
    """Read the options of timing. Raises `UsageError` for limits that no implementation can keep."""
    limited = {name: config.getoption(f"norm_max_{name}") for name in LEAST}
    for name, value in limited.items():
        if value is not None and not (value > 0.0 and value >= LEAST[name]):
            least = f"{LEAST[name]:g} or more" if LEAST[name] else "a number above 0"
            raise UsageError(f"--norm-max-{name} {value:g}: nothing can hold it; give {least}")
    found = speed.SpeedSetting(
        limited["slowdown"], limited["memory"], torch_device.find_device(config.getoption("norm_device"))
    )
    config.stash[SETTING] = replace(found, baselines=parse_names(config.getoption("norm_beside")))


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add the torch version, threads and device to what pytest-benchmark saves with a run."""
    where = config.stash[SETTING].device.name
    machine_info[saved.MACHINE_KEY] = {
        "torch": environment()["torch"],
        "threads": torch_device.threads(),
        "device": where,
    }


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each shape and pass, and for each pass and size to grow."""
    suite = metafunc.config.stash.get(SUITE, None)
    effort = "default" if suite is None else suite.asker.settings.effort
    if "norm_shape" in metafunc.fixturenames:
        metafunc.parametrize("norm_shape", GRIDS[effort], ids=str)
    if "norm_pass" in metafunc.fixturenames:
        metafunc.parametrize("norm_pass", PASSES if effort == "deep" else (FORWARD,))
        metafunc.parametrize("norm_over", speed.GROWTH_SIZES)


def _correctness(suite: SuiteRun, claim: Claim) -> tuple[list[Outcome], list[Event]]:
    """The outcomes of what must hold before a claim is timed, and the events of those checks that had not run yet."""
    events = [] if (claim, CALL) in suite.outcomes else list(suite.ask(claim, None))
    called = suite.outcomes[claim, CALL]
    if called.status != PASSED:
        return [called], events
    checks = checks_of(claim, [CHECKS_BY_NAME[name] for name in speed.REQUIRED_CHECKS], suite.asker.settings)
    for check in checks:
        if (claim, check.name) not in suite.outcomes:
            events += suite.ask(claim, check)
    return [called, *(suite.outcomes[claim, check.name] for check in checks)], events


def _subject(request: pytest.FixtureRequest, claim: Claim) -> Any:
    """The implementation, if it can be timed here and is right; else the test is skipped or fails, with the reason."""
    suite: SuiteRun = request.config.stash[SUITE]
    if hasattr(request.config, "workerinput"):
        pytest.skip("no timing beside other workers: run without -n")
    right, events = _correctness(suite, claim)
    for event in events:
        emit(request.node, event_line(request.node.nodeid, event))
    if suite.asker.has_process(claim):
        pytest.skip("no timing through a process of its own: add --norm-in-process, and no --norm-isolate")
    wrong = [o for o in right if o.status not in (PASSED, SKIPPED)]
    if wrong:
        pytest.fail(f"not timed: {claim.name} is wrong, see {wrong[0].check}: {wrong[0].reason}", pytrace=False)
    found = suite.asker.subject(claim)
    if not speed.can_be_timed(found):
        pytest.skip(f"a {claim.kind} has no baseline to be timed beside")
    return found


def _timed(work: Callable[[], Any]) -> Any:
    """The result of a measurement. A refused call fails the test; what cannot be timed skips it."""
    try:
        return work()
    except (CallError, UsageError) as error:
        text, refused = str(error), isinstance(error, speed.RefusedError)
    if refused:
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def _machine(config: pytest.Config) -> dict[str, Any]:
    """The machine as the record has it: processor, device, threads, and bandwidth of its memory."""
    if MACHINE not in config.stash:
        info = _benchmarks(config).get_machine_info()
        where = config.stash[SETTING].device
        config.stash[MACHINE] = {
            "processor": str(info.get("cpu", {}).get("brand_raw", "unknown")), "device": where.name,
            "threads": torch_device.threads(), "ceiling": limits.ceiling_entry(bandwidth_curve(where)),
        }  # fmt: skip
    return config.stash[MACHINE]


def _benchmarks(config: pytest.Config) -> Any:
    """The session of pytest-benchmark, which has the machine and the saved runs."""
    return config._benchmarksession  # type: ignore[attr-defined]  # noqa: SLF001  # it offers no other way


def _keep(request: pytest.FixtureRequest, claim: Any, what: str, entry: dict[str, Any]) -> None:
    measured = {"kind": claim.kind, "target": claim.name, "machine": _machine(request.config), what: entry}
    emit(request.node, {"test": request.node.nodeid, "speed": measured})


def _regression(config: pytest.Config, claim: Any, entry: dict[str, Any]) -> saved.Regression | None:
    limit, benchmarks = config.getoption("norm_max_regression"), _benchmarks(config)
    if limit is None:
        return None
    named = entry | {"kind": claim.kind, "target": claim.name}
    return saved.compare_to_saved(named, benchmarks.storage.load(), benchmarks.get_machine_info(), limit)


@pytest.fixture
def norm_time(request: pytest.FixtureRequest) -> Any:
    """Time a claim, if it is right, and judge it by the limits of this run."""
    config = request.config

    def timed(claim: Any, question: Any, benchmark: Any) -> None:
        benchmark.skipped = True  # until it is used: pytest-benchmark warns of a fixture that is not
        found = _subject(request, claim)
        result = _timed(lambda: speed.measure_speed(found, question, config.stash[SETTING]))
        benchmark.skipped = False
        _timed(lambda: speed.save_benchmark(benchmark, found, result))
        entry = speed.record(result)
        grown = _regression(config, claim, entry)
        entry["regression"] = None if grown is None else grown.record()
        _keep(request, claim, "speed", entry)
        broken = _broken(entry, speed.describe(result))
        if broken:
            pytest.fail("\n".join(f"{claim.name}: {one}" for one in broken), pytrace=False)

    return timed


def _broken(entry: dict[str, Any], measured: str) -> list[str]:
    """A sentence for each limit that does not hold."""
    out = []
    if entry["verdict"] == speed.SLOWER:
        out.append(f"{measured}; allowed {entry['limit']:g}")
    if entry["memory_verdict"] == memory.MORE:
        out.append(entry["memory_reason"])
    regression = entry["regression"]
    if regression is not None and regression["verdict"] == speed.SLOWER:
        low, high = regression["before"]
        out.append(f"{measured}; it was [{low:.2f}, {high:.2f}] in {regression['source']}, allowed is "
                   f"{regression['limit']:g} times that")  # fmt: skip
    return out


@pytest.fixture
def norm_grow(request: pytest.FixtureRequest) -> Any:
    """Measure how the time of a claim grows with its sizes, if it is right."""
    setting = request.config.stash[SETTING]

    def grown(claim: Any, part: str, over: str) -> None:
        found = _subject(request, claim)
        entry = _timed(lambda: speed.measure_growth(found, part, over, setting))
        _keep(request, claim, "growth", entry)
        fit = entry["time"]
        if setting.slowdown is not None and fit["verdict"] == speed.QUADRATIC:
            text = f"the time of a {part} grows as {speed_report.growth_law(entry)}; a normalizer's is linear"
            pytest.fail(f"{claim.name}: {text}", pytrace=False)

    return grown
