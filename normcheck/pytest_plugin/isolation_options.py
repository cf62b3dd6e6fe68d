"""The options of isolation: each implementation in a process of its own, with limits on time and memory."""

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
    parser.addini("norm_isolate_seconds", "with --norm-isolate: seconds for one answer", default="30")
    parser.addini("norm_isolate_total_seconds", "with --norm-isolate: seconds for one implementation", default="3600")
    parser.addini("norm_isolate_gigabytes", "with --norm-isolate: memory of a process", default="4")


def limits(config: pytest.Config, claims: Iterable[Any]) -> Any:
    """The limits of an isolated run; None for a run in this process.

    Raises `UsageError` for limits that are not numbers above 0, and for a claim without a kind: identifying it would
    run it in this process.
    """
    if not config.getoption("norm_isolate"):
        return None
    from normcheck.core.errors import UsageError
    from normcheck.engine.settings import isolation_limits

    for claim in claims:
        if isinstance(claim, str) and "=" not in claim:
            raise UsageError(f"{claim}: isolation needs its kind, as in --norm layer_norm={claim} --norm-isolate")
    words = (config.getini(f"norm_isolate_{name}") for name in ("seconds", "gigabytes", "total_seconds"))
    return isolation_limits(*words)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Mark the last test of each implementation, after which its process is asked to end."""
    last = {}
    for item in session.items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if "norm_question" in params:
            last[params["norm_question"][0]] = item
    for item in last.values():
        item.stash[LAST] = True
