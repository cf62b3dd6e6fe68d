"""The table of whitening: changes of weights and data under which the output stays the same, or must not.

The input of a layer is x = W d for the weights W before it and the data d: a change of either is a change of x, made
here exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import WITNESS, Comparison
from normcheck.core.spec import COLUMN_NAMES, OF_BATCH, REPARAMETRIZES
from normcheck.families.whitening import bounds
from normcheck.families.whitening.case import WhiteningCase, beside
from normcheck.families.whitening.checks.values import errors
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.reference import answer
from normcheck.families.whitening.space import WhiteningSpace
from normcheck.families.whitening.subject import WhiteningSubject

BA = "Ba, Kiros, Hinton 2016, Table 1"

Move = Callable[[Array, np.random.Generator], Array]
"""A change of x, (cases, channels, *space)."""


@dataclass(frozen=True, slots=True)
class WhiteningColumn:
    """A way to change the net or its data, and for which whitening layers the output stays the same."""

    name: str
    law: str
    move: Move
    holds: Callable[[Whitening], bool]
    cells: tuple[str, ...] = ()  # of the table that it measures; empty: the one of its own name
    first: bool = False  # only the output of the first case is compared


def _scaled(x: Array, rng: np.random.Generator) -> Array:
    return float(rng.choice((2.0, 3.0, 4.0))) * x


def _per_member(x: Array, rng: np.random.Generator) -> Array:
    """v . d: one number for each member, the same for all units."""
    return np.asarray(x + rng.integers(1, 17, (x.shape[0], 1, *x.shape[2:])) / 4.0)


def _one_unit(x: Array, rng: np.random.Generator) -> Array:
    chosen = np.arange(x.shape[1]) == int(rng.integers(x.shape[1]))
    return np.where(beside(chosen, x.ndim), 4.0 * x, x)


def _per_unit(x: Array, rng: np.random.Generator) -> Array:
    return np.asarray(x + rng.integers(1, 17, (1, x.shape[1], *[1] * (x.ndim - 2))) / 4.0)


def _one_case(x: Array, rng: np.random.Generator) -> Array:
    out = x.copy()
    out[int(rng.integers(len(x)))] *= 4.0
    return out


def _others(x: Array, rng: np.random.Generator) -> Array:
    out = x.copy()
    out[1:] = 2.0 * x[1:, ::-1] + x[:0:-1]
    return out


_MOVES = (
    ("y(d W) = y(W)", _scaled),
    ("y(W + 1 v^T) = y(W), v added to the weights of every unit", _per_member),
    ("y(W with a unit's weights times d) = y(W)", _one_unit),
    ("y(d X) = y(X)", _scaled),
    ("y(X + v) = y(X)", _per_unit),
    ("y(X with one case times d) = y(X)", _one_case),
)


def _cell(name: str) -> Callable[[Whitening], bool]:
    return lambda entry: entry.row[name]


COLUMNS = (
    *(WhiteningColumn(name, law, move, _cell(name)) for name, (law, move) in zip(COLUMN_NAMES, _MOVES, strict=True)),
    WhiteningColumn(
        OF_BATCH,
        "y of a case is the same among other cases",
        _others,
        lambda entry: entry.extended[OF_BATCH],
        (f"extended/{OF_BATCH}", f"extended/{REPARAMETRIZES}"),
        first=True,
    ),
)


def _asked(column: WhiteningColumn) -> Callable[[WhiteningSubject, WhiteningCase], Comparison]:
    cells = column.cells or (f"row/{column.name}",)

    def ask(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
        is_no, root = not column.holds(subject.entry), subject.entry.root
        if subject.contract.eps is None:
            case = case.but(eps=case.eps * bounds.NEGLIGIBLE)
        moved = case.but(x=column.move(case.x, np.random.default_rng((int(case.drawn["seed"]), 3))))
        seen = slice(0, 1) if column.first else slice(None)
        off, other = errors(subject, case), errors(subject, moved)
        mask = np.broadcast_to(off.visible(case) & other.visible(moved), case.x.shape)[seen]
        allowed = subject.contract.bound_multiplier * bounds.difference(off.y, other.y)[seen]
        predicted = (answer(root, moved).y - answer(root, case).y)[seen]  # not 0: a fixed eps does not follow a scale
        if is_no and not np.any(mask & (np.abs(predicted) > bounds.SHOWN * allowed)):
            return Comparison(column.law, 0, 0.0, seeks=True)
        expected = subject.call(case, False).y[seen] + (0.0 if is_no else predicted)
        found = differ(column.law, subject.call(moved, False).y[seen], expected, allowed, mask)
        if is_no:
            law = f"not invariant: {column.law} has a witness of {WITNESS:g} bounds"
            return replace(found, law=law, metrics=dict.fromkeys(cells, found.bound_ratio), seeks=True)
        return replace(found, metrics=dict.fromkeys(cells, found.bound_ratio))

    return ask


_SPACE = WhiteningSpace(spectrum=("plain", "offset"), affine=(False,), eps=(2.0**-10,))

CHECKS = tuple(Check(f"white-{c.name.replace('_', '-')}", c.law, BA, _asked(c), _SPACE, cost=2.0) for c in COLUMNS)
