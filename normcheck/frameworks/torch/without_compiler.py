"""Transforms, forward mode and checkpoints of torch without its compiler: loading that takes a second or two.

On these ways torch asks its compiler what has a known answer while nobody has loaded it: to switch compiled autograd
off, which is not on; to leave a function uncompiled, which nothing would compile; whether sizes are equal or fit each
other, which are plain numbers; whether a scalar is a symbol, of which there are none. Stand-ins answer. Whatever else
is asked of one, by the code under test too, loads the module.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

COMPILER = f"{torch.__name__}._dynamo"
SIZES = f"{torch.__name__}.fx.experimental.symbolic_shapes"
"""Where sizes are compared, that of an output with that of its gradient, and those of operands; it loads sympy."""

ALGEBRA = "sympy"
"""Loaded where forward mode decomposes an operator, to ask whether a number is a symbol."""

PROMOTION = f"{torch.__name__}._prims_common"
"""The module that asks it."""

PACKAGES = (COMPILER, ALGEBRA)
"""Those of which a part may be imported."""

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
        package = self.__name__ in PACKAGES and name == "__path__"  # asked by an import of a part of it
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


OF_PLAIN_SIZES: dict[str, Callable[..., Any]] = {
    "sym_eq": lambda one, other: tuple(one) == tuple(other) if isinstance(one, tuple | list) else one == other,
    "sym_and": lambda *conditions: all(conditions),
    "sym_or": lambda *conditions: any(conditions),
    "expect_true": lambda condition: condition,
    "guard_or_false": lambda condition: condition,
    "guard_or_true": lambda condition: condition,
    "guard_size_oblivious": lambda condition: condition,
    "statically_known_true": lambda condition: condition,
    "has_guarding_hint": lambda size: True,
    "guarding_hint_or_throw": lambda size: size,
    "is_nested_int": lambda size: False,
}
"""What the functions of `SIZES` return for plain numbers and tuples of these: they differ for symbols only."""


def _plain(value: Any) -> bool:
    return all(map(_plain, value)) if isinstance(value, tuple | list) else type(value) in (bool, int)


class _Sizes(_StandIn):
    def __getattr__(self, name: str) -> Any:
        known = OF_PLAIN_SIZES.get(name)
        if known is None:
            return super().__getattr__(name)
        return lambda *args: known(*args) if all(map(_plain, args)) else getattr(self._loaded(), name)(*args)


class _NoSymbol:
    """The class of symbols while there are none."""


class _Algebra(_StandIn):
    def __getattr__(self, name: str) -> Any:
        frame = inspect.currentframe()
        asking = frame.f_back.f_globals.get("__name__") if frame and frame.f_back else None
        alone = name == "Basic" and asking == PROMOTION and sys.modules.get(ALGEBRA) is self
        return _NoSymbol if alone else super().__getattr__(name)


def _place() -> None:
    if COMPILER not in sys.modules:
        sys.modules[COMPILER] = vars(torch)["_dynamo"] = _Compiler()
    if SIZES not in sys.modules:
        sys.modules[SIZES] = _Sizes(SIZES)
    if ALGEBRA not in sys.modules:
        sys.modules[ALGEBRA] = _Algebra(ALGEBRA)


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
        _remove(ALGEBRA)
