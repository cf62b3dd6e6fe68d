"""The code of a fault: what the suite puts in the place of a part of its reference.

Where no line of plain code is known that has the fault, its page shows this, the very code that the suite runs.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from normcheck.core.family import KnownFault

NOT_CODE = ("concerns", "suspected", "under")
"""Fields that say which entries can have a fault, and under which contract: they change nothing."""

DEEPEST = 4
"""How far functions that bind functions are followed."""


def changes(fault: KnownFault) -> tuple[str, ...]:
    """What a fault puts in the place of parts of the reference: functions as they are written, and settings."""
    return tuple(dict.fromkeys(text for text in _parts("fault", fault, 0) if text))


def _parts(name: str, value: Any, depth: int) -> Iterator[str]:
    """The code of a value of that name; of a function that only binds others, as `by_slip(slip)` does, of those."""
    if isinstance(value, functools.partial):
        for inner in (value.func, *value.args, *value.keywords.values()):
            yield from _parts("", inner, depth + 1)
    elif isinstance(value, FunctionType):
        cells = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        bound = {one: cell.cell_contents for one, cell in cells if depth < DEEPEST and cell.cell_contents is not value}
        inside = [text for one in bound.values() for text in _parts("", one, depth + 1)]
        numbers = [text for one, number in bound.items() if _is_number(number) for text in _parts(one, number, depth)]
        yield from inside or ["\n".join([*numbers, _source(value)])]
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            own = getattr(value, one.name)
            if one.name not in NOT_CODE and not _as_default(own, one):
                yield from _parts(f"{name}.{one.name}" if name else "", own, depth + 1)
    elif name and _is_number(value):
        yield f"{name.partition('.')[2] or name} = {value!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _as_default(value: Any, one: Field[Any]) -> bool:
    """Whether a field has its default, which is what the reference has."""
    if one.default_factory is not MISSING:
        return bool(value == one.default_factory())
    return value is one.default


def _source(function: FunctionType) -> str:
    """A function as it is written; of a lambda the expression, without what it is an argument of."""
    text = textwrap.dedent(inspect.getsource(function))
    if function.__name__ != "<lambda>":
        return text.rstrip()
    source, lambdas = _lambdas(inspect.getsourcefile(function) or "")
    places = {(line, column) for line, _, column, _ in function.__code__.co_positions()}
    for node in lambdas:
        inside = {(one.lineno, one.col_offset) for one in ast.walk(node.body) if isinstance(one, ast.expr)}
        if node.lineno == function.__code__.co_firstlineno and places & inside:
            first, *rest = (ast.get_source_segment(source, node) or "").splitlines()
            return "\n".join([first, *textwrap.dedent("\n".join(rest)).splitlines()])
    return ""


@functools.cache
def _lambdas(path: str) -> tuple[str, tuple[ast.Lambda, ...]]:
    """The text of a module, and all its lambdas."""
    source = Path(path).read_text(encoding="utf-8")
    return source, tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Lambda))
