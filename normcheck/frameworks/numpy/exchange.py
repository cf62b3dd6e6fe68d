"""Functions of arrays of a library that is no framework here: arrays pass to it and back by DLPack, without a copy.

What such a library must offer is the function `from_dlpack` of the array API standard, and `__dlpack__` of its arrays
(https://data-apis.org/array-api). A function that gets its namespace from its input needs none of this.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.registry import packages

FROM_DLPACK = "from_dlpack"


def _modules(function: Callable[..., Any]) -> list[ModuleType]:
    """The modules in the module of a function, in their order."""
    values = attribute(inspect.unwrap(function), "__globals__", {}).values()
    return [one for one in values if isinstance(one, ModuleType)]


def names_module(function: Callable[..., Any], name: str) -> bool:
    """Whether the module of a function has imported another one, or something from it."""
    values = attribute(inspect.unwrap(function), "__globals__", {}).values()
    places = (one.__name__ if isinstance(one, ModuleType) else attribute(one, "__module__") for one in values)
    return any(isinstance(one, str) and one.partition(".")[0] == name for one in places)


def array_library(function: Callable[..., Any]) -> ModuleType | None:
    """The library whose arrays a function takes, if that belongs to no framework; None if it names none."""
    if not inspect.isfunction(inspect.unwrap(function)):
        return None
    known = set(packages())
    unknown = (one for one in _modules(function) if one.__name__.partition(".")[0] not in known)
    return next((one for one in unknown if callable(attribute(one, FROM_DLPACK))), None)


def exchanging(function: Callable[..., Any], library: ModuleType) -> Callable[..., Any]:
    """The function as one of numpy arrays, which share their memory with the arrays that it gets."""
    import_array = getattr(library, FROM_DLPACK)

    def given(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return import_array(value if value.flags.writeable else value.copy())  # DLPack has no read-only arrays

    @functools.wraps(function)
    def exchanged(*args: Any, **kwargs: Any) -> Any:
        returned = function(*map(given, args), **{name: given(value) for name, value in kwargs.items()})
        return _array(returned)

    return exchanged


def _array(value: Any) -> Array | Any:
    if isinstance(value, tuple):
        return tuple(map(_array, value))
    return np.from_dlpack(value) if hasattr(value, "__dlpack__") else value
