"""What holds for every test of this project."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Search paths and modules that a test loads are gone after it: those of the next may bear the same names."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name == "mine" or name.startswith(("_normcheck_target_", "nc_")):
            del sys.modules[name]
