"""Side effects of code on its process: replaced functions, closed descriptors, working directory, environment.

They are detected inside the process, so malicious code can hide them; results are checked in the parent process.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

MODULES = (
    "torch", "torch.nn.functional", "torch.nn", "torch.autograd", "torch.linalg", "numpy", "numpy.linalg", "time",
    "random", "math", "pytest", "builtins",
)  # fmt: skip
"""Modules whose functions must not be replaced."""

WRAPPER = "torch._compile"
"""The module whose wrappers leave a function what it is: it keeps the compiler out of it."""

OF_COMPILER = ("TORCHINDUCTOR_", "TRITON_")
"""How variables begin that torch's compiler adds when it is imported, which an optimizer does at its first step."""

CLASSES = (("torch", "Tensor"), ("numpy", "testing"))
"""Classes and submodules of them whose functions must not be replaced either."""


def _umask() -> int:
    """The mask of permissions of new files, which can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _resource_limits() -> dict[int, tuple[int, int]]:
    """The limits of resources by their number, soft and hard."""
    return {number: resource.getrlimit(number) for name, number in vars(resource).items() if name.startswith("RLIMIT_")}


SETTINGS: dict[str, Callable[[], Any]] = {
    "the umask": _umask,
    "the resource limits": _resource_limits,
}
"""Settings of the process that code must not change, and how each is read."""


def _functions(owner: Any) -> dict[str, Any]:
    """The callables and modules among the attributes, by name; other attributes may change."""
    return {name: value for name, value in vars(owner).items() if callable(value) or isinstance(value, ModuleType)}


def _is_same(now: Any, before: Any) -> bool:
    """Whether a function is what it was, or what torch's compiler makes of it, which wraps some when it is imported."""
    if now is before:
        return True
    file = getattr(getattr(now, "__code__", None), "co_filename", "")
    return getattr(now, "__wrapped__", None) is before and file == getattr(sys.modules.get(WRAPPER), "__file__", None)


def _owners() -> dict[str, Any]:
    out: dict[str, Any] = {name: sys.modules[name] for name in MODULES if name in sys.modules}
    for name, attribute in CLASSES:
        if hasattr(out.get(name), attribute):
            out[f"{name}.{attribute}"] = getattr(out[name], attribute)
    return out


class SideEffects:
    """Records the state of the process before the code is loaded; `left` lists what has changed since.

    Environment and settings are recorded after the import, because libraries set them when they are imported.
    """

    def __init__(self, kept: tuple[int, ...]) -> None:
        """Record the state. kept: file descriptors that must stay open and unchanged."""
        self._functions = {name: (owner, _functions(owner)) for name, owner in _owners().items()}
        self._folder = os.getcwd()  # noqa: PTH109  # as the operating system reports it
        self._files = {descriptor: self._identity(descriptor) for descriptor in kept}
        self._settings: dict[str, Any] = {}
        self._pid = os.getpid()
        self._environment: dict[str, str] | None = None

    @staticmethod
    def _identity(descriptor: int) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            found = os.fstat(descriptor)
            return found.st_dev, found.st_ino
        return None

    def record_environment(self) -> None:
        """Record the environment and the settings of the process; called when the code has been imported."""
        self._environment = dict(os.environ)
        self._settings = {name: read() for name, read in SETTINGS.items()}

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one that was recorded."""
        return os.getpid() != self._pid

    def left(self) -> list[str]:
        """Descriptions of the changes; empty if there are none."""
        return list(self._left())

    def _left(self) -> Iterator[str]:
        for name, (owner, functions) in self._functions.items():
            now = vars(owner)
            replaced = (one for one, value in functions.items() if not _is_same(now.get(one), value))
            yield from (f"it replaces {name}.{one}" for one in replaced)
        try:
            folder = os.getcwd()  # noqa: PTH109  # the same
        except OSError:
            folder = ""
        if folder != self._folder:
            yield "it changes the working directory"
        if self._environment is not None:
            changed = sorted(k for k, v in self._environment.items() if os.environ.get(k) != v)
            added = sorted(k for k in set(os.environ) - set(self._environment) if not k.startswith(OF_COMPILER))
            if changed or added:
                yield f"it changes the environment ({', '.join([*changed, *added][:3])})"
        yield from (f"it changes {name}" for name, before in self._settings.items() if SETTINGS[name]() != before)
        for descriptor, before in self._files.items():
            if self._identity(descriptor) != before:
                yield f"it closes file descriptor {descriptor}"
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
            yield "it leaves a child process"
