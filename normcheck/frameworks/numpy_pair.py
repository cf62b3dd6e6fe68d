"""A pair of numpy functions (forward, backward), or a forward alone.

forward returns y or (y, cache); backward takes dy, the cache and any of the forward's arguments by name, and returns
dx, or (dx, dweight, dbias), or a dict with those names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import first_line
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call

GRADIENTS = {
    "input": ("dx", "grad_x", "grad_input", "dv", "x", "input", "v"),
    "weight": ("dweight", "dgamma", "dw", "dg", "dscale", "grad_weight", "weight", "gamma"),
    "bias": ("dbias", "dbeta", "db", "dshift", "grad_bias", "bias", "beta"),
}


def _guarded(function: Callable[[], Any], case: Case, name: str, doing: str = "") -> Any:
    try:
        with np.errstate(all="ignore"):
            return function()
    except (Exception, SystemExit) as error:
        shape = "x".join(map(str, case.x.shape))
        said = f"raised {first_line(error)}{doing}"
        raise CallError(f"{name} {said} (a {shape} {case.format.name} input)", said) from error


def _checked(value: Any, shape: tuple[int, ...], name: str, what: str) -> Array:
    if not isinstance(value, np.ndarray) or value.shape != shape:
        got = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise CallError(f"{name} returned {got} as {what}; expected shape {shape}")
    return value


def _three(value: Any, name: str) -> tuple[Any, Any, Any]:
    """dx, dweight, dbias from what a backward returned."""
    if isinstance(value, Mapping):
        found = [next((value[key] for key in keys if key in value), None) for keys in GRADIENTS.values()]
        return found[0], found[1], found[2]
    if isinstance(value, tuple):
        padded = (*value, None, None, None)
        return padded[0], padded[1], padded[2]
    return value, None, None


def make(
    forward: Callable[..., Any],
    forward_binding: Binding,
    backward: Callable[..., Any] | None,
    backward_binding: Binding | None,
    name: str,
    *,
    shape_as: type = tuple,
) -> Call:
    """Answers cases by calling the functions with arrays of the case's format."""

    def call(case: Case, gradient: bool) -> Answer:
        if case.format.name == "bfloat16":
            raise CallError(f"{name} works on numpy arrays, and numpy has no bfloat16")
        number = np.dtype(case.format.name)

        def cast(array: Array | None) -> Array | None:
            return None if array is None else np.array(array, dtype=number)

        shape = case.x.shape[case.x.ndim - case.normalized :]
        arrays = {
            "input": cast(case.x), "weight": cast(case.weight), "bias": cast(case.bias),
            "running_mean": cast(case.running_mean), "running_var": cast(case.running_var),
        }  # fmt: skip
        values: dict[str, Any] = {
            "normalized_shape": shape[0] if shape_as is int else shape, "num_groups": case.groups,
            "training": case.training, "use_input_stats": case.training, "momentum": case.momentum,
            "eps": case.eps, "p": case.part, "dim": case.dim,
        }  # fmt: skip
        values |= {role: a for role, a in arrays.items() if a is not None}
        args, kwargs = forward_binding.arguments(values)
        returned = _guarded(lambda: forward(*args, **kwargs), case, name)
        y, cache = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        y = y[0] if isinstance(y, tuple) else y
        y = _checked(y, case.x.shape, name, "y")
        grads: list[Array | None] = [None, None, None]
        if gradient and backward is not None and backward_binding is not None:
            assert case.dy is not None, "the case has no cotangent"
            more = values | {"dy": cast(case.dy), "cache": cache}
            args, kwargs = backward_binding.arguments(more)
            given = _three(_guarded(lambda: backward(*args, **kwargs), case, name, " in its backward"), name)
            owners = (case.x, case.weight, case.bias)
            for i, (value, owner, what) in enumerate(zip(given, owners, ("dx", "dweight", "dbias"), strict=True)):
                if owner is None:
                    continue
                full = np.zeros(owner.shape) if value is None else np.asarray(value).reshape(np.shape(value))
                grads[i] = _checked(full, owner.shape, name, what).astype(np.float64)
        stats = (arrays["running_mean"], arrays["running_var"])
        mean, var = (None if s is None else s.astype(np.float64) for s in stats)
        return Answer(y.astype(np.float64), y.dtype.name, grads[0], grads[1], grads[2], mean, var)

    return call
