"""Bounds of y, dx, parameter gradients and running statistics on a given case: first-order analysis, named terms.

Notation: u a unit roundoff, n members of a set, s = sqrt(v + eps), kappa = rms(x) / s (Chan, Golub and LeVeque 1983:
the condition number of the variance, finite on constant rows), T the scale of a backward (see `backward`).

A bound is an estimate to first order with a constant, not a proof: the constants admit running sums in the working
format and were measured on correct code in many styles, which uses less than half of any bound (tests/test_slack.py).
The rounding of a result to its own format is not estimated: it is allowed in full.
The conditioning of each set (kappa) is part of the bound, so a kernel of two passes stays within it at any offset, and
E[x^2] - E[x]^2, whose error grows with kappa squared, does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np

from normcheck.core.floats import Array, Format
from normcheck.core.kept import freeze
from normcheck.core.uses import WIDE
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.reference.standardize import Saved, Setting


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A class of algorithms with similar rounding errors; `CLASSES` has them from the best to the worst."""

    name: str
    meaning: str
    constant: float  # in units of roundoff, for sums of few terms
    wide: bool  # statistics kept in the wide format
    squared: bool = False  # the error grows with kappa squared

    def __hash__(self) -> int:  # a class is part of the key of each bound that is computed once
        return hash(self.name)

    def unit(self, format: Format) -> float:
        """Roundoff of the format in which the statistics are kept."""
        return format.wide.u if self.wide else format.u

    def growth(self, n: int) -> float:
        """The constant for statistics of n members, wide enough for running sums in the format that keeps them.

        Added in any order, n numbers give a sum that is off by at most (n - 1) u times the sum of their sizes, to first
        order (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 4.2). Ordinary code comes near it: a
        running sum of equal numbers errs by 3/8 of it if each addition rounds in the same direction.
        For statistics that are rounded to a narrow format, one rounding for each block of 16 is enough.
        """
        return max(self.constant, float(n) if self.wide else n / 16.0)

    def level(self, n: int) -> float:
        """The constant for the mean of n members, in roundoffs of their root mean square; it covers the variance v too.

        A sum is off by at most u times the sizes of its partial sums (Higham, ibid.); that of k members is at most
        sqrt(k n) rms by Cauchy and Schwarz, and all of them together 2/3 n^2 rms. v loses n u, and s half of it.
        """
        return max(self.constant, 2.0 * n / 3.0) if self.wide else self.growth(n)

    def summed(self, count: int) -> float:
        """The constant for a sum of this many terms: as in `growth`, with the 3/8 of equal terms in a narrow format."""
        return max(self.constant, float(count) if self.wide else 0.375 * count)


SOUND = Accuracy("sound", "statistics in the working format, two passes or an equal of them", 24.0, wide=True)
HALF = Accuracy("half", "statistics rounded to the input's own narrow format", 4.0, wide=False)
ONE_PASS = Accuracy("one-pass", "variance as E[x^2] - E[x]^2", 24.0, wide=True, squared=True)
CLASSES = {c.name: c for c in (SOUND, HALF, ONE_PASS)}

RESOLVES = 0.02
"""Largest u kappa of a set whose accuracy is checked: beyond it, first-order analysis no longer holds."""


def classes(format: Format) -> tuple[Accuracy, ...]:
    """The classes that differ in a format, best first."""
    return (SOUND, HALF, ONE_PASS) if format.narrow else (SOUND, ONE_PASS)


@dataclass(frozen=True)
class ErrorBound:
    """A bound as a sum of named terms, each of the shape of what is bounded."""

    terms: Mapping[str, Array]

    @cached_property
    def total(self) -> Array:
        """The sum of the terms."""
        out: Array = sum(self.terms.values(), np.zeros(()))
        freeze(out)
        return out

    def largest(self, where: tuple[int, ...]) -> str:
        """Name of the largest term at one entry."""
        return max(self.terms, key=lambda name: float(np.broadcast_to(self.terms[name], self.total.shape)[where]))


B = TypeVar("B", bound=Callable[..., Any])


def once(bound: B) -> B:
    """The bound, computed once for each truth: several checks need the same one, and every implementation does."""

    @wraps(bound)
    def computed_once(truth: Truth, *args: Any, **kwargs: Any) -> Any:
        key = (bound, args, *kwargs.items())
        if key not in truth.known:
            truth.known[key] = found = bound(truth, *args, **kwargs)
            freeze(found)
        return truth.known[key]

    return computed_once  # type: ignore[return-value]


@once
def resolved(truth: Truth, accuracy: Accuracy) -> Array:
    """Whether each set is conditioned well enough for first-order analysis, as booleans of shape (sets, 1).

    A statistic that overflows in the format is not: the norm of a large float16 weight is infinite if it is kept in it.
    """
    if given(truth):
        return np.ones(truth.saved.s.shape, dtype=bool)
    holds = truth.saved.s <= truth.case.format.largest
    condition = truth.kappa
    loss = condition * condition if accuracy.squared else condition
    out: Array = holds & (loss * accuracy.unit(truth.case.format) < RESOLVES)
    return out if accuracy.wide else out & in_range(truth)


