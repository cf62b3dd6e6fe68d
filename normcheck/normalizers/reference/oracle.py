"""The reference: outputs, gradients and running statistics of a normalizer on a case, in float64.

The steps of the kernel can be replaced (`standardize.Steps`), by conventions and by known faults. In evaluation with
running statistics the statistics are given, and the gradient is that of an affine map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from normcheck.core.contract import GRADIENTS, Contract
from normcheck.core.floats import FLOAT32, Array
from normcheck.core.kept import keeping
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer, Partition
from normcheck.normalizers.reference import standardize
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps


@dataclass(frozen=True)
class Truth:
    """The exact answer to a case, with what the bounds need. Arrays have the input's shape unless noted."""

    case: Case
    partition: Partition
    setting: Setting
    saved: Saved  # (sets, members)
    y: Array
    xh: Array
    weight: Array | None  # as the case has it, broadcasting against the input
    gain: Array | None  # what multiplies xh: the weight, or 1 + weight under that contract
    bias: Array | None
    normalized_cotangent: Array | None  # dL/dxh, (sets, members)
    dx: Array | None
    dweight: Array | None  # of the weight's shape, like dbias
    dbias: Array | None
    running_mean: Array | None  # after the call, (units,), like running_var
    running_var: Array | None

    @cached_property
    def kappa(self) -> Array:
        """rms(x) / s of each set, at least 1, of shape (sets, 1); exactly 1 without a mean or without a scale."""
        conditioned = self.setting.centered and self.setting.scaled
        return condition(self.saved.x, self.saved.s) if conditioned else np.ones_like(self.saved.s)

    @cached_property
    def known(self) -> dict[Hashable, Any]:
        """Bounds that were computed for it (`bounds.once`)."""
        return {}


def condition(x: Array, s: Array) -> Array:
    """rms(x) / s of each set, at least 1; x: (sets, members), s and the result: (sets, 1)."""
    rms = np.sqrt(np.square(x).mean(axis=1, keepdims=True)) if x.shape[1] else np.zeros_like(s)
    with np.errstate(all="ignore"):
        out: Array = np.maximum(rms / s, 1.0)
    return out


SCALES = {
    "outside": standardize.scale_eps_outside,
    "floor": standardize.scale_eps_floor,
    "root-floor": standardize.scale_eps_root_floor,
}
"""By place of eps, the step that computes the scale; inside the root is the step as it is."""


def contract_steps(contract: Contract, steps: Steps = Steps()) -> Steps:  # noqa: B008  # frozen value
    """The steps with those replaced that the contract's conventions change."""
    changed: dict[str, Any] = {}
    if contract.eps_place in SCALES:
        changed["scale"] = SCALES[contract.eps_place]
    if contract.weight == "1+w":
        changed |= {"affine": standardize.affine_offset_one, "cotangent": standardize.cotangent_offset_one}
    if contract.momentum == "old":
        changed["blend"] = standardize.blend_momentum_old
    return replace(steps, **changed) if changed else steps


def partition(normalizer: Normalizer, case: Case) -> Partition:
    """How the input of a case falls into sets."""
    return normalizer.sets.over(case.x.shape, groups=case.groups, normalized=case.normalized, dim=case.dim)


def held_eps(contract: Contract, eps: float) -> float:
    """The number that an implementation holds as its eps."""
    return float(FLOAT32.round(np.asarray(eps))) if contract.eps_format == FLOAT32.name else eps


def setting(normalizer: Normalizer, case: Case, contract: Contract, part: Partition) -> Setting:
    """What the kernel must know about a case beside its arrays."""
    read = max(1, math.floor(part.n * case.part)) if normalizer.partial else part.n
    lost = 1 if contract.variance == "unbiased" else 0
    divisor = float(read - lost) if normalizer.mean_square else 1.0
    through = contract.through if case.training else GRADIENTS["statistics-constant"]
    eps = held_eps(contract, case.eps)
    return Setting(part.n, read, divisor, eps, case.format, normalizer.centered, through, normalizer.scaled)


EXACT = Steps(compute=standardize.exactly)
"""The steps of the reference."""


def evaluate(
    normalizer: Normalizer,
    case: Case,
    contract: Contract = Contract(),  # noqa: B008  # frozen value
    *,
    steps: Steps = EXACT,
    repartition: Callable[[Partition, Case], Partition] | None = None,
) -> Truth:
    """The forward pass on a case, and the backward pass if it has a cotangent.

    Nothing is rounded to the case's format here. repartition replaces the sets, for faults that normalize others.
    """
    with np.errstate(all="ignore"):
        if steps is EXACT and repartition is None:
            return _right(normalizer, case, contract)
        return _evaluate(normalizer, case, contract, contract_steps(contract, steps), repartition)


@keeping
def _right(normalizer: Normalizer, case: Case, contract: Contract) -> Truth:
    return _evaluate(normalizer, case, contract, contract_steps(contract, EXACT), None)


