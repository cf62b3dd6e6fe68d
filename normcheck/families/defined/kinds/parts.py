"""What several forwards have in common."""

from __future__ import annotations

from typing import Any

import numpy as np


def space(x: Any, first: int = 2) -> tuple[int, ...]:
    """The axes behind the channels, or those from another one on."""
    return tuple(range(first, x.ndim))


def batch(x: Any) -> tuple[int, ...]:
    """All axes but that of the channels, (cases, channels, *space)."""
    return (0, *space(x))


def mean(x: Any, axes: Any) -> Any:
    """The mean along axes, which stay with length 1."""
    return x.mean(axis=axes, keepdims=True)


def centered(x: Any, axes: Any) -> Any:
    """The input minus its mean along axes."""
    return x - mean(x, axes)


def variance(x: Any, axes: Any) -> Any:
    """The mean square of the centered input along axes."""
    return mean(np.square(centered(x, axes)), axes)


def standard(x: Any, axes: Any, eps: float) -> Any:
    """The centered input divided by the root of its variance and eps."""
    return centered(x, axes) / np.sqrt(variance(x, axes) + eps)


def length(x: Any, axes: Any) -> Any:
    """The Euclidean length along axes, which stay with length 1."""
    return np.sqrt(np.square(x).sum(axis=axes, keepdims=True))


def sigmoid(x: Any) -> Any:
    """The logistic function."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)
