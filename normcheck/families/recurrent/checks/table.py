"""The table of recurrent nets: changes of weights and data under which the output stays the same, or must not.

Columns beyond the six of Table 1 distinguish nets by what is normalized and over which time: a scale of one weight
matrix only, of the weights of one gate, of each step's inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.check import Check, every
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import WITNESS, Comparison
from normcheck.core.spec import COLUMN_NAMES
from normcheck.families.recurrent import bounds
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.checks.values import truth_of
from normcheck.families.recurrent.entry import INPUT, STATE, Recurrent
from normcheck.families.recurrent.space import RecurrentSpace
from normcheck.families.recurrent.subject import RecurrentSubject

BA = "Ba, Kiros, Hinton 2016, Table 1"


def rng_of(case: RecurrentCase) -> np.random.Generator:
    """The generator of a change of the case, the same each time."""
    return np.random.default_rng((int(case.drawn.get("seed", 0)), 3))


def negligible_eps(net: RecurrentSubject, case: RecurrentCase) -> RecurrentCase:
    """The case with an eps that changes nothing, if the net takes eps as an argument."""
    return case.but(eps=case.eps * bounds.NEGLIGIBLE) if net.domain.eps is None else case


@dataclass(frozen=True, slots=True)
class RecurrentColumn:
    """A way to change a net or its data, and for which entries the output stays the same."""

    name: str
    law: str
    apply: Callable[[RecurrentCase, np.random.Generator], RecurrentCase]
    holds: Callable[[Recurrent], bool]
    topic: str = "invariance"  # "row": one of the six of Table 1
    concerns: Callable[[Recurrent], bool] = every


def _weights(case: RecurrentCase, change: Callable[[str, Array], Array], *roles: str) -> RecurrentCase:
    return case.having(**{role: case.format.round(change(role, case.parameters[role])) for role in roles})


BOTH = ("weight_ih", "weight_hh")


def _factor(rng: np.random.Generator) -> float:
    return float(rng.choice((2.0, 4.0, 0.5, 3.0)))


def _scaled(*roles: str) -> Callable[[RecurrentCase, np.random.Generator], RecurrentCase]:
    def apply(case: RecurrentCase, rng: np.random.Generator) -> RecurrentCase:
        factor = _factor(rng)
        return _weights(case, lambda role, w: factor * w, *roles)

    return apply


def _row_scaled(case: RecurrentCase, rng: np.random.Generator) -> RecurrentCase:
    factor, unit = _factor(rng), int(rng.integers(case.units))
    chosen = np.arange(len(case.parameters["weight_ih"]))[:, None] == unit
    return _weights(case, lambda role, w: np.where(chosen, factor * w, w), *BOTH)


def _gate_scaled(case: RecurrentCase, rng: np.random.Generator) -> RecurrentCase:
    factor, count = _factor(rng), len(case.parameters["weight_ih"]) // case.units
    gate = int(rng.integers(count - 1))
    chosen = (np.arange(count * case.units) // case.units == gate)[:, None]
    return _weights(case, lambda role, w: np.where(chosen, factor * w, w), *BOTH)


def _recentered(case: RecurrentCase, rng: np.random.Generator) -> RecurrentCase:
    return _weights(case, lambda role, w: w + rng.integers(1, 9, w.shape[1]) / 8.0, *BOTH)


def _data(
    change: Callable[[RecurrentCase, np.random.Generator], Array],
) -> Callable[[RecurrentCase, np.random.Generator], RecurrentCase]:
    return lambda case, rng: case.but(x=case.format.round(change(case, rng)))


def _one_case(case: RecurrentCase, rng: np.random.Generator) -> Array:
    x = case.x.copy()
    x[:, int(rng.integers(case.cases))] *= _factor(rng)
    return x


def _row_of(name: str) -> Callable[[Recurrent], bool]:
    return lambda entry: entry.row[name]


def _per_step(entry: Recurrent) -> bool:
    return INPUT in entry.places and entry.length_independent


_APPLIED = (
    ("y(d W, x) = y(W, x), both weight matrices", _scaled(*BOTH)),
    ("y(W + 1 v^T, x) = y(W, x), v added to the weights of every unit", _recentered),
    ("y(W with a unit's weights times d, x) = y(W, x)", _row_scaled),
    ("y(W, d x) = y(W, x)", _data(lambda case, rng: _factor(rng) * case.x)),
    ("y(W, x + v) = y(W, x)", _data(lambda case, rng: case.x + rng.integers(1, 9, case.x.shape[-1]) / 8.0)),
    ("y(W, x with one case times d) = y(W, x)", _data(_one_case)),
)

COLUMNS = (
    *(
        RecurrentColumn(name, law, apply, _row_of(name), "row")
        for name, (law, apply) in zip(COLUMN_NAMES, _APPLIED, strict=True)
    ),
    RecurrentColumn(
        "input_weights_rescaling", "y(d W_ih) = y(W_ih)", _scaled("weight_ih"), lambda e: INPUT in e.places
    ),
    RecurrentColumn(
        "hidden_weights_rescaling", "y(d W_hh) = y(W_hh)", _scaled("weight_hh"), lambda e: STATE in e.places
    ),
    RecurrentColumn(
        "step_rescaling",
        "y(x_t times d_t) = y(x), a factor for each step",
        _data(lambda case, rng: case.x * 2.0 ** rng.permutation(np.arange(case.steps) % 3 - 1)[:, None, None]),
        _per_step,
    ),
    RecurrentColumn(
        "gate_rescaling",
        "y(d times the weights of one gate) = y(W)",
        _gate_scaled,
        lambda e: e.over_cases,
        concerns=lambda e: e.gates > 1 and e.both,
    ),
)


def _asked(column: RecurrentColumn) -> Callable[[RecurrentSubject, RecurrentCase], Comparison]:
    def ask(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
        is_no = not column.holds(net.entry)
        case = negligible_eps(net, case.forward)
        moved = column.apply(case, rng_of(case))
        right, other = truth_of(net, case), truth_of(net, moved)
        allowed = bounds.difference(right.allowed.y, other.allowed.y)
        predicted = other.exact.y - right.exact.y  # not 0: a fixed eps does not follow a scale
        metrics = f"{column.topic}/{column.name}"
        if is_no and not np.any(np.abs(predicted) > bounds.SHOWN * allowed):
            return Comparison(column.law, 0, 0.0, seeks=True)
        expected = net.call(case, False).y + (0.0 if is_no else predicted)
        found = differ(column.law, net.call(moved, False).y, expected, allowed)
        if is_no:
            law = f"not invariant: {column.law} has a witness of {WITNESS:g} bounds"
            return replace(found, law=law, metrics={metrics: found.bound_ratio}, seeks=True)
        return replace(found, metrics={metrics: found.bound_ratio})

    return ask


LAWS = RecurrentSpace(steps=(4, 2, 3, 6), cases=(5, 4, 8), offset=(1.0,), eps=(1e-5,))
"""The cases on which laws are checked."""


def _check_of(column: RecurrentColumn) -> Check:
    name = f"recurrent-{column.name.replace('_', '-')}"
    return Check(name, column.law, BA, _asked(column), LAWS, column.concerns, cost=4.0)


TABLE_1 = tuple(_check_of(column) for column in COLUMNS if column.topic == "row")
CHECKS = (*TABLE_1, *(_check_of(column) for column in COLUMNS if column.topic != "row"))
