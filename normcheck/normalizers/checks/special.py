"""Special values: NaN, infinities, signed zeros, subnormal, tiny and huge numbers, one outlier, an eps beyond a format.

No law requires more than the format can hold: flushing to zero is allowed, and numbers whose squares overflow are not
used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds.contracted import backward_bound, demanded, exact_bound, forward_bound
from normcheck.normalizers.bounds.exactness import NOTHING, rounded_once
from normcheck.normalizers.bounds.format_range import flushed, scales_of_cubes, scales_of_squares
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.epsilon import constant, has_eps
from normcheck.normalizers.checks.within_bounds import (
    answer_of,
    gradients_of,
    gradients_within,
    needs_gradient,
    output_within,
    resolved,
    truth_of,
)
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, partition
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject

EPS_BELOW_HALF = 1e-8
"""An eps in common use, which float16 rounds to 0."""


def _poisoned(subject: Subject, case: Case) -> Iterator[tuple[str, Case, Array, Array]]:
    """The case with one entry that is not finite: its name, the case, and masks of that entry and of its set."""
    part = partition(subject.normalizer, case)
    rng = np.random.default_rng((int(case.drawn["seed"]), 5))
    for name, value in (("NaN", math.nan), ("infinity", math.inf), ("-infinity", -math.inf)):
        flat = np.zeros((part.sets, part.n), dtype=bool)
        flat[int(rng.integers(part.sets)), int(rng.integers(part.n)) if name == "NaN" else 0] = True
        entry = part.scatter(flat)
        yield name, case.but(x=np.where(entry, value, case.x)), entry, part.per_set(np.asarray(flat.any(axis=1)))


def contained(subject: Subject, case: Case) -> Comparison:
    """A NaN or an infinity shows in the outputs of its own set, and in no other."""
    case = case.but(dy=None)
    truth = truth_of(subject, case)
    allowed, mask = forward_bound(subject, truth), resolved(truth, demanded(subject, case))
    found = []
    for name, here, entry, own in _poisoned(subject, case):
        y = answer_of(subject, here).y
        others = f"{name} in one set leaves y of the others"
        found.append(differ(others, y, truth.y, allowed, mask & ~own, rounding=rounded_once(case, truth.y)))
        lost = np.isnan(truth_of(subject, here).y) & own if name == "NaN" else entry
        seen = (~np.isfinite(y)).astype(float)
        found.append(differ(f"{name} is not hidden", seen, np.ones(y.shape), NOTHING, lost))
    return worst(*found)


def contained_gradient(subject: Subject, case: Case) -> Comparison:
    """A NaN or an infinity in one set does not change the input gradient of the others."""
    truth, accuracy = truth_of(subject, case), demanded(subject, case, backward=True)
    assert truth.dx is not None
    allowed = backward_bound(subject, truth)
    mask = resolved(truth, accuracy)
    found = []
    for name, here, _, own in _poisoned(subject, case):
        dx = gradients_of(subject, here).dx
        assert dx is not None
        found.append(differ(f"{name} in one set leaves dx of the others", dx, truth.dx, allowed, mask & ~own))
    return worst(*found)


def zeros(normalizer: Normalizer, draw: Draw) -> Case:
    """A case in which every third entry of a set is 0, from the second on."""
    case = small(normalizer, draw)
    part = partition(normalizer, case)
    flat = part.gather(case.x).copy()
    flat[:, 1::3] = 0.0
    return case.but(x=part.scatter(flat))


def signed_zero(subject: Subject, case: Case) -> Comparison:
    """y(-0) = y(+0), bit for bit: sums with other numbers, and squares, are the same for both."""
    case = case.but(dy=None)
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    negative = case.but(x=np.where(case.x == 0, -0.0, case.x))
    return differ("y(-0) = y(+0)", answer_of(subject, negative).y, y, exact_bound(subject, truth))


def tiny(power: int) -> Callable[[Normalizer, Draw], Case]:
    """A recipe of sets near the smallest normal number; without an eps, of numbers whose given power is normal."""

    def recipe(normalizer: Normalizer, draw: Draw) -> Case:
        case = small(normalizer, draw)
        part, least = partition(normalizer, case), case.format.smallest
        near = least + np.resize((-6, -2, 1), part.sets)
        exponents = near if case.eps > 0 else np.full(part.sets, least // power + 4)
        return case.but(x=case.format.round(np.ldexp(case.x, part.per_set(exponents))))

    return recipe


def subnormal(subject: Subject, case: Case) -> Comparison:
    """Tiny sets are negligible beside an ordinary eps: y is the bias, with or without flushing subnormals to zero."""
    truth = truth_of(subject, case.but(dy=None))
    allowed = forward_bound(subject, truth) + subject.contract.bound_multiplier * flushed(truth)
    y, mask = answer_of(subject, case).y, resolved(truth, demanded(subject, case))
    return differ("y of tiny sets", y, truth.y, allowed, mask, rounding=rounded_once(case, truth.y))


def subnormal_gradient(subject: Subject, case: Case) -> Comparison:
    """The gradient of tiny sets is that of an affine map, (g - mean g) / sqrt(eps): they are negligible beside eps."""
    return worst(*gradients_within(subject, truth_of(subject, case), gradients_of(subject, case), "of tiny sets"))


def _scaled(case: Case, reach: Callable[[Truth], tuple[int, int]], truth: Truth) -> Iterator[tuple[str, Case]]:
    """The case scaled to the largest and to the smallest numbers, each with a phrase for the law."""
    for exponent in reach(truth):
        yield f"of x times 2^{exponent}", case.but(x=case.format.round(np.ldexp(case.x, exponent)))


def magnitudes(subject: Subject, case: Case) -> Comparison:
    """Large and small numbers are normalized like others, as long as the format holds their squares."""
    case = case.but(dy=None)
    found = []
    for label, here in _scaled(case, scales_of_squares, truth_of(subject, case)):
        found.append(output_within(subject, truth_of(subject, here), answer_of(subject, here).y, label))
    return worst(*found)


def magnitudes_gradient(subject: Subject, case: Case) -> Comparison:
    """Gradients at large and small numbers are right, as long as the format holds the cubes of their scale."""
    found: list[Comparison] = []
    for label, here in _scaled(case, scales_of_cubes, truth_of(subject, case)):
        found += gradients_within(subject, truth_of(subject, here), gradients_of(subject, here), label)
    return worst(*found)


def spiked(normalizer: Normalizer, draw: Draw) -> Case:
    """A case in which one entry of each set is 2^12 to 2^16 times the others."""
    case = small(normalizer, draw)
    part = partition(normalizer, case)
    rng = np.random.default_rng((draw.seed, 6))
    flat = part.gather(case.x).copy()
    height = np.ldexp(rng.choice((-1.0, 1.0), part.sets), rng.integers(12, 17, part.sets))
    flat[np.arange(part.sets), rng.integers(part.n, size=part.sets)] = height
    return case.but(x=part.scatter(flat))


def outlier(subject: Subject, case: Case) -> Comparison:
    """A set with an outlier is normalized like any other: nothing is clipped."""
    truth = truth_of(subject, case.but(dy=None))
    return output_within(subject, truth, answer_of(subject, case).y, "one entry far from the others")


def outlier_gradient(subject: Subject, case: Case) -> Comparison:
    """Gradients are right in a set with an outlier."""
    truth = truth_of(subject, case)
    return worst(*gradients_within(subject, truth, gradients_of(subject, case), "one entry far from the others"))


def constant_in_half(normalizer: Normalizer, draw: Draw) -> Case:
    """A case of constant sets, with an eps that their own format rounds to 0."""
    return constant(normalizer, draw).but(eps=EPS_BELOW_HALF)


def eps_below_half(subject: Subject, case: Case) -> Comparison:
    """A constant set gives the bias although eps is 0 in the input's format: eps must be added in a wider one."""
    truth = truth_of(subject, case.but(dy=None))
    y = answer_of(subject, case).y
    law = "finite where eps is 0 in the input's own format"
    found = differ(law, np.isfinite(y).astype(float), np.ones(y.shape), NOTHING)
    return worst(found, output_within(subject, truth, y, f"eps = {case.eps:g}"))


