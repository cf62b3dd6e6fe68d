"""Gradient descent on small networks: a linear layer below the normalizer and tanh above it.

The experiment of Ioffe, Szegedy 2015, section 2. The loss does not depend on a bias below a normalizer that subtracts
the mean, nor on the length of the weights below one that divides. If the gradient passes through the statistics, that
of these parameters is 0; with a statistic held constant they drift while the loss stays the same. Both are predicted
for each step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.floats import FLOAT64, Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import networks
from normcheck.normalizers.bounds.contracted import backward_bound, forward_bound
from normcheck.normalizers.case import Case, Linear
from normcheck.normalizers.checks.within_bounds import answer_of, gradients_of, needs_float64, truth_of
from normcheck.normalizers.normalizer import Normalizer, Partition
from normcheck.normalizers.reference.nonlinear import tanh_slope
from normcheck.normalizers.reference.oracle import Truth, partition
from normcheck.normalizers.sampling.networks import network, on_network
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject

SOURCE = "Ioffe, Szegedy 2015, section 2"
STEPS, RATE = 4, 0.125


@dataclass(frozen=True, slots=True, eq=False)
class NetCase:
    """The network tanh(norm(W d + b)), or tanh(norm(W) d + b) if weights are normalized, with the loss sum r tanh(.).

    case: that of the normalizer, on the linear layer W d; bias: b, of the shape of the normalizer's parameters;
    above: r, of the shape of the input of tanh.
    """

    case: Case
    bias: Array
    above: Array

    def cotangent(self, y: Array) -> Array:
        """dL/dy for an output y of the normalizer."""
        linear = self.case.linear
        assert linear is not None
        if self.above.shape == y.shape:
            return self.above * tanh_slope(y)
        data = linear.data.reshape(-1, linear.data.shape[-1])
        out: Array = (self.above * tanh_slope(data @ y.T)).T @ data
        return out


@dataclass(frozen=True, slots=True, eq=False)
class NetStep:
    """One forward and backward of a network, with the reference's answer to the same case."""

    y: Array
    dx: Array
    dweight: Array | None
    dbias: Array | None
    truth: Truth
    allowed: Array  # bound of dx


def initial(subject: Subject, case: Case) -> NetCase:
    """The network on the linear layer of a case, with b and r drawn from its seed."""
    rng = np.random.default_rng((int(case.drawn["seed"]), 9))
    assert case.linear is not None
    shape = case.x.shape
    if subject.normalizer.acts_on == "weight":
        shape = (case.linear.data.shape[0] * case.linear.data.shape[1], case.x.shape[0])
    bias = rng.standard_normal(partition(subject.normalizer, case).parameter)
    return NetCase(case, bias, rng.standard_normal(shape) + 0.75)


def step_of(subject: Subject, net: NetCase, *, biased: bool) -> NetStep:
    """One forward and backward of the network; biased: b is added to the summed inputs."""
    part = partition(subject.normalizer, net.case)
    here = net.case.but(x=net.case.x + part.spread(net.bias)) if biased else net.case
    y = answer_of(subject, here).y
    here = here.but(dy=net.cotangent(y))
    answer, truth = gradients_of(subject, here), truth_of(subject, here)
    assert answer.dx is not None
    return NetStep(y, answer.dx, answer.dweight, answer.dbias, truth, backward_bound(subject, truth))


def together(normalizer: Normalizer, part: Partition, full: Array) -> Array:
    """For each unit, the sum over all entries of the units that share its statistics; of the parameters' shape."""
    per_unit = part.collect(full)
    axes = tuple(i for i, axis in enumerate(("group", "unit")) if axis in normalizer.sets.members)
    seen = per_unit.reshape(part.seen[1], part.seen[2])
    return np.broadcast_to(seen.sum(axis=axes, keepdims=True), seen.shape).reshape(per_unit.shape)