def in_range(truth: Truth) -> Array:
    """Whether intermediate values stay in the range of the format, (sets, 1).

    These are sums, squares, powers of s up to 3, and powers of 1 / s up to 3: the derivative of a reciprocal root is
    its cube.
    """
    fmt, saved = truth.case.format, truth.saved
    room = fmt.largest / 4.0
    cube = saved.s * saved.s * saved.s
    sums = np.maximum(np.abs(saved.x), np.square(saved.c)).sum(axis=1, keepdims=True)
    fits = (saved.s * saved.s >= 2.0**fmt.smallest) & (cube <= room) & (cube * room >= 1.0) & (sums <= room)
    if truth.normalized_cotangent is not None:
        pull = np.abs(truth.normalized_cotangent) * (1.0 + np.abs(saved.xh))
        fits &= pull.sum(axis=1, keepdims=True) <= room * np.minimum(saved.s * saved.s, 1.0)
    return np.asarray(fits)


def statistic(saved: Saved, condition: Array, k: Setting, accuracy: Accuracy) -> Array:
    """Error of xh by the statistics and by normalizing with them, (sets, members); condition: kappa, (sets, 1)."""
    u = accuracy.unit(k.format)
    size = np.abs(saved.xh)
    if not k.centered:
        return accuracy.growth(k.n) / 2.0 * u * size
    if not k.scaled:  # the mean has the error of a sum, and the difference is rounded once
        level = np.sqrt(np.square(saved.x).mean(axis=1, keepdims=True))
        return np.asarray(accuracy.level(k.n) * u * level + 2.0 * u * size)
    loss = condition * condition if accuracy.squared else condition
    # One pass over x - x[0] is sound too; its error grows with the square of the deviation of x[0].
    first = np.square(saved.xh[:, :1])
    return u * (accuracy.level(k.n) * loss * (1.0 + size) + accuracy.growth(k.n) / 2.0 * size * first)


@once
def forward(truth: Truth, accuracy: Accuracy) -> ErrorBound:
    """Bound of y. With given statistics only the roundings of an affine map count.

    Computed as (w / s) x + (b - mu w / s) they are at most 6.5 u of each term: 3.5 u for w / s (v + eps, its root, the
    quotient, w), then a product and two sums.
    """
    fmt, part = truth.case.format, truth.partition
    wide = accuracy.unit(fmt)
    gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
    shift = np.zeros(()) if truth.bias is None else np.abs(truth.bias)
    if given(truth):
        moved = part.scatter((np.abs(truth.saved.x) + np.abs(truth.saved.mu)) / truth.saved.s)
        terms = {"given statistics": 8.0 * wide * gain * moved}
    else:
        terms = {"statistics": gain * part.scatter(statistic(truth.saved, truth.kappa, truth.setting, accuracy))}
    terms["affine"] = wide * (gain * np.abs(truth.xh) + 3.0 * shift)  # the reference rounds its bias as well
    if truth.case.use == WIDE:
        terms["parameters rounded to the input's format"] = fmt.u * (gain * np.abs(truth.xh) + shift)
    if fmt.narrow:
        terms["output rounding"] = 1.05 * fmt.u * np.abs(truth.y) + 4.0 * fmt.floor * (1.0 + gain)
        # Without a mean, the sum of squares (half of whose error reaches the root) and the root may be rounded too, as
        # in torch's norm over a middle axis.
        rounded = 2.1 if truth.setting.centered else 2.65
        terms["normalized input rounded before the affine"] = rounded * fmt.u * gain * np.abs(truth.xh)
        if not truth.setting.centered:
            # weight / s may be computed first: below the normal range it has fewer digits, and x multiplies its error
            ratio = gain / truth.partition.per_set(truth.saved.s)
            terms["ratio below the normal range"] = np.where(ratio < 2.0**fmt.smallest, fmt.floor, 0.0) * np.abs(
                truth.case.x
            )
    else:
        terms["underflow"] = 4.0 * fmt.floor * (1.0 + gain)
    return ErrorBound(terms)


def given(truth: Truth) -> bool:
    """Whether the case normalizes by running statistics instead of its own."""
    return not truth.case.training and truth.case.running_var is not None


@once
def backward_scale(truth: Truth) -> Array:
    """T, the scale of the bound of dx, (sets, members): the size of dx if nothing in it canceled.

    T = (|g| + mean|g| + (1 + |xh|) mean(|g| (1 + |xh|))) / s; without the terms of the mean if none is subtracted.
    """
    assert truth.normalized_cotangent is not None, "the case has no cotangent"
    return scale_of(truth, truth.normalized_cotangent)


def scale_of(truth: Truth, to: Array) -> Array:
    """T for another cotangent or tangent, (sets, members)."""
    return scale_from_saved(truth.saved, truth.setting, to, fixed=given(truth))


