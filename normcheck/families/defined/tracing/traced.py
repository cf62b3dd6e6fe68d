"""A value that carries a bound of its rounding error, and the way in which it was computed.

Running error analysis (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.3): each operation
passes on the errors of its arguments and adds the rounding of its result. The reverse pass is made of the same
operations, so a gradient has such a bound too. Errors are taken to add up; to first order, but for products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from normcheck.core.errors import UsageError
from normcheck.core.floats import Array
from normcheck.families.defined.tracing.arithmetic import Arithmetic
from normcheck.families.defined.tracing.linear import norm, solution
from normcheck.families.defined.tracing.rules import FRAGILE, PLAIN, RULES, STRUCTURAL, Rule, Slope, one

Pull = Callable[["Traced"], "Traced"]
"""From the gradient by a result to the gradient by one of its arguments."""


class Traced(NDArrayOperatorsMixin):
    """An array of float64 numbers with a bound of the error that each would have in an arithmetic."""

    __array_priority__ = 1000.0
    __hash__ = object.__hash__

    def __init__(
        self,
        value: Array,
        off: Array,
        by: Arithmetic,
        parents: Sequence[tuple[Traced, Pull]] = (),
        live: bool = False,  # whether a gradient passes through it
    ) -> None:
        self.value, self.off = value, off
        self.by, self.parents = by, tuple(parents)
        self.live = live or bool(self.parents)

    u = property(lambda self: self.by.u)
    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: structural(np.transpose, (self,), {}))

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Traced:
        made: Traced = structural(lambda a: a[key], (self,), {})
        return made

    def __setitem__(self, key: Any, value: Any) -> None:
        raise UsageError("a forward assigns to entries of an array: write it with np.where or np.concatenate")

    def __bool__(self) -> bool:
        return bool(self.value)

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise UsageError("a forward calls a function that its trace does not know: use numpy's elementwise functions")

    def astype(self, *_: Any, **__: Any) -> Traced:
        return self

    copy = astype

    def reshape(self, *shape: Any) -> Traced:
        made: Traced = structural(lambda a: a.reshape(*shape), (self,), {})
        return made

    flatten = ravel = lambda self: self.reshape(-1)

    def transpose(self, *axes: Any) -> Traced:
        made: Traced = structural(lambda a: a.transpose(*axes), (self,), {})
        return made

    def swapaxes(self, *axes: int) -> Traced:
        made: Traced = structural(np.swapaxes, (self, *axes), {})
        return made

    def squeeze(self, axis: Any = None) -> Traced:
        made: Traced = structural(np.squeeze, (self,), {"axis": axis})
        return made

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Traced:
        whole = (self.by.reduce or total)(self, axis)
        return whole if keepdims else whole.without(axis)

    def without(self, axis: Any) -> Traced:
        """The array without axes of length 1; None: without any axis."""
        gone = tuple(range(self.ndim)) if axis is None else axis
        return self.squeeze(gone)

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Traced:
        whole = (self.by.mean or average)(self, axis)
        return whole if keepdims else whole.without(axis)

    def var(self, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Traced:
        squares = np.square(self - self.mean(axis, keepdims=True)).mean(axis, keepdims=keepdims)
        n = self.size / max(squares.size, 1)
        out: Traced = squares if ddof == 0 else squares * (n / (n - ddof))
        return out

    def std(self, axis: Any = None, *, ddof: int = 0, keepdims: bool = False) -> Traced:
        out: Any = np.sqrt(self.var(axis, ddof=ddof, keepdims=keepdims))
        made: Traced = out
        return made

    def max(self, axis: Any = None, *, keepdims: bool = False) -> Traced:
        top = self.value.max(axis=axis, keepdims=True)
        least = (self.value - self.off).max(axis=axis, keepdims=True)
        near = self.value + self.off >= least
        first = (self.value == top) / (self.value == top).sum(axis=axis, keepdims=True)
        several = near & (near.sum(axis=axis, keepdims=True) > 1)

        def pull(g: Traced) -> Traced:
            made = g * first
            return Traced(made.value, made.off + several * np.abs(g.value), self.by)

        whole = Traced(top, self.off.max(axis=axis, keepdims=True), self.by, [(self, pull)])
        return whole if keepdims else whole.without(axis)

    def min(self, axis: Any = None, *, keepdims: bool = False) -> Traced:
        out: Traced = -(-self).max(axis, keepdims=keepdims)
        return out

    def clip(self, low: Any = None, high: Any = None) -> Traced:
        out = self if low is None else np.maximum(self, low)
        return out if high is None else np.minimum(out, high)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        kwargs.pop("out", None)  # x -= mean names its result anew
        if method == "reduce" and ufunc in REDUCTIONS:
            axis, keepdims = kwargs.get("axis", 0), kwargs.get("keepdims", False)
            return REDUCTIONS[ufunc](inputs[0], axis, keepdims=keepdims)
        if method == "__call__" and ufunc in PLAIN:
            return ufunc(*[a.value if isinstance(a, Traced) else a for a in inputs])
        if method == "__call__" and ufunc is np.matmul:
            return _matmul(*(as_traced(a, self.by) for a in inputs))
        if method != "__call__" or ufunc not in RULES:
            raise UsageError(f"a forward uses np.{ufunc.__name__}, whose derivative is not known")
        return (self.by.elementwise or applied)(ufunc, inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in STRUCTURAL:
            return structural(func, args, kwargs)
        if func in FUNCTIONS:
            return FUNCTIONS[func](*args, **kwargs)
        raise UsageError(f"a forward uses np.{func.__name__}, whose derivative is not known")


def total(a: Traced, axis: Any) -> Traced:
    """The sum along axes: n terms in any order are off by at most n u times the sum of their sizes."""
    value = a.value.sum(axis=axis, keepdims=True)
    terms = a.size // max(value.size, 1)
    off = a.off.sum(axis=axis, keepdims=True) + terms * a.u * np.abs(a.value).sum(axis=axis, keepdims=True)
    return Traced(value, off, a.by, [(a, lambda g: _repeated(g, a.shape))])


def _repeated(g: Traced, shape: tuple[int, ...]) -> Traced:
    return Traced(np.broadcast_to(g.value, shape), np.broadcast_to(g.off, shape), g.by)


def average(a: Traced, axis: Any) -> Traced:
    """The mean along axes."""
    whole = (a.by.reduce or total)(a, axis)
    out: Traced = whole / (a.size / max(whole.size, 1))
    return out


def as_traced(a: Any, by: Arithmetic) -> Traced:
    """A traced value as it is; a number or an array as a constant, which is rounded once unless it is an integer."""
    if isinstance(a, Traced):
        return a
    value = np.asarray(a, dtype=np.float64)
    return Traced(value, by.u * np.abs(value) * (value != np.rint(value)), by)


def _fitted(g: Traced, shape: tuple[int, ...], whole: Traced | None = None) -> Traced:
    """A gradient summed over the axes along which an argument of that shape was broadcast.

    whole: that of which g selects entries. Other right code, relu(a - b) + b for a maximum, subtracts the sum of the
    rest from that of all: it loses n u times the sum of all sizes, also where no entry is selected.
    """
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = (*range(extra), *(extra + i for i, n in enumerate(shape) if n == 1 and g.shape[extra + i] != 1))
    out = g.sum(axes, keepdims=True) if axes else g
    if whole is not None and out.size < g.size:
        rest = (np.abs(whole.value) - np.abs(g.value)).sum(axis=axes, keepdims=True)
        out.off = out.off + g.size // out.size * g.u * rest
    return out.reshape(shape)


def applied(ufunc: Any, inputs: tuple[Any, ...]) -> Traced:
    """An elementwise function of arguments of which at least one is traced."""
    by = next(a.by for a in inputs if isinstance(a, Traced))
    return _elementwise(ufunc, RULES[ufunc], [as_traced(a, by) for a in inputs])


def _elementwise(ufunc: Any, rule: Rule, args: list[Traced]) -> Traced:
    values, by = [a.value for a in args], args[0].by
    value = np.asarray(ufunc(*values))
    off = rule.roundings * by.u * np.abs(value)
    for slope, a in zip(rule.slopes, args, strict=True):
        off = off + (a.off if slope is one else np.abs(slope(*values, value)) * a.off)
    if rule.second:
        off = off + args[0].off * args[-1].off
    for i in rule.fragile:
        off = np.where(args[i].off > FRAGILE * np.abs(values[i]), np.inf, off)
    out = Traced(value, off, by)

    def pull_by(a: Traced, slope: Slope) -> Pull:
        def pull(g: Traced) -> Traced:
            made, all_of = g if slope is one else g * slope(*args, out), g if len(args) > 1 and rule.jump else None
            if rule.jump:
                meeting = rule.meet(*values) <= np.asarray(sum(b.off for b in args))
                made = Traced(made.value, made.off + rule.jump * meeting * np.abs(g.value), by)
            return _fitted(made, a.shape, all_of)

        return pull

    out.parents = tuple((a, pull_by(a, slope)) for a, slope in zip(args, rule.slopes, strict=True) if a.live)
    out.live = bool(out.parents)
    return out


def _matmul(a: Traced, b: Traced) -> Traced:
    if min(a.ndim, b.ndim) < 2:
        raise UsageError("a forward multiplies a matrix by a vector: write it with two axes each")
    sizes, others = np.abs(a.value), np.abs(b.value)
    off = a.off @ others + sizes @ b.off + a.off @ b.off + a.shape[-1] * a.u * (sizes @ others)
    left: Pull = lambda g: _fitted(g @ b.swapaxes(-1, -2), a.shape)  # a value of type Pull
    right: Pull = lambda g: _fitted(a.swapaxes(-1, -2) @ g, b.shape)  # the same
    return Traced(a.value @ b.value, off, a.by, [(a, left), (b, right)])


def structural(func: Callable[..., Any], args: Sequence[Any], kwargs: Any) -> Any:
    """A function that only moves entries: it is called on the numbers of the entries, and 0 stands for a new zero."""
    found: list[Traced] = []

    def number(a: Any) -> Any:
        if isinstance(a, (list, tuple)) and any(isinstance(one, Traced) for one in a):
            return [number(one) for one in a]
        if not isinstance(a, Traced):
            return a
        start = 1 + sum(one.size for one in found)
        found.append(a)
        return np.arange(start, start + a.size).reshape(a.shape)

    places = func(*[number(a) for a in args], **kwargs)
    if isinstance(places, list):
        return [_moved(one, found) for one in places]
    return _moved(np.asarray(places), found)


def _moved(places: Array, found: list[Traced]) -> Traced:
    def gathered(arrays: list[Array]) -> Array:
        out: Array = np.concatenate([np.zeros(1), *(a.ravel() for a in arrays)])[places]
        return out

    def pull_to(a: Traced, start: int) -> Pull:
        def pull(g: Traced) -> Traced:
            def scattered(weights: Array) -> Array:
                every = np.bincount(places.ravel(), weights.ravel(), minlength=start + a.size)
                return every[start : start + a.size].reshape(a.shape)

            times = scattered(np.ones(places.shape))
            off = scattered(g.off) + np.where(times > 1, times, 0.0) * a.u * scattered(np.abs(g.value))
            return Traced(scattered(g.value), off, a.by)

        return pull

    starts = np.cumsum([1, *(a.size for a in found)])
    pulls = [(a, pull_to(a, int(start))) for a, start in zip(found, starts, strict=False)]
    return Traced(gathered([a.value for a in found]), gathered([a.off for a in found]), found[0].by, pulls)


def _where(condition: Any, a: Any, b: Any) -> Traced:
    by = next(one.by for one in (a, b) if isinstance(one, Traced))
    first, second = as_traced(a, by), as_traced(b, by)
    chosen = np.asarray(condition, dtype=bool)

    def pull_by(arm: Traced, kept: Array) -> Pull:
        return lambda g: _fitted(g * (kept * 1.0), arm.shape, g)

    parents = [(first, pull_by(first, chosen)), (second, pull_by(second, ~chosen))]
    return Traced(np.where(chosen, first.value, second.value), np.where(chosen, first.off, second.off), by, parents)


def _solve(a: Any, b: Any) -> Traced:
    by = next(one.by for one in (a, b) if isinstance(one, Traced))
    matrix, right = as_traced(a, by), as_traced(b, by)
    if right.ndim < 2:
        raise UsageError("a forward solves equations for a vector: write it with two axes")
    out = Traced(*solution(matrix.value, matrix.off, right.value, right.off, by.u), by, live=True)
    back: Pull = lambda g: _solve(matrix.swapaxes(-1, -2), g)  # a value of type Pull
    out.parents = (
        (matrix, lambda g: _fitted(-(back(g) @ out.swapaxes(-1, -2)), matrix.shape)),
        (right, lambda g: _fitted(back(g), right.shape)),
    )
    return out


REDUCTIONS: dict[Any, Callable[..., Any]] = {np.add: Traced.sum, np.maximum: Traced.max, np.minimum: Traced.min}

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: Traced.sum, np.mean: Traced.mean, np.var: Traced.var, np.std: Traced.std, np.max: Traced.max,
    np.min: Traced.min, np.amax: Traced.max, np.amin: Traced.min, np.clip: Traced.clip, np.where: _where,
    np.linalg.norm: norm, np.linalg.solve: _solve, np.linalg.inv: lambda a: _solve(a, np.eye(len(a))),
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.iscomplexobj: lambda a: False, np.real: lambda a: a,
    np.zeros_like: lambda a, **_: np.zeros(a.shape), np.ones_like: lambda a, **_: np.ones(a.shape),
}  # fmt: skip
"""Functions of numpy that are no elementwise ones."""