def _sum_terms(truth: Truth) -> Array:
    """What each entry adds to (1 - A) sum g / s, the sum of dx over its set; of the input's shape."""
    assert truth.normalized_cotangent is not None
    out: Array = (1 - truth.setting.through[0]) * truth.partition.scatter(truth.normalized_cotangent / truth.saved.s)
    return out


def _inner_terms(truth: Truth) -> Array:
    """What each entry adds to <dx, x> over its set, (1 - B v / (v + eps)) sum g xh + (1 - A) mean sum g / s."""
    assert truth.normalized_cotangent is not None
    saved, (_, through_scale) = truth.saved, truth.setting.through
    kept = 1.0 - 2.0 * through_scale * saved.slope * saved.v / saved.s
    own = truth.partition.scatter(kept * truth.normalized_cotangent * saved.xh)
    out: Array = own + truth.partition.per_set(saved.mu) * _sum_terms(truth)
    return out


def by_layer(normalizer: Normalizer, case: Case, full: Array) -> Array:
    """An array of the input's shape as (cases, units, space), the shape of the linear layer's output."""
    assert case.linear is not None
    cases, space, units = *case.linear.data.shape[:2], case.linear.weights.shape[0]
    if normalizer.sets.layout == "trailing":
        return np.moveaxis(full.reshape(cases, space, units), 2, 1)
    return full.reshape(cases, units, space)


def _stepped(parameter: Array | None, gradient: Array | None) -> Array | None:
    """A parameter after a step of gradient descent."""
    return parameter if parameter is None or gradient is None else parameter - _rate(gradient) * gradient


def _rate(gradient: Array) -> float:
    """The rate at which a step moves no parameter farther than RATE."""
    return RATE / max(1.0, float(np.abs(gradient).max()))


def _descended(normalizer: Normalizer, net: NetCase, step: NetStep) -> NetCase:
    """The network after a step of gradient descent on W, and on weight and bias of the normalizer, but not on b."""
    case = net.case
    assert case.linear is not None
    slope = np.einsum("nms,nsd->md", by_layer(normalizer, case, step.dx), case.linear.data)
    linear = Linear(case.linear.data, case.linear.weights - _rate(slope) * slope)
    moved = on_network(normalizer, case, linear)
    return replace(
        net, case=moved.but(weight=_stepped(case.weight, step.dweight), bias=_stepped(case.bias, step.dbias))
    )


def bias_drift(subject: Subject, case: Case) -> Comparison:
    """The bias b of a linear layer below a normalizer that subtracts the mean, with tanh above it.

    First the whole network is trained. The mean of b over the units that share a statistic (b itself if none do) does
    not move if the gradient passes through E[x]; with E[x] held constant it moves by eta sum g / s in each step. Then
    only that mean is trained: wherever it moves, the output and so the loss stay the same.
    """
    net = initial(subject, case)
    trained = _drift(subject, net, whole=True)
    return worst(*trained, *_drift(subject, net, whole=False))


def _drift(subject: Subject, net: NetCase, *, whole: bool) -> list[Comparison]:
    """Compare the movement of b in some steps with the predicted one. whole: all parameters are trained."""
    normalizer, start = subject.normalizer, net.bias
    part = partition(normalizer, net.case)
    units = together(normalizer, part, np.ones(net.case.x.shape)) / part.collect(np.ones(net.case.x.shape))
    predicted, allowed = np.zeros(part.parameter), np.zeros(part.parameter)
    first = step = step_of(subject, net, biased=True)
    for _ in range(STEPS):
        slope = part.collect(step.dx)
        rate = _rate(slope)
        common = together(normalizer, part, step.dx) / units
        predicted = predicted - rate * together(normalizer, part, _sum_terms(step.truth)) / units
        allowed = allowed + rate * together(normalizer, part, step.allowed) / units
        net = replace(net, bias=net.bias - rate * (slope if whole else common))
        net = _descended(normalizer, net, step) if whole else net
        step = step_of(subject, net, biased=True)
    shared = average(normalizer, part, net.bias - start)
    rounding = networks.descent(STEPS, average(normalizer, part, np.abs(net.bias) + np.abs(start)))
    still = subject.contract.through[0]
    law = "the mean of b stands still through E[x]" if still else "the mean of b moves by eta sum g / s each step"
    found = [differ(law, shared, predicted, allowed + rounding)]
    if not whole:
        bound = forward_bound(subject, first.truth) + forward_bound(subject, step.truth)
        found.append(differ("the loss stands still while b drifts", step.y, first.y, bound))
    return found


