"""Known ways for a path-normalized optimizer to be wrong, as data: the reference at work with one part replaced.

Where the source is a construction, nobody's code was found with it: the fault is a slip that the formula invites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import OptimizerCase
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.path_optimizer.reference import Parameters
from normcheck.families.path_optimizer.subject import Called, OptimizerDomain, OptimizerRun, OptimizerSubject

SLIP = "construction: a slip that Neyshabur 2015, eq. 9, invites"
PORT = "construction: an optimizer ported without torch.optim.Optimizer's conventions"


@dataclass(frozen=True, slots=True)
class OptimizerSteps:
    """How a step is taken; a fault replaces a part."""

    kappas: Callable[[Sequence[Array]], Parameters] = reference.kappas
    divided: Callable[[Array, Array], Array] = reference.divided
    decay: float = 0.0
    stale: bool = False  # the first kappa is kept
    turns: bool = False  # layers in turn, each with the kappa of weights that have moved
    first_rate: bool = False  # the rate of the constructor, whatever the group has
    called: int = 1  # times that the closure is called
    recording: bool = True  # with gradients on
    returns: bool = True
    skips: bool = False  # a layer without gradient is on no path
    writes: bool = False  # gradients are divided in place
    alone: bool = False  # each group is a net of its own
    forgets: bool = False  # a loaded optimizer goes on at a tenth of the rate: the group's options are not loaded


class _Machine:
    """The reference at work in the working format, by a rule."""

    def __init__(self, net: OptimizerCase, rule: OptimizerSteps, *, grouped: bool) -> None:
        self.rule, self.grouped, self.net = rule, grouped, net
        self.kind = np.dtype(net.format.name)
        self.held = [p.astype(self.kind) for p in net.parameters]
        self.given: list[Array | None] = [None for _ in self.held]
        self.rate = net.rate
        self.kept: Parameters | None = None

    def parameters(self) -> Parameters:
        return tuple(p.astype(np.float64) for p in self.held)

    def gradients(self) -> tuple[Array | None, ...]:
        return tuple(None if g is None else g.astype(np.float64) for g in self.given)

    def _kappas(self) -> Parameters:
        if self.rule.alone and self.grouped:
            return tuple(self.rule.kappas((p,))[0] for p in self.held)
        if self.rule.skips:
            there = [p for p, g in zip(self.held, self.given, strict=True) if g is not None]
            fits = all(a.shape[0] == b.shape[1] for a, b in pairwise(reference.weights_of(there)))
            found = iter(self.rule.kappas(there) if fits else [np.ones_like(p) for p in there])
            return tuple(np.ones_like(p) if g is None else next(found)
                         for p, g in zip(self.held, self.given, strict=True))  # fmt: skip
        now = self.rule.kappas(self.held)
        if self.rule.stale:
            self.kept = self.kept or now
            return self.kept
        return now

    def step(self, gradients: Sequence[Array | None]) -> None:
        self.given = [None if g is None else g.astype(self.kind) for g in gradients]
        rate = self.kind.type(self.net.rate if self.rule.first_rate else self.rate)
        kappas = self._kappas()
        for i, g in enumerate(self.given):
            if g is None:
                continue
            kappa = self._kappas()[i] if self.rule.turns else kappas[i]
            scaled = self.rule.divided(g, kappa)
            self.held[i] = self.held[i] - rate * (scaled + self.kind.type(self.rule.decay) * self.held[i])
            if self.rule.writes:
                self.given[i] = scaled

    def step_with_closure(self, gradients: Sequence[Array], loss: float) -> Called:
        for _ in range(self.rule.called):
            self.step(gradients)
        return Called(self.rule.called, self.rule.recording, loss if self.rule.returns else None)

    def set_rate(self, rate: float) -> None:
        self.rate = rate

    def resume(self) -> None:
        if self.rule.forgets:
            self.rate = self.rate / 10.0


def _square(p: Array) -> Array:
    return p * p


def _without_square(parameters: Sequence[Array]) -> Parameters:
    return reference.kappas(tuple(np.sqrt(np.abs(p)) for p in parameters))


def _layer_norm(parameters: Sequence[Array]) -> Parameters:
    """The squared length of a layer's weights, for each of its edges."""
    return tuple(np.full_like(p, _square(p).sum()) for p in parameters)


