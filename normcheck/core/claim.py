"""A claim about a piece of code: this target implements that normalizer, under this contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.foreign_code import attribute
from normcheck.core.safe_text import safe
from normcheck.core.target import target_of

BETWEEN = re.compile(r"[\s,;]+(?=[\w-]+=)|\s+")
"""What stands between conventions: a space, or a comma, which a value may have too, before a key."""
WITH_CONVENTIONS = re.compile(r"\s*(\w+)\s*\[([^\]]*)\]\s*=(.*)", re.DOTALL)
"""A claim with conventions of its own."""


@dataclass(frozen=True, slots=True)
class Implementation:
    """A user's code that claims to implement a normalizer.

    kind: name of a catalog entry, such as "layer_norm". target: "package.module:attribute" or
    "path/to/file.py:attribute", with fixed arguments as in "package.module:Name(groups=4)", or the object itself: a
    function, a torch.nn.Module class or instance, or a pair (forward, backward) in numpy.
    contract: the conventions that differ from the default, such as {"eps-place": "outside"}.
    """

    kind: str
    target: Any
    contract: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The target as text, for reports; an object is named by its module and qualified name."""
        if isinstance(self.target, str):
            return safe(self.target)
        if isinstance(self.target, (tuple, list)):
            return "(" + ", ".join(_dotted(part) for part in self.target) + ")"
        return _dotted(self.target)


def _dotted(thing: object) -> str:
    named = thing if isinstance(attribute(thing, "__qualname__"), str) else type(thing)
    module, name = attribute(named, "__module__"), attribute(named, "__qualname__", "?")
    return safe(f"{module}:{name}" if module else str(name))


def split_kind(text: str) -> tuple[str, str]:
    """Kind and target of "KIND=TARGET"; the kind is empty if the text has no equals sign before its arguments.

    >>> split_kind("mypkg.norms:GroupNorm(groups=4)")
    ('', 'mypkg.norms:GroupNorm(groups=4)')
    >>> split_kind("rms_norm[weight=1+w]=mypkg.norms:Norm")
    ('rms_norm', 'mypkg.norms:Norm')
    """
    kind, _, target = _parts(text)
    return kind, target


def _parts(text: str) -> tuple[str, str, str]:
    """Kind, conventions and target of a claim as text."""
    bracketed = WITH_CONVENTIONS.fullmatch(text)
    if bracketed:
        kind, conventions, target = bracketed.groups()
        return kind, conventions, target.strip()
    kind, equals, target = text.partition("=")
    return (kind.strip(), "", target.strip()) if equals and "(" not in kind else ("", "", text.strip())


def parse(text: str) -> Implementation:
    """An implementation from "KIND=TARGET", or "KIND[KEY=VALUE ...]=TARGET" with conventions of its own.

    Raises `UsageError` for any other form. Whether the conventions are known is not checked here.

    >>> parse("layer_norm=torch.nn.functional:layer_norm").kind
    'layer_norm'
    >>> parse("rms_norm[weight=1+w eps=1e-6]=mypkg.norms:Norm").contract
    {'weight': '1+w', 'eps': '1e-6'}
    >>> parse("rms_norm[formats=float32,bfloat16, weight=1+w]=mypkg.norms:Norm").contract
    {'formats': 'float32,bfloat16', 'weight': '1+w'}
    """
    kind, conventions, target = _parts(text)
    if not kind:
        raise UsageError(f"{text!r} is not KIND=TARGET, as in layer_norm=mypkg.kernels:fast_layer_norm")
    target_of(target)  # raises for a text that names no target
    pairs = [word.partition("=") for word in BETWEEN.split(conventions) if word]
    for word, equals, _ in pairs:
        if not equals:
            raise UsageError(f"{word!r} in {text!r} is not KEY=VALUE, as in {kind}[weight=1+w eps=1e-6]={target}")
    return Implementation(kind, target, {key: value for key, _, value in pairs})
