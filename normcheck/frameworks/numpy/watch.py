"""Side effects of a call: changes to its arguments, to earlier results, and to the state of the process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.frameworks.numpy.arrays import memory, overlapping
from normcheck.frameworks.shared_state import SharedState


def _nothing(*_: object) -> None:
    """The handler of floating-point errors in a watched call."""


@contextmanager
def settings(*, watched: bool) -> Iterator[None]:
    """The settings of numpy under which code is called: no warnings of floating-point errors.

    watched: handling of errors and warning filters are such as no code sets, so that every setting is a change.
    """
    if not watched:
        with np.errstate(all="ignore"):
            yield
        return
    with warnings.catch_warnings(record=True), np.errstate(all="call", call=_nothing):
        warnings.resetwarnings()
        yield


def _settings() -> dict[str, Any]:
    """What code can set for the whole process, by description."""
    return {
        "numpy's handling of floating-point errors": (np.geterr(), np.geterrcall()),
        "the list of warning filters": list(warnings.filters),
        "numpy's print options": np.get_printoptions(),
    }


class ArrayWatch:
    """Records memory and process state before a call, and lists the differences after it; inside `settings`."""

    def __init__(self, arrays: Mapping[str, Array | None]) -> None:
        memories = {name: memory(array) for name, array in arrays.items() if array is not None}
        self._arrays = {name: (value, value.copy()) for name, value in memories.items()}
        self._output: tuple[Array, Array] | None = None
        self._shared, self._settings = SharedState(), _settings()
        self._changed: list[str] = []

    def after_forward(self, y: Array) -> None:
        """Compare the arguments, and note the output, which the backward must not change."""
        self._compare()
        self._output = y, y.copy()

    def _compare(self) -> None:
        self._changed += [
            f"{name} was written to"
            for name, (value, before) in self._arrays.items()
            if not np.array_equal(value, before)
        ]

    def changed(self, call_again: Callable[[], object]) -> tuple[str, ...]:
        """Descriptions of the changes. call_again: makes another call, which must not change the output."""
        assert self._output is not None, "the forward was not called"
        y, before = self._output
        self._compare()
        out = self._changed
        out += [
            f"the output shares memory with {name}"
            for name, (value, _) in self._arrays.items()
            if np.may_share_memory(y, value)
        ]
        if overlapping(y):
            out.append("several entries of the output share memory")
        if type(y) is not np.ndarray:
            out.append(f"the output is no plain array: {type(y).__name__}")
        if not np.array_equal(y, before, equal_nan=True):
            out.append("the output was written to by the backward")
        after = _settings()
        out += [f"{name} was changed" for name, value in self._settings.items() if after[name] != value]
        out += self._shared.changed()
        before = y.copy()
        call_again()
        if not np.array_equal(y, before, equal_nan=True):
            out.append("a later call changed an earlier result")
        return tuple(dict.fromkeys(out))
