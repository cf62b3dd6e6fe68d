"""Targets of which some arguments are fixed: `pkg.mod:Name(groups=4)` is a class or function with that argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from normcheck.core.errors import UsageError, suggest
from normcheck.core.foreign_code import attribute
from normcheck.core.target import TargetText
from normcheck.frameworks.forwarding import signature_of
from normcheck.frameworks.roles import Parameter, from_signature


@dataclass(frozen=True, slots=True)
class Fixed:
    """A class or function, and the arguments that every call of it gets."""

    inner: Any
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def named(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        """The values of the fixed parameters by name, of all parameters of the class or function."""
        return {one.name: value for one, value in zip(parameters, self.args, strict=False)} | dict(self.kwargs)

    def free(self, parameters: Sequence[Parameter]) -> list[Parameter]:
        """The parameters that are not fixed, of all parameters of the class or function."""
        return [one for one in parameters[len(self.args) :] if one.name not in self.kwargs]


KEPT = "_normcheck_fixed"
"""The attribute of a target with fixed arguments that holds its `Fixed`."""


def fixed(target: Any) -> Fixed:
    """What a loaded target is made of; a target without fixed arguments is its own inner one."""
    own = attribute(target, "__dict__", {})
    found = own.get(KEPT) if hasattr(own, "get") else None
    return found if isinstance(found, Fixed) else Fixed(target)


class FixedFunction:
    """A function with fixed arguments."""

    def __init__(self, made: Fixed) -> None:
        self.__dict__[KEPT] = made
        self.__wrapped__ = made.inner
        signature = _signature(made)
        if signature is not None:
            self.__signature__ = signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        made = fixed(self)
        return made.inner(*made.args, *args, **{**made.kwargs, **kwargs})


def with_arguments(target: Any, text: TargetText) -> Any:
    """The target with the arguments of its text fixed; without arguments the target itself.

    A class stays a class, whose instances are those of the original class. Raises `UsageError` for a target that
    cannot be called so, and for an argument that it does not take.
    """
    if not text.call:
        return target
    name = text.plain
    if not callable(target) or (not inspect.isclass(target) and not _is_function(target)):
        raise UsageError(f"{name} is neither a class nor a function, so no arguments can be fixed")
    made = Fixed(target, text.args, text.kwargs)
    found = from_signature(target)
    if found is not None:
        raise_unless_taken(made, found, name)
    return of_fixed(made)


def of_fixed(made: Fixed) -> Any:
    """The target that is made of a class or function and fixed arguments; without arguments that class or function."""
    if not made.args and not made.kwargs:
        return made.inner
    return _fixed_class(made) if inspect.isclass(made.inner) else FixedFunction(made)


def _is_function(target: Any) -> bool:
    """Whether a target is called with its arguments, and not a layer whose parameters are already in it."""
    return inspect.isroutine(target) or not callable(attribute(target, "parameters"))


def raise_unless_taken(made: Fixed, parameters: Sequence[Parameter], name: str) -> None:
    """Raise `UsageError` for a fixed argument that is not among the parameters, or cannot be given in this way."""
    known = {one.name: one for one in parameters}
    for given in made.kwargs:
        if given not in known and not _takes_any(made.inner, inspect.Parameter.VAR_KEYWORD):
            raise UsageError(f"{name} takes no argument {given!r}; {suggest(given, known)}")
        if given in list(known)[: len(made.args)]:
            raise UsageError(f"{name} gets its argument {given!r} by position and by name")
        if given in known and not known[given].keyword:
            raise UsageError(f"{name} takes its argument {given!r} by position only, not by name")
    if len(made.args) > len(known) and not _takes_any(made.inner, inspect.Parameter.VAR_POSITIONAL):
        raise UsageError(f"{name} takes {len(known)} arguments, not {len(made.args)}")


def _takes_any(target: Any, kind: Any) -> bool:
    signature = signature_of(target)
    return signature is not None and any(p.kind is kind for p in signature.parameters.values())


def _signature(made: Fixed) -> inspect.Signature | None:
    """The signature without the fixed parameters; None if the function has none that can be read."""
    signature = signature_of(made.inner)
    if signature is None:
        return None
    parameters = list(signature.parameters.values())
    while parameters and len(signature.parameters) - len(parameters) < len(made.args):
        if parameters[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD):
            break
        del parameters[0]
    rest = [p for p in parameters if p.name not in made.kwargs]
    keyword = False  # a parameter behind one that is fixed by name can only be given by name too
    out = []
    for p in parameters:
        keyword = keyword or p.name in made.kwargs
        positional = p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if p in rest:
            out.append(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) if keyword and positional else p)
    out.sort(key=lambda p: p.kind)
    return signature.replace(parameters=out)


def _fixed_class(made: Fixed) -> type:
    """A class that constructs instances of the original class with the fixed arguments."""
    base = made.inner

    def construct(cls: Any, *args: Any, **kwargs: Any) -> Any:
        make: Callable[..., Any] = base if cls is out else super(meta, cls).__call__
        return make(*made.args, *args, **{**made.kwargs, **kwargs})

    meta: Any = type("FixedArguments", (type(base),), {"__call__": construct})
    names = {name: attribute(base, name) for name in ("__module__", "__qualname__", "__doc__")}
    signature = _signature(made)
    own = names | {KEPT: made} | ({} if signature is None else {"__signature__": signature})
    try:
        out: type = meta(base.__name__, (base,), own)
    except Exception as error:
        raise UsageError(f"{base.__name__} is a class whose arguments cannot be fixed: {error}") from None
    return out
