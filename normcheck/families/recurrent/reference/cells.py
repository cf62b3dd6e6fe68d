"""The cells of recurrent nets, each as a value: its gates and states, and one step of it forward and backward.

A step gets the summed inputs of its gates, "a" from the input and "b" from the state before. Arrays carry a first axis
of samples, (samples, cases, units). The derivation of the backward is that of `reference.nets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from normcheck.core.floats import Array

Seen = dict[str, Array]
"""What one step reads and computes, by name: "a", "b", the states before it, "h" and "c", and its gates."""


class CellRun(Protocol):
    """What a cell uses of the run that it is a part of."""

    carried: bool  # the cell goes on as it was normalized
    keeps: float  # sign of the update gate of a GRU

    def small(self, value: Array, size: Array) -> Array:
        """A value with what a handful of operations on terms of that size may lose."""
        ...

    def split(self, a: Array) -> Seen:
        """The summed inputs by gate."""
        ...

    def join(self, parts: Mapping[str, Array]) -> Array:
        """The cotangents of all gates side by side."""
        ...

    def normalized(self, c: Array, step: int) -> Array:
        """The cell on its way out, through its norm if it has one."""
        ...

    def pulled(self, dp: Array, step: int) -> Array:
        """The cotangent of the cell from that of the normalized one."""
        ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """How the biases of gates keep a state: the state, the sign of the bias of each gate, and the law in words."""

    state: str
    signs: tuple[float, ...]
    law: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of cell.

    title: of its module in torch.nn. gates: in torch's order. blocks: numbers of gates over which a layer norm takes
    its statistic together (Ba 2016, eq. 20, and of a GRU eq. 23 and 25). states: the output first. exposing: signs of
    the biases with which the output is tanh of the normalized cell.
    """

    title: str
    gates: tuple[str, ...]
    blocks: tuple[int, ...]
    states: tuple[str, ...]
    exposing: tuple[float, ...]
    forward: Callable[[CellRun, Seen, int], tuple[Array, Array]]  # the next h and c; what it computes goes into `Seen`
    backward: Callable[[CellRun, Seen, int, Array, Array], tuple[Array, ...]]  # from dh, dc to da, db, dh, dc before
    keeping: Keeping | None = None

    @property
    def remembers(self) -> bool:
        """Whether it has a state beside its output, as an LSTM has."""
        return len(self.states) > 1


def _sigmoid(run: CellRun, a: Array) -> Array:
    return run.small(0.5 + 0.5 * np.tanh(0.5 * a), np.ones_like(a))


def _tanh(run: CellRun, a: Array) -> Array:
    return run.small(np.tanh(a), np.minimum(np.abs(a), 1.0))


def _total(run: CellRun, seen: Seen) -> Array:
    return run.small(seen["a"] + seen["b"], np.abs(seen["a"]) + np.abs(seen["b"]))


def _lstm(run: CellRun, seen: Seen, step: int) -> tuple[Array, Array]:
    a = run.split(_total(run, seen))
    i, f, o = (_sigmoid(run, a[name]) for name in "ifo")
    g = _tanh(run, a["g"])
    c = run.small(f * seen["c"] + i * g, np.abs(f * seen["c"]) + np.abs(i * g))
    out = run.normalized(c, step)
    q = _tanh(run, out)
    seen |= {"i": i, "f": f, "g": g, "o": o, "q": q}
    return o * q, out if run.carried else c


def _lstm_back(run: CellRun, seen: Seen, step: int, dh: Array, dc: Array) -> tuple[Array, ...]:
    i, f, g, o, q = (seen[name] for name in "ifgoq")
    dp = run.small(dh * o * (1.0 - q * q), np.abs(dh * o))
    sent, kept = (dp + dc, 0.0) if run.carried else (dp, dc)
    dc = kept + run.pulled(sent, step)
    da = run.join({
        "i": run.small(dc * g * i * (1.0 - i), np.abs(dc * g * i)),
        "f": run.small(dc * seen["c"] * f * (1.0 - f), np.abs(dc * seen["c"] * f)),
        "g": run.small(dc * i * (1.0 - g * g), np.abs(dc * i)),
        "o": run.small(dh * q * o * (1.0 - o), np.abs(dh * q * o)),
    })  # fmt: skip
    return da, da, np.zeros_like(dh), dc * f


def _rnn(run: CellRun, seen: Seen, step: int) -> tuple[Array, Array]:
    seen["new"] = _tanh(run, _total(run, seen))
    return seen["new"], seen["c"]


def _rnn_back(run: CellRun, seen: Seen, step: int, dh: Array, dc: Array) -> tuple[Array, ...]:
    h = seen["new"]
    da = run.small(dh * (1.0 - h * h), np.abs(dh))
    return da, da, np.zeros_like(dh), dc


def _gru(run: CellRun, seen: Seen, step: int) -> tuple[Array, Array]:
    a, b = run.split(seen["a"]), run.split(seen["b"])
    r, z = (_sigmoid(run, sign * (a[name] + b[name])) for name, sign in (("r", 1.0), ("z", run.keeps)))
    n = _tanh(run, run.small(a["n"] + r * b["n"], np.abs(a["n"]) + np.abs(r * b["n"])))
    seen |= {"r": r, "z": z, "n": n, "bn": b["n"]}
    h = run.small((1.0 - z) * n + z * seen["h"], np.abs(n) + np.abs(seen["h"]))
    return h, seen["c"]


def _gru_back(run: CellRun, seen: Seen, step: int, dh: Array, dc: Array) -> tuple[Array, ...]:
    r, z, n, bn, h = (seen[name] for name in ("r", "z", "n", "bn", "h"))
    dn = run.small(dh * (1.0 - z) * (1.0 - n * n), np.abs(dh))
    dz = run.small(run.keeps * dh * (h - n) * z * (1.0 - z), np.abs(dh) * (np.abs(h) + np.abs(n)) * z)
    dr = run.small(dn * bn * r * (1.0 - r), np.abs(dn * bn * r))
    return run.join({"r": dr, "z": dz, "n": dn}), run.join({"r": dr, "z": dz, "n": dn * r}), dh * z, dc


LSTM = Cell(
    title="LSTM",
    gates=("i", "f", "g", "o"),
    blocks=(4,),
    states=("h", "c"),
    exposing=(0.0, 0.0, 0.0, 1.0),
    forward=_lstm,
    backward=_lstm_back,
    keeping=Keeping("c", (-1.0, 1.0, 0.0, 0.0), "with f open and i shut the cell is kept"),
)
GRU = Cell(
    title="GRU",
    gates=("r", "z", "n"),
    blocks=(2, 1),
    states=("h",),
    exposing=(0.0, 0.0, 0.0),
    forward=_gru,
    backward=_gru_back,
    keeping=Keeping("h", (0.0, 1.0, 0.0), "with z open the state is kept"),
)
RNN = Cell(
    title="RNN",
    gates=("h",),
    blocks=(1,),
    states=("h",),
    exposing=(0.0,),
    forward=_rnn,
    backward=_rnn_back,
)
