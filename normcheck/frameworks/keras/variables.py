"""What a layer of Keras holds: its variables by the attributes that refer to them, and their roles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from normcheck.core.floats import FLOAT64
from normcheck.frameworks.protocol import LayerParts
from normcheck.frameworks.roles import NAMES, plain
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Constructed

STATE = ("running_mean", "running_var")
ROLES = ("weight", "bias", *STATE)


@contextmanager
def policy(format: str) -> Iterator[None]:
    """Layers that are made here have their variables in a format, and compute in it."""
    before, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy(format)
    if format == FLOAT64.name:  # plain numbers are made arrays of this format
        keras.config.set_floatx(format)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(before)


def layers_in(layer: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """A layer and the layers that its attributes hold, each with the dotted path that ends with a dot."""
    yield before, layer
    for name, value in vars(layer).items():
        if isinstance(value, keras.layers.Layer):
            yield from layers_in(value, f"{before}{name}.")


def held(layer: Any) -> dict[str, Any]:
    """The variables by dotted path."""
    return {
        f"{before}{name}": value
        for before, owner in layers_in(layer)
        for name, value in vars(owner).items()
        if isinstance(value, keras.Variable)
    }


def number(layer: Any, role: str) -> str:
    """The attribute with a number that has a role; empty if there is none."""
    numbers = (name for name, value in vars(layer).items() if isinstance(value, (float, int)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def parts(layer: Any) -> LayerParts:
    """Paths of its parameters and running statistics, its momentum and its eps."""
    known = held(layer)
    paths = {role: next((one for one in known if plain(one.rpartition(".")[2]) in NAMES[role]), "") for role in ROLES}
    eps = getattr(layer, number(layer, "eps") or "eps", None)
    return LayerParts(**paths, momentum=number(layer, "momentum"), eps=eps if isinstance(eps, float) else None)


def paths(layer: Any) -> dict[str, str]:
    """The path of each role that a layer has."""
    known = parts(layer)
    return {role: path for role in ROLES if (path := getattr(known, role))}


def sizes(layer: Any) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    known = held(layer)
    shapes = [tuple(known[path].shape) for path in paths(layer).values()]
    groups = getattr(layer, number(layer, "num_groups") or "num_groups", 1)
    return Sizes(math.prod(shapes[0]), int(groups), shapes[0]) if shapes else None


def constructed(layer: Any) -> Constructed:
    """The values with which a layer starts."""
    known, named = held(layer), paths(layer)
    values = (known[named[role]].value if role in named else None for role in ROLES)
    wide = (None if one is None else np.array(keras.ops.convert_to_numpy(one), dtype=np.float64) for one in values)
    weight, bias, mean, var = wide
    return Constructed(weight, bias, mean, var)
