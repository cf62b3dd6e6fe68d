"""How far a correct implementation may be off, on this very case: first-order error analysis with named terms.

Notation: u a unit roundoff, n members of a set, s = sqrt(v + eps), kappa = rms(x) / s (Chan, Golub and LeVeque 1983:
the condition number of the variance, finite on constant rows), T the scale of a backward (see `backward`).

A bound is an estimate to first order with a constant, not a proof: the constants admit running sums in the working
format and were measured on correct code in many styles, which uses less than half of any bound (tests/test_slack.py).
What is certain is not estimated: the rounding of a result to its own format may be as large as it can be.
What a set does to its own conditioning (kappa) is part of the bound, so an offset is fair to a two-pass kernel and
fatal to E[x^2] - E[x]^2, whose error grows with kappa squared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from normcheck.core.floats import Array, Format
from normcheck.core.uses import WIDE
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.reference.standardize import Saved, Setting


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A class of algorithms by what they may lose; from the best to the worst in `CLASSES`."""

    name: str
    meaning: str
    constant: float  # with a handful of terms
    wide: bool  # statistics kept in the wide format
    squared: bool = False  # loses kappa squared

    def unit(self, format: Format) -> float:
        """Roundoff of the format in which the statistics are kept."""
        return format.wide.u if self.wide else format.u

    def growth(self, n: int) -> float:
        """The constant for the statistics of n members: it admits running sums in the format that keeps them.

        Added in any order, n numbers give a sum that is off by at most (n - 1) u times the sum of their sizes, to first
        order (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 4.2). Ordinary code comes near: a
        running sum of equal numbers errs by 3/8 of it where each addition rounds the same way.
        Where statistics are rounded to a narrow format it is enough to admit one rounding for a block of 16.
        """
        return max(self.constant, float(n) if self.wide else n / 16.0)

    def level(self, n: int) -> float:
        """The constant for the mean of n members, in roundoffs of their root mean square; it covers that of v too.

        A sum is off by at most u times the sizes of its partial sums (Higham, ibid.); that of k members is at most
        sqrt(k n) rms by Cauchy and Schwarz, and all of them together 2/3 n^2 rms. Of v, n u is lost, half of it in s.
        """
        return max(self.constant, 2.0 * n / 3.0) if self.wide else self.growth(n)

    def summed(self, count: int) -> float:
        """The constant for a plain sum of this many terms: by the same theorem; of equal terms in a narrow format."""
        return max(self.constant, float(count) if self.wide else 0.375 * count)


SOUND = Accuracy("sound", "statistics in the working format, two passes or an equal of them", 24.0, wide=True)
HALF = Accuracy("half", "statistics rounded to the input's own narrow format", 4.0, wide=False)
ONE_PASS = Accuracy("one-pass", "variance as E[x^2] - E[x]^2", 24.0, wide=True, squared=True)
CLASSES = {c.name: c for c in (SOUND, HALF, ONE_PASS)}

RESOLVES = 0.02
"""A set takes part in an accuracy check while u kappa stays below this: beyond, first-order analysis ends."""


def classes(format: Format) -> tuple[Accuracy, ...]:
    """The classes that can be told apart in a format, best first."""
    return (SOUND, HALF, ONE_PASS) if format.narrow else (SOUND, ONE_PASS)


@dataclass(frozen=True)
class ErrorBound:
    """A sum of named terms, each of the shape of what it bounds."""

    terms: Mapping[str, Array]

    @cached_property
    def total(self) -> Array:
        """The sum of the terms."""
        out: Array = sum(self.terms.values(), np.zeros(()))
        return out

    def largest(self, where: tuple[int, ...]) -> str:
        """Name of the term that dominates at one entry."""
        return max(self.terms, key=lambda name: float(np.broadcast_to(self.terms[name], self.total.shape)[where]))


def resolved(truth: Truth, accuracy: Accuracy) -> Array:
    """Whether each set is conditioned well enough for first-order analysis, as booleans of shape (sets, 1).

    A statistic that the format cannot hold has none: the norm of a large float16 weight is infinite where it is kept.
    """
    if given(truth):
        return np.ones(truth.saved.s.shape, dtype=bool)
    holds = truth.saved.s <= truth.case.format.largest
    condition = truth.kappa
    loss = condition * condition if accuracy.squared else condition
    out: Array = holds & (loss * accuracy.unit(truth.case.format) < RESOLVES)
    return out if accuracy.wide else out & _in_range(truth)


def _in_range(truth: Truth) -> Array:
    """Whether what is kept in the narrow format stays inside its range: sums, squares, and powers of s up to 3."""
    fmt, saved = truth.case.format, truth.saved
    room = fmt.largest / 4.0
    cube = saved.s * saved.s * saved.s
    sums = np.maximum(np.abs(saved.x), np.square(saved.c)).sum(axis=1, keepdims=True)
    fits = (saved.s * saved.s >= 2.0**fmt.smallest) & (cube <= room) & (sums <= room)
    if truth.normalized_cotangent is not None:
        pull = np.abs(truth.normalized_cotangent) * (1.0 + np.abs(saved.xh))
        fits &= pull.sum(axis=1, keepdims=True) <= room * np.minimum(saved.s * saved.s, 1.0)
    out: Array = fits
    return out


