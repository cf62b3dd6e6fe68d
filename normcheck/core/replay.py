"""One case as a short text, the replay id: the name of the check, and the fields of its draw that are not ordinary.

A case follows from its draw alone, so the text reproduces the exact case on any machine.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any, get_args, get_origin, get_type_hints

from normcheck.core.errors import UsageError, shortened, suggest

LEFT_OUT = ("fixed",)
"""Fields that are not written: sizes that a layer cannot change are read from the layer again."""


def encode(check: str, draw: Any) -> str:
    """The replay id of a draw.

    A draw `Draw(n=3, format="float32")` of the check "value" is written "value/n=3/format=float32".
    """
    plain = type(draw)()
    parts = [check]
    for f in fields(draw):
        value = getattr(draw, f.name)
        if f.name not in LEFT_OUT and value != getattr(plain, f.name):
            parts.append(f"{f.name}={value if isinstance(value, str) else json.dumps(value)}")
    return "/".join(parts)


def named(text: str) -> str:
    """The name of the check in a replay id."""
    return text.strip().partition("/")[0]


def decode(text: str, plain: Any) -> tuple[str, Any]:
    """The name of the check and the draw of a replay id. Raises `UsageError` for an unknown field or invalid value.

    plain: the ordinary draw of the check's cases; fields that the text does not name have its values.
    """
    check, *parts = text.strip().split("/")
    names = {f.name for f in fields(plain)} - set(LEFT_OUT)
    changes: dict[str, Any] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals or name not in names:
            raise UsageError(
                f"replay {shortened(text)!r}: {shortened(name)!r} is no choice of a case; {suggest(name, names)}"
            )
        changes[name] = _value(text, name, value, type(plain))
    return check, replace(plain, **changes)


def _value(text: str, name: str, value: str, draw: type) -> Any:
    """The value of a field of a draw, which must be of the field's type."""
    kind = get_type_hints(draw)[name]
    if kind is str:
        return value
    try:
        found = json.loads(value, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise UsageError(f"replay {shortened(text)!r}: {shortened(value)!r} is no value") from None
    made = tuple(found) if isinstance(found, list) else found
    if not _has_type(made, kind):
        raise UsageError(f"replay {shortened(text)!r}: {shortened(value)!r} is no value of {name}")
    return made


def _no_number(word: str) -> None:
    raise ValueError(word)


def _has_type(value: Any, kind: Any) -> bool:
    """Whether a value has the type of a field: numbers, texts, truth values, None, unions and tuples of these."""
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    of = get_args(kind)
    if get_origin(kind) is tuple:
        kinds = [of[0]] * len(value) if of[1:] == (...,) and isinstance(value, tuple) else of
        return isinstance(value, tuple) and len(kinds) == len(value) and all(map(_has_type, value, kinds))
    if of:
        return any(_has_type(value, one) for one in of)
    return isinstance(value, kind)
