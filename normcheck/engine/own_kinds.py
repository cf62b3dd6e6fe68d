"""Kinds that a project defines in its conftest, for commands that run outside of pytest."""

from __future__ import annotations

from pathlib import Path

from normcheck import families
from normcheck.frameworks.load import load

HOOK = "pytest_normcheck_normalizers"
"""The function of a conftest that returns them."""


def add_from(folder: Path) -> tuple[str, ...]:
    """Add the kinds that the conftest of a folder defines to the catalog; returns their names.

    A conftest without the hook is not run. Raises `UsageError` for one that raises, and for kinds that cannot be added.
    """
    file = folder / "conftest.py"
    if not file.is_file() or HOOK not in file.read_text(encoding="utf-8", errors="replace"):
        return ()
    return tuple(families.add(entry) for entry in load(f"{file}:{HOOK}")())
