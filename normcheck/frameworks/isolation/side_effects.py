"""What code leaves behind in its process beside its answers: replaced functions, descriptors, folder, environment.

Seen from inside the process, so code that wishes to can hide it; the numbers are judged elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

MODULES = (
    "torch", "torch.nn.functional", "torch.nn", "torch.autograd", "torch.linalg", "numpy", "numpy.linalg", "time",
    "random", "math", "pytest", "builtins",
)  # fmt: skip
"""Modules that every other piece of code relies on."""

CLASSES = (("torch", "Tensor"), ("numpy", "testing"))
"""Attributes of them with attributes of their own."""


def _functions(holder: Any) -> dict[str, Any]:
    """What can be called, by name; state that modules keep may change."""
    return {name: value for name, value in vars(holder).items() if callable(value) or isinstance(value, ModuleType)}


def _holders() -> dict[str, Any]:
    out: dict[str, Any] = {name: sys.modules[name] for name in MODULES if name in sys.modules}
    for name, attribute in CLASSES:
        if hasattr(out.get(name), attribute):
            out[f"{name}.{attribute}"] = getattr(out[name], attribute)
    return out


class SideEffects:
    """Looks once before the code is there; `left` says what is different since.

    The environment is compared from the first call on: imports add to it, as libraries do.
    """

    def __init__(self, kept: tuple[int, ...]) -> None:
        """Look. kept: file descriptors that must stay what they are."""
        self._functions = {name: (holder, _functions(holder)) for name, holder in _holders().items()}
        self._folder = os.getcwd()  # noqa: PTH109  # as the system says it
        self._files = {descriptor: self._identity(descriptor) for descriptor in kept}
        self._pid = os.getpid()
        self._environment: dict[str, str] | None = None

    @staticmethod
    def _identity(descriptor: int) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            found = os.fstat(descriptor)
            return found.st_dev, found.st_ino
        return None

    def loaded(self) -> None:
        """The code has been imported."""
        self._environment = dict(os.environ)

    @property
    def forked(self) -> bool:
        """Whether this is a copy of the process, which has nothing to say."""
        return os.getpid() != self._pid

    def left(self) -> list[str]:
        """What is different, in words; empty where nothing is."""
        return list(self._left())

    def _left(self) -> Iterator[str]:
        for name, (holder, functions) in self._functions.items():
            now = vars(holder)
            yield from (f"it replaces {name}.{one}" for one, value in functions.items() if now.get(one) is not value)
        try:
            folder = os.getcwd()  # noqa: PTH109  # the same
        except OSError:
            folder = ""
        if folder != self._folder:
            yield "it changes the working directory"
        if self._environment is not None and dict(os.environ) != self._environment:
            names = sorted(k for k, v in {**os.environ, **self._environment}.items() if os.environ.get(k) != v)
            added = sorted(set(os.environ) - set(self._environment))
            yield f"it changes the environment ({', '.join([*names, *added][:3])})"
        for descriptor, before in self._files.items():
            if self._identity(descriptor) != before:
                yield f"it closes file descriptor {descriptor}"
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
            yield "it leaves a child process"
