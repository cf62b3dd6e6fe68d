"""Copies of layers of Keras, made from their configuration as Keras itself clones them, and layers made complete."""

from __future__ import annotations

import inspect
import math
from contextlib import suppress
from typing import Any

import keras

from normcheck.core.errors import CallError, UsageError
from normcheck.frameworks.channels import are_moved, of_layout
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.keras.variables import held, layers_in, paths
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

DTYPE, BASE = "dtype", ("name", "trainable")
"""Entries of a configuration that every layer has. The first is left out, so that a copy has the format that layers are
made in now, the others where a constructor takes no such argument."""


def copied(layer: Any) -> Any:
    """A copy of a layer, with its variables where it is built.

    Raises `UsageError` if its configuration makes another layer, because it leaves out a number.
    """
    own = {type(one).__name__: type(one) for _, one in layers_in(layer)}
    with keras.saving.custom_object_scope(own):
        made = type(layer).from_config(_configuration(layer))
        made.trainable = layer.trainable
        if layer.built:
            made.build_from_config(layer.get_build_config() or {})
    lost = [name for name, value in _numbers(layer).items() if _numbers(made).get(name) != value]
    if lost:
        raise UsageError(
            f"has a get_config() that loses {', '.join(lost)}: a copy that is made from it is another layer"
        )
    if layer.built:
        made.set_weights(layer.get_weights())
    return made


def _configuration(layer: Any) -> dict[str, Any]:
    taken = inspect.signature(type(layer).__init__).parameters
    open_ = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    found: dict[str, Any] = layer.get_config()
    return {key: one for key, one in found.items() if key != DTYPE and (open_ or key not in BASE or key in taken)}


def _numbers(layer: Any) -> dict[str, float]:
    """The plain numbers in the attributes of a layer, but for those that Keras keeps."""
    return {
        name: value
        for name, value in vars(layer).items()
        if isinstance(value, float) or (type(value) is int and not name.startswith("_"))
    }


def complete(layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
    """A layer with its variables: one that is not built is called, with the channels in the last axis or in axis 1.

    Raises `CallError` if both calls fail.
    """
    if layer.built:
        return layer
    spare = None
    if are_moved(normalizer, case):
        with suppress(Exception):
            spare = copied(layer)
    try:
        return _called(layer, case, name, normalizer, last=True)
    except CallError:
        if spare is None:
            raise
        with suppress(CallError):
            return _called(spare, case, name, normalizer, last=False)
        raise


def _called(layer: Any, case: Case, name: str, normalizer: Normalizer, *, last: bool) -> Any:
    """The layer after a call on zeros. Raises `CallError` if it fails or makes parameters of another size."""
    shape = of_layout(normalizer, case, last=last)
    guarded(lambda: layer(keras.ops.zeros(shape), training=False), case, name, " in the call that makes its variables")
    made = [tuple(held(layer)[path].shape) for path in paths(layer).values()]
    units = case.x.shape[1] if case.x.ndim > 1 else case.x.shape[0]
    if are_moved(normalizer, case) and any(math.prod(one) != units for one in made):
        raise CallError(f"{name} makes parameters of shapes {made} for {units} channels")
    return layer