def _evaluate(
    normalizer: Normalizer,
    case: Case,
    contract: Contract,
    steps: Steps,
    repartition: Callable[[Partition, Case], Partition] | None,
) -> Truth:
    part = partition(normalizer, case)
    if repartition is not None:
        part = repartition(part, case)
    k = setting(normalizer, case, contract, part)
    number: Any = steps.compute(case.format)

    def cast(array: Array | None) -> Array | None:
        return None if array is None else array.astype(number, copy=False)

    x: Array = case.x.astype(number, copy=False)
    weight, bias = (None if p is None else part.spread(p) for p in (cast(case.weight), cast(case.bias)))
    given: tuple[Array, Array] | None = None
    if not case.training and case.running_mean is not None and case.running_var is not None:
        given = (_by_set(part, case.running_mean).astype(number), _by_set(part, case.running_var).astype(number))
    saved = standardize.forward(part.gather(x), k, steps, given)
    xh = part.scatter(saved.xh)
    y = steps.affine(xh, weight, bias)
    g = dx = dw = db = None
    if case.dy is not None:
        dy: Array = case.dy.astype(number, copy=False)
        g = part.gather(np.broadcast_to(steps.cotangent(dy, weight), x.shape))
        dx = part.scatter(steps.backward(saved, g, k))
        dw = None if case.weight is None else part.collect(steps.dweight(dy, xh, x))
        db = None if case.bias is None else part.collect(steps.dbias(dy))
    mean, var = case.running_mean, case.running_var
    if mean is not None and var is not None and given is None:
        mean, updated = _updated(part, case, contract, steps, saved)
        var = updated if k.scaled else var  # without a scale no variance is kept
    gain = None if weight is None else weight + 1.0 if contract.weight == "1+w" else weight
    return Truth(case, part, k, saved, y, xh, weight, gain, bias, g, dx, dw, db, mean, var)


def _by_set(part: Partition, per_unit: Array) -> Array:
    """A statistic of shape (units,) as one of shape (sets, 1)."""
    seen = per_unit.reshape(1, part.seen[1], part.seen[2], 1)
    full = np.broadcast_to(seen, part.seen)
    return full.transpose(part.order).reshape(part.sets, part.n)[:, :1]


def stored_factor(contract: Contract, n: int) -> float:
    """The stored running variance over the variance of a batch with n values for each unit.

    Both may divide by n or by n - 1, whatever the other does. A single value has no factor.
    """
    divisors = (n - 1.0 if one == "unbiased" else float(n) for one in (contract.variance, contract.running_variance))
    used, stored = divisors
    return used / stored if n > 1 else 1.0


def _updated(part: Partition, case: Case, contract: Contract, steps: Steps, saved: Saved) -> tuple[Array, Array]:
    """Running mean and variance after this batch, (units,); averaged over cases that have statistics of their own."""
    assert case.running_mean is not None
    assert case.running_var is not None
    units = part.seen[1] * part.seen[2]
    mean = saved.mu.reshape(-1, units).mean(axis=0)
    var = saved.v.reshape(-1, units).mean(axis=0) * stored_factor(contract, part.n)
    return (
        steps.blend(case.running_mean, mean, case.momentum),
        steps.blend(case.running_var, var, case.momentum),
    )


def tangent(truth: Truth, contract: Contract = Contract()) -> Array:  # noqa: B008  # frozen value
    """J v, the derivative of y along the case's tangent v, of the input's shape."""
    assert truth.case.tangent is not None, "the case has no tangent"
    moved = standardize.tangent(truth.saved, truth.partition.gather(truth.case.tangent), truth.setting)
    return contract_steps(contract).cotangent(truth.partition.scatter(moved), truth.weight)


STEP = 1e-30
"""Step of the complex-step derivative, which is exact to rounding: nothing is subtracted (Squire, Trapp 1998)."""


@keeping
def second(normalizer: Normalizer, case: Case, contract: Contract = Contract()) -> Array:  # noqa: B008  # frozen value
    """The derivative of <dx, v> with respect to x, of the input's shape, exact to rounding; v: the case's tangent.

    dx is the full gradient, so its derivative is symmetric, and that of <dx, v> is the derivative of dx along v.
    """
    assert case.tangent is not None, "the case has no tangent"
    moved = case.but(x=case.x + 1j * STEP * case.tangent)
    if case.training:
        moved = moved.but(running_mean=None, running_var=None)
    truth = evaluate(normalizer, moved, contract, steps=Steps(compute=lambda format: np.complex128))
    assert truth.dx is not None, "the case has no cotangent"
    out: Array = truth.dx.imag / STEP
    return out


def gradient(truth: Truth, mode: str) -> Array:
    """dL/dx in one of the four gradient modes (`core.contract.GRADIENTS`), of the input's shape."""
    assert truth.normalized_cotangent is not None, "the case has no cotangent"
    k = replace(truth.setting, through=GRADIENTS[mode])
    return truth.partition.scatter(standardize.backward(truth.saved, truth.normalized_cotangent, k))
