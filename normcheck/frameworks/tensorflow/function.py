"""Functions of TensorFlow's tensors: plain, compiled by tf.function, with a gradient of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import tensorflow as tf

from normcheck.frameworks.forwarding import BY_POSITION, signature_of
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import NAMES, Binding, Parameter, plain
from normcheck.frameworks.tensorflow.call import LEAVES, STATE, Prepare, Ready, output_of
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer


def preparing(
    function: Callable[..., Any], binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
) -> Prepare:
    """Makes a function ready for cases.

    Running statistics are passed as variables: a function may assign to them, or return the new ones beside its
    output, as y, (mean, var).
    """

    def prepare(case: Case, tensors: dict[str, Any]) -> Ready:
        x, kept = tensors["input"], case.running_mean is not None
        given = dict(tensors)
        if style.always_state and not kept:
            units = x.shape[min(1, x.shape.rank - 1)]
            given |= {"running_mean": tf.zeros(units, x.dtype), "running_var": tf.ones(units, x.dtype)}
        held = {role: tf.Variable(given[role], trainable=False) for role in STATE if role in given}
        missing = {role: None for role in ("weight", "bias") if binding.required(role) and role not in given}

        def forward() -> tuple[Any, dict[str, Any]]:
            flat = {"weight": tf.reshape(given["weight"], [-1])} if style.flat_weight and "weight" in given else {}
            args, kwargs = binding.arguments(role_values(case, style.shape_as) | given | held | missing | flat)
            args, kwargs = _by_position(function, args, kwargs)
            returned = function(*args, **kwargs)
            y = output_of(returned, x, name)
            if not kept:
                return y, {}
            return y, {role: one.read_value() for role, one in held.items()} | _returned(returned, held, normalizer)

        return Ready({role: given[role] for role in LEAVES if role in given}, forward)

    return prepare


def by_position(parameters: list[Parameter]) -> list[Parameter]:
    """The same parameters, where the leading required arrays are passed by position, in scripts too."""
    known = {name for role in (*LEAVES, *STATE) for name in NAMES[role]}
    others = (i for i, one in enumerate(parameters) if not one.required or (i and plain(one.name) not in known))
    leading = next(others, len(parameters))
    return [replace(one, keyword=False) for one in parameters[:leading]] + parameters[leading:]


def _by_position(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The same arguments, with arrays by position, as far as the function takes them so.

    A function with a gradient of its own (tf.custom_gradient) is not differentiated by it with respect to arrays that
    it gets by keyword: TensorFlow records what is computed inside instead, without a word.
    """
    signature = signature_of(function)
    parameters = [] if signature is None else list(signature.parameters.values())[len(args) :]
    arrays = [i for i, one in enumerate(parameters) if _is_array(kwargs.get(one.name))]
    leading = parameters[: max(arrays, default=-1) + 1]
    if any(one.kind not in BY_POSITION or (one.name not in kwargs and one.default is one.empty) for one in leading):
        return args, kwargs
    names = {one.name for one in leading}
    moved = [kwargs.get(one.name, one.default) for one in leading]
    return [*args, *moved], {name: value for name, value in kwargs.items() if name not in names}


def _is_array(value: Any) -> bool:
    return bool(tf.is_tensor(value)) or isinstance(value, tf.Variable)


def _returned(returned: Any, held: dict[str, Any], normalizer: Normalizer) -> dict[str, Any]:
    """Running statistics that were returned beside the output; nothing where fewer were returned than are kept."""
    rest = tf.nest.flatten(returned[1:]) if isinstance(returned, (tuple, list)) else []
    size = next(iter(held.values())).shape.num_elements()
    found = [one for one in rest if tf.is_tensor(one) and one.shape.num_elements() == size]
    if len(found) < len(normalizer.kept):
        return {}
    return {role: tf.reshape(one, held[role].shape) for role, one in zip(held, found, strict=False)}