def statistic(saved: Saved, condition: Array, k: Setting, accuracy: Accuracy) -> Array:
    """Error of xh from the statistics and their use, (sets, members); condition: kappa of each set, (sets, 1)."""
    u = accuracy.unit(k.format)
    size = np.abs(saved.xh)
    if not k.centered:
        return accuracy.growth(k.n) / 2.0 * u * size
    if not k.scaled:  # the mean is a sum, and the difference is rounded once
        level = np.sqrt(np.square(saved.x).mean(axis=1, keepdims=True))
        out: Array = accuracy.level(k.n) * u * level + 2.0 * u * size
        return out
    loss = condition * condition if accuracy.squared else condition
    # A one-pass sum shifted by the set's first entry is sound too; it loses the square of that entry's deviation.
    first = np.square(saved.xh[:, :1])
    return u * (accuracy.level(k.n) * loss * (1.0 + size) + accuracy.growth(k.n) / 2.0 * size * first)


def forward(truth: Truth, accuracy: Accuracy) -> ErrorBound:
    """Bound of y. With given statistics the map is affine and only its own roundings count.

    As (w / s) x + (b - mu w / s) they are at most 6.5 u of each term: of w / s 3.5 with v + eps, the root, the quotient
    and w; then a product and two sums.
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
    terms["affine"] = wide * (gain * np.abs(truth.xh) + 3.0 * shift)  # the reference rounds its bias too
    if truth.case.use == WIDE:
        terms["parameters rounded to the input's format"] = fmt.u * (gain * np.abs(truth.xh) + shift)
    if fmt.narrow:
        terms["output rounding"] = 1.05 * fmt.u * np.abs(truth.y) + 4.0 * fmt.floor * (1.0 + gain)
        # Where nothing is subtracted the root, and before it the sum of squares (half of which reaches the root), may
        # be rounded too: torch's norm over a middle axis does.
        rounded = 2.1 if truth.setting.centered else 2.65
        terms["normalized input rounded before the affine"] = rounded * fmt.u * gain * np.abs(truth.xh)
        if not truth.setting.centered:
            # weight / s may be formed first: below the normal range it has fewer digits, and x multiplies what is lost
            ratio = gain / truth.partition.per_set(truth.saved.s)
            terms["ratio below the normal range"] = np.where(ratio < 2.0**fmt.smallest, fmt.floor, 0.0) * np.abs(
                truth.case.x
            )
    else:
        terms["underflow"] = 4.0 * fmt.floor * (1.0 + gain)
    return ErrorBound(terms)


def given(truth: Truth) -> bool:
    return not truth.case.training and truth.case.running_var is not None


def backward_scale(truth: Truth) -> Array:
    """T of the bound of dx, (sets, members): what |dx| would be if nothing canceled.

    T = (|g| + mean|g| + (1 + |xh|) mean(|g| (1 + |xh|))) / s; without the mean's terms where none is subtracted.
    """
    assert truth.normalized_cotangent is not None, "the case has no cotangent"
    return scale_of(truth, truth.normalized_cotangent)


def scale_of(truth: Truth, to: Array) -> Array:
    """T for a cotangent, or a tangent, with respect to xh or to x, (sets, members)."""
    return scale_from_saved(truth.saved, truth.setting, to, fixed=given(truth))


def scale_from_saved(saved: Saved, k: Setting, to: Array, *, fixed: bool) -> Array:
    """The same from what a kernel saved; fixed: the statistics are given."""
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
    out: Array = scale / saved.s
    return out


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
        # g rounded after the weight, each path of the input rounded on its own (x cast up more than once), and their
        # partial sums: each at most u T.
        terms["paths rounded"] = 3.15 * fmt.u * part.scatter(scale)
    return ErrorBound(terms)


def _first(truth: Truth) -> Array:
    """What a one-pass sum shifted by the first entry loses of a variance: the square of its deviation, (sets, 1)."""
    k = truth.setting
    if given(truth) or not (k.centered and k.scaled):
        return np.zeros_like(truth.saved.s)
    return np.square(truth.saved.xh[:, :1])


def conditioning(truth: Truth, accuracy: Accuracy) -> Array:
    """What conditioning multiplies, (sets, 1); nothing where the statistics are given."""
    condition = np.ones_like(truth.saved.s) if given(truth) else truth.kappa
    return condition * condition if accuracy.squared else condition


def parameter(truth: Truth, accuracy: Accuracy, *, bias: bool) -> ErrorBound:
    """Bound of dweight or dbias: C u sum(kappa |dy| (1 + |xh|)), and without kappa and xh for the bias."""
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


def running(truth: Truth, accuracy: Accuracy, *, variance: bool) -> ErrorBound:
    """Bound of a running statistic after one update, one value per unit.

    The mean of a set is known to C u rms(x), its variance to C u rms(x) sqrt(v) + (C u rms(x))^2.
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
        loss = u * truth.saved.v[:, 0] + loss * spread + loss * loss
        loss = loss * (part.n / max(part.n - 1.0, 1.0))
    weight = max(case.momentum, 1.0 - case.momentum)
    terms = {"statistic": weight * loss.reshape(-1, units).mean(axis=0)}
    store = case.format.u
    terms["update"] = 4.0 * store * (np.abs(before) + np.abs(after)) + 4.0 * case.format.floor
    return ErrorBound(terms)
