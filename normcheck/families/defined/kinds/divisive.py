"""Divisive normalization: statistics of a window over space and all channels."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import mean, space
from normcheck.families.defined.tracing.gradients import constant


def _sum_of_window(x: Any, window: int) -> Any:
    """The sum over a window of so many positions along each axis of space, zeros outside."""
    for axis in space(x):
        width = [(window // 2, (window - 1) // 2) if a == axis else (0, 0) for a in range(x.ndim)]
        padded, size = np.pad(x, width), x.shape[axis]
        x = sum(padded[(slice(None),) * axis + (slice(i, i + size),)] for i in range(window))
    return x


def _window_mean(x: Any, window: int, whole: int) -> Any:
    """The mean over channels and a window; whole: zeros outside count as positions."""
    over_channels = mean(x, 1)
    total = _sum_of_window(over_channels, window)
    if whole:
        return total / float(window ** len(space(x)))
    return total / _sum_of_window(np.ones(over_channels.shape, over_channels.dtype), window)


def _parts(x: Any, sum_window: int, sup_window: int, count_include_pad: int) -> tuple[Any, Any]:
    """The centered input, and the mean of its squares."""
    c = x - _window_mean(x, sum_window, count_include_pad)
    return c, _window_mean(np.square(c), sup_window, count_include_pad)


def _divided(c: Any, square: Any, weight: Any, bias: Any, eps: float) -> Any:
    return c / np.sqrt(square + eps) * weight + bias


def _divisive(
    x: Any,
    weight: Any,
    bias: Any,
    sum_window: int = 3,
    sup_window: int = 3,
    eps: float = 1.0,
    count_include_pad: int = 1,
) -> Any:
    return _divided(*_parts(x, sum_window, sup_window, count_include_pad), weight, bias, eps)


def _by_other_window(x: Any, weight: Any, bias: Any, eps: float, **windows: int) -> Any:
    c, square = _parts(x, **windows)
    ratio = (windows["sup_window"] / windows["sum_window"]) ** len(space(x))
    return _divided(c, ratio * square, weight, bias, eps)


def _each_channel(x: Any, weight: Any, bias: Any, eps: float, **windows: int) -> Any:
    """Windows of one channel each, (cases, 1, *space)."""
    parts = [_divided(*_parts(x[:, i : i + 1], **windows), 1.0, 0.0, eps) for i in range(x.shape[1])]
    return np.concatenate(parts, axis=1) * weight + bias


def _variance_of_window(x: Any, weight: Any, bias: Any, eps: float, **windows: int) -> Any:
    c, _ = _parts(x, **windows)
    size, whole = windows["sup_window"], windows["count_include_pad"]
    var = _window_mean(np.square(x), size, whole) - np.square(_window_mean(x, size, whole))
    return _divided(c, np.maximum(var, 0.0), weight, bias, eps)


def _squares_of_input(x: Any, weight: Any, bias: Any, eps: float, **windows: int) -> Any:
    square = _window_mean(np.square(x), windows["sup_window"], windows["count_include_pad"])
    return _divided(x, square, weight, bias, eps)


def _divisor_constant(x: Any, weight: Any, bias: Any, eps: float, **windows: int) -> Any:
    c, square = _parts(x, **windows)
    return _divided(c, constant(square), weight, bias, eps)


_WINDOWS = tuple(product((1, 0), (3, 5, 7), (3, 5, 7)))
"""What code may fix: whether zeros outside count, and the windows of the mean and of the squares."""

divisive_norm = DefinedNormalizer(
    name="divisive_norm",
    title="divisive normalization over windows (DN)",
    paper=Paper(
        "Ren, Liao, Urtasun, Sinz, Zemel",
        2017,
        "Normalizing the Normalizers: Comparing and Extending Network Normalization Schemes",
        "https://arxiv.org/abs/1611.04520",
        "section 3, Table 1",
    ),
    formula="y = c / sqrt(M(c^2) + eps) weight + bias, c = x - A(x), A and M means over all channels and windows of "
    "sum_window and sup_window positions along each axis of space",
    layout="channels",
    ranks=(4, 3),
    forward=_divisive,
    neutral={"weight": 1.0, "bias": 0.0},
    options={
        "count_include_pad": tuple(whole for whole, _, _ in _WINDOWS),
        "sum_window": tuple(size for _, size, _ in _WINDOWS),
        "sup_window": tuple(size for _, _, size in _WINDOWS),
        "eps": (1.0, 0.25, 1.0, 0.25, 1.0),
    },
    conventions=frozenset({"count_include_pad", "sum_window", "sup_window"}),
    derived=row("yes no  no  yes no  yes"),
    note="eps is the square of the paper's sigma, no small number: the row is that for an eps that follows the scale. "
    "As in the authors' code, windows are odd, and zeros outside the map count as positions; "
    "torch.nn.functional.avg_pool2d with count_include_pad=False divides by those inside, which is measured in code "
    "that takes no such option. Their div_norm_2d divides the sum of sup_window by the size of sum_window: the same "
    "while both are equal. Sums over neighboring channels alone are local_response_norm.",
    slips=(
        Slip(
            "divisive-divided-by-other-window",
            "Divides the sum over sup_window by the size of sum_window.",
            _by_other_window,
        ),
        Slip(
            "divisive-windows-exchanged",
            "Takes sup_window for the mean, and sum_window for the squares.",
            lambda x, sum_window, sup_window, **rest: _divisive(
                x, sum_window=sup_window, sup_window=sum_window, **rest
            ),
        ),
        Slip(
            "divisive-eps-squared",
            "Squares eps, which is the square of sigma already.",
            lambda x, eps, **rest: _divisive(x, eps=eps * eps, **rest),
        ),
        Slip("divisive-each-channel", "Takes windows of each channel by itself.", _each_channel),
        Slip(
            "divisive-variance-of-window",
            "Takes the variance of sup_window about one mean, for the squares of c, each about a mean of its own.",
            _variance_of_window,
        ),
        Slip("divisive-not-centered", "Subtracts no mean, as local_response_norm does.", _squares_of_input),
        Slip("divisive-divisor-is-constant", "No gradient passes through the divisor.", _divisor_constant),
    ),
)

ENTRIES = (divisive_norm,)
