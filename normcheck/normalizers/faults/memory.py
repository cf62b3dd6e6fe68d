"""Faults of memory: strides or offsets that are ignored, arrays overwritten or shared, results kept between calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.layouts import Geometry, geometry
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import activations, any_of_them, weighted, weighted_activations
from normcheck.normalizers.subject import Answer, Call


def _buffer(values: Array, where: Geometry) -> Array:
    """The buffer in which an array lies, with NaN everywhere else, as the checks place it."""
    memory = np.full(where.length + values.size + 8, np.nan)
    for index in np.ndindex(values.shape):
        memory[where.offset + sum(i * s for i, s in zip(index, where.strides, strict=True))] = values[index]
    return memory


def misread(values: Array, layout: str, *, from_start: bool = True) -> Array:
    """What code reads that takes an array for contiguous, from the start of its storage or from its own offset."""
    if layout == "contiguous":
        return values
    where = geometry(values.shape, layout)
    if layout == "expanded" and bool((values == values.flat[0]).all()):  # one number in memory
        where = Geometry((0,) * values.ndim, 0, 1)
    first = 0 if from_start else where.offset
    return _buffer(values, where)[first : first + values.size].reshape(values.shape)


def _without_offset(values: Array, layout: str) -> Array:
    """What code reads that uses the strides but starts at the beginning of the storage."""
    if layout == "contiguous":
        return values
    where = geometry(values.shape, layout)
    memory = np.concatenate([_buffer(values, where), np.full(values.size, np.nan)])
    out = np.empty(values.shape)
    for index in np.ndindex(values.shape):
        out[index] = memory[sum(i * s for i, s in zip(index, where.strides, strict=True))]
    return out


def _reads(
    role: str, read: Callable[[Array, str], Array], when: Callable[[str], bool]
) -> Callable[[FaultQuestion], Case]:
    def before(question: FaultQuestion) -> Case:
        case = question.case
        values, layout = getattr(case, role), case.layout(role)
        return case if values is None or not when(layout) else case.but(**{role: read(values, layout)})

    return before


def _any(layout: str) -> bool:
    return True


def _through_strides_of_x(question: FaultQuestion) -> Case:
    """The cotangent read with the strides of the input, if neither is contiguous."""
    case = question.case
    dy, layouts = case.dy, (case.layout("x"), case.layout("dy"))
    if dy is None or "contiguous" in layouts or "expanded" in layouts or layouts[0] == layouts[1]:
        return case
    where = geometry(dy.shape, case.layout("dy"))
    strides = geometry(dy.shape, case.layout("x")).strides
    reach = where.offset + sum((size - 1) * stride for size, stride in zip(dy.shape, strides, strict=True))
    memory = np.concatenate([_buffer(dy, where), np.full(max(0, reach) + 1, np.nan)])
    out = np.empty(dy.shape)
    for index in np.ndindex(dy.shape):
        out[index] = memory[where.offset + sum(i * s for i, s in zip(index, strides, strict=True))]
    return case.but(dy=out)


def writes(*what: str) -> Callable[[Answer, FaultQuestion], Answer]:
    """The call changes memory or state that belongs to the caller, in a case that is watched."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        return replace(answer, changed=(*answer.changed, *what)) if question.case.watched else answer

    return after


def _returned_zeros(answer: Answer, question: FaultQuestion) -> Answer:
    """An input of zeros is returned itself, where no gradient is asked for."""
    case = question.case
    itself = case.watched and answer.dx is None and case.x.size > 0 and not case.x.any() and not answer.y.any()
    return replace(answer, changed=(*answer.changed, "the output shares memory with x")) if itself else answer


def _changes_in_backward(what: str) -> Callable[[Answer, FaultQuestion], Answer]:
    def after(answer: Answer, question: FaultQuestion) -> Answer:
        seen = question.case.watched and answer.dx is not None
        return replace(answer, changed=(*answer.changed, what)) if seen else answer

    return after


def _remembers(name: str) -> Callable[[Call], Call]:
    """One array of the answer grows from call to call."""

    def around(call: Call) -> Call:
        calls = count()

        def growing(case: Case, gradient: bool) -> Answer:
            answer = call(case, gradient)
            value = getattr(answer, name)
            if value is None:
                return answer
            grown: dict[str, Any] = {name: case.format.round(value * (1.0 + next(calls) / 16.0))}
            return replace(answer, **grown)

        return growing

    return around