def _per_level(parameters: Sequence[Array], pick: Callable[[Array, Array], Array]) -> Parameters:
    """kappa from what arrives (1, inputs) and what leaves (outputs, 1); nets without biases."""
    before, after = reference.into(parameters), reference.onward(parameters)
    levels = (np.broadcast_to(pick(b[None, :], a[:, None]), p.shape)
              for p, b, a in zip(reference.weights_of(parameters), before[:-1], after[1:], strict=True))  # fmt: skip
    found = iter(levels)
    return tuple(
        next(found) if p.ndim == 2 else k for p, k in zip(parameters, reference.kappas(parameters), strict=True)
    )


def _reversed(parameters: Sequence[Array]) -> Parameters:
    """kappa of the layers in the other order, where their shapes do not show that it is the wrong one."""
    matrices = reference.weights_of(parameters)
    square = len({n for p in matrices for n in p.shape}) == 1 and len(matrices) == len(parameters)
    return reference.kappas(matrices[::-1])[::-1] if square else reference.kappas(parameters)


def _mapped(change: Callable[[Array, Array], Array]) -> Callable[[Sequence[Array]], Parameters]:
    """kappa changed edge by edge, given the weights."""
    return lambda parameters: tuple(change(k, p) for k, p in zip(reference.kappas(parameters), parameters, strict=True))


def _bias_plain(parameters: Sequence[Array]) -> Parameters:
    found = reference.kappas(parameters)
    return tuple(np.ones_like(k) if k.ndim == 1 else k for k in found)


def _bare(gradient: Array, kappa: Array) -> Array:
    with np.errstate(all="ignore"):
        return gradient / kappa


def _no_division(gradient: Array, kappa: Array) -> Array:
    return gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerFault:
    """One known way to be wrong: a changed rule."""

    name: str
    story: str
    rule: OptimizerSteps
    source: str = SLIP
    damages: str = "the step"
    concerns: Callable[[PathOptimizer], bool] = bool  # every entry of the family


