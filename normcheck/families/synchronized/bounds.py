"""How far correct processes may be off: the bounds of the joined input (`normalizers.bounds`), and roundings of sums.

Partial results of k processes are added in another order than one process would add them, which the bounds of the main
family admit: they hold for sums in any order. What is new is that each process rounds its own part to the format.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.result import WITNESS
from normcheck.families.synchronized import reference
from normcheck.families.synchronized.case import Group, RanksCase
from normcheck.families.synchronized.subject import SynchronizedSubject
from normcheck.normalizers.bounds import bounds, contracted
from normcheck.normalizers.reference.oracle import Truth

ROUNDED = 1.05
"""Roundings of a local gradient to the format, before its sum over processes."""


def roundings(case: RanksCase) -> float:
    """Roundings to the format of what is at most the sum over processes of |local gradient|.

    One of each local gradient. Wrappers average in the format too: a sum of k in any order has k - 1 more, and the
    division one.
    """
    return ROUNDED * (1 + (len(case.sizes) if case.wrapper else 0))


SHOWN = 2.0 * WITNESS
"""Bounds by which a predicted change must exceed the allowed error, so that correct code shows `WITNESS` of them."""


@dataclass(frozen=True, slots=True)
class GroupBounds:
    """The bounds of one group, with the contract's multiplier; arrays have the shapes of the joined answer."""

    subject: SynchronizedSubject
    case: RanksCase
    group: Group
    truth: Truth

    @property
    def y(self) -> Array:
        return contracted.forward_bound(self.subject, self.truth)

    @property
    def dx(self) -> Array:
        return contracted.backward_bound(self.subject, self.truth)

    def seen(self, *, backward: bool = False) -> Array:
        """Whether each entry belongs to a set that is conditioned well enough to be compared, of the input's shape."""
        accuracy = contracted.demanded(self.subject, self.truth.case, backward=backward)
        return self.truth.partition.per_set(bounds.resolved(self.truth, accuracy))

    def summed_wide(self) -> tuple[Array, Array]:
        """The bound of y where sums and counts are in a wider format than the input, and the entries it holds for.

        Mean and deviation may still be rounded to the input's format, which costs kappa u (1 + |xh|) each: four times.
        """
        truth, u = self.truth, self.truth.case.format.u
        gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
        loss = truth.partition.per_set(truth.kappa) * (1.0 + np.abs(truth.xh))
        rounded = self.subject.contract.bound_multiplier * bounds.HALF.constant * u * loss * gain
        sound = self.subject.contract.bound_multiplier * bounds.forward(truth, bounds.SOUND).total
        seen = bounds.resolved(truth, bounds.SOUND) & (truth.kappa * u < bounds.RESOLVES)
        return np.asarray(sound + rounded), truth.partition.per_set(seen)

    def parameter(self, *, bias: bool) -> Array:
        """Of the gradient of weight or bias that all processes have together."""
        truth, format = self.truth, self.truth.case.format
        dy = truth.case.dy
        assert dy is not None, "a case of several processes has a cotangent"
        off = contracted.parameter_bound(self.subject, truth, bias=bias)
        if self.case.divides_parameters or self.case.replicated:
            return off
        local = reference.local_sums(self.case, self.group, truth, dy if bias else dy * truth.xh)
        size = sum((np.abs(one) for one in local), np.zeros(()))
        return np.asarray(off + self.subject.contract.bound_multiplier * roundings(self.case) * format.u * size)

    def parameter_seen(self) -> Array:
        """Whether every set that a weight multiplies is conditioned well enough, of the weight's shape."""
        part = self.truth.partition
        return np.asarray(part.collect((~self.seen(backward=True)).astype(float)) == 0)

    def running(self, *, variance: bool) -> Array:
        return contracted.running_bound(self.subject, self.truth, variance=variance)


def of_groups(subject: SynchronizedSubject, case: RanksCase) -> list[GroupBounds]:
    """The bounds of each group of a case."""
    found = reference.truths(subject.entry, case, subject.contract)
    return [GroupBounds(subject, case, group, truth) for group, truth in found.items()]


def two(one: Array, other: Array) -> Array:
    """Of two answers that are compared with each other, each off by its own bound."""
    return one + other
