"""Normalizers by statistics of a window around each position."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import mean
from normcheck.families.defined.tracing.gradients import constant

Sizes = tuple[int, ...]
"""Of a window along each axis of positions."""

WHOLE, CUT = "whole", "cut"
"""What lies at the border: the nearest window that is whole, or the part of a window that is on the map."""


def _grouped(x: Any, channels_per_group: int) -> Any:
    """(cases, groups, channels of a group, *positions)."""
    return x.reshape(x.shape[0], x.shape[1] // channels_per_group, channels_per_group, *x.shape[2:])


def _windows(x: Any, sizes: Sizes) -> Any:
    """A grouped map with the entries of each whole window in axes behind: (..., *starts, *sizes)."""
    return sliding_window_view(x, sizes, axis=tuple(range(3, x.ndim)))


def _margins(sizes: Sizes) -> list[tuple[int, int]]:
    """Positions before the center of a window, and behind it; an even window has one more behind."""
    return [((size - 1) // 2, size // 2) for size in sizes]


def _members(windows: Any) -> tuple[int, ...]:
    """The axes along which a window of a group has its entries."""
    axes = (windows.ndim - 3) // 2
    return (2, *range(3 + axes, windows.ndim))


def _moments(windows: Any, inside: Any = None) -> tuple[Any, Any]:
    """Mean and variance of each window of a group, (cases, groups, 1, *starts).

    inside: 1 where an entry counts, 0 where it does not; None where all count.
    """
    axes = _members(windows)

    def over(entries: Any) -> Any:
        return mean(entries, axes) if inside is None else mean(entries * inside, axes) / mean(inside, axes)

    at = over(windows)
    return at.squeeze(axes[1:]), over(np.square(windows - at)).squeeze(axes[1:])


def _framed(x: Any, sizes: Sizes, **how: Any) -> Any:
    """A grouped map with as many positions around it as its windows have before and behind their center."""
    return np.pad(x, [(0, 0)] * 3 + _margins(sizes), **how)


def _around(x: Any, sizes: Sizes, border: str) -> tuple[Any, Any]:
    """Mean and variance around each position of a grouped map, each (cases, groups, 1, *positions)."""
    most = {WHOLE: lambda n: n, CUT: lambda n: 2 * n - 1}[border]  # a larger window has no other entries
    sizes = tuple(min(size, most(n)) for size, n in zip(sizes, x.shape[3:], strict=True))
    if border == CUT:
        framed, inside = (_framed(one, sizes) for one in (x, np.ones(x.shape)))
        return _moments(_windows(framed, sizes), _windows(inside, sizes))
    at, var = _moments(_windows(x, sizes))
    return _framed(at, sizes, mode="edge"), _framed(var, sizes, mode="edge")


def _normalized(x: Any, at: Any, var: Any, channels_per_group: int, eps: float) -> Any:
    """The input by mean and variance of its groups."""
    return ((_grouped(x, channels_per_group) - at) / np.sqrt(var + eps)).reshape(x.shape)


def _local(
    x: Any,
    weight: Any,
    bias: Any,
    channels_per_group: int = 2,
    window_size: Sizes = (3, 3),
    eps: float = 1e-5,
    border: str = WHOLE,
) -> Any:
    at, var = _around(_grouped(x, channels_per_group), window_size, border)
    return _normalized(x, at, var, channels_per_group, eps) * weight + bias


def _by(statistics: Any) -> Any:
    """A forward of other statistics, from a grouped map, the sizes of its windows and its border."""

    def forward(
        x: Any, weight: Any, bias: Any, channels_per_group: int, window_size: Sizes, eps: float, border: str
    ) -> Any:
        at, var = statistics(_grouped(x, channels_per_group), window_size, border)
        return _normalized(x, at, var, channels_per_group, eps) * weight + bias

    return forward


def _one_late(x: Any, sizes: Sizes, border: str) -> tuple[Any, Any]:
    """Those of an integral image without zeros before it: the first window is lost, each other begins one late."""
    if any(size >= n for size, n in zip(sizes, x.shape[3:], strict=True)):
        return _around(x, sizes, border)
    at, var = _moments(_windows(x[:, :, :, 1:, 1:], sizes))
    around = [(0, 0)] * 3 + [(size // 2, size - size // 2) for size in sizes]
    return np.pad(at, around, mode="edge"), np.pad(var, around, mode="edge")


def _of_zeros_too(x: Any, sizes: Sizes, border: str) -> tuple[Any, Any]:
    sizes = tuple(min(size, 2 * n - 1) for size, n in zip(sizes, x.shape[3:], strict=True))
    return _moments(_windows(_framed(x, sizes), sizes))


def _of_local_deviations(x: Any, sizes: Sizes, border: str) -> tuple[Any, Any]:
    """By average pooling, whose windows are cut at the border."""
    at, _ = _around(x, sizes, CUT)
    return at, _around(np.square(x - at), sizes, CUT)[0]


def _detached(x: Any, sizes: Sizes, border: str) -> tuple[Any, Any]:
    at, var = _around(x, sizes, border)
    return constant(at), constant(var)


def _strided_groups(x: Any, weight: Any, bias: Any, channels_per_group: int, *others: Any, **named: Any) -> Any:
    """The channels of a group lie apart."""
    groups = x.shape[1] // channels_per_group
    mixed = x.reshape(x.shape[0], channels_per_group, groups, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)
    y = _local(mixed, np.ones(()), np.zeros(()), channels_per_group, *others, **named)
    back = y.reshape(x.shape[0], groups, channels_per_group, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)
    return back * weight + bias


local_context_norm = DefinedNormalizer(
    name="local_context_norm",
    title="local context normalization (LCN)",
    paper=Paper(
        "Ortiz, Robinson, Morris, Fuentes, Kiekintveld, Hassan, Jojic",
        2020,
        "Local Context Normalization: Revisiting Local Normalization",
        "https://arxiv.org/abs/1912.05845",
        "section 3",
    ),
    formula="y = (x - mean) / sqrt(var + eps) weight + bias, statistics over channels_per_group neighboring channels "
    "and a window of window_size positions around each position",
    layout="channels",
    ranks=(4,),
    units=(6, 12, 18),
    spaces={4: (6, 5)},
    forward=_local,
    aliases={
        "channels_per_group": ("c_group", "group_size"),
        "window_size": ("window", "kernel_size"),
    },
    options={
        "channels_per_group": (2, 2, 3, 1),
        "window_size": ((3, 3), (3, 3), (5, 3), (5, 3), (227, 227), (1, 3)),
        "eps": (1e-5, 0.5),
        "border": (WHOLE, CUT),
    },
    conventions=frozenset({"window_size", "border"}),
    derived=row("yes no  no  yes no  yes"),
    note="At the border a position has the statistics of the nearest window that is whole, as in the authors' code, or "
    "those of the part of its window that is on the map (border='cut'): in code that takes no border this is measured. "
    "A window larger than the map is the map: with both sizes so it is group norm. The authors' window is 227 x 227. "
    "Their code differs: it gives no gradient to the statistics, divides by n - 1 where the window is the map, begins "
    "each window one position late, and takes the variance in one pass. Windows here have odd sizes: the center of an "
    "even one is a matter of taste.",
    slips=(
        Slip(
            "local-context-detached",
            "No gradient reaches the statistics, as in the authors' code.",
            _by(_detached),
        ),
        Slip(
            "local-context-one-late",
            "Sums over an integral image without zeros before it, as the authors' code: a window begins one late.",
            _by(_one_late),
        ),
        Slip(
            "local-context-zeros-counted",
            "Counts the zeros of padding beyond the border, as avg_pool2d does by default.",
            _by(_of_zeros_too),
        ),
        Slip(
            "local-context-own-means",
            "Averages squares about the mean of each position, for those about the mean of the window.",
            _by(_of_local_deviations),
        ),
        Slip(
            "local-context-each-channel",
            "Takes each channel for itself.",
            lambda x, weight, bias, channels_per_group, **constants: _local(x, weight, bias, 1, **constants),
        ),
        Slip("local-context-groups-strided", "Takes channels that lie apart into one group.", _strided_groups),
    ),
)

ENTRIES = (local_context_norm,)
