"""The row of Table 1, as the forward has it by measurement, and as an implementation has it.

A cell is yes if no try moves the output by more than the bounds of both outputs, no if one does by far. Eps, which
would have to follow a scale, is made negligible. An implementation is compared with the forward's own change, so
an eps that it does not take is no finding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import WITNESS, Comparison
from normcheck.core.spec import COLUMN_NAMES, OF_BATCH, Row
from normcheck.families.defined import bounds
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.reference import output
from normcheck.families.defined.space import DefinedDraw, DefinedSpace, network_case, on_network
from normcheck.families.defined.subject import DefinedSubject
from normcheck.normalizers.case import Linear, Move
from normcheck.normalizers.transforms import COLUMNS

BA = "Ba, Kiros, Hinton 2016, Table 1"

TRIES = 4
"""Networks on which a cell of the forward is measured."""


@dataclass(frozen=True, slots=True)
class DefinedColumn:
    """A change of the network, under which the output of some normalizers stays the same."""

    name: str
    law: str
    apply: Callable[[Linear, Move], Linear]
    cell: str
    first: bool = False  # only the output of the first case is compared


def _others(linear: Linear, move: Move) -> Linear:
    data = linear.data.copy()
    data[1:] = move.delta * data[1:][..., ::-1]
    return replace(linear, data=data)


OTHERS = DefinedColumn(
    OF_BATCH, "y of a case is the same among other cases", _others, f"extended/{OF_BATCH}", first=True
)

ALL = (*(DefinedColumn(c.name, c.law, c.apply, f"row/{c.name}") for c in COLUMNS), OTHERS)


def _through(case: DefinedCase, y: Array) -> Array:
    """The output of the network: of a normalizer of weights, the product with the data."""
    assert case.linear is not None
    if case.x is not case.linear.weights:
        return y
    data = case.linear.data.reshape(-1, case.linear.data.shape[-1])
    return np.asarray(data @ y.T)


def _room(entry: DefinedNormalizer, case: DefinedCase) -> Array:
    """The bound of that output."""
    assert case.linear is not None
    off = bounds.allowed(entry, case, graded=False).y
    if case.x is not case.linear.weights:
        return off
    data = case.linear.data.reshape(-1, case.linear.data.shape[-1])
    return bounds.product(data, output(entry, case), off, case.format)


def _first(case: DefinedCase, column: DefinedColumn) -> slice:
    return slice(0, 1) if column.first else slice(None)


def _moved(entry: DefinedNormalizer, case: DefinedCase, column: DefinedColumn) -> DefinedCase:
    assert case.linear is not None
    assert case.move is not None
    return on_network(entry, case, column.apply(case.linear, case.move))


def _negligible(case: DefinedCase) -> DefinedCase:
    if "eps" not in case.constants:
        return case
    return case.but(constants={**case.constants, "eps": case.constants["eps"] * bounds.NEGLIGIBLE})


def _changes(entry: DefinedNormalizer, case: DefinedCase, column: DefinedColumn) -> tuple[Array, Array]:
    """By how much the forward's output moves, and what rounding may move it by."""
    moved, seen = _moved(entry, case, column), _first(case, column)
    change = _through(moved, output(entry, moved)) - _through(case, output(entry, case))
    return change[seen], bounds.difference(_room(entry, case), _room(entry, moved))[seen]


@dataclass(frozen=True, slots=True)
class MeasuredCell:
    """A cell as the forward has it: the largest change in units of what rounding explains, and in how many tries."""

    holds: bool
    ratio: float
    tries: int


@lru_cache(maxsize=1024)
def cell(entry: DefinedNormalizer, column: DefinedColumn) -> MeasuredCell:
    """A cell of the row of a normalizer, measured on its forward in float64."""
    ratios = []
    for seed in range(TRIES):
        change, room = _changes(entry, _negligible(network_case(entry, DefinedDraw(seed=seed))), column)
        seen = bounds.resolved(room) & np.isfinite(change) & (change != 0.0)
        ratios.append(float((np.abs(change[seen]) / room[seen]).max(initial=0.0)))
    return MeasuredCell(max(ratios) <= 1.0, max(ratios), TRIES)


def row(entry: DefinedNormalizer) -> Row:
    """The row of Table 1 of a normalizer, measured on its forward."""
    cells = {column.name: cell(entry, column).holds for column in ALL}
    return Row(tuple(cells[name] for name in COLUMN_NAMES))


def extended(entry: DefinedNormalizer) -> dict[str, bool]:
    """The columns beyond Table 1."""
    return {OF_BATCH: cell(entry, OTHERS).holds}


def _asked(column: DefinedColumn) -> Callable[[DefinedSubject, DefinedCase], Comparison]:
    def ask(subject: DefinedSubject, case: DefinedCase) -> Comparison:
        entry = subject.entry
        case = case if "eps" in subject.domain.fixed else _negligible(case)
        is_no = not cell(entry, column).holds
        moved, seen = _moved(entry, case, column), _first(case, column)
        predicted, room = _changes(entry, case, column)
        allowed = subject.contract.bound_multiplier * room
        known = bounds.resolved(room)
        if is_no and not np.any(known & (np.abs(predicted) > bounds.SHOWN * allowed)):
            return Comparison(column.law, 0, 0.0, seeks=True)
        before = _through(case, subject.call(case, False).y)[seen]
        after = _through(moved, subject.call(moved, False).y)[seen]
        found = differ(column.law, after, before + (0.0 if is_no else predicted), allowed, known)
        found = replace(found, metrics={column.cell: found.bound_ratio})
        if is_no:
            law = f"not invariant: {column.law} has a witness of {WITNESS:g} bounds"
            return replace(found, law=law, seeks=True)
        return found

    return ask


_SPACE = DefinedSpace(recipe=network_case, values=("plain",), cases=(6,))

CHECKS = tuple(Check(f"defined-{c.name.replace('_', '-')}", c.law, BA, _asked(c), _SPACE, cost=4.0) for c in ALL)