def scale_from_saved(saved: Saved, k: Setting, to: Array, *, fixed: bool) -> Array:
    """T from the saved results of a forward; to: the cotangent of xh; fixed: the statistics are given."""
    g, xh = np.abs(to), np.abs(saved.xh)
    if fixed:
        scale = g
    elif not k.scaled:
        scale = g + g.mean(axis=1, keepdims=True)
    elif k.centered:
        drawn = (g * (1.0 + xh)).sum(axis=1, keepdims=True) / k.divisor
        scale = g + g.mean(axis=1, keepdims=True) + (1.0 + xh) * drawn
    else:
        scale = g + xh * (g * xh).sum(axis=1, keepdims=True) / k.divisor
    return np.asarray(scale / saved.s)


@once
def backward(truth: Truth, accuracy: Accuracy) -> ErrorBound:
    """Bound of dx in any gradient mode: C u kappa T and the roundings of a narrow format."""
    fmt, part = truth.case.format, truth.partition
    scale = backward_scale(truth)
    loss = conditioning(truth, accuracy)
    unit = accuracy.growth(truth.setting.n) * accuracy.unit(fmt)
    terms = {"statistics": part.scatter(unit * (loss + 0.5 * _first(truth)) * scale)}
    terms["underflow"] = np.asarray(4.0 * fmt.floor)
    if fmt.narrow:
        assert truth.dx is not None
        terms["output rounding"] = 1.05 * fmt.u * np.abs(truth.dx)
        # At most u T each: g rounded after the product with the weight, the gradients of several casts of x rounded one
        # by one, and their partial sums.
        terms["paths rounded"] = 3.15 * fmt.u * part.scatter(scale)
    return ErrorBound(terms)


def _first(truth: Truth) -> Array:
    """Extra error of the variance of one pass over x - x[0]: the square of the deviation of x[0], (sets, 1)."""
    k = truth.setting
    if given(truth) or not (k.centered and k.scaled):
        return np.zeros_like(truth.saved.s)
    return np.square(truth.saved.xh[:, :1])


@once
def conditioning(truth: Truth, accuracy: Accuracy) -> Array:
    """By how much conditioning multiplies an error, (sets, 1): kappa or its square, 1 if the statistics are given."""
    condition = np.ones_like(truth.saved.s) if given(truth) else truth.kappa
    return condition * condition if accuracy.squared else condition


@once
def parameter(truth: Truth, accuracy: Accuracy, *, bias: bool) -> ErrorBound:
    """Bound of dweight, C u sum(kappa |dy| (1 + |xh|)), or of dbias, C u sum |dy|; of their own shape."""
    case, part = truth.case, truth.partition
    assert case.dy is not None, "the case has no cotangent"
    size = np.abs(case.dy)
    answer = truth.dbias if bias else truth.dweight
    assert answer is not None, "the case has no such parameter"
    terms: dict[str, Array] = {}
    count = case.x.size // max(answer.size, 1)
    if bias:
        terms["sum"] = accuracy.summed(count) * accuracy.unit(case.format) * part.collect(size)
    else:
        loss = conditioning(truth, accuracy)
        spread = part.scatter((loss + 0.5 * _first(truth)) * (1.0 + np.abs(truth.saved.xh)))
        unit = max(accuracy.growth(truth.setting.n), accuracy.summed(count)) * accuracy.unit(case.format)
        terms["statistics and sum"] = unit * part.collect(size * spread)
    terms["underflow"] = np.asarray(4.0 * case.format.floor * (1 + count))
    if case.format.narrow:
        terms["output rounding"] = 1.05 * case.format.u * np.abs(answer)
        if not bias:
            terms["products rounded"] = 2.1 * case.format.u * part.collect(size * np.abs(truth.xh))
    return ErrorBound(terms)


@once
def running(truth: Truth, accuracy: Accuracy, *, variance: bool) -> ErrorBound:
    """Bound of a running mean or variance after one update, (units,).

    The mean of a set is off by at most C u rms(x), its variance by C u rms(x) sqrt(v) + (C u rms(x))^2. Where that is
    E[x^2] - E[x]^2, the first is off by C u rms(x)^2 and the second by 2 |E[x]| C u rms(x), together at most three
    times the first. The update itself is a few operations in the format of the statistics.
    """
    case, part, k = truth.case, truth.partition, truth.setting
    after = truth.running_var if variance else truth.running_mean
    before = case.running_var if variance else case.running_mean
    assert after is not None
    assert before is not None
    units = after.size
    u = accuracy.growth(k.n) * accuracy.unit(case.format)
    size = np.sqrt(np.square(truth.saved.x).mean(axis=1))
    loss = u * size
    if variance:
        spread = np.sqrt(truth.saved.v[:, 0])
        one_pass = 3.0 * loss * size if accuracy.squared else 0.0
        loss = u * truth.saved.v[:, 0] + loss * spread + loss * loss + one_pass
        loss = loss * (part.n / max(part.n - 1.0, 1.0))
    weight = max(case.momentum, 1.0 - case.momentum)
    terms = {"statistic": weight * loss.reshape(-1, units).mean(axis=0)}
    store = case.format.u
    terms["update"] = 4.0 * store * (np.abs(before) + np.abs(after)) + 4.0 * case.format.floor
    return ErrorBound(terms)
