"""The versions of what is installed, read without importing it."""

from __future__ import annotations

import platform
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec

from normcheck.frameworks.registry import packages

BESIDE = ("pytest", "hypothesis")
"""Packages beside the frameworks on which a result may depend."""


def versions() -> dict[str, str]:
    """Python, and the installed packages that a result may depend on."""
    owners = metadata.packages_distributions()
    out = {"Python": platform.python_version()}
    for name in (*BESIDE, *packages()):
        if find_spec(name) is not None:
            with suppress(metadata.PackageNotFoundError, IndexError):
                out[name] = metadata.version(owners.get(name, [])[0])
    return out
