"""Calls of a function of C as a function of numpy arrays: inputs, outputs and sizes by the names of its parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from normcheck.core.errors import UsageError
from normcheck.core.floats import Array
from normcheck.frameworks.c.declaration import CParameter, names
from normcheck.frameworks.roles import NAMES, plain

PARAMETERS = (*NAMES["weight"], *NAMES["bias"])
"""Names of weight and bias."""

OUTPUTS = ("y", "out", "output", "o", "result", "dst")
"""Names of the normalized array, which the function writes."""

GRADIENTS = {
    "input": ("dx", "dinp", "dinput", "grad_x", "grad_input"),
    "weight": ("dweight", "dgamma", "dw", "dg", "dscale", "grad_weight"),
    "bias": ("dbias", "dbeta", "db", "dshift", "grad_bias"),
}
"""Names of what a backward function writes, by role."""

ADDED = tuple(name for some in GRADIENTS.values() for name in some)
"""Names of arrays to which a function may add, instead of writing them."""

WIDTHS = (
    "n", "c", "d", "h", "cols", "ncols", "n_cols", "num_cols", "columns", "width", "hidden", "hidden_size",
    "hidden_dim", "dim", "size", "features", "num_features", "d_model", "normalized_size", "inner",
)  # fmt: skip
"""Names of the number of members of a set, the last axis; the last parameter with such a name is it."""

ROWS = (
    "rows", "nrows", "n_rows", "num_rows", "m", "n", "b", "t", "batch", "batch_size", "tokens", "num_tokens", "outer",
    "seq", "seq_len", "length", "sets",
)  # fmt: skip
"""Names of the number of sets. The first parameter with such a name gets it, and others get 1."""


@dataclass(frozen=True, slots=True, eq=False)
class CFunction:
    """A function of a loaded library with its parameters."""

    name: str
    call: Any
    parameters: tuple[CParameter, ...]

    def sizes(self) -> tuple[CParameter, tuple[CParameter, ...]]:
        """The parameter of the width, and those of the number of sets. Raises `UsageError` if they cannot be told."""
        whole = [one for one in self.parameters if one.integer and plain(one.name) not in NAMES["training"]]
        width = next((one for one in reversed(whole) if plain(one.name) in WIDTHS), None)
        rows = [one for one in whole if one is not width]
        unknown = [one for one in rows if plain(one.name) not in ROWS]
        if width is None or unknown:
            what = f"has sizes {names(unknown or whole) or 'of no parameter'}, of which it is not known what they count"
            raise UsageError(f"{self.name} {what}: call the number of sets rows and that of members n")
        return width, tuple(rows)

    def run(self, given: Mapping[str, Any], x: Array) -> dict[str, Array]:
        """Call the function on arrays and numbers by parameter; the arrays that it has written, by parameter.

        What is not written is NaN. A gradient all of which stays NaN is one to which the function adds, as code does
        that accumulates over steps: it is called once more, on zeros. Raises `TypeError` and `ValueError` for arrays
        that it does not take.
        """
        written = self._called(given, x, np.nan)
        added = any(plain(name) in ADDED and np.isnan(array).all() for name, array in written.items())
        return self._called(given, x, 0.0) if added else written

    def _called(self, given: Mapping[str, Any], x: Array, before: float) -> dict[str, Array]:
        """One call, with a number in each entry of what it writes."""
        width, rows = self.sizes()
        n = x.shape[-1]
        counts = {width.name: n} | dict.fromkeys((one.name for one in rows), 1)
        counts |= {one.name: x.size // n if n else 0 for one in rows[:1]}
        written: dict[str, Array] = {}
        held, arguments = [], []
        for one in self.parameters:
            if one.name in counts:
                value = counts[one.name]
            elif one.name in given:
                value = given[one.name]
            else:
                like = self._shape(one, x)
                value = written[one.name] = np.full(like, before, dtype=one.type)
            if one.pointer and plain(one.name) in PARAMETERS and one.name in given:
                if value.size != n:
                    raise ValueError(f"{one.name} has {value.size} numbers, and a set has {n} members")
                value = np.ascontiguousarray(value)  # who calls C stores parameters so
            held.append(value)  # a copy lives as long as its address is in use
            arguments.append(_pointer(value, one) if one.pointer else one.type(value))
        self.call(*arguments)
        return written

    def _shape(self, parameter: CParameter, x: Array) -> tuple[int, ...]:
        """The shape of an array that the function writes: that of the input, of a parameter, or one number a set."""
        name = plain(parameter.name)
        if name in (*OUTPUTS, *GRADIENTS["input"]):
            return x.shape
        if name in (*GRADIENTS["weight"], *GRADIENTS["bias"]):
            return x.shape[-1:]
        return x.shape[:-1]


def _pointer(value: Array, parameter: CParameter) -> Any:
    wanted = np.dtype(parameter.type)
    if value.dtype != wanted:
        raise TypeError(f"{parameter.name} points to {wanted}, not {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{parameter.name} points to contiguous numbers")
    return value.ctypes.data


def _role(name: str) -> str:
    return next((role for role in ("input", "dy", "weight", "bias") if plain(name) in NAMES[role]), "")


def _outputs(function: CFunction, wanted: Sequence[str]) -> list[CParameter]:
    return [one for one in function.parameters if one.pointer and plain(one.name) in wanted]


def _signed(call: Callable[..., Any], parameters: Sequence[str]) -> Callable[..., Any]:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    call.__signature__ = inspect.Signature([inspect.Parameter(one, kind) for one in parameters])  # type: ignore[attr-defined]
    return call


def forward_of(function: CFunction) -> Callable[..., Any]:
    """The function as one of numpy arrays that returns the output and what it has written beside it.

    Raises `UsageError` where input, output or sizes cannot be told by their names.
    """
    function.sizes()
    outputs = _outputs(function, OUTPUTS)
    held = [one for one in function.parameters if not one.integer or plain(one.name) in NAMES["training"]]
    free = [one for one in held if not one.pointer or one.constant or _role(one.name)]
    free = [one for one in free if one not in outputs]
    inputs = [one for one in free if one.pointer and _role(one.name) == "input"]
    if len(outputs) != 1 or len(inputs) != 1:
        raise UsageError(
            f"{function.name}({names(function.parameters)}) has no one input and output: "
            f"call the array that is read x and the one that is written y"
        )

    def forward(*args: Any, **kwargs: Any) -> tuple[Array, dict[str, Array]]:
        given = dict(zip((one.name for one in free), args, strict=False)) | kwargs
        written = function.run(given, given[inputs[0].name])
        y = written.pop(outputs[0].name)
        return y, written | given

    return _signed(forward, [one.name for one in free])


def backward_of(function: CFunction) -> Callable[..., Any]:
    """A backward function as one of the cotangent and what the forward got and wrote, which returns the gradients.

    Raises `UsageError` where it writes no gradient of the input.
    """
    function.sizes()
    written_to = {role: _outputs(function, some) for role, some in GRADIENTS.items()}
    cotangent = [one for one in function.parameters if one.pointer and plain(one.name) in NAMES["dy"]]
    if not (written_to["input"] and cotangent):
        raise UsageError(
            f"{function.name}({names(function.parameters)}) has no dy that is read, or no dx that is written"
        )
    outputs = {one.name for some in written_to.values() for one in some}

    def backward(dy: Array, cache: dict[str, Any]) -> tuple[Array | None, ...]:
        needed = [one.name for one in function.parameters if one.name not in outputs and not one.integer]
        given = {name: cache[name] for name in needed if name in cache}
        dense = np.ascontiguousarray(dy)  # autograd may hand on any strides, and callers of C copy
        found = function.run(given | {cotangent[0].name: dense}, dy)
        return tuple(found[some[0].name] if some else None for some in written_to.values())

    return _signed(backward, ["dy", "cache"])
