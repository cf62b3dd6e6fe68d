"""Two columns beyond the six of Table 1: whether it is a reparametrization, and whether it is independent of the batch.

Weight norm, and batch norm with expected statistics, are reparametrizations (Salimans, Kingma 2016, section 2): a
layer with folded weights gives the same output (`checks.folding` for the second). Any other normalizer is not an affine
map of a training case, whatever the weights: the output at the midpoint of two cases is not the midpoint of their
outputs, each in a batch of its own. Weights and data of the layer below are dyadic, so the midpoint is exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import FLOAT32, FLOAT64, Array
from normcheck.core.result import WITNESS, Comparison
from normcheck.core.spec import OF_BATCH, REPARAMETRIZES
from normcheck.normalizers.bounds import linear_maps
from normcheck.normalizers.bounds.contracted import forward_bound
from normcheck.normalizers.bounds.exactness import can_show
from normcheck.normalizers.case import Case, Linear
from normcheck.normalizers.checks.accuracy import needs_evaluation
from normcheck.normalizers.checks.invariance import estimated, expects_statistics, through
from normcheck.normalizers.checks.within_bounds import Ask, answer_of, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.networks import network, on_network
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject
from normcheck.normalizers.transforms import extended

Read = tuple[Array, Array, Array]
"""Outputs of the implementation and of the reference for the first training case, and the bound between them."""


def batches(case: Case) -> tuple[Linear, Linear, Linear]:
    """Three batches without a common case; the first case of the third is the midpoint of those of the others."""
    assert case.linear is not None
    linear = case.linear
    rng = np.random.default_rng((int(case.drawn["seed"]), 9))
    unit = max(float(np.abs(linear.data).max()) / 8.0, FLOAT64.floor)
    step = 2.0 ** np.floor(np.log2(unit))

    def other() -> Array:
        return np.asarray(rng.integers(-16, 17, linear.data.shape) * step)

    second, third = other(), other()
    third[0] = (linear.data[0] + second[0]) / 2.0
    return linear, replace(linear, data=second), replace(linear, data=third)


def _first(normalizer: Normalizer, case: Case, full: Array) -> Array:
    """The part of an array of the input's shape that belongs to the first training case."""
    assert case.linear is not None
    if normalizer.sets.layout == "trailing":
        return np.asarray(full.reshape(case.linear.data.shape[0], -1)[0])
    return np.asarray(full[0].reshape(-1))


def _read(subject: Subject, case: Case) -> Read:
    truth = truth_of(subject, case)
    y, off = answer_of(subject, case).y, np.broadcast_to(forward_bound(subject, truth), truth.y.shape)
    if subject.normalizer.acts_on == "weight":
        own, bound = through(case, y, off)
        folded, _ = through(case, truth.y, off)
        assert case.linear is not None
        rows = slice(0, case.linear.data.shape[1])
        return own[rows].reshape(-1), folded[rows].reshape(-1), bound[rows].reshape(-1)
    y, expected, off = (_first(subject.normalizer, case, full) for full in (y, truth.y, off))
    return y, expected, off


def reparametrization(subject: Subject, case: Case) -> Comparison:
    """The output at the midpoint of two cases is that of the folded layer (yes), or not that of the outputs (no)."""
    normalizer = subject.normalizer
    (y1, t1, b1), (y2, t2, b2), (y3, t3, b3) = (
        _read(subject, on_network(normalizer, case, linear)) for linear in batches(case)
    )
    if extended(normalizer)[REPARAMETRIZES]:
        found = differ(
            "y(W x) = W' x with the folded weights W'", y3, (t1 + t2) / 2.0, linear_maps.folded_midpoint(b1, b2, b3)
        )
        return replace(found, metrics={f"extended/{REPARAMETRIZES}": found.bound_ratio})
    law = f"no weights make it the same affine map: a witness is a bend of {WITNESS:g} bounds"
    return _witness(law, REPARAMETRIZES, (y3, (y1 + y2) / 2.0), (t3, (t1 + t2) / 2.0), linear_maps.midpoint(b1, b2, b3))


def _witness(
    law: str, column: str, seen: tuple[Array, Array], predicted: tuple[Array, Array], allowed: Array
) -> Comparison:
    """A "no": the two outputs must differ by `WITNESS` bounds, on a case on which the predicted ones differ by more."""
    if not can_show(np.abs(predicted[0] - predicted[1]), allowed):  # this case cannot show it
        return Comparison(law, 0, 0.0, seeks=True)
    found = differ(law, *seen, allowed)
    return replace(found, metrics={f"extended/{column}": found.bound_ratio}, seeks=True)


def ask_independence(*, evaluation: bool) -> Ask:
    """The check of whether the output for a case depends on the others, in training or with expected statistics."""
    prefix = "extended in evaluation" if evaluation else "extended"

    def ask(subject: Subject, case: Case) -> Comparison:
        normalizer = subject.normalizer
        linear, other, _ = batches(case)
        among = other.data.copy()
        among[0] = linear.data[0]
        here, there = (on_network(normalizer, case, one) for one in (linear, replace(other, data=among)))
        if evaluation:
            here = estimated(subject, here)
            there = there.but(training=False, running_mean=here.running_mean, running_var=here.running_var)
        (y1, t1, b1), (y2, t2, b2) = _read(subject, here), _read(subject, there)
        if evaluation or extended(normalizer)[OF_BATCH]:
            found = differ("y of a case is the same among other cases", y2, y1, b1 + b2)
            return replace(found, metrics={f"{prefix}/{OF_BATCH}": found.bound_ratio})
        law = f"y of a case depends on the others: a witness is a change of {WITNESS:g} bounds"
        return _witness(law, OF_BATCH, (y2, y1), (t2, t1), b1 + b2)

    return ask


_SPACE = NormalizerSpace(
    network, formats=(FLOAT64, FLOAT32), widths=(3, 4, 6), offsets=False, eps=(1e-5, 1e-3),
    affine=("both", "weight", "none"), given_shapes=False,
)  # fmt: skip

CHECKS = (
    Check("reparametrization", "y(x) = W' x + b' for some weights, of any data, or a case where no weights can",
          "Salimans, Kingma 2016, section 2", reparametrization, _SPACE, cost=2.0),
    Check("independence-of-batch", "y of a case is the same among other cases, or a case where it is not",
          "Ba, Kiros, Hinton 2016, section 3", ask_independence(evaluation=False), _SPACE, cost=2.0),
    Check("independence-of-batch-expected-statistics", "with expected statistics y of a case is the same among others",
          "Ioffe, Szegedy 2015, section 3.1", ask_independence(evaluation=True), _SPACE, expects_statistics,
          needs_evaluation, cost=2.0),
)  # fmt: skip
