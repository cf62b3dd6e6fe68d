"""What the parts of the plugin share: keys on items and config of pytest, and the folder of the property suite."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LINES = pytest.StashKey[list[dict[str, Any]]]()
"""On an item, in a worker process: the lines of the journal that leave with its next report."""
FIRST_LINES = pytest.StashKey[list[dict[str, Any]]]()
"""On the config, in a worker process: the lines that leave with its first report."""
SINK = pytest.StashKey[Callable[[dict[str, Any]], None]]()
"""On the config of the controlling process: takes a line of the journal at once."""
KNOWN = pytest.StashKey[bool]()
"""On an item: whether it fails, if at all, by a cause of which a finding is written in full already."""
LAST = pytest.StashKey[bool]()
"""On an item: no check of the same implementation follows in this session."""
PROCESS = os.getpid()
"""The process that has loaded the plugin; pytest-forked runs each test in a copy of it."""
RESUMED = pytest.StashKey[Any]()
"""On the config of the controlling process: the journal that this run goes on from, and what it has answered."""
SUITE = pytest.StashKey[Any]()
"""On the config: the `SuiteRun` of this session; absent where no implementation is named."""


def properties() -> Path:
    """The folder of the property suite, in a checkout as in a wheel."""
    spec = importlib.util.find_spec("normcheck.properties")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def emit(item: pytest.Item, line: dict[str, Any]) -> None:
    """Let a line of the journal leave: at once in the controlling process, elsewhere with a report."""
    sink = item.config.stash.get(SINK, None)
    if sink is None or os.getpid() != PROCESS:
        item.stash.setdefault(LINES, []).append(line)
    else:
        sink(line)


def drained(stash: pytest.Stash, key: pytest.StashKey[list[Any]]) -> list[Any]:
    """The list under a key, which is removed; empty where there is none."""
    found = stash.get(key, [])
    if key in stash:
        del stash[key]
    return found
