"""Backward functions that serve training only: they get no mode, and return in evaluation what they do in training.

Nobody calls them after an evaluation, so their gradients there are not offered, where autograd's would be wrong.
"""

from __future__ import annotations

import numpy as np

from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Call


def shown(normalizer: Normalizer, call: Call, case: Case) -> str:
    """How a backward shows in a case in evaluation that it is that of training only; empty if it does not.

    It raises, or what it returns has the direction of g - mean g - xh mean(g xh) in every set, and not that of g.
    """
    try:
        answer = call(case, True)
    except CallError as error:
        return error.reason
    if answer.dx is None or case.dy is None:
        return ""
    truth = evaluate(normalizer, case)
    part, bias = truth.partition, np.zeros(()) if truth.bias is None else truth.bias
    gain = np.ones(()) if truth.gain is None else truth.gain
    g, xh = part.gather(case.dy * gain), part.gather(np.broadcast_to((answer.y - bias) / gain, case.x.shape))
    mean = lambda values: values.mean(axis=1, keepdims=True)
    through = g - mean(g) - xh * mean(g * xh)
    if _along(part.gather(answer.dx), through) and not _along(through, g):
        return "its backward is that of training: it passes through the statistics of a batch"
    return ""


def _along(one: Array, other: Array) -> bool:
    """Whether the rows of two arrays have the same direction, to three digits."""
    with np.errstate(all="ignore"):
        lengths = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
        return bool(np.all((one * other).sum(axis=1) > (1.0 - 1e-6) * lengths))
