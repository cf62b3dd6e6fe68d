"""Forms of replies that follow from type annotations: what a function promises to return is what is let in."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from normcheck.frameworks.isolation import replies
from normcheck.frameworks.isolation.replies import Form

LARGEST_COUNT = 1 << 62


def is_object(kind: Any) -> bool:
    """Whether an annotation is a protocol: an object that stays in the child process, and whose methods are called."""
    return bool(getattr(kind, "_is_protocol", False))


def form_of(kind: Any) -> Form:
    """The form of values with an annotation.

    It may be made of texts, numbers, truth values, None, arrays, tuples, sets, mappings from text, unions, and
    dataclasses of these. Raises `TypeError` for any other.
    """
    plain: dict[Any, Form] = {
        str: replies.text,
        bool: replies.truth,
        int: replies.integer(-LARGEST_COUNT, LARGEST_COUNT),
        float: replies.measured,
        type(None): replies.nothing,
    }
    if kind in plain:
        return plain[kind]
    if is_dataclass(kind) and isinstance(kind, type):
        return dataclass_form(kind)
    found = _compound(get_origin(kind), get_args(kind))
    if found is None:
        raise TypeError(f"no form follows from {kind}")
    return found


def _compound(origin: Any, of: tuple[Any, ...]) -> Form | None:
    """The form of what is made of other values; None for what is not."""
    if origin is np.ndarray:
        return replies.array()
    if origin is tuple and of[1:] == (...,):
        return replies.several(form_of(of[0]))
    if origin is frozenset:
        items = replies.several(form_of(of[0]))
        return lambda value: frozenset(items(value))
    if origin is Mapping and of[0] is str:
        return replies.mapping(form_of(of[1]))
    if origin in (Union, types.UnionType):
        return replies.first_of([form_of(one) for one in of])
    return None


def dataclass_form(kind: type) -> Form:
    """The form of a dataclass, sent as a mapping of its fields."""
    form = replies.record(**{name: form_of(hint) for name, hint in get_type_hints(kind).items()})
    return lambda value: kind(**form(value))
