"""A callable without an entry as a network, for its row of the table of the field."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.claim import Implementation
from normcheck.core.floats import FLOAT64, Array
from normcheck.core.foreign_code import quiet
from normcheck.core.network_table import UNITS, NetworkFunction
from normcheck.frameworks.load import load
from normcheck.identify.identify import best
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Subject

SPACE = 3
SCALES = {1.0: 2.0**-13, 2.0**8: 2.0**-20}
"""Factors of the data, each with the share of the largest output that a departure may have.

Nothing is known of the roundings inside, nor of an eps that cannot be changed, which shows in small data; in large data
a bounded function saturates, and seems invariant.
"""


def networks_of(target: Any) -> tuple[str, tuple[NetworkFunction, ...]]:
    """The name of a target and its networks, on small and on large data.

    Raises `UsageError` if it cannot be loaded, or called as any kind.
    """
    name = Implementation("", target).name
    with quiet():
        loaded = load(target) if isinstance(target, str) else target
        subject = best(loaded, name).subject
    sums = subject.normalizer.acts_on == "activation"
    space = 1 if subject.normalizer.sets.layout == "trailing" else SPACE
    made = [NetworkFunction(_output(subject, scale, share), space, sums) for scale, share in SCALES.items()]
    return name, tuple(made)


def _called(subject: Subject, x: Array) -> Array:
    domain = subject.domain
    eps = domain.eps if domain.eps is not None else max(domain.least_eps, 2.0**-60)
    case = Case(x, eps, groups=2 if UNITS % 2 == 0 else 1, part=0.5)
    if "none" not in domain.affine and subject.normalizer.acts_on == "activation":
        shape = subject.normalizer.sets.over(x.shape).parameter
        case = case.but(weight=np.ones(shape), bias=np.zeros(shape) if subject.normalizer.bias else None)
    with quiet():
        return subject.call(case.but(format=FLOAT64), False).y


def _output(subject: Subject, scale: float, share: float) -> Any:
    def of_sums(data: Array, weights: Array) -> tuple[Array, Array]:
        sums = scale * (data @ weights.T)
        last = subject.normalizer.sets.layout == "trailing"
        if last and sums.shape[1] == 1:
            y = _called(subject, sums[:, 0])[:, :, None]
        else:
            y = (
                np.moveaxis(_called(subject, sums), 1, 2)
                if last
                else _called(subject, np.ascontiguousarray(np.moveaxis(sums, 1, 2)))
            )
        return y, np.full(y.shape, share * float(np.abs(y).max(initial=0.0)))

    def of_weights(data: Array, weights: Array) -> tuple[Array, Array]:
        w = _called(subject, weights)
        y = np.moveaxis(data @ w.T, 1, 2)
        return y, np.full(y.shape, share * float(np.abs(y).max(initial=0.0)))

    return of_sums if subject.normalizer.acts_on == "activation" else of_weights
