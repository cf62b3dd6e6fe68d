"""The seed of a run. Without one every run uses the same cases; with one, the number is printed and repeats the run."""

from __future__ import annotations

import random
from typing import Any

import pytest

RANDOM = "random"
"""The word for a seed that is drawn when the run starts."""
WORKER_KEY = "normcheck_seed"


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--norm-seed", metavar=f"N|{RANDOM}",
        help="search other cases than those that every run repeats: those of this number; random draws a number and "
        "says it, as --norm-effort deep does unless it gets one",
    )  # fmt: skip


def settle(config: pytest.Config, effort: str) -> None:
    """Set the seed of the run. A random one is drawn once, in the controlling process, which sends it to its workers.

    Raises `pytest.UsageError` for a word that is not a seed.
    """
    sent = getattr(config, "workerinput", {}).get(WORKER_KEY)
    word = sent or config.getoption("norm_seed") or _of_hypothesis(config) or (RANDOM if effort == "deep" else "")
    if word == RANDOM:
        word = str(random.SystemRandom().randrange(1 << 32))
    if word and not word.isdecimal():
        raise pytest.UsageError(f"normcheck: --norm-seed {word}: a seed is a number from 0 on, or the word {RANDOM}")
    config.option.norm_seed = word


def seed(config: pytest.Config) -> int | None:
    """The seed of a run after `settle`; None where every run uses the same cases."""
    word = config.getoption("norm_seed")
    return int(word) if word else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the seed to a process of pytest-xdist."""
    node.workerinput[WORKER_KEY] = node.config.option.norm_seed


def _of_hypothesis(config: pytest.Config) -> str:
    """The number of Hypothesis' own option, which applies to all tests of a project; not its word "random"."""
    word = str(config.getoption("--hypothesis-seed", None) or "")
    return word if word.isdecimal() else ""


def header(config: pytest.Config, settings: dict[str, Any] | None) -> str | None:
    """The options that repeat a run, printed before anything can go wrong. settings: None where no suite runs."""
    if settings is None:  # the tests of a project may use the fixture
        return f"normcheck: --norm-seed {config.option.norm_seed}" if config.option.norm_seed else None
    from normcheck.report.terminal.run_summary import replay_options

    return f"normcheck: {replay_options(settings)}"
