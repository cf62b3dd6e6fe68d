"""The table of the field: under which changes of a network, its data or its summed inputs an output stays or follows.

A normalizer of any family is seen as a network of one layer: data (cases, space, inputs) and weights (units, inputs)
give an output (cases, units, space), with a bound of its rounding errors. A cell is yes if no try departs from its law
by more than the bounds explain, and no if one departs by `WITNESS` times that, which is its witness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.result import WITNESS
from normcheck.core.spec import COLUMN_NAMES, OF_BATCH

CASES, UNITS, INPUTS = 6, 4, 7
TRIES = 3


@dataclass(frozen=True, slots=True)
class NetworkFunction:
    """A normalizer as a network. output: from data and weights to the output and its bound, (cases, units, space)."""

    output: Callable[[Array, Array], tuple[Array, Array]]
    space: int = 1  # positions
    sums: bool = True  # it reads the summed inputs W x only; False: the weights themselves, or both


Gap = tuple[Array, Array]
"""An output and its bound; or a departure from a law, and what rounding explains of it."""

Follow = tuple[Callable[[Array], Array], Callable[[Array], Array]]
"""What an output becomes under a law, and its bound."""


def _same(a: Array) -> Array:
    return a


def _gap(before: Gap, after: Gap, follow: Follow) -> Gap:
    return after[0] - follow[0](before[0]), after[1] + follow[1](before[1])


@dataclass(frozen=True)
class Trial:
    """One network with its output, and the random choices of a change."""

    network: NetworkFunction
    seed: int

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng((self.seed, 1))

    @cached_property
    def start(self) -> tuple[Array, Array]:
        """Data and weights: multiples of 1/4, so that products and changes are exact."""
        rng = np.random.default_rng(self.seed)
        return _quarters(rng, CASES, self.network.space, INPUTS), _quarters(rng, UNITS, INPUTS)

    @cached_property
    def summed(self) -> Array:
        """Summed inputs as data, below the identity as weights."""
        data, weights = self.start
        return np.asarray(data @ weights.T)

    @cached_property
    def output(self) -> Gap:
        """The output, and its bound."""
        return self.network.output(*self.start)

    @cached_property
    def of_sums(self) -> Gap:
        """The same for the summed inputs below the identity."""
        return self.network.output(self.summed, np.eye(UNITS))

    def moved(self, data: Array, weights: Array, follow: Follow = (_same, _same)) -> Gap:
        """By how much an output departs from what it was, or from what that becomes; and what rounding explains."""
        return _gap(self.output, self.network.output(data, weights), follow)

    def at_sums(self, change: Callable[[Array], Array], follow: Follow = (_same, _same)) -> Gap:
        """The same for a change of the summed inputs."""
        return _gap(self.of_sums, self.network.output(change(self.summed), np.eye(UNITS)), follow)


def _quarters(rng: np.random.Generator, *shape: int) -> Array:
    return np.asarray(rng.integers(1, 17, shape) * rng.choice((-0.25, 0.25), shape))


@dataclass(frozen=True, slots=True)
class NetworkColumn:
    """A column: a short head in two lines, its law, and the departure from it on one network."""

    name: str
    head: tuple[str, str]
    law: str
    gap: Callable[[Trial], Gap]
    sums: bool = False  # meaningful only for what reads summed inputs


def _scaled(t: Trial) -> float:
    return float(t.rng.choice((2.0, 3.0, 0.5)))


def _one(t: Trial, size: int) -> Array:
    out = np.ones(size)
    out[t.rng.integers(size)] = _scaled(t)
    return out


def _reordered(a: Array, order: Array, axis: int) -> Array:
    return np.take(a, order, axis=axis)


def _permuted_cases(t: Trial) -> Gap:
    order, (data, weights) = t.rng.permutation(CASES), t.start
    follow: Callable[[Array], Array] = lambda y: _reordered(y, order, 0)  # a value
    return t.moved(data[order], weights, (follow, follow))


def _permuted_units(t: Trial) -> Gap:
    order, (data, weights) = np.roll(t.rng.permutation(UNITS), 1), t.start
    follow: Callable[[Array], Array] = lambda y: _reordered(y, order, 1)  # a value
    return t.moved(data, weights[order], (follow, follow))


REFLECTION = np.eye(UNITS) - np.outer((1.0, 1.0, 1.0, -1.0), (0.5, 0.5, 0.5, -0.5))
"""An orthogonal matrix of halves, under which (1, ..., 1) is not an eigenvector."""


def _rotated(t: Trial) -> Gap:
    def turned(by: Array) -> Callable[[Array], Array]:
        return lambda y: np.einsum("nus,uv->nvs", y, by)

    return t.at_sums(lambda a: a @ REFLECTION, (turned(REFLECTION), turned(np.abs(REFLECTION))))


def _idempotent(t: Trial) -> Gap:
    eye = np.eye(UNITS)
    y, room = t.of_sums
    again, other = t.network.output(np.moveaxis(y, 1, 2), eye)
    return again - y, room * float(y.size) + other  # the second call multiplies errors of the first by a bounded slope


def _own_case(t: Trial) -> Gap:
    data, weights = t.start
    others = data.copy()
    others[1:] = 2.0 * data[1:, :, ::-1] + 1.0
    gap, room = t.moved(others, weights)
    return gap[:1], room[:1]


def _affine(t: Trial) -> Gap:
    """The output of a case on a line of its data is a line, with all else fixed."""
    data, weights = t.start
    step = np.zeros_like(data)
    step[0] = _quarters(t.rng, *data[0].shape)
    parts = [t.network.output(data - step, weights), t.output, t.network.output(data + step, weights)]
    gap = parts[0][0] - 2.0 * parts[1][0] + parts[2][0]
    return gap[:1], (parts[0][1] + 2.0 * parts[1][1] + parts[2][1])[:1]


def _moves() -> Iterator[NetworkColumn]:
    scale: tuple[Callable[[Trial], Gap], ...] = (
        lambda t: t.moved(t.start[0], _scaled(t) * t.start[1]),
        lambda t: t.moved(t.start[0], t.start[1] + _quarters(t.rng, INPUTS)),
        lambda t: t.moved(t.start[0], _one(t, UNITS)[:, None] * t.start[1]),
        lambda t: t.moved(_scaled(t) * t.start[0], t.start[1]),
        lambda t: t.moved(t.start[0] + _quarters(t.rng, INPUTS), t.start[1]),
        lambda t: t.moved(_one(t, CASES)[:, None, None] * t.start[0], t.start[1]),
    )
    heads = (("W", "*d"), ("W", "+v"), ("w_i", "*d"), ("X", "*d"), ("X", "+v"), ("x_n", "*d"))
    laws = ("y(d W) = y(W)", "y(W + 1 v^T) = y(W)", "y(w_i -> d w_i) = y(W)", "y(d X) = y(X)", "y(X + v) = y(X)",
            "y(x_n -> d x_n) = y(X)")  # fmt: skip
    for name, head, law, gap in zip(COLUMN_NAMES, heads, laws, scale, strict=True):
        yield NetworkColumn(name, head, law, gap)


COLUMNS: tuple[NetworkColumn, ...] = (
    *_moves(),
    NetworkColumn("case_shift", ("a_n", "+c"), "y(a_n + c_n) = y(a), a number for each case",
                  lambda t: t.at_sums(lambda a: a + _quarters(t.rng, CASES, 1, 1)), sums=True),
    NetworkColumn("unit_shift", ("a_i", "+c"), "y(a + b) = y(a), a number for each unit",
                  lambda t: t.at_sums(lambda a: a + _quarters(t.rng, UNITS)), sums=True),
    NetworkColumn("case_permutation", ("n", "mix"), "cases in another order give outputs in that order",
                  _permuted_cases),
    NetworkColumn("unit_permutation", ("i", "mix"), "units in another order give outputs in that order",
                  _permuted_units),
    NetworkColumn("rotation", ("Q a", "rot"), "y(Q a) = Q y(a) for orthogonal Q over units", _rotated, sums=True),
    NetworkColumn("sign", ("-W", "odd"), "y(-W) = -y(W)",
                  lambda t: t.moved(t.start[0], -t.start[1], (np.negative, _same))),
    NetworkColumn("idempotence", ("y y", "= y"), "normalized twice is normalized once", _idempotent, sums=True),
    NetworkColumn(OF_BATCH, ("own", "x_n"), "an output depends on its own case only", _own_case),
    NetworkColumn("affine", ("in", "W"), "y is affine in each case, so it folds into W and a bias", _affine),
)  # fmt: skip
"""Table 1, and the columns beyond it."""


@dataclass(frozen=True, slots=True)
class NetworkCell:
    """A measured cell. ratio: the largest departure in units of what rounding explains; witness: that one, in words."""

    holds: bool | None
    ratio: float
    tries: int
    witness: str


def cell(trials: Sequence[Trial], column: NetworkColumn) -> NetworkCell:
    """The cell as measured on some networks."""
    best, said, tries = 0.0, "", 0
    for trial in trials:
        with np.errstate(all="ignore"):
            gap, room = column.gap(trial)
            ratio = np.where(gap == 0.0, 0.0, np.abs(gap) / room)
        ratio = np.where(np.isfinite(ratio), ratio, 0.0)
        tries += int(np.isfinite(room).any())
        at = np.unravel_index(int(ratio.argmax()), ratio.shape)
        if ratio[at] > best:
            best = float(ratio[at])
            place = ", ".join(str(int(i)) for i in at)
            said = f"network {trial.seed}: y[{place}] departs by {abs(gap[at]):.3g}, rounding explains {room[at]:.1g}"
    holds = None if not tries or 1.0 < best < WITNESS else best <= 1.0
    return NetworkCell(holds, best, tries, said)


def row(network: NetworkFunction) -> dict[str, NetworkCell]:
    """The cells by column, of those that mean something."""
    trials = [Trial(network, seed) for seed in range(TRIES)]
    return {column.name: cell(trials, column) for column in COLUMNS if network.sums or not column.sums}
