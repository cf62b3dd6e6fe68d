"""A normalizer that is defined by its forward pass in numpy: all else is derived from it, or proved against it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from normcheck.core.errors import UsageError
from normcheck.core.floats import Array
from normcheck.core.spec import Paper, Row

Forward = Callable[..., Any]
"""From an input, parameters and constants by name to the output."""

OWN = Paper("own", 0, "defined in this project", "", "its forward")
"""The paper of a normalizer that names none."""

LAYOUTS = {
    "trailing": "(cases, *space, units)",
    "channels": "(cases, units, *space)",
    "rows": "a weight (units, *inputs), whose normalized form is the output",
    "linear": "(cases, inputs) of a layer with the parameter weight (units, inputs)",
}
"""How the input's axes are meant."""

UNIT, ONE, INPUT, MATRIX, CASE = "unit", "one", "input", "matrix", "case"
"""Shapes of parameters: a number for each unit, one number, that of the input, (units, inputs), one for each case."""


Constant = str | bool | int | float | tuple[int, ...] | None
"""The value of a constant."""

SPACES: Mapping[int, tuple[int, ...]] = {2: (), 3: (4,), 4: (3, 2)}
"""The axes of positions of the inputs to try, by rank."""


@dataclass(frozen=True, slots=True)
class Slip:
    """A wrong forward that is mistaken for the right one: a known fault of this one normalizer.

    update: a wrong update of the state, where that is what is mistaken, or goes with the forward.
    """

    name: str
    story: str
    forward: Forward
    update: Callable[..., Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DefinedNormalizer:
    """A normalizer as its float64 forward pass in numpy.

    >>> import numpy as np
    >>> entry = DefinedNormalizer(name="halved", forward=lambda x, weight, eps=1e-5: weight * x / (2.0 + eps))
    >>> entry.parameters, entry.constants
    (('weight',), {'eps': 1e-05})

    forward: a function of the input, then of its parameters, which have no default, then of constants, which have one;
    `eps` is such a constant. It uses numpy's elementwise functions, sums, means, maxima, products of matrices, solved
    equations and functions that move entries. Parameters for each unit have axes of length 1 where they broadcast
    against the input.
    layout: a key of `LAYOUTS`. shapes: of parameters that have not one number for each unit: "one", "input", "matrix",
    "case", or a number of entries. state: parameters that are given and not trained; update: what a call leaves in
    them. alike: parameters of the input's shape whose numbers are drawn as the input's, such as another batch. groups:
    parameters that assign each case to a group, as integers in ascending order, by the constant that is the number of
    groups, some of which may be empty. neutral: parameters that code may leave out, and the value that they have there.
    aliases: names that code gives to a parameter or a constant, beside its own and the usual ones.
    options: values of constants to try beside the default, or instead of it. backward: the closed form, from x, dy and
    the same arguments to gradients by name ("x", "weight"); it is proved when the normalizer is added.
    """

    name: str
    forward: Forward
    backward: Callable[..., Mapping[str, Any]] | None = None
    title: str = ""
    paper: Paper = OWN
    formula: str = ""
    note: str = ""
    layout: str = "trailing"
    ranks: tuple[int, ...] = ()  # of the input; empty: those that the layout can have
    units: tuple[int, ...] = (6, 5, 12, 33)  # numbers of units to try
    spaces: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: SPACES)  # axes of positions, by rank
    shapes: Mapping[str, str | int] = field(default_factory=dict)
    positive: frozenset[str] = frozenset()  # parameters that are positive numbers
    alike: frozenset[str] = frozenset()
    state: frozenset[str] = frozenset()
    update: Callable[..., Mapping[str, Any]] | None = None
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    conventions: frozenset[str] = frozenset()  # of the options: what code fixes in one way or another
    derived: Row | None = None  # the row of Table 1 as derived by hand; a test compares it with the measured one
    slips: tuple[Slip, ...] = ()

    def __post_init__(self) -> None:
        """Raise `UsageError` for a name, a layout, a shape or a signature that cannot be used."""
        if not self.name.isidentifier():
            raise UsageError(f"a normalizer's name is an identifier, not {self.name!r}")
        if self.layout not in LAYOUTS:
            raise UsageError(f"{self.name}: unknown layout {self.layout!r}; known: {', '.join(LAYOUTS)}")
        named = list(inspect.signature(self.forward).parameters.values())
        if not named or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in named):
            raise UsageError(f"{self.name}: forward takes the input, then parameters and constants by name")
        for word in {*self.shapes, *self.state, *self.positive, *self.alike, *self.groups, *self.neutral} - {
            *self.parameters
        }:
            raise UsageError(f"{self.name}: forward has no parameter {word} without a default")
        for word in {*self.aliases} - {*self.parameters, *self.constants}:
            raise UsageError(f"{self.name}: forward has no parameter {word}")
        for word in self.alike:
            if self.shapes.get(word) != INPUT:
                raise UsageError(f"{self.name}: {word} has not the input's shape, so it is not drawn as the input")
        for word in {*self.options, *self.conventions, *self.groups.values()} - set(self.constants):
            raise UsageError(f"{self.name}: forward has no parameter {word} with a default")

    def _named(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.forward).parameters.values())[1:]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the forward's parameters without a default: arrays."""
        return tuple(p.name for p in self._named() if p.default is p.empty)

    @property
    def trained(self) -> tuple[str, ...]:
        """Those that have a gradient."""
        return tuple(name for name in self.parameters if name not in self.state and name not in self.groups)

    @property
    def constants(self) -> dict[str, Any]:
        """Names of its parameters with a default, and these."""
        return {p.name: p.default for p in self._named() if p.default is not p.empty}

    @property
    def arguments(self) -> tuple[str, ...]:
        """What an implementation takes, in the forward's order."""
        return ("input", *(p.name for p in self._named()))

    @property
    def eps(self) -> float | None:
        """The default of eps; None without one."""
        return self.constants.get("eps")

    @property
    def served(self) -> tuple[int, ...]:
        """The ranks of its inputs."""
        return self.ranks or {"rows": (2, 4), "linear": (2,)}.get(self.layout, (2, 3, 4))

    def shape(self, name: str, x: Array, units: int) -> tuple[int, ...]:
        """The shape of a parameter as implementations hold it."""
        kind = CASE if name in self.groups else self.shapes.get(name, MATRIX if self.layout == "linear" else UNIT)
        if isinstance(kind, int):
            return (kind,)
        matrix = (units, math.prod(x.shape[1:]))
        return {UNIT: (units,), ONE: (), INPUT: x.shape, MATRIX: matrix, CASE: x.shape[:1]}[kind]

    def spread(self, name: str, value: Any, rank: int) -> Any:
        """A parameter as the forward gets it: with axes of length 1, where it has one number for each unit."""
        if name in self.groups or self.shapes.get(name, UNIT) != UNIT or self.layout in ("trailing", "linear"):
            return value
        after = rank - 2 if self.layout == "channels" else rank - 1
        return value.reshape(-1, *[1] * after)
