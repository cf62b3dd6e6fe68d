"""What the parts of the plugin share: keys on items and config of pytest, and the folder of the property suite."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

EVENTS = pytest.StashKey[list[dict[str, Any]]]()
"""On an item: the events of its checks, as plain data."""
KNOWN = pytest.StashKey[bool]()
"""On an item: whether it fails, if at all, by a cause of which a finding is written in full already."""
LAST = pytest.StashKey[bool]()
"""On an item: no check of the same implementation follows in this session."""
SPEED = pytest.StashKey[list[dict[str, Any]]]()
"""On an item: its entry of the record's list of speeds, with the implementation that it is about."""
SUITE = pytest.StashKey[Any]()
"""On the config: the `SuiteRun` of this session; absent where no implementation is named."""


def properties() -> Path:
    """The folder of the property suite, in a checkout as in a wheel."""
    spec = importlib.util.find_spec("normcheck.properties")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))
