"""Results that are kept: a function of cases is computed once for the same content, whoever calls it.

References and bounds depend on a case and not on the implementation, and many checks, implementations and faults use
the same cases.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass
from functools import lru_cache, wraps
from operator import attrgetter
from typing import Any, ParamSpec, TypeVar

import numpy as np

RESULTS, ENTRIES = 2048, 8192
"""Results that are kept of one function, and entries of the largest array in those and in their arguments."""

PLAIN = frozenset({type(None), bool, int, float, str})
"""Types of values that are compared as they are."""

P = ParamSpec("P")
T = TypeVar("T")


class _TooLargeError(Exception):
    """An array has more than `ENTRIES` entries."""


def keeping(function: Callable[P, T], results: int = RESULTS) -> Callable[P, T]:
    """The function, with its last results kept by the content of the arguments; all arrays in them are read-only.

    Arguments are frozen values, arrays, and dataclasses and dicts of these. The layout in memory of an array is part
    of its content, because it decides in which order numpy adds. Results for large arrays are not kept.
    """
    kept: dict[Hashable, T] = {}

    @wraps(function)
    def kept_or_computed(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            key = content((args, kwargs)) if kwargs else content(args)
        except _TooLargeError:
            return function(*args, **kwargs)
        found = kept.get(key)
        if found is None:
            found = function(*args, **kwargs)
            if freeze(found) <= ENTRIES:
                if len(kept) >= results:
                    del kept[next(iter(kept))]
                kept[key] = found
        return found

    return kept_or_computed


def content(value: Any) -> Hashable:
    """A key that equals that of another value only if all their numbers, words and arrays are the same."""
    kind: Any = type(value)
    if kind is np.ndarray:
        if value.size > ENTRIES:
            raise _TooLargeError
        return value.shape, value.strides, value.dtype.str, value.tobytes()
    if kind is tuple or kind is list:
        parts: Any = value
    elif kind is dict:
        parts = (*value, *value.values())
    else:
        get = _parts(kind)
        if get is None or "__eq__" in vars(kind):  # values of this type are compared as a whole
            return value  # type: ignore[no-any-return]
        parts = (kind, *get(value))
    return tuple([one if type(one) in PLAIN else content(one) for one in parts])


def freeze(value: Any) -> int:
    """Make all arrays in a value read-only; returns how many entries the largest of them has."""
    largest, found = 0, [value]
    for one in found:  # which grows
        kind: Any = type(one)
        if kind in PLAIN:
            continue
        if kind is np.ndarray:
            one.flags.writeable = False
            largest = max(largest, one.size)
        elif kind is dict:
            found.extend(one.values())
        elif (get := _parts(kind)) is not None:
            found.extend(get(one))
    return largest


@lru_cache(maxsize=256)
def _parts(kind: Hashable) -> Callable[[Any], tuple[Any, ...]] | None:
    """A function that returns the values of the fields of a dataclass; None for any other type."""
    names = tuple(field.name for field in fields(kind)) if isinstance(kind, type) and is_dataclass(kind) else ()
    return (attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)) if names else None
