"""Layers that get weight and bias in each call, as AdaLN does: bound as functions of input, weight and bias."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from normcheck.core.foreign_code import attribute
from normcheck.frameworks.fixed import fixed
from normcheck.frameworks.layers import constructor
from normcheck.frameworks.protocol import Layers
from normcheck.frameworks.roles import from_signature, names_of, plain
from normcheck.normalizers.normalizer import Normalizer

PARAMETERS = ("weight", "bias")
GIVEN = ("num_groups", "eps")
"""What a constructor may take beside the width."""

NONE_OF_ITS_OWN = {"affine": False, "use_bias": False, "track_running_stats": False}
"""What a layer is told that gets its parameters in each call."""


def _role(normalizer: Normalizer, name: str) -> str:
    """Weight or bias, by the name of a parameter; empty if it is neither."""
    return next((role for role in PARAMETERS if plain(name) in names_of(normalizer, role)), "")


def as_function(layers: Layers, target: Any, normalizer: Normalizer, name: str) -> Callable[..., Any] | None:
    """The function of a class whose calls require weight or bias, and nothing else beside the input; None of others.

    Raises `UsageError` if a required parameter of the constructor has no known role.
    """
    if not layers.is_class(target) or not inspect.isclass(target):
        return None
    method = attribute(target, "forward") or attribute(target, "__call__")
    required = [one.name for one in (from_signature(method) or ())[2:] if one.required]  # without self and the input
    roles = {one: _role(normalizer, one) for one in required}
    if not required or not all(roles.values()) or len(set(roles.values())) < len(roles):
        return None
    taken = constructor(layers, target, normalizer, name)
    width = "normalized_shape" if normalizer.sets.layout == "trailing" else "num_channels"

    @lru_cache(maxsize=16)
    def built(size: int, *given: Any) -> Any:
        values = {role: value for role, value in zip(GIVEN, given, strict=True) if value is not None}
        args, kwargs = taken.arguments({width: size, **NONE_OF_ITS_OWN, **values})
        return layers.construct(fixed(target).inner, args, kwargs)

    def function(x: Any, *args: Any, **kwargs: Any) -> Any:
        values: Mapping[str, Any] = signature.bind(x, *args, **kwargs).arguments
        size = x.shape[-1 if width == "normalized_shape" else 1]
        layer = built(int(size), *(values.get(role) for role in GIVEN))
        return layer(x, **{one: values[role] for one, role in roles.items()})

    kinds = inspect.Parameter
    names = ["x", *(role for role in GIVEN[:1] if role in taken.roles), *roles.values()]
    options = [kinds(role, kinds.KEYWORD_ONLY, default=None) for role in GIVEN[1:] if role in taken.roles]
    signature = inspect.Signature([*(kinds(one, kinds.POSITIONAL_OR_KEYWORD) for one in names), *options])
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function