FAULTS = (
    Fault(
        name="strides-ignored",
        story="Reads its input as if it were contiguous from its first entry on. Hides behind a test that only makes "
        "fresh tensors.",
        source="microsoft/DirectML#588",
        concerns=any_of_them,
        where="memory",
        before=_reads("x", lambda values, layout: misread(values, layout, from_start=False), _any),
    ),
    Fault(
        name="offset-ignored",
        story="Reads its input from the start of the storage: a row slice gets the rows before it.",
        source="pytorch/pytorch#131750",
        concerns=any_of_them,
        where="memory",
        before=_reads("x", _without_offset, _any),
    ),
    Fault(
        name="channels-last-slice-misread",
        story="Channels-last input is right, and so is a slice; a slice of channels-last input is read without its "
        "offset.",
        source="pytorch/pytorch#174345",
        concerns=lambda n: n.sets.layout == "channels",
        where="memory",
        before=_reads("x", _without_offset, lambda layout: layout == "channels last slice"),
    ),
    Fault(
        name="weight-strides-ignored",
        story="Reads the weight as if it were contiguous. Hides as long as parameters are whole tensors.",
        source="NVIDIA/TensorRT-LLM#14810",
        concerns=weighted_activations,
        where="memory",
        before=_reads("weight", lambda values, layout: misread(values, layout, from_start=False), _any),
    ),
    Fault(
        name="cotangent-read-with-input-strides",
        story="The backward takes the strides of the input for those of the cotangent. Right while one of them is "
        "contiguous, and in every test that varies one at a time.",
        source="pytorch/pytorch#140913",
        concerns=any_of_them,
        where="memory",
        before=_through_strides_of_x,
    ),
    Fault(
        name="output-entries-share-memory",
        story="Returns an expanded view: several entries of the output are one number in memory, and an in-place "
        "operation on it fails or hits them all.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        where="memory",
        after=writes("several entries of the output share memory"),
    ),
    Fault(
        name="output-is-lazy",
        story="Returns a subclass of a tensor that computes when it is looked at, after the clock was stopped.",
        source="gpu-mode/reference-kernels#162",
        concerns=any_of_them,
        where="memory",
        after=writes("the output is no plain tensor: LazyTensor"),
    ),
    Fault(
        name="thread-left-running",
        story="Starts the work on another thread and returns before it is done.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        where="memory",
        after=writes("a thread was left running"),
    ),
    Fault(
        name="input-overwritten",
        story="Normalizes in place, in the caller's own input. Hides wherever the input is not used again.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        where="memory",
        after=writes("x was written to"),
    ),
    Fault(
        name="output-shares-memory",
        story="Returns a view of its input: the next in-place operation on one changes the other.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        where="memory",
        after=writes("the output shares memory with x"),
    ),
    Fault(
        name="zeros-returned-as-they-are",
        story="Where there is nothing to normalize, the input itself is returned: the next in-place operation on the "
        "output changes it. Hides in every test that draws its numbers.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=activations,
        where="memory",
        after=_returned_zeros,
    ),
    Fault(
        name="result-buffer-reused",
        story="Writes every result to one buffer, so that a later call changes what an earlier one returned.",
        source="karpathy/llm.c#852",
        concerns=any_of_them,
        where="memory",
        after=writes("a later call changed an earlier result"),
    ),
    Fault(
        name="random-state-changed",
        story="Draws from the global generator, or seeds it: every random number after it differs.",
        source="Infatoshi/kernelbench.com#7",
        concerns=any_of_them,
        where="memory",
        after=writes("torch's random state was changed"),
    ),
    Fault(
        name="cotangent-overwritten",
        story="The backward writes dx into the output's gradient. Where that gradient is used twice, the other user "
        "gets dx.",
        source="linkedin/Liger-Kernel#1305",
        concerns=any_of_them,
        where="backward",
        after=_changes_in_backward("dy was written to"),
    ),
    Fault(
        name="output-drifts",
        story="Right for the first calls and wrong later: something is carried from call to call.",
        source="karpathy/llm.c#852",
        concerns=any_of_them,
        around=_remembers("y"),
    ),
    Fault(
        name="dweight-accumulates",
        story="The buffer of the weight's gradient is not cleared, so the gradient grows by itself: 1, 2, 3, ... times "
        "what it is.",
        source="apache/mxnet#16297",
        concerns=weighted,
        where="backward",
        around=_remembers("dweight"),
    ),
)
