"""State that all code of a process shares and no call of an implementation may change, whatever its framework."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np


def _generators() -> dict[str, Any]:
    """The state of the random generators, by description."""
    return {
        "numpy's random state": np.random.get_state()[1].tobytes(),  # type: ignore[index]  # noqa: NPY002
        "python's random state": random.getstate(),
    }


class SharedState:
    """Records random generators and threads before a call, and lists the differences after it."""

    def __init__(self) -> None:
        # Advance the generators first: code that seeds with a constant may set the very state that they are in.
        self._random = np.random.get_state(), random.getstate()  # noqa: NPY002
        np.random.random(3)  # noqa: NPY002
        random.random()  # noqa: S311
        self._generators = _generators()
        self._threads = set(threading.enumerate())

    def changed(self) -> list[str]:
        """Descriptions of the changes. The generators get the state that they had before."""
        out = ["a thread was left running"] if set(threading.enumerate()) - self._threads else []
        after = _generators()
        out += [f"{name} was changed" for name, before in self._generators.items() if after[name] != before]
        np.random.set_state(self._random[0])  # noqa: NPY002
        random.setstate(self._random[1])
        return out
