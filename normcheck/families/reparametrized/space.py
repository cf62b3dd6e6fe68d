"""The layers that checks draw: a draw is a few integers and words, from which the case follows.

Inputs are small multiples of a power of two, and rates powers of two, so that maps of the input by integers and halves
are exact in every format.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import FLOAT64, FORMATS, WIDE_NAMES, Array
from normcheck.core.space import ChoiceSpace
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.reference import affine, perceptron
from normcheck.families.reparametrized.subject import ReparametrizedSubject

MEMBERS, PROBES, BATCHES = 16, 6, 3
"""Cases of a batch, cases on which functions are compared, and batches."""
HIDDEN = 5
"""Nodes of a hidden layer."""


@dataclass(frozen=True, slots=True)
class ReparametrizedDraw:
    """The choices of one case; everything else follows from the seed."""

    seed: int = 0
    inputs: int = 4
    outputs: int = 2
    spread: str = "plain"
    format: str = FLOAT64.name
    damping: float = 0.0
    newest: float = 1.0


SPREADS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda x: x,
    "offset": lambda x: x + 2.0 * np.arange(1, x.shape[1] + 1),
    "wide": lambda x: x * 2.0 ** -np.arange(x.shape[1]),
}
"""How inputs lie: around a mean like their deviation, far from zero, on scales far apart."""


def _grid(values: Array, bits: int = 6) -> Array:
    """Multiples of 2**-bits."""
    return np.asarray(np.rint(values * 2.0**bits) / 2.0**bits)


def _inputs(rng: np.random.Generator, draw: ReparametrizedDraw, count: int) -> Array:
    x = rng.standard_normal((count, draw.inputs))
    return SPREADS[draw.spread](_grid(x + 0.5 * x[:, ::-1] + 0.75))


def reparametrized_case(entry: Reparametrized, draw: ReparametrizedDraw) -> ReparametrizedCase:
    """The case of a draw."""
    rng = np.random.default_rng(draw.seed)
    batches = tuple(
        (_inputs(rng, draw, MEMBERS), _grid(rng.standard_normal((MEMBERS, draw.outputs)) + 0.25))
        for _ in range(BATCHES)
    )
    shapes: tuple[tuple[int, ...], ...] = ((draw.outputs, draw.inputs), (draw.outputs,))
    if not entry.affine:
        shapes = ((HIDDEN, draw.inputs), (HIDDEN,), (draw.outputs, HIDDEN), *shapes)
    weights = tuple(_grid(rng.standard_normal(shape) / math.sqrt(shape[-1])) for shape in shapes)
    rate = _rate(entry, weights, batches, draw.damping)
    return ReparametrizedCase(weights, batches, _inputs(rng, draw, PROBES), rate, draw.damping, FORMATS[draw.format],
                 draw.newest, {"spread": draw.spread, "seed": draw.seed})  # fmt: skip


def _rate(
    entry: Reparametrized, weights: tuple[Array, ...], batches: tuple[tuple[Array, Array], ...], damping: float
) -> float:
    """A rate at which a step is about as large as the weights: a smaller one would hide an error of the step."""
    if entry.geometry is not None:
        found = [affine.move(entry.geometry(*batches[0], damping), *batches[1])]
        held = [np.column_stack(weights)]
    else:
        inner, bias, outer, short, shift = weights
        held = list(weights)
        linear = perceptron.chosen((inner, bias, outer, short, shift), batches[0][0])
        found = list(perceptron.gradients((inner, bias, outer, short, shift), linear, *batches[1]))
    ratio = min(float(np.linalg.norm(w) / np.linalg.norm(g)) for w, g in zip(held, found, strict=True))
    return float(2.0 ** math.floor(math.log2(ratio)))


@dataclass(frozen=True, slots=True)
class ReparametrizedSpace(ChoiceSpace):
    """The choices of a check of refreshed layers; the first of each is the plain one."""

    entries: ClassVar[type] = Reparametrized
    plain: ClassVar[ReparametrizedDraw] = ReparametrizedDraw()

    recipe: Callable[[Reparametrized, ReparametrizedDraw], ReparametrizedCase] = reparametrized_case
    format: tuple[str, ...] = WIDE_NAMES
    inputs: tuple[int, ...] = (4, 2, 6)
    outputs: tuple[int, ...] = (2, 4)
    spread: tuple[str, ...] = tuple(SPREADS)
    damping: tuple[float, ...] = ()  # empty: those of the entry
    newest: tuple[float, ...] = (1.0,)

    def able(self, subject: ReparametrizedSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The choices that the subject serves; the damping is the subject's own where it cannot be changed."""
        fixed = subject.contract.eps
        damping = choices["damping"] or subject.entry.dampings
        return choices | {"damping": damping if fixed is None else (fixed,)}

    def words(self) -> str:
        """What is drawn, in one sentence."""
        return (
            f"Formats {', '.join(self.format)}; batches of {MEMBERS} cases, {' or '.join(map(str, self.inputs))} "
            f"inputs and up to {max(self.outputs)} outputs; inputs: {', '.join(self.spread)}."
        )
