"""A normalized recurrent net and its backward through time, in numpy; every norm is the kernel of `standardize`.

Arrays carry a first axis of samples: one for the right answer, several where each sample is perturbed on its own (see
`bounds`). Steps count in t, and W is a weight, p a vector beside a norm.

Derivation of the backward, step by step from the last, with dh and dc what the later steps and the cotangents send:

    1. LSTM   h = o q,  q = tanh(p),  p = norm(c):      do = dh q,  dp = dh o (1 - q^2),  dc += norm'(dp)
              c = f c' + i g:                           df = dc c',  di = dc g,  dg = dc i,  dc' = dc f
       RNN    h = tanh(a):                              da = dh (1 - h^2)
       GRU    h = (1 - z) n + z h',  n = tanh(a_n + r b_n):
              dn = dh (1 - z) (1 - n^2),  dz = dh (h' - n),  dr = dn b_n,  dh' = dh z;  b_n gets dn r, a_n gets dn
    2. a gate after its sigmoid s(a): da = ds s (1 - s); after its tanh: da = dg (1 - g^2)
    3. a = gain xh + shift: dgain = sum(da xh), dshift = sum(da), dxh = da gain, then the kernel's backward to W x, W h
    4. b = W h':  dW += db h'^T,  dh' += W^T db

A norm over the whole sequence sees all steps at once, so its backward waits until every step has sent its part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.entry import CELL, INPUT, STATE, SUM, Recurrent
from normcheck.families.recurrent.reference.cells import Seen
from normcheck.families.recurrent.reference.norms import Norms
from normcheck.families.recurrent.reference.steps import RecurrentSteps


@dataclass
class Unrolled:
    """The results of one run. y: (samples, steps, cases, units); last: the last states; grads: by role, if requested.

    means, variances: running statistics after the run, by place, (samples, slots, width).
    """

    y: Array
    last: dict[str, Array]
    means: dict[str, Array]
    variances: dict[str, Array]
    grads: dict[str, Array] = field(default_factory=dict)


class NetRun:
    """One pass forward, and one backward; fulfills `cells.CellRun`."""

    def __init__(self, entry: Recurrent, case: RecurrentCase, contract: Contract, steps: RecurrentSteps) -> None:
        self.entry, self.case, self.steps, self.rounding = entry, case, steps, steps.rounding
        self.norms = Norms(entry, case, contract, steps)
        self.p, self.live = self.norms.p, case.live
        self.x = np.broadcast_to(self.norms.cast(case.x), (steps.samples, *case.x.shape))
        self.carried, self.keeps, self.small = steps.carried, steps.keeps, self.rounding.small
        self.states: list[Seen] = []

    @property
    def together(self) -> bool:
        """Whether one norm sees the inputs of all steps."""
        return INPUT in self.entry.places and self.entry.over_time

    def _full(self, value: Array | None) -> Array:
        """A state, or a cotangent of one, for every sample; zero if it is None."""
        shape = (self.steps.samples, self.case.cases, self.case.units)
        out = np.zeros(shape, self.norms.number)
        return out if value is None else out + self.norms.cast(value)

    def forward(self) -> Unrolled:
        """Unroll over all steps."""
        case, h, c, w = self.case, self._full(self.case.h), self._full(self.case.c), self.p["weight_ih"]
        a_x = self.rounding.dot(self.x @ w.T, self.x, w)
        if self.together:
            flat = a_x.reshape(a_x.shape[0], -1, a_x.shape[-1])
            a_x = self.norms.forward(INPUT, flat, self.live.reshape(-1), 0).reshape(a_x.shape)
        outputs = []
        for t in range(case.steps):
            seen = {"h": h, "c": c} | self._summed(a_x[:, t], h, t)
            new_h, new_c = self.entry.cell.forward(self, seen, t)
            self.states.append(seen)
            alive = self.live[t][:, None]
            outputs.append(np.where(alive, new_h, 0.0 * new_h))
            h, c = np.where(alive, new_h, h), np.where(alive, new_c, c)
        last = {name: {"h": h, "c": c}[name] for name in self.entry.cell.states}
        return Unrolled(np.stack(outputs, axis=1), last, self.norms.means, self.norms.variances)

    def _summed(self, a: Array, h: Array, t: int) -> dict[str, Array]:
        """The summed inputs of the gates from the input, "a", and from the state before, "b"."""
        p, places, live, w = self.p, self.entry.places, self.live[t], self.p["weight_hh"]
        b = self.rounding.dot(h @ w.T, h, w)
        if INPUT in places and not self.together:
            a = self.norms.forward(INPUT, a, live, t)
        if STATE in places:
            b = self.norms.forward(STATE, b, live, t)
        if SUM in places:
            a = self.norms.forward(SUM, a + b, live, t)
            b = np.zeros_like(a)
        return {
            "a": a + p["bias_ih"] if "bias_ih" in p else a,
            "b": b + p["bias_hh"] if "bias_hh" in p else b,
        }

    def split(self, a: Array) -> Seen:
        """The summed inputs by gate."""
        names = self.steps.gates(self.entry.cell)
        return dict(zip(names, np.split(a, len(names), axis=-1), strict=True))

    def join(self, parts: Mapping[str, Array]) -> Array:
        """The cotangents of all gates side by side."""
        return np.concatenate([parts[name] for name in self.steps.gates(self.entry.cell)], axis=-1)

    def normalized(self, c: Array, step: int) -> Array:
        """The cell on its way out, through its norm if it has one."""
        return self.norms.forward(CELL, c, self.live[step], step) if CELL in self.entry.places else c

    def pulled(self, dp: Array, step: int) -> Array:
        """The cotangent of the cell from that of the normalized one."""
        return self.norms.backward(CELL, step, dp) if CELL in self.entry.places else dp

    def backward(self) -> dict[str, Array]:
        """Gradients by role, and those of x, h and c; the forward has run."""
        case, dh, dc = self.case, self._full(self.case.dh), self._full(self.case.dc)
        into: list[Array] = []
        for t in reversed(range(case.steps)):
            alive = self.live[t][:, None]
            arrived = dh if case.dy is None else dh + self.norms.cast(case.dy[t])
            live_dh, live_dc = np.where(alive, arrived, 0.0 * dh), np.where(alive, dc, 0.0 * dc)
            da, db, dh_back, dc_back = self.entry.cell.backward(self, self.states[t], t, live_dh, live_dc)
            da, db = self._unsummed(t, da, db)
            into.append(da)
            dh_back = dh_back + self._through_states(t, db)
            dh = np.where(alive, self.steps.back(t) * dh_back, dh)
            dc = np.where(alive, self.steps.cell_back(t) * dc_back, dc)
        d_ax = np.stack(into[::-1], axis=1)
        if self.together:
            flat = d_ax.reshape(d_ax.shape[0], -1, d_ax.shape[-1])
            d_ax = self.norms.backward(INPUT, 0, flat).reshape(d_ax.shape)
        self._from_inputs(d_ax)
        return self.norms.grads | {"h": dh, "c": dc}

    def _unsummed(self, t: int, da: Array, db: Array) -> tuple[Array, Array]:
        """From cotangents of the summed inputs to those of W_ih x and W_hh h; through all norms but one over time."""
        norms, places = self.norms, self.entry.places
        norms.add("bias_ih", da)
        norms.add("bias_hh", db)
        if SUM in places:
            both = norms.backward(SUM, t, da)
            return both, both
        if STATE in places:
            db = norms.backward(STATE, t, db)
        return (norms.backward(INPUT, t, da) if INPUT in places and not self.together else da), db

    def _through_states(self, t: int, db: Array) -> Array:
        """The cotangent of the state before through W_hh h."""
        w, h = self.p["weight_hh"], self.states[t]["h"]
        by_unit = np.swapaxes(db, 1, 2)
        self.norms.put("weight_hh", self.rounding.dot(by_unit @ h, by_unit, np.swapaxes(h, 1, 2)))
        return self.rounding.dot(db @ w, db, w.T)

    def _from_inputs(self, d_ax: Array) -> None:
        """Gradients of W_ih and of x."""
        w, rows = self.p["weight_ih"], (d_ax.shape[0], -1)
        by_unit, x = np.swapaxes(d_ax.reshape(*rows, d_ax.shape[-1]), 1, 2), self.x.reshape(*rows, self.x.shape[-1])
        self.norms.put("weight_ih", self.rounding.dot(by_unit @ x, by_unit, np.swapaxes(x, 1, 2)))
        self.norms.put("x", self.rounding.dot(d_ax @ w, d_ax, w.T))


EXACT = RecurrentSteps()
"""The net in float64, by the formula of its paper."""


def unroll(
    entry: Recurrent,
    case: RecurrentCase,
    contract: Contract = Contract(),  # noqa: B008  # frozen value
    steps: RecurrentSteps = EXACT,
) -> Unrolled:
    """Forward, and backward if the case has a cotangent. Nothing is rounded to the case's format here."""
    with np.errstate(all="ignore"):
        run = NetRun(entry, case, contract, steps)
        found = run.forward()
        if case.dy is not None or case.dh is not None or case.dc is not None:
            found.grads = run.backward()
    return found
