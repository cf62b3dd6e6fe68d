"""The arrays of a case as numpy arrays, in the case's format and memory layouts."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.layouts import geometry
from normcheck.normalizers.case import Case


def in_layout(values: Array, format: str, layout: str) -> Array:
    """An array with the given values in a layout, as a view of a buffer that is NaN elsewhere.

    An expanded array is read-only, as numpy's own broadcast arrays are.
    """
    if layout == "contiguous":
        return np.array(values, dtype=format, order="C")
    place = geometry(values.shape, layout)
    buffer = np.full(place.length, np.nan, dtype=format)
    strides = tuple(stride * buffer.itemsize for stride in place.strides)
    view = np.ndarray(values.shape, buffer.dtype, buffer, place.offset * buffer.itemsize, strides)
    if layout == "expanded" and values.size:  # equal rows, so one is stored
        view[:1] = values[:1]
        view.flags.writeable = False
    else:
        view[...] = values
    return view


def given(values: Array | None, case: Case, name: str) -> Array | None:
    """An array of the case as it is passed to the call, in its layout; None stays None."""
    return None if values is None else in_layout(values, case.format.name, case.layout(name))


def cotangent(case: Case) -> Array:
    """The cotangent dy of the output, in the case's layout."""
    assert case.dy is not None, "the case has no cotangent"
    if case.layout("dy") == "expanded":  # one value with all strides 0, as in the backward pass of y.sum()
        return np.broadcast_to(np.array(case.dy.flat[0], dtype=case.format.name), case.dy.shape)
    return in_layout(case.dy, case.format.name, case.layout("dy"))


def memory(array: Array) -> Array:
    """The whole memory of an array from `given` or `cotangent`, including what lies around a view."""
    owner = array if array.base is None else array.base
    return owner.reshape(-1).view(np.uint8)


def overlapping(array: Array) -> bool:
    """Whether several entries of an array are one number in memory."""
    places = np.zeros((), np.int64)
    for size, stride in zip(array.shape, array.strides, strict=True):
        places = np.add.outer(places, np.arange(size) * stride)
    return bool(np.unique(places).size < array.size)