def _owes_eps(normalizer: Normalizer) -> bool:
    """Whether statistics must be kept in a wider format, to which eps can be added."""
    return has_eps(normalizer) and normalizer.narrow_accuracy[0] == "sound"


def _takes_eps(subject: Subject) -> str:
    domain = subject.domain
    if domain.eps is not None:
        return f"takes no eps; the fixed one is {domain.eps:g}" if domain.eps_measured else "takes no eps"
    declared = subject.contract.accuracy_in(FLOAT16.name)
    if declared in ("half", "one-pass"):
        return f"its accuracy is declared {declared}"
    return "" if domain.least_eps <= EPS_BELOW_HALF else f"takes no eps below {domain.least_eps:g}"


_NUMBERS = NormalizerSpace(
    small, formats=(FLOAT32, FLOAT64, BFLOAT16), widths=(8, 5, 17), sets=(6, 4), offsets=False,
    affine=("both", "weight", "none"),
)  # fmt: skip
_WIDE = (FLOAT32, FLOAT64)

_ALL = (
    Check("containment", "a NaN is seen in its own set and in no other", "ragulpr/wtte-rnn#50",
          contained, _NUMBERS),
    Check("containment-gradient", "a NaN leaves the input gradient of other sets", "ragulpr/wtte-rnn#50",
          contained_gradient, _NUMBERS, lacks=needs_gradient),
    Check("signed-zero", "y(-0) = y(+0)", "openvinotoolkit/openvino#19361",
          signed_zero, replace(_NUMBERS, recipe=zeros)),
    Check("subnormal", "tiny sets give the bias", "tenstorrent/tt-metal#55294",
          subnormal, replace(_NUMBERS, recipe=tiny(2))),
    Check("subnormal-gradient", "tiny sets have the gradient of their formula", "tensorflow/tensorflow#118644",
          subnormal_gradient, replace(_NUMBERS, recipe=tiny(3)), lacks=needs_gradient),
    Check("magnitudes", "y of numbers whose squares the format holds", "tenstorrent/tt-metal#55159",
          magnitudes, _NUMBERS),
    Check("magnitudes-gradient", "gradients of numbers whose cubes the format holds", "flagos-ai/FlagGems#4381",
          magnitudes_gradient, _NUMBERS, lacks=needs_gradient),
    Check("outlier", "y where one entry is far from the others", "apple/coremltools#2821",
          outlier, replace(_NUMBERS, recipe=spiked, formats=_WIDE, widths=(8, 64, 257))),
    Check("outlier-gradient", "gradients where one entry is far from the others", "apple/coremltools#2821",
          outlier_gradient, replace(_NUMBERS, recipe=spiked, formats=_WIDE, widths=(8, 64, 257)),
          lacks=needs_gradient),
    Check("eps-below-half", "a constant set gives the bias although eps is 0 in its format",
          "deepspeedai/DeepSpeed#581", eps_below_half,
          replace(_NUMBERS, recipe=constant_in_half, formats=(FLOAT16,)), concerns=_owes_eps, lacks=_takes_eps),
)  # fmt: skip

CHECKS = tuple(replace(check, cost=5.0) for check in _ALL)
"""The draws that are always tried cover most of these laws, so random draws are few."""
