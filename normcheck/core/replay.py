"""One case as a short text: the check's name and what its draw has that an ordinary draw has not.

Everything else of a case follows from these few choices, so the text repeats the exact case anywhere.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from normcheck.core.errors import UsageError, suggest
from normcheck.normalizers.sampling.recipes import Draw

PLAIN = Draw()

LEFT_OUT = ("fixed",)
"""Sizes that a layer cannot change come from the layer again."""


def encode(check: str, draw: Any) -> str:
    """The text of a case.

    >>> encode("value", Draw(n=3, format="float32"))
    'value/n=3/format=float32'
    """
    plain = type(draw)()
    parts = [check]
    for f in fields(draw):
        value = getattr(draw, f.name)
        if f.name not in LEFT_OUT and value != getattr(plain, f.name):
            parts.append(f"{f.name}={value if isinstance(value, str) else json.dumps(value)}")
    return "/".join(parts)


def named(text: str) -> str:
    """The check that a text names."""
    return text.strip().partition("/")[0]


def decode(text: str, plain: Any = PLAIN) -> tuple[str, Any]:
    """The check's name and the draw of a text; raises `UsageError` where it is none.

    plain: the ordinary draw of the check's cases, from which the text tells what differs.
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
