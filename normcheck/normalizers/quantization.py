"""Quantized outputs: the formats, their steps, and what a quantizer makes of exact values.

A value y is stored as q with a scale s, y = q s; s is of the whole output, of a row, or of a block of a row. The scale
of what reaches |y| = a is a / `Quantized.largest`. Sources: Jacob et al. 2018, section 2.1 (int8); Micikevicius et al.
2022, section 3 (the two formats of 8-bit floating point).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array


@dataclass(frozen=True, slots=True)
class Quantized:
    """A format of quantized values.

    dtypes: its names in frameworks. largest, least: its range. digits: of the significand, 0 for integers. smallest:
    exponent of the smallest normal number.
    """

    name: str
    dtypes: tuple[str, ...]
    largest: float
    least: float
    digits: int = 0
    smallest: int = 0

    def half_step(self, q: Array) -> Array:
        """Half the distance between numbers of the magnitude of q: the largest error of rounding to q."""
        if not self.digits:
            return np.full(np.shape(q), 0.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.floor(np.log2(np.abs(np.nan_to_num(q))))
        return np.asarray(np.exp2(np.maximum(exponent, self.smallest) - self.digits))


QUANTIZED = {
    one.name: one
    for one in (
        Quantized("int8", ("int8",), 127.0, -128.0),
        Quantized("e4m3", ("float8_e4m3fn",), 448.0, -448.0, 4, -6),
        Quantized("e5m2", ("float8_e5m2",), 57344.0, -57344.0, 3, -14),
    )
}
"""Every format, by the name of its form in a contract."""

SCALES = {name: f"scales of {name}" for name in QUANTIZED}
"""The way to call that returns the scale of each entry in place of the output."""

OF_SCALES = {use: QUANTIZED[name] for name, use in SCALES.items()}
"""The format of each of these ways."""

GIVEN_SCALE = 2.0**-5
"""The scale that code gets which takes one."""

LEAST = 2.0**-9
"""The largest |y| of a row is taken for this where it is smaller, at most: code keeps scales off zero."""

ROOM = 2.0
"""A scale may be larger by this than the one that the values need: powers of two are scales too."""


def quantized(form: str) -> Quantized | None:
    """The format in which code of a form, named as in the contract, returns its output; None if in its own."""
    return next((QUANTIZED[one] for one in form.split("+") if one in QUANTIZED), None)


def row_scales(of: Quantized, y: Array) -> Array:
    """The scale of each entry where each row has its own."""
    largest = np.abs(y).max(axis=-1, keepdims=True, initial=0.0)
    return np.broadcast_to(np.where(largest == 0.0, 1.0, largest / of.largest), y.shape)


def needed(of: Quantized, y: Array, scales: Array) -> Array:
    """The scale of each entry that is just enough for what shares its scale.

    One scale everywhere is of the whole output; else it is of the entries of a row that have it.
    """
    if not y.size or np.all(scales == scales.flat[0]):
        return np.full(y.shape, np.abs(y).max(initial=0.0) / of.largest)
    rows, values = y.reshape(-1, y.shape[-1]), scales.reshape(-1, y.shape[-1])
    out = np.empty(rows.shape)
    for row, scale, place in zip(np.abs(rows), values, out, strict=True):
        _, group = np.unique(scale, return_inverse=True)
        largest = np.zeros(group.max() + 1)
        np.maximum.at(largest, group, row)
        place[:] = largest[group] / of.largest
    return out.reshape(y.shape)