def average(normalizer: Normalizer, part: Partition, per_unit: Array) -> Array:
    """For each unit, the mean over the units that share its statistics, of the shape of the parameters."""
    full = np.broadcast_to(part.spread(per_unit), part.shape)
    return together(normalizer, part, full) / together(normalizer, part, np.ones(part.shape))


def scale_drift(subject: Subject, case: Case) -> Comparison:
    """The length of a layer's weights w below a normalizer that divides: of one unit, or of those with one statistic.

    The steps are along w, of the size of the gradient there. If it passes through the variance,
    <dL/dw, w> = eps / (v + eps) sum g xh, and w hardly moves; with the variance held constant it is sum g xh, and w
    grows or shrinks in each step. Either way the output changes by the effect of eps only: not at all at eps = 0.
    """
    normalizer, net = subject.normalizer, initial(subject, case)
    part = partition(normalizer, case)
    law = "through the variance a step along w is no step: <dL/dw, w> = eps / (v + eps) sum g xh"
    if not subject.contract.through[1]:
        law = "with the variance held constant |w| moves by <dL/dw, w> = sum g xh"
    first = step = step_of(subject, net, biased=False)
    found = []
    for _ in range(STEPS):
        x = net.case.x
        along, size = (together(normalizer, part, full) for full in (step.dx * x, np.abs(step.dx * x)))
        expected = together(normalizer, part, _inner_terms(step.truth))
        found.append(differ(law, along, expected, together(normalizer, part, networks.along(step.allowed, x))))
        factor = 1.0 - RATE * along / np.maximum(size, FLOAT64.floor)
        net = replace(net, case=_stretched(normalizer, net.case, part.spread(factor)))
        step = step_of(subject, net, biased=False)
    bound = forward_bound(subject, first.truth) + forward_bound(subject, step.truth)
    moved = step.truth.y - first.truth.y
    found.append(differ("a step along w changes the output by what eps makes of it", step.y - first.y, moved, bound))
    return worst(*found)


def _stretched(normalizer: Normalizer, case: Case, factor: Array) -> Case:
    """The case with the weights of each unit times a factor, which broadcasts against the input."""
    assert case.linear is not None
    if normalizer.acts_on == "weight":
        return on_network(normalizer, case, Linear(case.linear.data, case.linear.weights * factor))
    return case.but(x=case.x * factor)


def _centered(normalizer: Normalizer) -> bool:
    return normalizer.centered


def _scaled(normalizer: Normalizer) -> bool:
    return normalizer.scaled


SPACE = NormalizerSpace(
    network,
    formats=(FLOAT64,),
    widths=(4, 6),
    sets=(4, 6),
    offsets=False,
    eps=(1e-5,),
    affine=("both", "weight"),
    once=True,
    given_shapes=False,
)

CHECKS = (
    Check("bias-drift-in-a-network", "trained, a bias below E[x] stands still; with E[x] constant it drifts, in vain",
          SOURCE, bias_drift, SPACE, _centered, needs_float64, cost=5.0),
    Check("weight-scale-drift", "through the variance <dL/dw, w> = 0 as eps is; held constant, w grows, in vain",
          "Salimans, Kingma 2016, section 2.1", scale_drift, SPACE, _scaled, needs_float64, cost=5.0),
)  # fmt: skip
