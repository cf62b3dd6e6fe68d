"""eps: it is used, inside the root; it follows the square of a scale; it keeps constant sets finite."""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64, powers
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds.contracted import backward_bound, demanded, exact_bound, forward_bound
from normcheck.normalizers.bounds.epsilon import follows
from normcheck.normalizers.bounds.exactness import rounded_once
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import answer_of, needs_gradient, resolved, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, values
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject


def has_eps(normalizer: Normalizer) -> bool:
    """Whether the formula has an eps."""
    return normalizer.eps is not None


def _takes_eps(subject: Subject) -> str:
    domain = subject.domain
    if domain.eps is None:
        return ""
    return f"takes no eps; the fixed one is {domain.eps:g}" if domain.eps_measured else "takes no eps"


def _divides_by_zero(subject: Subject) -> str:
    """Why a constant set has no defined output; empty if it has one."""
    return "takes no eps; the fixed one is 0" if subject.domain.eps == 0.0 else ""


def _no_gradient_of_constant(subject: Subject) -> str:
    return _divides_by_zero(subject) or needs_gradient(subject)


def co_scaling(subject: Subject, case: Case) -> Comparison:
    """y(d x; d^2 eps) = y(x; eps), bit for bit for powers of two."""
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    power = follows(subject.contract)
    found = []
    for d in (0.25, 8.0):
        moved = case.but(x=case.x * d, eps=case.eps * d**power)
        law = f"y(d x; d^{power} eps) = y(x; eps), d = {d:g}"
        found.append(differ(law, answer_of(subject, moved).y, y, exact_bound(subject, truth)))
    return worst(*found)


def is_read(subject: Subject, case: Case) -> Comparison:
    """Three values of eps on sets of variance near eps: each output is that of its eps."""
    accuracy = demanded(subject, case)
    found = []
    for factor in (0.01, 1.0, 100.0):
        other = case.but(eps=case.eps * factor)
        truth = truth_of(subject, other)
        law = f"y is that of eps = {other.eps:g}"
        allowed, rounding = forward_bound(subject, truth), rounded_once(other, truth.y)
        y, mask = answer_of(subject, other).y, resolved(truth, accuracy)
        found.append(differ(law, y, truth.y, allowed, mask, rounding=rounding))
    return worst(*found)


def near(normalizer: Normalizer, draw: Draw) -> Case:
    """A case of sets whose variance is a hundredth of eps to a hundred times eps."""
    case = values(normalizer, draw)
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    rng = np.random.default_rng(int(case.drawn["seed"]))
    flat = rng.standard_normal((part.sets, part.n))
    flat -= flat.mean(axis=1, keepdims=True) if normalizer.centered else 0.0
    scale = np.sqrt(case.eps) * powers(10.0, rng.uniform(-1.0, 1.0, (part.sets, 1)))
    return case.but(x=part.scatter(case.format.round(flat * scale)))


def constant(normalizer: Normalizer, draw: Draw) -> Case:
    """A case of constant sets, whose variance is 0; the constants are 0 for normalizers that do not center."""
    case = values(normalizer, draw)
    part = normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)
    rng = np.random.default_rng(int(case.drawn["seed"]))
    level = rng.choice((0.0, 1.0, -1.5, 3.3, 10.1), (part.sets, 1)) if normalizer.centered else np.zeros((part.sets, 1))
    return case.but(x=part.scatter(np.repeat(case.format.round(level), part.n, axis=1)))


def constant_rows(subject: Subject, case: Case) -> Comparison:
    """A set of equal values gives the bias, up to the rounding of its mean over sqrt(eps)."""
    truth = truth_of(subject, case)
    mask = resolved(truth, demanded(subject, case))
    return differ(
        "a constant set gives the bias", answer_of(subject, case).y, truth.y, forward_bound(subject, truth), mask
    )


def constant_gradient(subject: Subject, case: Case) -> Comparison:
    """A set of equal values has a finite gradient, (g - mean g) / sqrt(eps)."""
    truth = truth_of(subject, case)
    accuracy = demanded(subject, case, backward=True)
    got = subject.call(case, True).dx
    assert got is not None
    assert truth.dx is not None
    allowed = backward_bound(subject, truth)
    return differ("a constant set has the gradient of its formula", got, truth.dx, allowed, resolved(truth, accuracy))


CHECKS = (
    Check("eps-co-scaling", "y(d x; d^2 eps) = y(x; eps)", "theory: co-scaling; tracel-ai/burn#2185",
          co_scaling, NormalizerSpace(near, formats=(FLOAT64, FLOAT32)), concerns=has_eps, lacks=_takes_eps),
    Check("eps-is-read", "two values of eps give two outputs, each its own", "ggml-org/llama.cpp#2373",
          is_read, NormalizerSpace(near, formats=(FLOAT64, FLOAT32, BFLOAT16)), concerns=has_eps, lacks=_takes_eps),
    Check("constant-rows", "a constant set gives the bias", "pytorch/pytorch#108072",
          constant_rows, NormalizerSpace(constant, formats=(FLOAT64, FLOAT32, BFLOAT16)), concerns=has_eps,
          lacks=_divides_by_zero),
    Check("constant-gradient", "a constant set has a finite gradient", "pyg-team/pytorch_geometric#2917",
          constant_gradient, NormalizerSpace(constant, formats=(FLOAT64, FLOAT32)), concerns=has_eps,
          lacks=_no_gradient_of_constant),
)  # fmt: skip
