"""The norms of a recurrent net: which rows of a step share a statistic, the kernel on them, and running statistics.

Arrays carry a first axis of samples: one for the right answer, several where each sample is perturbed on its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from normcheck.core.contract import GRADIENTS, Contract
from normcheck.core.floats import Array
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import CELL, Recurrent
from normcheck.families.recurrent.reference.steps import RecurrentSteps
from normcheck.normalizers.reference import standardize
from normcheck.normalizers.reference.oracle import contract_steps
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps


@dataclass
class AppliedNorm:
    """One norm of one step, or of all steps, with what its backward needs. saved: one for each block of columns."""

    saved: list[Saved]
    settings: list[Setting]
    columns: list[slice]
    rows: Array  # the cases from which the statistic is taken, if cases share it
    shape: tuple[int, ...]
    xh: Array


class Norms:
    """All norms of one run, with what their backward needs, the gradients of parameters and the running statistics."""

    def __init__(self, entry: Recurrent, case: RecurrentCase, contract: Contract, steps: RecurrentSteps) -> None:
        self.entry, self.case, self.contract, self.unrolled = entry, case, contract, steps
        self.steps, self.rounding = contract_steps(contract, steps.steps), steps.rounding
        self.elsewhere = contract_steps(contract, steps.elsewhere)
        self.number: Any = steps.steps.compute(case.format)
        self.p = {role: self.cast(value) for role, value in case.parameters.items()}
        self.grads: dict[str, Array] = {}
        self.made: dict[tuple[str, int], AppliedNorm] = {}
        self.means = {place: self._many(m) for place, m in case.means.items()}
        self.variances = {place: self._many(v) for place, v in case.variances.items()}

    def cast(self, value: Array) -> Array:
        """In the number type of the run."""
        out: Array = value.astype(self.number, copy=False)
        return out

    def _many(self, value: Array) -> Array:
        return np.repeat(self.cast(value)[None], self.unrolled.samples, axis=0)

    def forward(self, place: str, a: Array, live: Array, step: int) -> Array:
        """Normalize a (samples, rows, width), affine map included.

        Rows are cases, or cases of all steps; live says which of them have an input, (rows,).
        """
        case, batch = self.case, self.entry.over_cases
        given = batch and not case.training
        rows = self.unrolled.rows(live) if batch else np.ones_like(live)
        if self.unrolled.blank and batch:
            a, rows = a * live[:, None].astype(a.dtype), np.ones_like(live)
        norm = AppliedNorm([], [], self._columns(place, a.shape[-1]), rows, a.shape, np.zeros_like(a))
        for part in norm.columns:
            flat = self._gather(a[..., part], rows)
            k = self._setting(flat, self._count(rows, live), given=given)
            saved = standardize.forward(flat, k, self._steps_of(place), self._known(place, step) if given else None)
            saved = replace(saved, xh=self.rounding.normalized(saved, k))
            norm.saved.append(saved)
            norm.settings.append(k)
            self._scatter(norm.xh[..., part], saved.xh, rows)
        self.made[place, step] = norm
        if batch and case.training and case.means:
            self._store(place, norm, live, step)
        return self.steps.affine(norm.xh, self.p.get(f"gain_{place}"), self.p.get(f"shift_{place}"))

    def _steps_of(self, place: str) -> Steps:
        """The kernel of a norm."""
        return self.steps if self.unrolled.places is None or place in self.unrolled.places else self.elsewhere

    def _count(self, rows: Array, live: Array) -> float:
        """By how many cases a statistic is divided: those that it is taken from, but for cases set to 0."""
        return float((live if self.unrolled.blank else rows).sum())

    def _columns(self, place: str, width: int) -> list[slice]:
        """Columns that are normalized on their own: for a batch norm all alike, for a layer norm its blocks."""
        if self.entry.over_cases:
            return [slice(0, width)]
        blocks = (1,) if place == CELL else self.unrolled.blocks or self.entry.cell.blocks
        ends = np.cumsum([0, *blocks]) * (width // sum(blocks))
        return [slice(int(i), int(j)) for i, j in pairwise(ends)]

    def _setting(self, flat: Array, live: float, *, given: bool) -> Setting:
        n = flat.shape[1]
        count = max(live, 1.0) if self.entry.over_cases else float(n)
        lost = 1.0 if self.contract.variance == "unbiased" else 0.0
        through = GRADIENTS["statistics-constant"] if given else self.contract.through
        return Setting(n, n, count - lost, self.case.eps, self.case.format, True, through)

    def _gather(self, a: Array, rows: Array) -> Array:
        if not self.entry.over_cases:
            return a.reshape(-1, a.shape[-1])
        out: Array = np.swapaxes(a[:, rows], 1, 2)
        return out.reshape(-1, out.shape[-1])

    def _scatter(self, into: Array, flat: Array, rows: Array) -> None:
        if not self.entry.over_cases:
            into[...] = flat.reshape(into.shape)
        else:
            into[:, rows] = np.swapaxes(flat.reshape(into.shape[0], into.shape[-1], -1), 1, 2)

    def _known(self, place: str, step: int) -> tuple[Array, Array]:
        slot = self.unrolled.slot(step, self.case.slots)
        mean, var = (
            np.repeat(self.cast(source[place][slot])[None], self.unrolled.samples, axis=0).reshape(-1, 1)
            for source in (self.case.means, self.case.variances)
        )
        return mean, var

    def _store(self, place: str, norm: AppliedNorm, live: Array, step: int) -> None:
        """Blend the statistics of a step into its slot."""
        k, saved = norm.settings[0], norm.saved[0]
        n = max(self._count(norm.rows, live), 1.0)
        factor = k.divisor / n * (n / (n - 1.0) if self.contract.running_variance == "unbiased" and n > 1 else 1.0)
        size = np.sqrt(np.square(saved.x).mean(axis=1, keepdims=True))
        mean = self.rounding.statistic(saved.mu, size, k)
        var = self.rounding.statistic(saved.v, saved.v + size * np.sqrt(saved.v), k) * factor
        slot = self.unrolled.stored(step, self.case.slots)
        for after, new in ((self.means, mean), (self.variances, var)):
            kept = after[place]
            blended = self.steps.blend(kept[:, slot], new.reshape(kept.shape[0], -1), self.case.momentum)
            kept[:, slot] = self.rounding.small(blended, np.abs(kept[:, slot]) + np.abs(blended))

    def backward(self, place: str, step: int, da: Array) -> Array:
        """From the cotangent of a norm's output, affine map included, to that of its input."""
        norm = self.made[place, step]
        gain = self.p.get(f"gain_{place}")
        self.add(f"gain_{place}", da * norm.xh)
        self.add(f"shift_{place}", da)
        dxh = da if gain is None else self.steps.cotangent(da, gain)
        out = np.zeros(norm.shape, dtype=da.dtype)
        for part, saved, k in zip(norm.columns, norm.saved, norm.settings, strict=True):
            g = self._gather(dxh[..., part], norm.rows)
            dx = self.rounding.pulled(self._steps_of(place).backward(saved, g, k), saved, g, k)
            self._scatter(out[..., part], dx, norm.rows)
        return out

    def add(self, role: str, terms: Array) -> None:
        """Add to the gradient of a vector; terms: (samples, rows, width), summed over rows."""
        if role in self.p:
            self.put(role, self.rounding.small(terms.sum(axis=1), np.abs(terms).sum(axis=1)))

    def put(self, role: str, gradient: Array) -> None:
        self.grads[role] = self.grads[role] + gradient if role in self.grads else gradient
