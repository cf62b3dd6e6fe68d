"""Calls of a pair of functions (forward, backward) of numpy arrays, or of a forward function without a backward.

forward returns y or (y, cache). backward takes dy, the cache and any of the forward's arguments by name, and returns
dx, or (dx, dweight, dbias), or a dict with those names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import BFLOAT16, FORMATS, Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.numpy.arrays import cotangent, given
from normcheck.frameworks.numpy.options import Options
from normcheck.frameworks.numpy.watch import ArrayWatch, settings
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

FORMAT_NAMES = tuple(one.name for one in FORMATS.values() if one is not BFLOAT16)
"""The formats of numpy itself; ml_dtypes adds the one that is missing, for code that imports it."""

GRADIENTS = {
    "input": ("dx", "grad_x", "grad_input", "dv", "x", "input", "v"),
    "weight": ("dweight", "dgamma", "dw", "dg", "dscale", "grad_weight", "weight", "gamma"),
    "bias": ("dbias", "dbeta", "db", "dshift", "grad_bias", "bias", "beta"),
}

STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True, slots=True, eq=False)
class BoundFunction:
    """A function with the roles of its parameters; options: the dict that some of them are passed in."""

    function: Callable[..., Any]
    binding: Binding
    options: Options | None = None

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        """Positional and keyword arguments from values by role, and the dict of options among them."""
        args, kwargs = self.binding.arguments(values)
        return args, *((kwargs, {}) if self.options is None else self.options.packed(kwargs))


def _checked(value: Any, shape: tuple[int, ...], name: str, what: str) -> Array:
    if not isinstance(value, np.ndarray) or value.shape != shape:
        got = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise CallError(f"{name} returned {got} as {what}; expected shape {shape}")
    return value


def _returned(value: Any) -> tuple[Any, Any, Any]:
    """dx, dweight and dbias from the return value of a backward function; None for those that it does not return."""
    if isinstance(value, Mapping):
        found = [next((value[key] for key in keys if key in value), None) for keys in GRADIENTS.values()]
        return found[0], found[1], found[2]
    if isinstance(value, (tuple, list)):
        padded = (*value, None, None, None)
        return padded[0], padded[1], padded[2]
    return value, None, None


def _arrays(case: Case, style: FunctionStyle) -> dict[str, Array]:
    """The arrays of a case that are passed to a forward, by role."""
    arrays = {"input": given(case.x, case, "x")}
    for role, values in (("weight", case.weight), ("bias", case.bias)):
        array = given(values, case, role)
        spread = style.weight_to_broadcast and array is not None and array.ndim == 1 and case.x.ndim > 2
        arrays[role] = array.reshape(1, -1, *(1,) * (case.x.ndim - 2)) if spread and array is not None else array
    mean, var = case.running_mean, case.running_var
    if style.always_state and mean is None:
        units = case.x.shape[min(1, case.x.ndim - 1)]
        mean, var = np.zeros(units), np.ones(units)
    arrays |= {"running_mean": given(mean, case, "running_mean"), "running_var": given(var, case, "running_var")}
    return {role: array for role, array in arrays.items() if array is not None}


def _watched(arrays: Mapping[str, Array], dy: Array | None, case: Case) -> dict[str, Array | None]:
    """The arrays that a call must not write to, by name; running statistics are updated in training."""
    names = {"input": "x", "weight": "weight", "bias": "bias"}
    if not case.training:
        names |= {"running_mean": "running mean", "running_var": "running var"}
    return {name: arrays.get(role) for role, name in names.items()} | {"dy": dy}


@dataclass(frozen=True, slots=True, eq=False)
class PairCall:
    """A `Call` that runs a forward, and its backward if there is one, on arrays of the case's format."""

    forward: BoundFunction
    backward: BoundFunction | None
    name: str
    style: FunctionStyle
    formats: tuple[str, ...] = FORMAT_NAMES

    def __call__(self, case: Case, gradient: bool) -> Answer:
        if case.format.name not in self.formats:
            raise CallError(f"{self.name} works on numpy arrays, and numpy has no {case.format.name}")
        gradient = gradient and self.backward is not None
        if case.watched:  # modules that the first call imports may set warning filters of their own
            with settings(watched=True):
                self(case.but(watched=False), gradient)
        with settings(watched=case.watched):
            return self._answer(case, gradient=gradient)

    def _answer(self, case: Case, *, gradient: bool) -> Answer:
        arrays = _arrays(case, self.style)
        dy = cotangent(case) if gradient else None
        watch = ArrayWatch(_watched(arrays, dy, case)) if case.watched else None
        values = role_values(case, self.style.shape_as) | arrays
        args, kwargs, options = self.forward.arguments(values)
        returned = guarded(lambda: self.forward.function(*args, **kwargs), case, self.name)
        y, cache = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)
        y = y[0] if isinstance(y, tuple) else y
        y = _checked(y, case.x.shape, self.name, "y")
        if watch is not None:
            watch.after_forward(y)
        grads: Sequence[Array | None] = (None, None, None)
        if gradient:
            grads = self._gradients(case, values | {"dy": dy, "cache": cache}, options)
        mean, var = (self._statistic(role, arrays, options, case) for role in STATISTICS)
        out = Answer(y.astype(np.float64), y.dtype.name, grads[0], grads[1], grads[2], mean, var)
        if watch is None:
            return out
        again = case.but(x=-case.x, watched=False)
        return replace(out, changed=watch.changed(lambda: self(again, False)))

    def _gradients(self, case: Case, values: Mapping[str, Any], options: dict[str, Any]) -> list[Array | None]:
        """dx, dweight and dbias in the shapes of the case; zero for one that the backward does not return."""
        backward = self.backward
        assert backward is not None, "there is no backward"
        args, kwargs, _ = backward.arguments(values)
        if backward.options is not None:
            kwargs[backward.options.name] = options
        returned = guarded(lambda: backward.function(*args, **kwargs), case, self.name, IN_BACKWARD)
        out: list[Array | None] = []
        owners = (("input", case.x, "dx"), ("weight", case.weight, "dweight"), ("bias", case.bias, "dbias"))
        for value, (role, owner, what) in zip(_returned(returned), owners, strict=True):
            if owner is None:
                out.append(None)
            elif value is None:
                out.append(np.zeros(owner.shape))
            else:
                shape = values[role].shape if role in values else owner.shape
                grad = _checked(np.asarray(value), shape, self.name, what)
                out.append(grad.astype(np.float64).reshape(owner.shape))
        return out

    def _statistic(
        self, role: str, arrays: Mapping[str, Array], options: Mapping[str, Any], case: Case
    ) -> Array | None:
        """A running statistic after the call: updated in place, or replaced in the dict of options."""
        held = arrays.get(role)
        if held is None or getattr(case, role) is None:
            return None
        own = self.forward.options
        value = held if own is None or role not in own.keys else options.get(own.keys[role])
        return _checked(np.asarray(value), held.shape, self.name, role).astype(np.float64)
