"""The options of isolation: implementations in processes of their own, with limits on time and memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from normcheck.pytest_plugin.stash_keys import LAST


def add_options(group: pytest.OptionGroup, parser: pytest.Parser) -> None:
    group.addoption(
        "--norm-isolate", action="store_true",
        help="each implementation in a process of its own, with a limit on time and memory",
    )  # fmt: skip
    group.addoption(
        "--norm-in-process", action="store_true",
        help="every implementation in this process, even code that can end it (of C, of Triton's interpreter)",
    )  # fmt: skip
    parser.addini("norm_isolate_seconds", "in a process of its own: seconds for one answer", default="30")
    parser.addini("norm_isolate_total_seconds", "in a process of its own: seconds for one implementation",
                  default="3600")  # fmt: skip
    parser.addini("norm_isolate_gigabytes", "memory of such a process", default="4")


def isolation(config: pytest.Config, claims: Iterable[Any]) -> Any:
    """Which implementations have a process of their own, with its limits; None: no one has.

    Raises `UsageError` for limits that are not numbers above 0, and for a claim without a kind: identifying it would
    run it in this process.
    """
    every = bool(config.getoption("norm_isolate"))
    from normcheck.core.errors import UsageError
    from normcheck.engine.isolation import isolation as of_claims
    from normcheck.engine.settings import isolation_limits

    if config.getoption("norm_in_process"):
        if every:
            raise UsageError("--norm-isolate and --norm-in-process cannot be combined: leave one of them out")
        return None
    words = (config.getini(f"norm_isolate_{name}") for name in ("seconds", "gigabytes", "total_seconds"))
    return of_claims(isolation_limits(*words), claims, every=every)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Mark the last test of each implementation, after which its process is asked to end."""
    last = {}
    for item in session.items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "norm_question" in params:
            last[params["norm_question"][0]] = item
    for item in last.values():
        item.stash[LAST] = True
