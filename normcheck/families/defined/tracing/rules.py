"""What each elementwise function of numpy does to a derivative and to an error, as data.

Slopes are written in operators and numpy functions, so the same expression serves plain arrays and traced values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from normcheck.core.floats import Array

Slope = Callable[..., Any]
"""The partial derivative by one argument, from all arguments and the result."""


def _never(*arguments: Array) -> Array:
    return np.zeros((), dtype=bool)


@dataclass(frozen=True, slots=True)
class Rule:
    """One elementwise function: its partial derivatives and the size of its own rounding error."""

    slopes: tuple[Slope, ...]
    roundings: float = 1.0  # of the result, in units of roundoff: 1 where it is correctly rounded
    fragile: tuple[int, ...] = ()  # arguments near 0 at which the derivative has no bound
    second: bool = False  # a product: the product of both errors counts too
    jump: float = 0.0  # by how much a slope changes where two branches meet
    meet: Callable[..., Array] = _never  # the distance from there, from the values of the arguments


def one(*_: Any) -> Any:
    """A slope that is 1."""
    return np.ones(())


def _minus_one(*_: Any) -> Any:
    return -np.ones(())


def _zero(*_: Any) -> Any:
    return np.zeros(())


def _values(a: Any) -> Array:
    return np.asarray(getattr(a, "value", a))


def _left(a: Any, b: Any, y: Any) -> Any:
    return (_values(a) >= _values(b)) * 1.0


def _right(a: Any, b: Any, y: Any) -> Any:
    return (_values(a) < _values(b)) * 1.0


LIBRARY = 4.0
"""Roundings of a function that is not correctly rounded: libraries promise two units in the last place."""


RULES: Mapping[Any, Rule] = {
    np.add: Rule((one, one)),
    np.subtract: Rule((one, _minus_one)),
    np.multiply: Rule((lambda a, b, y: b, lambda a, b, y: a), second=True),
    np.divide: Rule((lambda a, b, y: 1.0 / b, lambda a, b, y: -y / b), fragile=(1,)),
    np.negative: Rule((_minus_one,), 0.0),
    np.positive: Rule((one,), 0.0),
    np.absolute: Rule((lambda a, y: np.sign(_values(a)),), 0.0, jump=2.0, meet=np.abs),
    np.sign: Rule((_zero,), 0.0),
    np.square: Rule((lambda a, y: 2.0 * a,), second=True),
    np.sqrt: Rule((lambda a, y: 0.5 / y,), fragile=(0,)),
    np.reciprocal: Rule((lambda a, y: -y * y,), fragile=(0,)),
    np.exp: Rule((lambda a, y: y,), LIBRARY),
    np.expm1: Rule((lambda a, y: y + 1.0,), LIBRARY),
    np.log: Rule((lambda a, y: 1.0 / a,), LIBRARY, fragile=(0,)),
    np.log1p: Rule((lambda a, y: 1.0 / (1.0 + a),), LIBRARY),
    np.tanh: Rule((lambda a, y: 1.0 - y * y,), LIBRARY),
    np.sin: Rule((lambda a, y: np.cos(a),), LIBRARY),
    np.cos: Rule((lambda a, y: -np.sin(a),), LIBRARY),
    np.arctan: Rule((lambda a, y: 1.0 / (1.0 + a * a),), LIBRARY),
    np.power: Rule(
        (lambda a, b, y: b * a ** (_values(b) - 1.0), lambda a, b, y: y * np.log(np.where(_values(a) > 0, a, 1.0))),
        LIBRARY, fragile=(0,),
    ),
    np.maximum: Rule((_left, _right), 0.0, jump=1.0, meet=lambda a, b: np.abs(a - b)),
    np.minimum: Rule((_right, _left), 0.0, jump=1.0, meet=lambda a, b: np.abs(a - b)),
}  # fmt: skip
"""The elementwise functions that a forward may use."""

FRAGILE = 0.02
"""The largest error, relative to the value, at which a root or a quotient is still analyzed to first order."""

PLAIN = frozenset({np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.isfinite, np.isnan})
"""Functions whose result is no number that is differentiated."""

STRUCTURAL = frozenset(
    {
        np.reshape, np.transpose, np.moveaxis, np.swapaxes, np.squeeze, np.expand_dims, np.broadcast_to,
        np.concatenate, np.stack, np.flip, np.roll, np.pad, np.repeat, np.tile, np.ravel, np.split, sliding_window_view,
        np.tril, np.triu,
    }
)  # fmt: skip
"""Functions whose results are their entries in other places, once or several times, and zeros."""
