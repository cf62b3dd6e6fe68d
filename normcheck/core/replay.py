"""One case as a short text, the replay id: the name of the check, and the fields of its draw that are not ordinary.

A case follows from its draw alone, so the text reproduces the exact case on any machine.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from normcheck.core.errors import UsageError, suggest

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
            raise UsageError(f"replay {text!r}: {name!r} is no choice of a case; {suggest(name, names)}")
        changes[name] = _value(text, value, getattr(plain, name))
    return check, replace(plain, **changes)


def _value(text: str, value: str, like: object) -> Any:
    if isinstance(like, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        raise UsageError(f"replay {text!r}: {value!r} is no value") from None
    return tuple(found) if isinstance(found, list) else found
