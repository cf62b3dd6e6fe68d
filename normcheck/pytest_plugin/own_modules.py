"""Imports of normcheck's own modules in a session of pytest: as they were installed, not compiled again.

pytest rewrites the assertions of every module of a distribution that has a plugin, and keeps the result only where
bytecode may be written: in a container with PYTHONDONTWRITEBYTECODE=1 each start would compile all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class _OwnModules(MetaPathFinder):
    """Finds the modules below normcheck before pytest does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, path, target) if fullname.startswith("normcheck.") else None


def install() -> None:
    """Put the finder first, once in a process."""
    if not any(isinstance(finder, _OwnModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OwnModules())
