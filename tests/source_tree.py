"""The modules of normcheck as syntax trees: their names, their rooms, and what each of them imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parent.parent

ROOT_MODULE = "normcheck"
"""The name here of `normcheck/__init__.py`; every other module is named by its path below `normcheck`."""

ROOM_OF = {ROOT_MODULE: "api", "__main__": "cli"}
"""Rooms of the two modules that are not named after theirs: what `import normcheck` gives is the API."""


def _module_names(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join((prefix, *(part for part in parts if part != "__init__"))).strip(".")
        yield name or ROOT_MODULE, path


FILES: dict[str, Path] = dict([
    *_module_names(ROOT / "normcheck", ""), *_module_names(ROOT / "properties", "properties"),
])  # fmt: skip
"""Every module of the package by its name; `properties` is shipped as `normcheck.properties`."""

TREES = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in FILES.items()}


def matches(name: str, *patterns: str) -> bool:
    """Whether a module is one of the patterns, or lies in a folder that is one. `*` stands for any text."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in patterns)


def room(name: str) -> str:
    """The folder or file directly below `normcheck` in which a module lies."""
    return ROOM_OF.get(name, name.partition(".")[0])


def place(name: str, line: int) -> str:
    """File and line, as failures print them."""
    return f"{FILES[name].relative_to(ROOT)}:{line}"


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The full name of every module that is imported, at the top or inside a function, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                below = own_name(f"{module}.{alias.name}")
                yield f"{module}.{alias.name}" if below in FILES else module, node.lineno


def own_name(module: str) -> str:
    """The name here of a module of normcheck, the empty text for any other."""
    if module == "normcheck":
        return ROOT_MODULE
    return module.removeprefix("normcheck.") if module.startswith("normcheck.") else ""


def own_imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The modules of normcheck that are imported, by their names here, with the line."""
    return ((own_name(module), line) for module, line in imports(tree) if own_name(module))


ROOMS = sorted({room(name) for name in FILES})

MODULE_GRAPH = {name: {module for module, _ in own_imports(tree)} - {name} for name, tree in TREES.items()}

ROOM_GRAPH = {
    one: {room(module) for name in FILES if room(name) == one for module in MODULE_GRAPH[name]} - {one}
    for one in ROOMS
}  # fmt: skip


def circles(graph: dict[str, set[str]]) -> set[str]:
    """The nodes that lie on a circle, or between two of them."""
    left = {node: set(targets) for node, targets in graph.items()}
    while ends := [node for node, targets in left.items() if not targets & set(left)]:
        for node in ends:
            del left[node]
    while starts := set(left) - {target for targets in left.values() for target in targets}:
        for node in starts:
            del left[node]
    return set(left)
