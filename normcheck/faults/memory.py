"""Faults of reading memory: strides or offsets that are not honored, arrays taken for contiguous."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from normcheck.case import Case
from normcheck.faults.base import Asked, Fault
from normcheck.faults.structure import activations, any_of_them
from normcheck.floats import Array
from normcheck.layouts import Geometry, geometry


def _buffer(values: Array, where: Geometry) -> Array:
    """The memory around an array, zeros elsewhere: what uninitialized memory often is."""
    memory = np.zeros(where.length + values.size + 8)
    for index in np.ndindex(values.shape):
        memory[where.offset + sum(i * s for i, s in zip(index, where.strides, strict=True))] = values[index]
    return memory


def misread(values: Array, layout: str, *, from_start: bool = True) -> Array:
    """What code sees that takes an array for contiguous, from the start of its storage or from its own offset."""
    if layout == "contiguous":
        return values
    where = geometry(values.shape, layout)
    if layout == "expanded" and bool((values == values.flat[0]).all()):  # one number in memory
        where = Geometry((0,) * values.ndim, 0, 1)
    first = 0 if from_start else where.offset
    return _buffer(values, where)[first : first + values.size].reshape(values.shape)


def _without_offset(values: Array, layout: str) -> Array:
    """What code sees that knows the strides but starts at the beginning of the storage."""
    if layout == "contiguous":
        return values
    where = geometry(values.shape, layout)
    memory = np.concatenate([_buffer(values, where), np.zeros(values.size)])
    out = np.empty(values.shape)
    for index in np.ndindex(values.shape):
        out[index] = memory[sum(i * s for i, s in zip(index, where.strides, strict=True))]
    return out


def _reads(role: str, read: Callable[[Array, str], Array], when: Callable[[str], bool]) -> Callable[[Asked], Case]:
    def before(asked: Asked) -> Case:
        case = asked.case
        values, layout = getattr(case, role), case.layout(role)
        return case if values is None or not when(layout) else case.but(**{role: read(values, layout)})

    return before


def _any(layout: str) -> bool:
    return True


FAULTS = (
    Fault(
        name="strides-ignored",
        story="Reads its input as if it were contiguous from its first entry on. Hides behind a test that only makes "
        "fresh tensors.",
        source="microsoft/DirectML#588",
        concerns=any_of_them,
        before=_reads("x", lambda values, layout: misread(values, layout, from_start=False), _any),
    ),
    Fault(
        name="offset-ignored",
        story="Reads its input from the start of the storage: a row slice gets the rows before it.",
        source="pytorch/pytorch#131750",
        concerns=any_of_them,
        before=_reads("x", _without_offset, _any),
    ),
    Fault(
        name="channels-last-slice-misread",
        story="Channels-last input is right, and so is a slice; a slice of channels-last input is read without its "
        "offset.",
        source="pytorch/pytorch#174345",
        concerns=lambda n: n.sets.layout == "channels",
        before=_reads("x", _without_offset, lambda layout: layout == "channels last slice"),
    ),
    Fault(
        name="weight-strides-ignored",
        story="Reads the weight as if it were contiguous. Hides as long as parameters are whole tensors.",
        source="NVIDIA/TensorRT-LLM#14810",
        concerns=activations,
        before=_reads("weight", lambda values, layout: misread(values, layout, from_start=False), _any),
    ),
    Fault(
        name="cotangent-strides-ignored",
        story="The backward reads the output's gradient as if it were contiguous, which out.sum() and a sliced loss "
        "do not send.",
        source="Dao-AILab/quack#88",
        concerns=any_of_them,
        where="backward",
        before=_reads("dy", lambda values, layout: misread(values, layout, from_start=False), _any),
    ),
)
