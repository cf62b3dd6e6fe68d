"""What the parts of the plugin keep on the items and the config of pytest."""

from __future__ import annotations

from typing import Any

import pytest

RECORDS = pytest.StashKey[list[dict[str, Any]]]()
"""On an item: the outcomes of its checks, as plain data."""
SPEED = pytest.StashKey[list[dict[str, Any]]]()
"""On an item: its entry of the record's list of speeds, with the implementation that it is about."""
SESSION = pytest.StashKey[Any]()
"""On the config: the claims and settings of this run; absent where nothing is named."""
