"""Which framework a target belongs to. A framework is imported only if the target belongs to it, or it is named."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import CodeType, ModuleType
from typing import Any

from normcheck.core.claim import Implementation
from normcheck.core.errors import UsageError, suggest
from normcheck.core.foreign_code import attribute
from normcheck.core.subject import BoundSubject
from normcheck.frameworks import class_pair
from normcheck.frameworks.guard import binding
from normcheck.frameworks.load import loaded
from normcheck.frameworks.protocol import Framework


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a framework is implemented, and the top-level packages whose objects belong to it."""

    module: str  # it has a value FRAMEWORK
    packages: tuple[str, ...]


NUMPY = "numpy"
"""The framework that differentiates nothing: its implementations bring their own backward."""

REGISTERED: dict[str, Registered] = {
    "keras": Registered("normcheck.frameworks.keras.framework", ("keras",)),
    "tensorflow": Registered("normcheck.frameworks.tensorflow.framework", ("tensorflow", "tf_keras")),
    "torch": Registered("normcheck.frameworks.torch.framework", ("torch",)),
    "jax": Registered("normcheck.frameworks.jax.framework", ("jax", "jaxlib", "flax", "equinox", "haiku")),
    "mlx": Registered("normcheck.frameworks.mlx.framework", ("mlx",)),
    "tinygrad": Registered("normcheck.frameworks.tinygrad.framework", ("tinygrad",)),
    "paddle": Registered("normcheck.frameworks.paddle.framework", ("paddle",)),
    "onnx": Registered("normcheck.frameworks.onnx.framework", ("onnx", "onnxruntime")),
    NUMPY: Registered("normcheck.frameworks.numpy.framework", ("numpy",)),
}
"""Every framework by its name, in the order in which they are tried where several are possible."""

UNMARKED = ("torch", NUMPY)
"""What is tried for a function that uses operators alone and shows no framework, or only one of these."""

DEPTH = 2
"""Functions that a function calls are looked at, and those that they call."""

_imported: dict[str, Framework] = {}


def packages() -> tuple[str, ...]:
    """The packages of all frameworks, whether they are installed or not."""
    return tuple(package for one in REGISTERED.values() for package in one.packages)


def get(name: str) -> Framework:
    """The framework of that name, imported. Raises `UsageError` for an unknown one."""
    if name not in REGISTERED:
        raise UsageError(f"unknown framework {name!r}; {suggest(name, REGISTERED)}")
    if name not in _imported:
        found: Framework = import_module(REGISTERED[name].module).FRAMEWORK
        _imported[name] = found
    return _imported[name]


@contextmanager
def settings() -> Iterator[None]:
    """The settings of every framework that is in use, undone at the end."""
    with ExitStack() as stack:
        for framework in tuple(_imported.values()):  # Keras imports its backend when it is entered
            stack.enter_context(framework.settings())
        yield


def candidates(target: Any) -> tuple[str, ...]:
    """The names of the frameworks to which a loaded target can belong, the likeliest first; nothing is imported.

    A pair (forward, backward) is numpy's. Otherwise the packages that the target comes from decide, and those that
    its code names: modules and values that it refers to, and those of the functions that it calls.
    """
    if pair(target) is not None:
        return (NUMPY,)
    roots = set(_packages(target, DEPTH))
    found = _of_packages(roots) or _imported_beside(target)
    plain = inspect.isroutine(_unwrapped(target)) and set(found) <= set(UNMARKED)
    installed = [name for name in UNMARKED if find_spec(name) is not None]
    return tuple(dict.fromkeys((*found, *installed))) if plain or not found else found


def _of_packages(roots: set[str]) -> tuple[str, ...]:
    """The frameworks to which some packages belong."""
    return tuple(name for name, one in REGISTERED.items() if roots & set(one.packages))


def _imported_beside(target: Any) -> tuple[str, ...]:
    """The frameworks that the module of a function imports, for one that calls methods of its arguments alone."""
    values = attribute(_unwrapped(target), "__globals__", {}).values()
    modules = {value.__name__ if isinstance(value, ModuleType) else attribute(value, "__module__") for value in values}
    return _of_packages({_root(module) for module in modules})