_EVERY = (
    OptimizerFault(
        name="path-plain-sgd",
        story="Steps by the gradient alone: nothing is divided by the paths of an edge.",
        rule=OptimizerSteps(divided=_no_division),
        source="Neyshabur 2015, section 2.1: what gradient descent does to an unbalanced net",
    ),
    OptimizerFault(
        name="path-layer-norm-of-weights",
        story="Divides by the squared length of the layer's weights, the same for all its edges.",
        rule=OptimizerSteps(kappas=_layer_norm),
    ),
    OptimizerFault(
        name="path-kappa-stale",
        story="Keeps the kappa of the first step: it is computed in the constructor, or cached.",
        rule=OptimizerSteps(stale=True),
    ),
    OptimizerFault(
        name="path-square-missing",
        story="Sums products of |w| over paths, not of w^2: p = 1 without the exponent 2 / p.",
        rule=OptimizerSteps(kappas=_without_square),
    ),
    OptimizerFault(
        name="path-arriving-missing",
        story="Leaves out the paths that arrive at the edge: kappa is what leaves its head.",
        rule=OptimizerSteps(kappas=lambda p: _per_level(p, lambda arrived, leaving: leaving)),
    ),
    OptimizerFault(
        name="path-leaving-missing",
        story="Leaves out the paths that leave the edge: kappa is what arrives at its tail.",
        rule=OptimizerSteps(kappas=lambda p: _per_level(p, lambda arrived, leaving: arrived)),
    ),
    OptimizerFault(
        name="path-sum-for-product",
        story="Adds what arrives and what leaves where they must be multiplied.",
        rule=OptimizerSteps(kappas=lambda p: _per_level(p, np.add)),
    ),
    OptimizerFault(
        name="path-layers-reversed",
        story="Takes the layers in another order than that of the net: between layers of one width nothing raises.",
        rule=OptimizerSteps(kappas=_reversed),
    ),
    OptimizerFault(
        name="path-own-weight-kept",
        story="Multiplies all squared weights of a path, that of the edge itself too.",
        rule=OptimizerSteps(kappas=_mapped(lambda k, p: k * p * p)),
    ),
    OptimizerFault(
        name="path-dampened",
        story="Adds a constant to kappa to be safe: 0.001, which no rescaling of the net follows.",
        rule=OptimizerSteps(kappas=_mapped(lambda k, p: k + k.dtype.type(1e-3))),
    ),
    OptimizerFault(
        name="path-root-of-kappa",
        story="Divides by the root of kappa, as adaptive methods divide by the root of a second moment.",
        rule=OptimizerSteps(kappas=_mapped(lambda k, p: np.sqrt(k))),
    ),
    OptimizerFault(
        name="path-kappa-normalized",
        story="Divides kappa by its mean over the layer, to keep the size of a plain step.",
        rule=OptimizerSteps(kappas=_mapped(lambda k, p: k / k.mean())),
    ),
    OptimizerFault(
        name="path-kappa-averaged-over-nodes",
        story="One kappa for each node that an edge leads to: its mean over the edges that arrive.",
        rule=OptimizerSteps(kappas=_mapped(lambda k, p: np.broadcast_to(k.mean(axis=-1, keepdims=True), k.shape))),
    ),
    OptimizerFault(
        name="path-factor-two",
        story="Takes the second derivative of the path norm without its half: kappa is twice too large.",
        rule=OptimizerSteps(kappas=_mapped(lambda k, p: 2.0 * k)),
    ),
    OptimizerFault(
        name="path-layers-in-turn",
        story="Computes kappa of a layer when the layers before it have already moved.",
        rule=OptimizerSteps(turns=True),
    ),
    OptimizerFault(
        name="path-bias-plain",
        story="Steps a bias by its plain gradient: it does not move as its node is rescaled.",
        rule=OptimizerSteps(kappas=_bias_plain),
    ),
    OptimizerFault(
        name="path-dead-node-nan",
        story="Divides 0 by 0 where nothing leaves a node, as behind a last layer that starts at zero.",
        rule=OptimizerSteps(divided=_bare),
    ),
    OptimizerFault(
        name="path-decay-added",
        story="Adds a decay of the weights that nobody asked for.",
        rule=OptimizerSteps(decay=1e-3),
    ),
    OptimizerFault(
        name="path-rate-of-constructor",
        story="Keeps the learning rate of the constructor: a scheduler writes into the group in vain.",
        rule=OptimizerSteps(first_rate=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-closure-twice",
        story="Calls the closure once more for the loss.",
        rule=OptimizerSteps(called=2),
        source=PORT,
    ),
    OptimizerFault(
        name="path-closure-without-gradients",
        story="Calls the closure under no_grad: its backward raises or leaves the gradients of before.",
        rule=OptimizerSteps(recording=False),
        source=PORT,
    ),
    OptimizerFault(
        name="path-loss-not-returned",
        story="Returns nothing from a step that was given a closure.",
        rule=OptimizerSteps(returns=False),
        source=PORT,
    ),
    OptimizerFault(
        name="path-frozen-layer-left-out",
        story="Reads only layers that have a gradient: paths run past a frozen one.",
        rule=OptimizerSteps(skips=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-gradients-overwritten",
        story="Divides the gradients in place, where a caller may still read them.",
        rule=OptimizerSteps(writes=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-groups-apart",
        story="Takes each group for a net of its own.",
        rule=OptimizerSteps(alone=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-options-not-loaded",
        story="Does not load the options of a group with a saved state: training goes on at another rate.",
        rule=OptimizerSteps(forgets=True),
        source=PORT,
    ),
)

ALL = {fault.name: fault for fault in _EVERY}
"""Every fault of the family, by name."""


def faulty(entry: PathOptimizer, fault: OptimizerFault | None, promised: Contract) -> OptimizerSubject:
    """The reference at work as a subject, with a fault or without."""
    rule = OptimizerSteps() if fault is None else fault.rule

    def start(net: OptimizerCase, grouped: bool) -> OptimizerRun:
        return _Machine(net, rule, grouped=grouped)

    absent = {"gradient": "an optimizer is given its gradients"}
    name = "reference" if fault is None else fault.name
    return OptimizerSubject(name, entry, promised, replace(OptimizerDomain(), absent=absent), start)
