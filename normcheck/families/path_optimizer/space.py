"""The nets that checks of optimizers draw: a draw is a few integers and words, from which the case follows.

Weights and gradients are small multiples of three times a power of two, and factors powers of two with or without a
three, so that a net, its gradients and both rescaled are exact in every format. The gradients are those of the net on a
random regression, rounded to that form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from normcheck.core.floats import FLOAT64, FORMATS, WIDE_NAMES, Array
from normcheck.core.space import ChoiceSpace
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import OptimizerCase, Parameters
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.path_optimizer.subject import OptimizerSubject

FACTORS = {"twos": (0.125, 0.25, 0.5, 2.0, 4.0, 8.0), "threes": (0.25, 0.5, 2.0, 0.75, 1.5, 3.0)}
"""Factors of nodes: powers of two, or with a factor three."""


@dataclass(frozen=True, slots=True)
class OptimizerDraw:
    """The choices of one case; everything else follows from the seed."""

    seed: int = 0
    nodes: tuple[int, ...] = (3, 4, 2)
    format: str = FLOAT64.name
    biases: bool = False
    steps: int = 1
    factors: str = "twos"
    dead: bool = False  # every weight that leaves one hidden node is 0


def coarse(values: Array, bits: int) -> Array:
    """Multiples of three times a power of two, at most 2**bits of them to either side, none of them zero."""
    unit = 3.0 * 2.0 ** (math.frexp(float(np.abs(values).max()) or 1.0)[1] - bits)
    near = np.rint(values / unit)
    return np.asarray(np.where(near == 0, 1.0, near) * unit)


def _parameters(rng: np.random.Generator, draw: OptimizerDraw) -> Parameters:
    out: list[Array] = []
    for inputs, outputs in zip(draw.nodes, draw.nodes[1:], strict=False):
        out.append(coarse(rng.standard_normal((outputs, inputs)), 5))
        if draw.biases:
            out.append(coarse(rng.standard_normal(outputs), 5))
    return tuple(out)


def _rate(parameters: Parameters, gradients: Parameters) -> float:
    """A rate at which steps are about as large as weights: a smaller one would hide an error of the step."""
    kappas = reference.kappas(parameters)
    ratios = [np.abs(p * k / g).ravel() for p, k, g in zip(parameters, kappas, gradients, strict=True)]
    return float(2.0 ** math.floor(math.log2(0.5 * float(np.median(np.concatenate(ratios))))))


def optimizer_case(entry: PathOptimizer, draw: OptimizerDraw) -> OptimizerCase:
    """The case of a draw."""
    rng = np.random.default_rng(draw.seed)
    parameters = _parameters(rng, draw)
    x = np.abs(coarse(rng.standard_normal((5, draw.nodes[0])), 6))
    grads = []
    for _ in range(draw.steps):
        target = rng.standard_normal((5, draw.nodes[-1])) * 4.0
        grads.append(tuple(coarse(g, 8) for g in reference.gradients(parameters, x, target)))
    hidden = draw.nodes[1:-1]
    factors = tuple(rng.choice(FACTORS[draw.factors], n) for n in hidden)
    rate = _rate(parameters, grads[0])
    if draw.dead:
        parameters, grads = _without(parameters, grads)
    return OptimizerCase(parameters, tuple(grads), x, rate, factors, FORMATS[draw.format], {"seed": draw.seed})


def _without(parameters: Parameters, grads: list[Parameters]) -> tuple[Parameters, list[Parameters]]:
    """Zeros for what leaves the first node of the last hidden layer: what enters it has gradient 0 and kappa 0."""
    last = max(i for i, p in enumerate(parameters) if p.ndim == 2)
    before = max(i for i in range(last) if parameters[i].ndim == 2)
    changed, moved = [p.copy() for p in parameters], [[g.copy() for g in one] for one in grads]
    changed[last][:, 0] = 0.0
    for one in moved:
        for i in range(before, last):
            one[i][0] = 0.0
    return tuple(changed), [tuple(one) for one in moved]


@dataclass(frozen=True, slots=True)
class OptimizerSpace(ChoiceSpace):
    """The choices of a check of optimizers; the first of each is the plain one."""

    entries: ClassVar[type] = PathOptimizer
    plain: ClassVar[OptimizerDraw] = OptimizerDraw()

    recipe: Callable[[PathOptimizer, OptimizerDraw], OptimizerCase] = optimizer_case
    format: tuple[str, ...] = WIDE_NAMES
    nodes: tuple[tuple[int, ...], ...] = ((3, 4, 2), (2, 3, 3, 2), (4, 1, 3), (3, 3, 3, 3), (5, 17, 3), (2, 4, 3, 5, 1))
    biases: tuple[bool, ...] = (False,)
    steps: tuple[int, ...] = (1,)
    factors: tuple[str, ...] = ("twos",)
    dead: tuple[bool, ...] = (False,)

    def able(self, subject: OptimizerSubject, choices: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """The choices that the subject serves."""
        biases = tuple(b for b in choices["biases"] if subject.domain.biases or not b)
        return choices | {"biases": biases or (False,)}

    def words(self) -> str:
        """What is drawn, in one sentence."""
        most = max(max(sizes) for sizes in self.nodes)
        return f"Formats {', '.join(self.format)}; ReLU nets of 2 to 4 layers of weights, up to {most} nodes in one."