def pair(target: Any) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Forward and backward of a target that offers both: a pair of functions, or an object with two methods.

    A class of the framework that is itself differentiated (torch.autograd.Function) is not a pair, and neither is what
    a framework returns as a pair of functions (hk.transform).
    """
    own = target if inspect.isclass(target) else type(target)
    differentiated = {package for name, one in REGISTERED.items() if name != NUMPY for package in one.packages}
    if any(_root(base.__module__) in differentiated for base in own.__mro__):
        return None
    if isinstance(target, (tuple, list)) and len(target) == 2 and all(map(callable, target)):
        return target[0], target[1]
    forward, backward = attribute(target, "forward"), attribute(target, "backward")
    return class_pair.of_class(target) or ((forward, backward) if callable(forward) and callable(backward) else None)


def _root(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


def _unwrapped(target: Any) -> Any:
    """The function behind partial application, bound methods and decorators that keep it in `__wrapped__`."""
    for _ in range(20):
        if isinstance(target, functools.partial):
            target = target.func
        elif inspect.ismethod(target):
            target = target.__func__
        elif "__wrapped__" in attribute(target, "__dict__", {}):
            target = target.__wrapped__
        else:
            break
    return target


def _packages(target: Any, depth: int) -> Iterator[str]:
    """Top-level packages that a target comes from or names; a tuple, such as a module and its state, has its parts'."""
    if type(target) is tuple:
        yield from (_root(base.__module__) for part in target for base in type(part).__mro__)
    for one in (target, _unwrapped(target)):
        own = one if inspect.isclass(one) else type(one)
        yield from (_root(base.__module__) for base in own.__mro__)
        yield _root(attribute(one, "__module__"))
        if inspect.ismethod(one) or attribute(one, "__code__") is None:
            call = getattr(type(one), "__call__", None)  # noqa: B004  # the function of a callable object, not the test
            yield from _named(call, depth) if inspect.isfunction(call) else ()
    if inspect.isclass(target) and _without_base(target):
        yield from _named(target.__init__, depth)
        yield from _named(target.__call__, depth)
    yield from _named(_unwrapped(target), depth)


def _without_base(class_: type) -> bool:
    """Whether objects of a class can be called, and no base of it is of a framework: some have no base for layers."""
    packages = {package for one in REGISTERED.values() for package in one.packages}
    of_none = not any(_root(base.__module__) in packages for base in class_.__mro__)
    return of_none and inspect.isfunction(attribute(class_, "__call__"))


def _named(function: Any, depth: int) -> Iterator[str]:
    """Packages of the modules and values that a Python function refers to."""
    code = attribute(function, "__code__")
    if not isinstance(code, CodeType):
        return
    names = set(_names(code))
    yield from (name for name in names if name in sys.modules)  # imported inside the function
    values = [value for name, value in function.__globals__.items() if name in names]
    with suppress(ValueError):  # a cell that is still empty
        values += [cell.cell_contents for cell in function.__closure__ or ()]
    for value in values:
        yield _root(value.__name__ if isinstance(value, ModuleType) else attribute(value, "__module__"))
        yield _root(type(value).__module__)
        if depth and inspect.isfunction(value):
            yield from _named(value, depth - 1)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def binder_of(package: str) -> Callable[[Implementation, Any], BoundSubject]:
    """Binds implementations of a family by the module of its package that is named after the target's framework."""

    def bind(claim: Implementation, entry: Any) -> BoundSubject:
        with binding(claim.name):
            return bound(claim, entry)

    def bound(claim: Implementation, entry: Any) -> BoundSubject:
        target = loaded(claim.target)
        names = candidates(target)
        offered = [name for name in names if find_spec(f"{package}.{name}") is not None]
        if not offered:
            raise UsageError(f"{claim.name}: a {entry.name} is not checked yet where it is code of {names[0]}")
        get(offered[0])
        with settings():
            found: BoundSubject = import_module(f"{package}.{offered[0]}").subject(claim, entry)
        return found

    return bind
