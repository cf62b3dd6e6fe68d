"""Faults of code that takes sizes which do not fit, or raises in its backward pass on what its forward pass takes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import FLOAT16, Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault
from normcheck.normalizers.faults.structure import grouped, trailing
from normcheck.normalizers.subject import Answer, Call

WIDEST = 8192
"""Members of a set from which on a backward pass has no kernel in half precision."""


def _left_over(call: Call) -> Call:
    """Groups of as many channels as the quotient without its remainder; the channels behind them are not written."""

    def rounded_down(case: Case, gradient: bool) -> Answer:
        over = case.x.shape[1] % case.groups
        if not over:
            return call(case, gradient)
        kept = case.x.shape[1] - over
        weight, bias = (None if own is None else own[:kept] for own in (case.weight, case.bias))
        answer = call(case.but(x=case.x[:, :kept], weight=weight, bias=bias, dy=None), False)
        y = np.zeros(case.x.shape)
        y[:, :kept] = answer.y
        return replace(answer, y=y)

    return rounded_down


def _beyond_its_end(call: Call) -> Call:
    """As many entries of a parameter are read as there are units; behind its end lies what does not belong to it."""

    def unchecked(case: Case, gradient: bool) -> Answer:
        units = math.prod(case.x.shape[case.x.ndim - case.normalized :])

        def read(own: Array | None) -> Array | None:
            if own is None or own.size == units:
                return own
            return np.concatenate([own.reshape(-1), np.full(units, np.nan)])[:units]

        return call(case.but(weight=read(case.weight), bias=read(case.bias)), gradient)

    return unchecked


def _no_wide_backward(call: Call) -> Call:
    """The forward pass takes every width, the backward pass of float16 raises from `WIDEST` on."""

    def limited(case: Case, gradient: bool) -> Answer:
        answer = call(case, gradient)
        if gradient and case.format == FLOAT16 and case.x.shape[-1] >= WIDEST:
            reason = f"raised ValueError: hidden size {case.x.shape[-1]} is not supported{IN_BACKWARD}"
            shape = "x".join(map(str, case.x.shape))
            raise CallError(f"it {reason} (a {shape} {case.format.name} input)", reason)
        return answer

    return limited


FAULTS = (
    Fault(
        name="channels-left-over",
        story="Where the number of groups does not divide the channels, the last channels belong to no group and are "
        "not written, without an error. Hides in every call that torch's function accepts.",
        source="PaddlePaddle/Paddle#35644",
        concerns=grouped,
        where="refusal",
        around=_left_over,
    ),
    Fault(
        name="parameter-read-beyond-end",
        story="The length of weight and bias is not checked: the kernel reads as many entries as there are units, "
        "behind the end of a shorter array what lies there. Hides in every call that torch's function accepts.",
        source="ml-explore/mlx#2870",
        concerns=lambda normalizer: trailing(normalizer) and normalizer.weight,
        where="refusal",
        around=_beyond_its_end,
    ),
    Fault(
        name="backward-refuses-widths",
        story="The forward pass takes every width; the backward pass has kernels for less than 8,192 members in half "
        "precision, and raises behind. Hides where nothing is trained, and in every narrower layer.",
        source="bytedance/lightseq#137",
        concerns=trailing,
        where="backward",
        around=_no_wide_backward,
    ),
)
