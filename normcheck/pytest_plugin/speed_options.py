"""Timing in pytest: its options, its file of the suite, its entries in the record.

Imports nothing beyond pytest. The modules that measure are imported in a run that times, before any implementation.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from normcheck.pytest_plugin.stash_keys import properties

LIMITS = ("norm_max_slowdown", "norm_max_memory", "norm_max_regression")


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--norm-max-slowdown", type=float, metavar="R",
        help="fail if, with confidence, slower than R times torch's own function",
    )  # fmt: skip
    group.addoption(
        "--norm-max-memory",
        type=float,
        metavar="R",
        help="fail if a pass holds more than R times the memory that it must keep",
    )
    group.addoption(
        "--norm-max-regression", type=float, metavar="R",
        help="fail if, with confidence, the ratio to torch's own function is more than R times that of the latest run "
        "that pytest-benchmark has saved on this machine (--benchmark-save, --benchmark-autosave)",
    )  # fmt: skip
    group.addoption(
        "--norm-beside", default="fused,eager", metavar="NAMES",
        help="what it is timed beside: of fused, eager, compiled; the first that a kind has is judged against",
    )  # fmt: skip
    group.addoption("--norm-device", default="cpu", metavar="NAME", help="where it runs: cpu, cuda, cuda:N")


def is_timed(config: pytest.Config) -> bool:
    """Whether this run times implementations."""
    limited = any(config.getoption(name) is not None for name in LIMITS)
    return limited or any(config.getoption(name, False) for name in ("benchmark_only", "benchmark_enable"))


def prepare(config: pytest.Config) -> None:
    """Import what measures before any implementation is imported, and select the device.

    Raises `UsageError` for options that are invalid or cannot be combined.
    """
    device = config.getoption("norm_device")
    if not is_timed(config) and device == "cpu":
        return
    from normcheck.pytest_plugin import speed_plugin

    speed_plugin.place(config, device)
    if is_timed(config):
        speed_plugin.settle(config)
        config.pluginmanager.register(speed_plugin, "normcheck-speed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The file that times is not collected in a run that does not time."""
    ours = collection_path.name == "test_speed.py" and collection_path.parent == properties()
    return True if ours and not is_timed(config) else None
