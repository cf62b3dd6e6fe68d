"""What a run leaves to chance: nothing, unless a seed is asked for; and then a number that is said, and repeats it."""

from __future__ import annotations

import random
from typing import Any

import pytest

RANDOM = "random"
"""The word for a seed that nobody has chosen."""
TOLD = "normcheck_seed"


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--norm-seed", metavar=f"N|{RANDOM}",
        help="search other cases than those that every run repeats: those of this number; random draws a number and "
        "says it, as --norm-effort deep does unless it gets one",
    )  # fmt: skip


def settle(config: pytest.Config, effort: str) -> None:
    """Draw the number where one is to be drawn: once, in the controlling process.

    The processes of pytest-xdist read the command line anew, and are told. Raises `pytest.UsageError` for a word that
    is no seed.
    """
    told = getattr(config, "workerinput", {}).get(TOLD)
    word = told or config.getoption("norm_seed") or _of_hypothesis(config) or (RANDOM if effort == "deep" else "")
    if word == RANDOM:
        word = str(random.SystemRandom().randrange(1 << 32))
    if word and not word.isdecimal():
        raise pytest.UsageError(f"normcheck: --norm-seed {word}: a seed is a number from 0 on, or the word {RANDOM}")
    config.option.norm_seed = word


def seed(config: pytest.Config) -> int | None:
    """The seed of a run that is settled; None where every run asks the same cases."""
    word = config.getoption("norm_seed")
    return int(word) if word else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """What a process of pytest-xdist is told."""
    node.workerinput[TOLD] = node.config.option.norm_seed


def _of_hypothesis(config: pytest.Config) -> str:
    """The number of Hypothesis' own option, which holds for all tests of a project; its own random is its own."""
    word = str(config.getoption("--hypothesis-seed", None) or "")
    return word if word.isdecimal() else ""


def header(config: pytest.Config, settings: dict[str, Any] | None) -> str | None:
    """The options that repeat a run, printed before anything can go wrong. settings: None where no suite runs."""
    if settings is None:  # the tests of a project may use the fixture
        return f"normcheck: --norm-seed {config.option.norm_seed}" if config.option.norm_seed else None
    from normcheck.report.terminal import repeated

    return f"normcheck: {repeated(settings)}"
