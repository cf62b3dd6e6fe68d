"""Which layers a check draws: a few integers and words, from which a case follows.

Inputs are small multiples of a power of two, and rates powers of two, so that maps of the input by integers and halves
are exact in every format.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import FORMATS, Array
from normcheck.core.space import ChoiceSpace
from normcheck.families.reparametrized import affine, perceptron
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.subject import ReparametrizedSubject

MEMBERS, PROBES, BATCHES = 16, 6, 3
HIDDEN = 5


@dataclass(frozen=True, slots=True)
class LayerDraw:
    """What is chosen; everything else follows from the seed."""

    seed: int = 0
    inputs: int = 4
    outputs: int = 2
    spread: str = "plain"
    format: str = "float64"
    damping: float = 0.0


SPREADS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda x: x,
    "offset": lambda x: x + 2.0 * np.arange(1, x.shape[1] + 1),
    "wide": lambda x: x * 2.0 ** -np.arange(x.shape[1]),
}
"""How inputs lie: around a mean like their deviation, far from zero, on scales far apart."""


def _grid(values: Array, bits: int = 6) -> Array:
    """Multiples of 2**-bits."""
    return np.asarray(np.rint(values * 2.0**bits) / 2.0**bits)


def _inputs(rng: np.random.Generator, draw: LayerDraw, count: int) -> Array:
    x = rng.standard_normal((count, draw.inputs))
    return SPREADS[draw.spread](_grid(x + 0.5 * x[:, ::-1] + 0.75))


def layer(entry: Reparametrized, draw: LayerDraw) -> ReparametrizedCase:
    """A case of several batches."""
    rng = np.random.default_rng(draw.seed)
    batches = tuple(
        (_inputs(rng, draw, MEMBERS), _grid(rng.standard_normal((MEMBERS, draw.outputs)) + 0.25))
        for _ in range(BATCHES)
    )
    shapes: tuple[tuple[int, ...], ...] = ((draw.outputs, draw.inputs), (draw.outputs,))
    if not entry.geometry:
        shapes = ((HIDDEN, draw.inputs), (HIDDEN,), (draw.outputs, HIDDEN), *shapes)
    weights = tuple(_grid(rng.standard_normal(shape) / math.sqrt(shape[-1])) for shape in shapes)
    rate = _rate(entry, weights, batches, draw.damping)
    return ReparametrizedCase(weights, batches, _inputs(rng, draw, PROBES), rate, draw.damping, FORMATS[draw.format],
                 {"spread": draw.spread, "seed": draw.seed})  # fmt: skip


def _rate(
    entry: Reparametrized, weights: tuple[Array, ...], batches: tuple[tuple[Array, Array], ...], damping: float
) -> float:
    """A rate at which a step is about as large as the weights: a smaller one would hide an error of the step."""
    if entry.geometry:
        found = [affine.move(affine.GEOMETRIES[entry.geometry](*batches[0], damping), *batches[1])]
        held = [np.column_stack(weights)]
    else:
        inner, bias, outer, short, shift = weights
        held = list(weights)
        bend = perceptron.chosen((inner, bias, outer, short, shift), batches[0][0])
        found = list(perceptron.gradients((inner, bias, outer, short, shift), bend, *batches[1]))
    ratio = min(float(np.linalg.norm(w) / np.linalg.norm(g)) for w, g in zip(held, found, strict=True))
    return float(2.0 ** math.floor(math.log2(ratio)))


@dataclass(frozen=True, slots=True)
class Layers(ChoiceSpace):
    """What a check of refreshed layers draws: `cases.Cases`. The first of every list is the plain choice."""

    entries: ClassVar[type] = Reparametrized
    plain: ClassVar[LayerDraw] = LayerDraw()

    recipe: Callable[[Reparametrized, LayerDraw], ReparametrizedCase] = layer
    format: tuple[str, ...] = ("float64", "float32")
    inputs: tuple[int, ...] = (4, 2, 6)
    outputs: tuple[int, ...] = (2, 4)
    spread: tuple[str, ...] = tuple(SPREADS)
    damping: tuple[float, ...] = ()  # empty: those of the entry

    def able(self, subject: ReparametrizedSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        fixed = subject.contract.eps
        damping = choices["damping"] or subject.entry.dampings
        return choices | {"damping": damping if fixed is None else (fixed,)}

    def words(self) -> str:
        return (
            f"Formats {', '.join(self.format)}; batches of {MEMBERS} cases, {' or '.join(map(str, self.inputs))} "
            f"inputs and up to {max(self.outputs)} outputs; inputs: {', '.join(self.spread)}."
        )
