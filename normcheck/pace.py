"""Where the question of speed enters and leaves pytest: its options, its file of the suite, its way to the record.

Imports nothing beyond pytest; what times is imported where a run asks for it, and before any implementation is.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from normcheck.stash import SPEED, properties


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--norm-max-slowdown", type=float, metavar="R",
        help="fail if, with confidence, slower than R times torch's own function",
    )  # fmt: skip


def asked(config: pytest.Config) -> bool:
    """Whether this run asks for speed."""
    return config.getoption("norm_max_slowdown") is not None or any(
        config.getoption(name, False) for name in ("benchmark_only", "benchmark_enable")
    )


def prepare(config: pytest.Config) -> None:
    """Take the clock before any implementation is imported, where this run asks for speed."""
    if asked(config):
        from normcheck import plugin_speed

        config.pluginmanager.register(plugin_speed, "normcheck-speed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The question of speed is no part of a run that does not ask it, and costs it nothing."""
    ours = collection_path.name == "test_speed.py" and collection_path.parent == properties()
    return True if ours and not asked(config) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was measured travels with the report."""
    report = yield
    if report.when == "call" and SPEED in item.stash:
        report.__dict__["normcheck_speed"] = item.stash[SPEED]
    return report


def placed(run: dict[str, Any], speeds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The document of a run with what was measured, each entry at its implementation."""
    for one in run["implementations"]:
        own = (one["kind"], one["target"])
        one["speed"] = [s["entry"] for s in speeds if (s["kind"], s["target"]) == own]
    return run
