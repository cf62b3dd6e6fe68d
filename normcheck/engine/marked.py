"""The marked implementations of a package, by reading its source; nothing is imported.

So what is marked can be listed where its modules cannot be imported, and isolated code is imported in its own process
alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError
from normcheck.core.working_directory import import_from_here
from normcheck.engine.survey.libraries import OWN, library

MARK = "normalizer"
"""The name of the decorator `normcheck.normalizer`."""

EXAMPLE = '@normcheck.normalizer("layer_norm", contract={"eps-place": "outside"})'

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def marked(package: str) -> list[Implementation]:
    """The implementations that are marked in a package, in the order of its files.

    Raises `UsageError` for a package that cannot be found or marks nothing, and for a mark that cannot be read.
    """
    import_from_here()
    found = [one for name, path in library(package).files() for one in _in_file(name, path)]
    if not found:
        raise UsageError(f"nothing in {package} is marked: write {EXAMPLE} above a function or class")
    return found


def _in_file(module: str, path: Path) -> Iterator[Implementation]:
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text) if OWN in text else ast.Module([], [])
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"{path} cannot be read as Python: {error}") from None
    names = _names_of_the_mark(tree)
    for name, definition in _definitions(tree.body) if names else ():
        for decorator in definition.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(called) in names:
                yield _implementation(f"{module}:{name}", decorator, f"{path}, line {decorator.lineno}")


def _names_of_the_mark(tree: ast.Module) -> set[str]:
    """What the decorator is called in a file, from its imports."""
    out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out |= {f"{one.asname or OWN}.{MARK}" for one in node.names if one.name == OWN}
        if isinstance(node, ast.ImportFrom) and node.module == OWN:
            out |= {one.asname or MARK for one in node.names if one.name == MARK}
    return out


def _definitions(body: Iterable[ast.AST], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """The classes and functions of a file with their qualified names; those inside functions have no such name."""
    for node in body:
        if isinstance(node, Definition):
            yield f"{prefix}{node.name}", node
            inner = f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else f"{prefix}{node.name}.<locals>."
            yield from _definitions(node.body, inner)
        else:
            yield from _definitions(ast.iter_child_nodes(node), prefix)


def _implementation(target: str, decorator: ast.expr, place: str) -> Implementation:
    if "<locals>" in target:
        raise UsageError(f"{place}: what a function defines cannot be loaded by its name: mark code outside functions")
    kind, contract = _arguments(decorator, place)
    return Implementation(kind, target, contract)


def _arguments(decorator: ast.expr, place: str) -> tuple[str, Mapping[str, str]]:
    """The kind and the contract of a mark."""
    given: dict[str, Any] = {}
    with suppress(ValueError):  # what is no literal
        if isinstance(decorator, ast.Call):
            given = {str(i): ast.literal_eval(value) for i, value in enumerate(decorator.args)}
            given |= {str(one.arg): ast.literal_eval(one.value) for one in decorator.keywords}
    kind, contract = given.pop("0", None) or given.pop("kind", None), given.pop("contract", None) or {}
    if given or not isinstance(kind, str) or not isinstance(contract, dict):
        raise UsageError(f"{place}: the mark cannot be read: its kind and contract are literals, as in {EXAMPLE}")
    return kind, {str(key): str(value) for key, value in contract.items()}
