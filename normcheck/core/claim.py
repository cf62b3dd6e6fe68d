"""A claim about a piece of code: this target implements that normalizer, under this contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normcheck.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Implementation:
    """A user's code that claims to implement a normalizer.

    kind: name of a catalog entry, such as "layer_norm". target: "package.module:attribute" or
    "path/to/file.py:attribute", or the object itself: a function, a torch.nn.Module class or instance, or a pair
    (forward, backward) in numpy.
    contract: the conventions that differ from the default, such as {"eps-place": "outside"}.
    """

    kind: str
    target: Any
    contract: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The target as text, for reports; an object is named by its module and qualified name."""
        if isinstance(self.target, str):
            return self.target
        if isinstance(self.target, (tuple, list)):
            return "(" + ", ".join(_dotted(part) for part in self.target) + ")"
        return _dotted(self.target)


def _dotted(thing: object) -> str:
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module = getattr(named, "__module__", None)
    return f"{module}:{getattr(named, '__qualname__', '?')}" if module else str(getattr(named, "__qualname__", thing))


def parse(text: str) -> Implementation:
    """An implementation from "KIND=TARGET". Raises `UsageError` for any other form.

    >>> parse("layer_norm=torch.nn.functional:layer_norm").kind
    'layer_norm'
    """
    kind, equals, target = text.partition("=")
    module, colon, attribute = target.strip().rpartition(":")
    if not equals or not kind.strip():
        raise UsageError(f"{text!r} is not KIND=TARGET, as in layer_norm=mypkg.kernels:fast_layer_norm")
    if not colon or not module or not attribute:
        raise UsageError(f"target {target.strip()!r} is neither package.module:attribute nor path/to/file.py:attribute")
    return Implementation(kind.strip(), target.strip())
