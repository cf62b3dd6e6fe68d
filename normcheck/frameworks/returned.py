"""The output among what a call has returned, in frameworks whose functions may return it beside other values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from normcheck.core.errors import CallError


@dataclass(frozen=True, slots=True)
class Returned:
    """How the arrays of a framework are recognized. what: one of them, as in "an array of JAX"."""

    is_array: Callable[[Any], bool]
    what: str

    def output(self, returned: Any, x: Any, name: str) -> Any:
        """The normalized array: the value itself, or the first of several with the input's shape.

        Raises `CallError` where there is none.
        """
        several = returned if isinstance(returned, (tuple, list)) else (returned,)
        found = [value for value in several if self.is_array(value)]
        shape = tuple(x.shape)
        for one in found:
            if tuple(one.shape) == shape:
                return one
        of_shape = f"{self.what} of shape {tuple(found[0].shape)}" if found else ""
        got = of_shape or f"{type(returned).__name__}, not {self.what}"
        raise CallError(f"{name} returned {got} for an input of shape {shape}; the output must have the input's shape")
