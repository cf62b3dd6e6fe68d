"""The normalizers of one module by name: the public name under which each is found, and a digest of its code."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from normcheck.core.foreign_code import attribute, first_line, quiet
from normcheck.engine.batch.process import Send
from normcheck.engine.batch.side_by_side import DONE
from normcheck.engine.survey.libraries import Module, is_named

TARGET, CODE, PROBLEM, LOADED = "target", "code", "problem", "loaded"
"""Keys of the records of a search: a target with its digest; why a module has none; what an import has imported."""

DEEPEST = 3
"""How far the code that a normalizer uses is read: functions and base classes, and those that they use."""

PLAIN = (int, float, str, bool, type(None))


def search(module: Module, library: str, send: Send) -> None:
    """Import a module of a library and send its normalizers by name."""
    try:
        with quiet():
            found = import_module(module.name)
    except BaseException as error:  # a module may raise anything when it is imported, SystemExit too
        send({PROBLEM: first_line(error)})
    else:
        for name in dict.fromkeys((*module.names, *_without_source(found))):
            value = attribute(found, name)
            place = public_place(value, name, module.name, library)
            if callable(value) and place:
                send({TARGET: f"{place}:{name}", CODE: digest(value)})
    send({DONE: True})


def try_import(name: str, send: Send) -> None:
    """Import a module and send the names of all modules that this imports; none if it starts a thread."""
    before, known = _threads(), set(sys.modules)
    try:
        with quiet():
            import_module(name)
    except BaseException as error:
        send({PROBLEM: first_line(error)})
    else:
        send({LOADED: sorted(set(sys.modules) - known) if _threads() == before else []})
    send({DONE: True})


def _threads() -> int:
    return len(sys._current_frames())  # noqa: SLF001  # threads that run Python; others do not take its locks


def _without_source(module: ModuleType) -> Iterator[str]:
    """Names of functions that are not written in Python: no file defines them."""
    yield from (name for name, value in vars(module).items() if is_named(name) and inspect.isbuiltin(value))


def public_place(value: Any, name: str, module: str, library: str) -> str:
    """The shortest path in a library under which a value has its name, without private parts; empty if none has it.

    module: the module in which it was found.
    """
    parts, fewest = module.split("."), len(library.split("."))
    for i in range(1, len(parts) + 1):
        if parts[i - 1].startswith("_"):
            break
        place = ".".join(parts[:i])
        if i >= fewest and attribute(sys.modules.get(place), name) is value:
            return place
    return ""


def digest(value: Any) -> str:
    """A text that two callables have in common if their code is the same, under whatever name."""
    return hashlib.sha256(repr(_code(value, DEEPEST)).encode()).hexdigest()[:16]


def _code(value: Any, depth: int) -> tuple[Any, ...]:
    """The code of a class or function without its name and docstrings, and what the names in it mean."""
    own = inspect.unwrap(value) if inspect.isroutine(value) else value
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(own)))
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
        return _dotted(value)
    names = _names(own)
    tree = _Plain(str(attribute(own, "__name__", ""))).visit(tree)
    used = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(names))
    return ast.dump(tree), tuple((name, _meaning(names[name], depth)) for name in used if names[name] is not own)


def _names(value: Any) -> Mapping[str, Any]:
    """The names that the code of a value may use."""
    found = attribute(value, "__globals__") or vars(sys.modules.get(str(attribute(value, "__module__")), ast))
    return found if isinstance(found, Mapping) else {}


def _meaning(value: Any, depth: int) -> Any:
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, PLAIN):
        return repr(value)
    written = inspect.isclass(value) or inspect.isfunction(value)
    return _code(value, depth - 1) if written and depth else _dotted(value)


def _dotted(value: Any) -> tuple[str, str]:
    named = value if isinstance(attribute(value, "__qualname__"), str) else type(value)
    return str(attribute(named, "__module__")), str(attribute(named, "__qualname__"))


class _Plain(ast.NodeTransformer):
    """Replaces the name of what is defined, and removes docstrings."""

    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("_", node.ctx) if node.id == self.name else node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._without(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._without(node)

    def _without(self, node: ast.ClassDef | ast.FunctionDef) -> ast.AST:
        node.name = "_" if node.name == self.name else node.name
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)
