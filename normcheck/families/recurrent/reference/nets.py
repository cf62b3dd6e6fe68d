"""A normalized recurrent net and its backward through time, in numpy; every norm is the kernel of `standardize`.

Arrays carry a first axis of samples: one for the truth, several where each sample is perturbed on its own (see
`recurrence.rounding`). Steps count in t, and W is a weight, p a vector beside a norm.

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
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.reference.norms import Norms, Ways


@dataclass
class Unrolled:
    """All of one run. y: (samples, steps, cases, units); last: the last states; grads: by role, if asked.

    means, variances: running statistics after the run, by place, (samples, slots, width).
    """

    y: Array
    last: dict[str, Array]
    means: dict[str, Array]
    variances: dict[str, Array]
    grads: dict[str, Array] = field(default_factory=dict)


class Run:
    """One pass forward, and one back."""

    def __init__(self, entry: Recurrent, case: RecurrentCase, contract: Contract, ways: Ways) -> None:
        self.entry, self.case, self.ways, self.rounding = entry, case, ways, ways.rounding
        self.norms = Norms(entry, case, contract, ways)
        self.p, self.live = self.norms.p, case.live
        self.x = np.broadcast_to(self.norms.cast(case.x), (ways.samples, *case.x.shape))
        self.states: list[dict[str, Array]] = []

    @property
    def together(self) -> bool:
        """Whether one norm sees the inputs of all steps."""
        return "ih" in self.entry.places and self.entry.statistics == "sequence"

    def _full(self, value: Array | None) -> Array:
        """A state, or a cotangent of one, for every sample; none is zero."""
        shape = (self.ways.samples, self.case.cases, self.case.units)
        out = np.zeros(shape, self.norms.number)
        return out if value is None else out + self.norms.cast(value)

    def forward(self) -> Unrolled:
        """Unroll over all steps."""
        case, h, c, w = self.case, self._full(self.case.h), self._full(self.case.c), self.p["weight_ih"]
        a_x = self.rounding.dot(self.x @ w.T, self.x, w)
        if self.together:
            flat = a_x.reshape(a_x.shape[0], -1, a_x.shape[-1])
            a_x = self.norms.forward("ih", flat, self.live.reshape(-1), 0).reshape(a_x.shape)
        outputs = []
        for t in range(case.steps):
            seen = {"h": h, "c": c} | self._summed(a_x[:, t], h, t)
            new_h, new_c = getattr(self, f"_{self.entry.cell}")(seen, t)
            self.states.append(seen)
            alive = self.live[t][:, None]
            outputs.append(np.where(alive, new_h, 0.0 * new_h))
            h, c = np.where(alive, new_h, h), np.where(alive, new_c, c)
        last = {"h": h, "c": c} if self.entry.cell == "lstm" else {"h": h}
        return Unrolled(np.stack(outputs, axis=1), last, self.norms.means, self.norms.variances)

    def _summed(self, a: Array, h: Array, t: int) -> dict[str, Array]:
        """What the gates get from the input, "a", and from the state before, "b"."""
        p, places, live, w = self.p, self.entry.places, self.live[t], self.p["weight_hh"]
        b = self.rounding.dot(h @ w.T, h, w)
        if "ih" in places and not self.together:
            a = self.norms.forward("ih", a, live, t)
        if "hh" in places:
            b = self.norms.forward("hh", b, live, t)
        if "sum" in places:
            a = self.norms.forward("sum", a + b, live, t)
            b = np.zeros_like(a)
        return {
            "a": a + p["bias_ih"] if "bias_ih" in p else a,
            "b": b + p["bias_hh"] if "bias_hh" in p else b,
        }

    def _split(self, a: Array) -> dict[str, Array]:
        names = self.ways.gates(self.entry.cell)
        return dict(zip(names, np.split(a, len(names), axis=-1), strict=True))

    def _sigmoid(self, a: Array) -> Array:
        return self.rounding.small(0.5 + 0.5 * np.tanh(0.5 * a), np.ones_like(a))

    def _tanh(self, a: Array) -> Array:
        return self.rounding.small(np.tanh(a), np.minimum(np.abs(a), 1.0))

    def _lstm(self, seen: dict[str, Array], t: int) -> tuple[Array, Array]:
        a = self._split(self.rounding.small(seen["a"] + seen["b"], np.abs(seen["a"]) + np.abs(seen["b"])))
        i, f, o = (self._sigmoid(a[name]) for name in "ifo")
        g = self._tanh(a["g"])
        c = self.rounding.small(f * seen["c"] + i * g, np.abs(f * seen["c"]) + np.abs(i * g))
        out = self.norms.forward("c", c, self.live[t], t) if "c" in self.entry.places else c
        q = self._tanh(out)
        seen |= {"i": i, "f": f, "g": g, "o": o, "q": q}
        return o * q, out if self.ways.carried else c

    def _rnn(self, seen: dict[str, Array], t: int) -> tuple[Array, Array]:  # as the others
        total = self.rounding.small(seen["a"] + seen["b"], np.abs(seen["a"]) + np.abs(seen["b"]))
        seen["new"] = self._tanh(total)
        return seen["new"], seen["c"]

    def _gru(self, seen: dict[str, Array], t: int) -> tuple[Array, Array]:  # as the others
        a, b = self._split(seen["a"]), self._split(seen["b"])
        r, z = (self._sigmoid(sign * (a[name] + b[name])) for name, sign in (("r", 1.0), ("z", self.ways.keeps)))
        n = self._tanh(self.rounding.small(a["n"] + r * b["n"], np.abs(a["n"]) + np.abs(r * b["n"])))
        seen |= {"r": r, "z": z, "n": n, "bn": b["n"]}
        h = self.rounding.small((1.0 - z) * n + z * seen["h"], np.abs(n) + np.abs(seen["h"]))
        return h, seen["c"]

    def backward(self) -> dict[str, Array]:
        """Gradients by role, and those of x, h and c; the forward has run."""
        case, dh, dc = self.case, self._full(self.case.dh), self._full(self.case.dc)
        into: list[Array] = []
        for t in reversed(range(case.steps)):
            alive = self.live[t][:, None]
            arrived = dh if case.dy is None else dh + self.norms.cast(case.dy[t])
            back = getattr(self, f"_{self.entry.cell}_back")
            da, db, dh_back, dc_back = back(t, np.where(alive, arrived, 0.0 * dh), np.where(alive, dc, 0.0 * dc))
            da, db = self._unsummed(t, da, db)
            into.append(da)
            dh_back = dh_back + self._through_states(t, db)
            dh = np.where(alive, self.ways.back(t) * dh_back, dh)
            dc = np.where(alive, self.ways.cell_back(t) * dc_back, dc)
        d_ax = np.stack(into[::-1], axis=1)
        if self.together:
            flat = d_ax.reshape(d_ax.shape[0], -1, d_ax.shape[-1])
            d_ax = self.norms.backward("ih", 0, flat).reshape(d_ax.shape)
        self._from_inputs(d_ax)
        return self.norms.grads | {"h": dh, "c": dc}

    def _unsummed(self, t: int, da: Array, db: Array) -> tuple[Array, Array]:
        """From the cotangents of what the gates get to those of W_ih x and W_hh h; all norms but one over time."""
        norms, places = self.norms, self.entry.places
        norms.add("bias_ih", da)
        norms.add("bias_hh", db)
        if "sum" in places:
            both = norms.backward("sum", t, da)
            return both, both
        if "hh" in places:
            db = norms.backward("hh", t, db)
        return (norms.backward("ih", t, da) if "ih" in places and not self.together else da), db

    def _through_states(self, t: int, db: Array) -> Array:
        """What reaches the state before through W_hh h."""
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

    def _join(self, parts: Mapping[str, Array]) -> Array:
        return np.concatenate([parts[name] for name in self.ways.gates(self.entry.cell)], axis=-1)

    def _lstm_back(self, t: int, dh: Array, dc: Array) -> tuple[Array, ...]:
        s, small = self.states[t], self.rounding.small
        i, f, g, o, q = (s[name] for name in "ifgoq")
        dp = small(dh * o * (1.0 - q * q), np.abs(dh * o))
        sent, kept = (dp + dc, 0.0) if self.ways.carried else (dp, dc)
        dc = kept + (self.norms.backward("c", t, sent) if "c" in self.entry.places else sent)
        da = self._join({
            "i": small(dc * g * i * (1.0 - i), np.abs(dc * g * i)),
            "f": small(dc * s["c"] * f * (1.0 - f), np.abs(dc * s["c"] * f)),
            "g": small(dc * i * (1.0 - g * g), np.abs(dc * i)),
            "o": small(dh * q * o * (1.0 - o), np.abs(dh * q * o)),
        })  # fmt: skip
        return da, da, np.zeros_like(dh), dc * f

    def _rnn_back(self, t: int, dh: Array, dc: Array) -> tuple[Array, ...]:
        h = self.states[t]["new"]
        da = self.rounding.small(dh * (1.0 - h * h), np.abs(dh))
        return da, da, np.zeros_like(dh), dc

    def _gru_back(self, t: int, dh: Array, dc: Array) -> tuple[Array, ...]:
        s, small = self.states[t], self.rounding.small
        r, z, n, bn, h = (s[name] for name in ("r", "z", "n", "bn", "h"))
        dn = small(dh * (1.0 - z) * (1.0 - n * n), np.abs(dh))
        dz = small(self.ways.keeps * dh * (h - n) * z * (1.0 - z), np.abs(dh) * (np.abs(h) + np.abs(n)) * z)
        dr = small(dn * bn * r * (1.0 - r), np.abs(dn * bn * r))
        return self._join({"r": dr, "z": dz, "n": dn}), self._join({"r": dr, "z": dz, "n": dn * r}), dh * z, dc


EXACT = Ways()
"""The net in float64, as its paper has it."""


def unroll(
    entry: Recurrent,
    case: RecurrentCase,
    contract: Contract = Contract(),  # noqa: B008  # frozen value
    ways: Ways = EXACT,
) -> Unrolled:
    """Forward, and backward if the case has a cotangent. Nothing is rounded to the case's format here."""
    with np.errstate(all="ignore"):
        run = Run(entry, case, contract, ways)
        found = run.forward()
        if case.dy is not None or case.dh is not None or case.dc is not None:
            found.grads = run.backward()
    return found
