"""The same callable without optional arguments, so that its defaults can be measured."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from normcheck.frameworks.roles import NAMES, plain


def without(target: Any, *roles: str) -> Any:
    """The callable without the arguments of some roles, and the attributes of these names; None if it has none.

    A class and an instance keep the values that their own constructor sets: later assignments have no effect.
    """
    hidden = {name for role in roles for name in NAMES[role]}
    if not inspect.isclass(target) and not inspect.isroutine(target) and any(plain(n) in hidden for n in _own(target)):
        made = copy.deepcopy(target)
        made.__class__ = _keeping(type(target), hidden)
        return made
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return None
    parameters = list(signature.parameters.values())
    kept = [p for p in parameters if plain(p.name) not in hidden or p.default is p.empty]
    shorter = signature.replace(parameters=kept)
    if inspect.isclass(target):
        return _keeping(target, hidden, __signature__=shorter)
    if len(kept) == len(parameters):
        return None

    def shorter_call(*args: Any, **kwargs: Any) -> Any:
        return target(*args, **kwargs)

    shorter_call.__signature__ = shorter  # type: ignore[attr-defined]  # what inspect reads in place of the code's own
    return shorter_call


def _own(target: Any) -> list[str]:
    return list(getattr(target, "__dict__", {}))


def _keeping(kind: Any, hidden: set[str], **more: Any) -> type:
    """A class whose instances keep the first value of the hidden attributes."""

    def keep(self: Any, name: str, value: Any) -> None:
        if plain(name) not in hidden or name not in _own(self):
            kind.__setattr__(self, name, value)

    own = {"__module__": kind.__module__, "__setattr__": keep}
    made: type = type(kind)(kind.__name__, (kind,), own | more)
    return made
