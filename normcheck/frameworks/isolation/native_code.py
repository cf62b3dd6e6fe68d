"""Targets whose code can end the process in which it runs: they have one of their own without being asked.

A wrong address in a function of C, or in a kernel of Triton under its interpreter, ends the process and with it pytest.
What is known of a target without importing it is its text, and the file that the text names.
"""

from __future__ import annotations

import ast
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from normcheck.core.target import split
from normcheck.core.working_directory import import_from_here
from normcheck.frameworks.c.library import is_c

INTERPRETED = {"TRITON_INTERPRET": ("triton", "a kernel of Triton under its interpreter")}
"""Variables that, set to 1, let kernels run in this process, with the package of such kernels and their name."""


def native_code(target: Any) -> str:
    """What a target is, if it can end the process in which it runs; empty for any other."""
    if not isinstance(target, str):
        return ""
    place = split(target)[0]
    if is_c(place):
        return "a function of C"
    chosen = [one for variable, one in INTERPRETED.items() if os.environ.get(variable) == "1"]
    imported = _imported(place) if chosen else set()
    return next((what for package, what in chosen if package in imported), "")


def _imported(place: str) -> set[str]:
    """The packages that the file of a target imports anywhere; none of a file that cannot be found or read."""
    try:
        path = _file(place)
        tree = ast.parse(b"" if path is None else path.read_bytes())
    except (OSError, SyntaxError, ValueError, ImportError):
        return set()
    names = [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.partition(".")[0] for name in names}


def _file(place: str) -> Path | None:
    """The file of a module, which is not imported; None where there is none, as of a module built into Python."""
    if place.endswith(".py") or "/" in place:
        return Path(place).expanduser()
    import_from_here()
    root, *parts = place.split(".")
    spec = find_spec(root)
    if spec is None or not parts:
        return None if spec is None or spec.origin is None else Path(spec.origin)
    places = [Path(folder, *parts) for folder in spec.submodule_search_locations or ()]
    found = [file for one in places for file in (one.with_suffix(".py"), one / "__init__.py") if file.is_file()]
    return next(iter(found), None)
