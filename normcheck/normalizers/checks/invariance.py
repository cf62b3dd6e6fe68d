"""The six columns of Table 1: a "yes" must hold on every case, a "no" must be shown by a witness.

The linear layer below the normalizer has dyadic weights and data, so every summed input is exact and only the
normalizer can err. Outputs before and after a scale are compared at the eps that the law prescribes for each set; if
eps is not an argument, the exact effect of a fixed eps is added to what is expected (y(d x; eps) = y(x; eps / d^2)).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.floats import FLOAT32, FLOAT64, Array
from normcheck.core.result import WITNESS, Comparison
from normcheck.normalizers.bounds import epsilon, linear_maps
from normcheck.normalizers.bounds.contracted import exact_bound, forward_bound
from normcheck.normalizers.bounds.exactness import can_show
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.accuracy import has_state, needs_evaluation
from normcheck.normalizers.checks.within_bounds import Ask, answer_of, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth, evaluate, held_eps
from normcheck.normalizers.sampling.networks import network, on_network
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject
from normcheck.normalizers.transforms import COLUMNS, Column, holds

NEGLIGIBLE = 2.0**-60
"""Factor that makes an eps so small that it changes nothing, and leaves it a normal number in float32."""

SOURCE = "Ba, Kiros, Hinton 2016, Table 1"


def _spatial(case: Case) -> bool:
    return case.linear is not None and case.linear.data.shape[1] > 1


def _factors(subject: Subject, case: Case, column: Column, truth: Truth) -> Array:
    """The scale of each set, (sets,); 1 if it has several, or if the column is a shift."""
    part = truth.partition
    assert case.linear is not None
    assert case.move is not None
    if column.factor is None or subject.normalizer.acts_on == "weight":
        return np.ones(part.sets)
    factor = column.factor(case.linear, case.move)
    size = (case.linear.data.shape[0], case.linear.weights.shape[0], case.linear.data.shape[1])
    full = np.broadcast_to(factor, size)
    if subject.normalizer.sets.layout == "trailing":
        full = np.moveaxis(full, 1, 2)
    flat = part.gather(full.reshape(case.x.shape))
    return np.where(np.all(flat == flat[:, :1], axis=1), flat[:, 0], 1.0)


def estimated(subject: Subject, case: Case) -> Case:
    """The case in evaluation mode, with the statistics of its own batch as running statistics."""
    truth = evaluate(subject.normalizer, case)
    mean, var = (case.format.round(s[:, 0]) for s in (truth.saved.mu, truth.saved.v))
    return case.but(training=False, running_mean=mean, running_var=var)


def _scalable(subject: Subject, case: Case) -> Case:
    """The case with an eps that can follow a scale exactly, if it is an argument."""
    free = subject.domain.eps is None
    return case.but(eps=epsilon.scalable(subject.contract, case.eps)) if free else case


def _moved_output(subject: Subject, moved: Case, factors: Array, truth: Truth) -> Array:
    """Output of the transformed case, each set at the eps that its scale requires."""
    if subject.domain.eps is not None or subject.normalizer.eps is None:
        return answer_of(subject, moved).y
    out = None
    for factor in np.unique(factors):
        y = answer_of(subject, moved.but(eps=moved.eps * float(factor) ** epsilon.follows(subject.contract))).y
        here = truth.partition.per_set(factors == factor)
        out = y if out is None else np.where(here, y, out)
    assert out is not None
    return out


def _fixed_eps_effect(subject: Subject, case: Case, factors: Array, truth: Truth) -> Array:
    """The exact effect of an eps that does not follow the scale: y(x; eps / d^2) - y(x; eps)."""
    if subject.domain.eps is None or subject.normalizer.eps is None or not np.any(factors != 1.0):
        return np.zeros(())
    out = np.zeros(case.x.shape)
    exact = replace(subject.contract, eps_format="own")
    for factor in np.unique(factors[factors != 1.0]):
        eps = held_eps(subject.contract, case.eps) / float(factor) ** epsilon.follows(subject.contract)
        other = evaluate(subject.normalizer, case.but(eps=eps), exact)
        here = truth.partition.per_set(factors == factor)
        out = np.where(here, other.y - truth.y, out)
    return out


def through(case: Case, weights: Array, bound: Array) -> tuple[Array, Array]:
    """The output x w^T of a layer with normalized weights, and its bound, (cases, units) each."""
    assert case.linear is not None
    data = case.linear.data.reshape(-1, case.linear.data.shape[-1])
    return data @ weights.T, linear_maps.product(data, weights, bound)


def ask_column(column: Column, *, evaluation: bool) -> Ask:
    """The check of one column."""

    def ask(subject: Subject, case: Case) -> Comparison:
        assert case.linear is not None
        assert case.move is not None
        normalizer, move, linear = subject.normalizer, case.move, case.linear
        is_no = not holds(normalizer, column, spatial=_spatial(case))
        free = subject.domain.eps is None and normalizer.eps is not None
        case = _scalable(subject, case)
        negligible = free and subject.domain.least_eps == 0.0
        if is_no and column.kind == "scale" and negligible:
            case = case.but(eps=case.eps * NEGLIGIBLE)  # a change by eps alone is not a witness
        moved = on_network(normalizer, case, column.apply(linear, move))
        if evaluation:
            case, moved = estimated(subject, case), estimated(subject, moved)
        truth = truth_of(subject, case)
        factors = _factors(subject, case, column, truth)
        still_y = answer_of(subject, case).y
        moved_y = _moved_output(subject, moved, factors, truth)
        expected = still_y + _fixed_eps_effect(subject, case, factors, truth)
        allowed = forward_bound(subject, truth) + forward_bound(subject, truth_of(subject, moved))
        if normalizer.acts_on == "weight":
            before, after = case, moved
            expected, first = through(before, expected, forward_bound(subject, truth))
            moved_y, second = through(after, moved_y, forward_bound(subject, truth_of(subject, moved)))
            allowed = first + second
        if is_no and column.kind == "scale" and not negligible and normalizer.eps is not None:
            allowed = allowed + epsilon.effect(normalizer, truth, subject.contract, move.delta)
        if is_no and normalizer.acts_on == "activation":
            predicted = np.abs(truth_of(subject, moved).y - truth.y)
            if not can_show(predicted, allowed):  # this case cannot show it
                return Comparison(column.law, 0, 0.0, seeks=True)
        resolved = np.isfinite(allowed)
        rough = differ(column.law, moved_y, expected, allowed, resolved)
        mode = "row in evaluation" if evaluation else "row"
        metrics = {f"{mode}/{column.name}": rough.bound_ratio}
        if is_no:
            law = f"not invariant to {column.title}: a witness is a change of {WITNESS:g} bounds"
            return replace(rough, law=law, metrics=metrics, seeks=True)
        follows = subject.domain.eps is None or normalizer.eps is None
        power = np.log2(move.delta) % 1 == 0
        if column.kind == "scale" and power and follows and normalizer.acts_on == "activation" and not evaluation:
            sharp = differ(column.law, moved_y, expected, exact_bound(subject, truth))
            return replace(sharp, metrics=metrics, detail="exact for powers of two")
        return replace(rough, metrics=metrics)

    return ask


def expects_statistics(normalizer: Normalizer) -> bool:
    """Whether running statistics stand for those of the data set: only if they are shared by cases."""
    return has_state(normalizer) and "case" in normalizer.sets.members


_SPACE = NormalizerSpace(
    network, formats=(FLOAT64, FLOAT32), widths=(3, 4, 6), offsets=False, eps=(1e-5, 1e-3),
    affine=("both", "weight", "none"), deltas=(2.0, 4.0, 0.5, 0.25, 3.0, 1.5, 0.75), scales=(0, -3, -8, 5),
    given_shapes=False,
)  # fmt: skip

TABLE = tuple(Check(c.name, c.law, SOURCE, ask_column(c, evaluation=False), _SPACE) for c in COLUMNS)
EXPECTED_STATISTICS = tuple(
    Check(
        f"{c.name}-expected-statistics", c.law, SOURCE, ask_column(c, evaluation=True), _SPACE,
        expects_statistics, needs_evaluation,
    )
    for c in COLUMNS
)  # fmt: skip

CHECKS = TABLE + EXPECTED_STATISTICS
