"""Gradients of traced values, and functions of their own that numpy has not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.defined.tracing.rules import LIBRARY
from normcheck.families.defined.tracing.traced import Traced


def erf(x: Any) -> Any:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, which numpy has not.

    Of a complex value it is the first term of the series in its imaginary part: enough for a complex step.
    """
    if isinstance(x, Traced):
        slope, value = 2.0 / np.sqrt(np.pi) * np.exp(-np.square(x)), _ERF(x.value)
        off = np.abs(slope.value) * x.off + LIBRARY * x.u * np.abs(value)
        return Traced(value, off, x.by, [(x, lambda g: g * slope)])
    slope = 2.0 / np.sqrt(np.pi) * np.exp(-np.square(np.real(x)))
    out = _ERF(np.real(x))
    return out + 1j * np.imag(x) * slope if np.iscomplexobj(x) else out


_ERF = np.vectorize(math.erf, otypes=[np.float64])


def constant(x: Any) -> Any:
    """A value through which no gradient passes, as `detach` in torch; of plain, complex and traced values."""
    if isinstance(x, Traced):
        return Traced(x.value, x.off, x.by)
    return np.real(x)


def straight_through(value: Any, way: Any) -> Any:
    """A value whose gradient goes to another of the same shape, unchanged; of plain, complex and traced values.

    As `way + (value - way).detach()` in torch: the straight-through estimator (Bengio, Leonard, Courville 2013).
    """
    if isinstance(value, Traced):
        return Traced(value.value, value.off, value.by, [(way, lambda g: g)])
    return np.real(value) + (way - np.real(way))


def gradients(y: Traced, dy: Array, leaves: Sequence[Traced]) -> list[Traced]:
    """The gradients of <dy, y> by each leaf, with their errors; zeros for one that y does not depend on."""
    order: list[Traced] = []
    seen: set[int] = set()
    stack: list[tuple[Traced, bool]] = [(y, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(parent, False) for parent, _ in node.parents]
    held: dict[int, Traced] = {id(y): Traced(dy, np.zeros(dy.shape), y.by)}
    with np.errstate(all="ignore"):
        for node in reversed(order):
            if id(node) not in held:
                continue
            for parent, pull in node.parents:
                if not parent.live:
                    continue
                part = pull(held[id(node)])
                held[id(parent)] = held[id(parent)] + part if id(parent) in held else part
    return [held.get(id(leaf), Traced(np.zeros(leaf.shape), np.zeros(leaf.shape), y.by)) for leaf in leaves]
