"""Bounds as the contract of an implementation demands them: in its accuracy class, times its factor."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.normalizers.bounds import bounds, exactness
from normcheck.normalizers.bounds.bounds import Accuracy
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth


class Contracted(Protocol):
    """What these bounds need of a bound implementation."""

    @property
    def normalizer(self) -> Normalizer: ...
    @property
    def contract(self) -> Contract: ...


def demanded(subject: Contracted, case: Case, *, backward: bool = False) -> Accuracy:
    """The accuracy class that the contract demands on this case; by default that of torch's function of the kind."""
    name = subject.contract.accuracy_in(case.format.name)
    if name in ("default", "torch"):
        name = subject.normalizer.narrow_accuracy[int(backward)] if case.format.narrow else "sound"
    known = {c.name: c for c in bounds.classes(case.format)}
    return known.get(name, bounds.SOUND)


def forward_bound(subject: Contracted, truth: Truth) -> Array:
    """Bound of y, of the output's shape."""
    total = bounds.forward(truth, demanded(subject, truth.case)).total
    return _multiplied(subject, total, truth.y.shape)


def backward_bound(subject: Contracted, truth: Truth, accuracy: Accuracy | None = None) -> Array:
    """Bound of dx, of the input's shape; accuracy: another class than the demanded one."""
    if accuracy is None:
        accuracy = demanded(subject, truth.case, backward=True)
    total = bounds.backward(truth, accuracy).total
    return _multiplied(subject, total, truth.case.x.shape)


def _multiplied(subject: Contracted, total: Array, shape: tuple[int, ...]) -> Array:
    """A bound of the given shape, larger by what the contract says; read-only."""
    multiplier = subject.contract.bound_multiplier
    whole = total if total.shape == shape else np.broadcast_to(total, shape)
    return whole if multiplier == 1.0 else multiplier * whole


def parameter_bound(subject: Contracted, truth: Truth, *, bias: bool, accuracy: Accuracy | None = None) -> Array:
    """Bound of dweight or dbias, of its shape; accuracy: another class than the demanded one."""
    if accuracy is None:
        accuracy = demanded(subject, truth.case, backward=True)
    return np.asarray(subject.contract.bound_multiplier * bounds.parameter(truth, accuracy, bias=bias).total)


def running_bound(subject: Contracted, truth: Truth, *, variance: bool) -> Array:
    """Bound of the running mean or variance after one update, (units,)."""
    total = bounds.running(truth, demanded(subject, truth.case), variance=variance).total
    return np.asarray(subject.contract.bound_multiplier * total)


def exact_bound(subject: Contracted, truth: Truth) -> Array:
    """Bound between two outputs that a law makes equal bit for bit (`exactness.output`)."""
    return np.asarray(subject.contract.bound_multiplier * exactness.output(truth))
