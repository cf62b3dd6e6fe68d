"""The same callable by itself: without optional arguments, so that the defaults that it has can be measured."""

from __future__ import annotations

import copy
import inspect
from typing import Any

from normcheck.frameworks.roles import NAMES, plain


def without(thing: Any, *roles: str) -> Any:
    """The callable without what plays these roles, as argument or as attribute set from outside; None if it has none.

    A class and an instance keep what their own constructor gave them.
    """
    hidden = {name for role in roles for name in NAMES[role]}
    if not inspect.isclass(thing) and not inspect.isroutine(thing) and any(plain(n) in hidden for n in _own(thing)):
        made = copy.deepcopy(thing)
        made.__class__ = _held(type(thing), hidden)
        return made
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    there = list(signature.parameters.values())
    kept = [p for p in there if plain(p.name) not in hidden or p.default is p.empty]
    shorter = signature.replace(parameters=kept)
    if inspect.isclass(thing):
        return _held(thing, hidden, __signature__=shorter)
    if len(kept) == len(there):
        return None

    def alone(*args: Any, **kwargs: Any) -> Any:
        return thing(*args, **kwargs)

    alone.__signature__ = shorter  # type: ignore[attr-defined]  # what inspect reads in place of the code's own
    return alone


def _own(thing: Any) -> list[str]:
    return list(getattr(thing, "__dict__", {}))


def _held(kind: Any, hidden: set[str], **more: Any) -> type:
    """A class whose instances keep the first value of the hidden attributes, whoever sets them again."""

    def keep(self: Any, name: str, value: Any) -> None:
        if plain(name) not in hidden or name not in _own(self):
            kind.__setattr__(self, name, value)

    own = {"__module__": kind.__module__, "__setattr__": keep}
    made: type = type(kind)(kind.__name__, (kind,), own | more)
    return made
