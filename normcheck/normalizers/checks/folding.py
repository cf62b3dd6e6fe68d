"""Evaluation is an affine map of each channel, so it folds into the linear layer below it.

y(x) = a x + b with a = y(1) - y(0) and b = y(0), both outputs of the implementation. For a layer W d + c below,
y(W d + c) = (a W) d + (a c + b) with a and b computed from the running statistics.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import FLOAT32, FLOAT64, Array, powers
from normcheck.core.result import Comparison, worst
from normcheck.core.spec import REPARAMETRIZES
from normcheck.normalizers.bounds import bounds, linear_maps
from normcheck.normalizers.bounds.contracted import backward_bound, forward_bound
from normcheck.normalizers.bounds.exactness import rounded_once
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.accuracy import has_state, needs_evaluation
from normcheck.normalizers.checks.within_bounds import answer_of, gradients_of, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.networks import network
from normcheck.normalizers.sampling.recipes import Draw, state
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject

Read = tuple[Array, Array]
"""A value for each entry, and its bound."""


def _constant(subject: Subject, case: Case, value: float) -> Read:
    """The output if every entry of the input is this number."""
    here = case.but(x=np.full(case.x.shape, value), dy=None)
    return answer_of(subject, here).y, forward_bound(subject, truth_of(subject, here))


def _map(subject: Subject, case: Case) -> tuple[Read, Read]:
    """Scale a and shift b of the affine map, of the input's shape, from the outputs at 0 and at 1."""
    (shift, lost), (top, more) = _constant(subject, case, 0.0), _constant(subject, case, 1.0)
    return (top - shift, lost + more), (shift, lost)


def affine(subject: Subject, case: Case) -> Comparison:
    """Large inputs lie on the line through y(0) and y(1) too, and dx is its slope times dy."""
    (scale, scale_lost), (shift, shift_lost) = _map(subject, case)
    truth = truth_of(subject, case)
    allowed = linear_maps.line(case.x, scale_lost, shift_lost, forward_bound(subject, truth))
    predicted = scale * case.x + shift
    differs = differ("y(x) = y(0) + x (y(1) - y(0))", answer_of(subject, case.but(dy=None)).y, predicted, allowed)
    if not (subject.domain.gradient and subject.domain.evaluation_gradient) or case.dy is None:
        return differs
    found = gradients_of(subject, case)
    assert found.dx is not None
    allowed = linear_maps.line_gradient(case.dy, scale_lost, backward_bound(subject, truth, bounds.SOUND))
    return worst(differs, differ("dx = (y(1) - y(0)) dy", found.dx, scale * case.dy, allowed))


def folded(subject: Subject, case: Case) -> Comparison:
    """Running statistics folded into the linear layer below, in float64, give the output of both layers."""
    linear = case.linear
    assert linear is not None
    rng = np.random.default_rng((int(case.drawn["seed"]), 7))
    drawn = rng.integers(-8, 9, linear.weights.shape[0]) / 4.0
    data = linear.data.reshape(-1, linear.data.shape[-1])
    a, b, terms = _from_statistics(subject, case)
    found = []
    for label, c in (("", np.zeros_like(drawn)), (" + c", drawn)):
        here = case.but(x=case.x + c.reshape((1, -1, *(1,) * (case.x.ndim - 2))))
        weights, constant = a[:, None] * linear.weights, a * c + b
        rounding = linear_maps.folded(data, weights, a * c, terms)
        own = _rows(forward_bound(subject, truth_of(subject, here)))
        law = f"y(W d{label}) = (a W) d{' + a c' if label else ''} + b"
        y = _rows(answer_of(subject, here).y)
        expected = data @ weights.T + constant
        found.append(differ(law, y, expected, own + rounding, rounding=rounded_once(here, expected)))
    whole = worst(*found)
    return replace(whole, metrics={f"extended in evaluation/{REPARAMETRIZES}": whole.bound_ratio})


def _from_statistics(subject: Subject, case: Case) -> tuple[Array, Array, Array]:
    """For each channel a = w / s, b = bias - a mean, and |b| + 2 |bias|: at least the size of every term of b."""
    truth = truth_of(subject, case.but(x=np.zeros(case.x.shape)))
    gain = np.ones(()) if truth.gain is None else truth.gain
    scale, shift = truth.partition.per_set(1.0 / truth.saved.s) * gain, np.broadcast_to(truth.y, case.x.shape)
    offset = np.zeros(()) if truth.bias is None else np.abs(truth.bias)
    return _units(scale), _units(shift), _units(np.abs(shift) + 2.0 * offset)


def _rows(full: Array) -> Array:
    """An array of the input's shape as (cases times positions, channels), as the linear layer below returns it."""
    return np.asarray(np.moveaxis(full, 1, -1).reshape(-1, full.shape[1]))


def _units(full: Array) -> Array:
    """One value for each channel, from an array that is constant within channels."""
    return np.asarray(np.moveaxis(full, 1, 0).reshape(full.shape[1], -1)[:, 0])


def _evaluated(normalizer: Normalizer, draw: Draw) -> Case:
    return state(normalizer, draw, training=False)


def below(normalizer: Normalizer, draw: Draw) -> Case:
    """A case with running statistics in evaluation, on a linear layer of dyadic numbers."""
    case = network(normalizer, draw)
    assert case.linear is not None
    rng = np.random.default_rng((draw.seed, 8))
    units = case.x.shape[1]
    mean = case.format.round(rng.standard_normal((units,)))
    var = case.format.round(powers(2.0, rng.uniform(-8, 8, (units,))))
    return case.but(training=False, running_mean=mean, running_var=var, dy=None)


# large inputs first: the draws that are always tried take the first scale
_FAR = NormalizerSpace(_evaluated, formats=(FLOAT64, FLOAT32), widths=(4, 6, 12), offsets=False, scales=(10, 0, -6))

CHECKS = (
    Check("evaluation-affine", "y(x) = y(0) + x (y(1) - y(0)), and dx is that slope times dy", "pytorch/pytorch#586",
          affine, _FAR, has_state, needs_evaluation),
    Check("folding", "y(W d + c) = (a W) d + (a c + b)", "pytorch/pytorch#34932", folded,
          NormalizerSpace(below, formats=(FLOAT64, FLOAT32), widths=(4, 6, 12), sets=(4, 6), offsets=False,
                affine=("both", "weight", "none", "bias"), scales=(0, 6, 10), given_shapes=False),
          has_state, needs_evaluation, cost=2.0),
)  # fmt: skip
