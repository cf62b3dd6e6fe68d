"""Transforms, forward mode and checkpoints of torch without its compiler: loading that takes a second or two.

On these ways torch asks its compiler what has a known answer while nobody has loaded it: to switch compiled autograd
off, which is not on; to leave a function uncompiled, which nothing would compile; whether two sizes are equal, which
are plain numbers. Stand-ins answer. Whatever else is asked of one, by the code under test too, loads the module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

COMPILER = f"{torch.__name__}._dynamo"
SIZES = f"{torch.__name__}.fx.experimental.symbolic_shapes"
"""Where the sizes of an output and of its gradient are compared; it loads sympy."""

CONFIG = ".config"
"""The part of the compiler with its settings."""

UNCOMPILED = "__dynamo_disable"
"""Where `torch._disable_dynamo` keeps what the compiler made of a function that it must not compile."""


class _StandIn(ModuleType):
    """Answers for a module until anything else of it is used."""

    def _loaded(self) -> ModuleType:
        _remove(self.__name__)
        return import_module(self.__name__)

    def __getattr__(self, name: str) -> Any:
        package = self.__name__ == COMPILER and name == "__path__"  # asked by an import of a part of it
        if name.startswith("__") and not package:  # asked by what walks over all modules
            raise AttributeError(name)
        return getattr(self._loaded(), name)


class _Compiler(_StandIn):
    def __init__(self) -> None:
        super().__init__(COMPILER)
        self.left: list[Callable[..., Any]] = []
        self.compiled_autograd, self.config = _CompiledAutograd(), _Config(f"{COMPILER}{CONFIG}")

    def disable(self, function: Callable[..., Any], recursive: bool = True, **options: Any) -> Callable[..., Any]:
        """The function itself. Torch keeps it as the compiler's answer, until the stand-in is removed."""
        self.left.append(function)
        return function


class _CompiledAutograd:
    @staticmethod
    def _disable() -> AbstractContextManager[None]:
        return nullcontext()


class _Config(_StandIn):
    error_on_nested_fx_trace = False  # what a checkpoint reads, for a trace that nothing makes

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._loaded(), name, value)


class _Sizes(_StandIn):
    @staticmethod
    def sym_eq(one: Sequence[int], other: Sequence[int]) -> bool:
        return tuple(one) == tuple(other)

    @staticmethod
    def expect_true(equal: bool) -> bool:
        return equal


def _place() -> None:
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = vars(torch)["_dynamo"] = _Compiler()
    if SIZES not in sys.modules:
        sys.modules[SIZES] = _Sizes(SIZES)


def _remove(name: str) -> None:
    """Remove the stand-in for a module or for a part of it, if it is still there."""
    standing = sys.modules.get(name.removesuffix(CONFIG))
    if isinstance(standing, _StandIn):
        del sys.modules[name.removesuffix(CONFIG)]
    if isinstance(standing, _Compiler):
        del vars(torch)["_dynamo"]
        for function in standing.left:
            vars(function).pop(UNCOMPILED, None)


@contextmanager
def without_compiler() -> Iterator[None]:
    """In its block the compiler is not loaded unless something is asked of it that only it can answer."""
    _place()
    try:
        yield
    finally:
        _remove(COMPILER)
        _remove(SIZES)
