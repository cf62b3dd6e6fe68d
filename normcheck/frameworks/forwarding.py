"""The parameters of a callable, where `*args` and `**kwargs` stand for those of the callable that it passes them to.

A constructor is followed to the `__init__` of the next class in its method resolution order, a function to the function
that it calls. The call that passes the arguments on is read from the source, which shows what is no longer free.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from normcheck.core.foreign_code import ENDS, attribute

STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

DEPTH = 20
"""Calls that are followed at most."""


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A call that passes `*args` or `**kwargs` on.

    function: the called expression. before: positional arguments before `*args`; names: keywords before `**kwargs`.
    """

    function: ast.expr
    before: int
    names: frozenset[str]
    args: bool
    kwargs: bool


def signature_of(target: Any) -> inspect.Signature | None:
    """The signature of a callable; None if it has none, or if computing it raises an exception."""
    try:
        return inspect.signature(target)
    except ENDS:
        raise
    except BaseException:  # an attribute __signature__ of the code under test may raise anything
        return None


def own_parameters(target: Any) -> frozenset[str]:
    """The names in the signature of a callable itself, without those that `*args` and `**kwargs` stand for."""
    signature = signature_of(target)
    return frozenset() if signature is None else frozenset(signature.parameters)


def parameters(target: Any, depth: int = DEPTH) -> list[inspect.Parameter] | None:
    """The parameters that a call may give, without `*args` and `**kwargs`; None if the signature cannot be read."""
    signature = signature_of(target)
    if signature is None:
        return None
    own = list(signature.parameters.values())
    if not depth or not any(p.kind in STARRED for p in own):
        return _named(own)
    if inspect.isclass(target):
        declared = any("__signature__" in vars(base) for base in target.__mro__)
        followed = None if declared else _of_constructor(target.__mro__, depth)
        return _named(own) if followed is None else followed
    return _followed(inspect.unwrap(target), own, None, depth)


def _named(own: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    return [p for p in own if p.kind not in STARRED]


def _of_constructor(classes: Sequence[type], depth: int) -> list[inspect.Parameter] | None:
    """The parameters of the first constructor of some classes in their order, without self."""
    for i, one in enumerate(classes[:-1]):  # without object
        if "__init__" in vars(one):
            signature = signature_of(vars(one)["__init__"])
            if signature is None:
                return None
            own = list(signature.parameters.values())[1:]
            return _followed(inspect.unwrap(vars(one)["__init__"]), own, classes[i + 1 :], depth)
    return []


def _followed(
    function: Any, own: list[inspect.Parameter], classes: Sequence[type] | None, depth: int
) -> list[inspect.Parameter]:
    """Own parameters with those of the callable to which the others are passed.

    classes: for a constructor, the classes that `super()` looks through.
    """
    if not depth or not any(p.kind in STARRED for p in own):
        return _named(own)
    call = _passed_on(function, {p.kind: p.name for p in own if p.kind in STARRED})
    if call is None:
        return _named(own)
    inner = _target(call.function, function, classes, depth - 1)
    if inner is None:
        return _named(own)
    before = call.before - (1 if _is_other_constructor(call.function) else 0)
    taken = {p.name for p in [p for p in inner if p.kind in BY_POSITION][:before]} | call.names
    free = [p for p in inner if p.name not in taken and p.name not in {q.name for q in own}]
    named = _named(own)
    if call.args and call.kwargs:
        return sorted([*named, *free], key=lambda p: p.kind)
    if call.kwargs:
        by_name = [p.replace(kind=p.KEYWORD_ONLY) for p in free if p.kind is not p.POSITIONAL_ONLY]
        return [*named, *by_name]
    by_position = [p.replace(kind=p.POSITIONAL_ONLY) for p in [*named, *free] if p.kind in BY_POSITION]
    return [*by_position, *(p for p in named if p.kind not in BY_POSITION)]


def _passed_on(function: Any, names: Mapping[Any, str]) -> PassedOn | None:
    """The call in a function's source that passes its `*args` or `**kwargs` on.

    A constructor whose source is not available is taken to pass them on as they are.
    """
    try:
        tree: ast.AST = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except ENDS:
        raise
    except BaseException:
        if attribute(function, "__name__") != "__init__":
            return None
        tree = ast.parse(f"super().__init__(*{names.get(STARRED[0], '_')}, **{names.get(STARRED[1], '_')})")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        starred = [i for i, one in enumerate(node.args) if _is_name(getattr(one, "value", None), names.get(STARRED[0]))
                   and isinstance(one, ast.Starred)]  # fmt: skip
        double = [one for one in node.keywords if one.arg is None and _is_name(one.value, names.get(STARRED[1]))]
        if starred or double:
            before = starred[0] if starred else len(node.args)
            given = frozenset(one.arg for one in node.keywords if one.arg is not None)
            return PassedOn(node.func, before, given, bool(starred), bool(double))
    return None


def _is_name(node: ast.AST | None, name: str | None) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_constructor(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "__init__"


def _is_super(node: ast.expr) -> bool:
    called = node.value if isinstance(node, ast.Attribute) else None
    return isinstance(called, ast.Call) and _is_name(called.func, "super")


def _is_other_constructor(node: ast.expr) -> bool:
    """Whether a call is `Base.__init__(self, ...)`, whose first argument is no parameter of the constructor."""
    return _is_constructor(node) and not _is_super(node)


def _target(
    node: ast.expr, function: Any, classes: Sequence[type] | None, depth: int
) -> list[inspect.Parameter] | None:
    """The parameters of the called expression; None if it cannot be found without running code."""
    if _is_constructor(node) and _is_super(node):
        return None if classes is None else _of_constructor(classes, depth)
    if isinstance(node, ast.Attribute) and _is_constructor(node):
        base = _value(node.value, function)
        return _of_constructor(base.__mro__, depth) if inspect.isclass(base) else None
    found = _value(node, function)
    return parameters(found, depth) if callable(found) else None


def _value(node: ast.expr, function: Any) -> Any:
    """The value of a dotted name in a function; None if it cannot be found."""
    if isinstance(node, ast.Attribute):
        whole = _value(node.value, function)
        return None if whole is None else attribute(whole, node.attr)
    if not isinstance(node, ast.Name):
        return None
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
    if node.id in cells:
        return attribute(cells[node.id], "cell_contents")
    return function.__globals__.get(node.id, attribute(builtins, node.id))
