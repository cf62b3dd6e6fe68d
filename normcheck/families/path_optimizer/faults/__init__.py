"""Known faults of path-normalized optimizers, as data: the reference with some steps replaced.

Where the source is a construction, no code was found with it: the fault is a slip that the formula invites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.families.path_optimizer.case import OptimizerCase
from normcheck.families.path_optimizer.entry import PathOptimizer
from normcheck.families.path_optimizer.faults import kappas
from normcheck.families.path_optimizer.faults.run import OptimizerSteps, WorkingRun
from normcheck.families.path_optimizer.subject import OptimizerDomain, OptimizerRun, OptimizerSubject

SLIP = "construction: a slip that Neyshabur 2015, eq. 9, invites"
PORT = "construction: an optimizer ported without torch.optim.Optimizer's conventions"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerFault:
    """One known way to be wrong: other steps."""

    name: str
    story: str
    steps: OptimizerSteps
    source: str = SLIP
    damages: str = "the step"
    concerns: Callable[[PathOptimizer], bool] = bool  # every entry of the family


_EVERY = (
    OptimizerFault(
        name="path-plain-sgd",
        story="Steps by the gradient alone: nothing is divided by the paths of an edge.",
        steps=OptimizerSteps(divided=kappas.no_division),
        source="Neyshabur 2015, section 2.1: what gradient descent does to an unbalanced net",
    ),
    OptimizerFault(
        name="path-layer-norm-of-weights",
        story="Divides by the squared length of the layer's weights, the same for all its edges.",
        steps=OptimizerSteps(kappas=kappas.layer_norm),
    ),
    OptimizerFault(
        name="path-kappa-stale",
        story="Keeps the kappa of the first step: it is computed in the constructor, or cached.",
        steps=OptimizerSteps(stale=True),
    ),
    OptimizerFault(
        name="path-square-missing",
        story="Sums products of |w| over paths, not of w^2: p = 1 without the exponent 2 / p.",
        steps=OptimizerSteps(kappas=kappas.without_square),
    ),
    OptimizerFault(
        name="path-arriving-missing",
        story="Leaves out the paths that arrive at the edge: kappa is what leaves its head.",
        steps=OptimizerSteps(kappas=lambda p: kappas.per_level(p, lambda arrived, leaving: leaving)),
    ),
    OptimizerFault(
        name="path-leaving-missing",
        story="Leaves out the paths that leave the edge: kappa is what arrives at its tail.",
        steps=OptimizerSteps(kappas=lambda p: kappas.per_level(p, lambda arrived, leaving: arrived)),
    ),
    OptimizerFault(
        name="path-sum-for-product",
        story="Adds what arrives and what leaves where they must be multiplied.",
        steps=OptimizerSteps(kappas=lambda p: kappas.per_level(p, np.add)),
    ),
    OptimizerFault(
        name="path-layers-reversed",
        story="Takes the layers in another order than that of the net: between layers of one width nothing raises.",
        steps=OptimizerSteps(kappas=kappas.other_order),
    ),
    OptimizerFault(
        name="path-own-weight-kept",
        story="Multiplies all squared weights of a path, that of the edge itself too.",
        steps=OptimizerSteps(kappas=kappas.mapped(lambda k, p: k * p * p)),
    ),
    OptimizerFault(
        name="path-dampened",
        story="Adds a constant to kappa to be safe: 0.001, which no rescaling of the net follows.",
        steps=OptimizerSteps(kappas=kappas.mapped(lambda k, p: k + k.dtype.type(1e-3))),
    ),
    OptimizerFault(
        name="path-root-of-kappa",
        story="Divides by the root of kappa, as adaptive methods divide by the root of a second moment.",
        steps=OptimizerSteps(kappas=kappas.mapped(lambda k, p: np.sqrt(k))),
    ),
    OptimizerFault(
        name="path-kappa-normalized",
        story="Divides kappa by its mean over the layer, to keep the size of a plain step.",
        steps=OptimizerSteps(kappas=kappas.mapped(lambda k, p: k / k.mean())),
    ),
    OptimizerFault(
        name="path-kappa-averaged-over-nodes",
        story="One kappa for each node that an edge leads to: its mean over the edges that arrive.",
        steps=OptimizerSteps(kappas=kappas.averaged),
    ),
    OptimizerFault(
        name="path-factor-two",
        story="Takes the second derivative of the path norm without its half: kappa is twice too large.",
        steps=OptimizerSteps(kappas=kappas.mapped(lambda k, p: 2.0 * k)),
    ),
    OptimizerFault(
        name="path-layers-in-turn",
        story="Computes kappa of a layer when the layers before it have already moved.",
        steps=OptimizerSteps(turns=True),
    ),
    OptimizerFault(
        name="path-bias-plain",
        story="Steps a bias by its plain gradient: it does not move as its node is rescaled.",
        steps=OptimizerSteps(kappas=kappas.bias_plain),
    ),
    OptimizerFault(
        name="path-bias-double",
        story="Steps a bias twice as far: both steps follow a rescaling of its node.",
        steps=OptimizerSteps(kappas=kappas.bias_halved),
        source="BVLC/caffe, lr_mult: 2 for biases in its examples",
    ),
    OptimizerFault(
        name="path-bias-still",
        story="Leaves biases where they are, which the paper's nets do not have.",
        steps=OptimizerSteps(kappas=kappas.bias_infinite),
        source="Neyshabur 2015, section 2: nets without biases",
    ),
    OptimizerFault(
        name="path-dead-node-nan",
        story="Divides 0 by 0 where nothing leaves a node, as behind a last layer that starts at zero.",
        steps=OptimizerSteps(divided=kappas.bare),
    ),
    OptimizerFault(
        name="path-decay-added",
        story="Adds a decay of the weights that nobody asked for.",
        steps=OptimizerSteps(decay=1e-3),
    ),
    OptimizerFault(
        name="path-rate-of-constructor",
        story="Keeps the learning rate of the constructor: a scheduler writes into the group in vain.",
        steps=OptimizerSteps(first_rate=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-rate-of-first-group",
        story="Takes the learning rate of the first group for all parameters.",
        steps=OptimizerSteps(every_group=False),
        source=PORT,
    ),
    OptimizerFault(
        name="path-closure-twice",
        story="Calls the closure once more for the loss.",
        steps=OptimizerSteps(called=2),
        source=PORT,
    ),
    OptimizerFault(
        name="path-closure-without-gradients",
        story="Calls the closure under no_grad: its backward raises or leaves the gradients of before.",
        steps=OptimizerSteps(recording=False),
        source=PORT,
    ),
    OptimizerFault(
        name="path-loss-not-returned",
        story="Returns nothing from a step that was given a closure.",
        steps=OptimizerSteps(returns=False),
        source=PORT,
    ),
    OptimizerFault(
        name="path-frozen-layer-left-out",
        story="Reads only layers that have a gradient: paths run past a frozen one.",
        steps=OptimizerSteps(skips=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-gradients-overwritten",
        story="Divides the gradients in place, where a caller may still read them.",
        steps=OptimizerSteps(writes=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-groups-apart",
        story="Takes each group for a net of its own.",
        steps=OptimizerSteps(apart=True),
        source=PORT,
    ),
    OptimizerFault(
        name="path-options-not-loaded",
        story="Does not load the options of a group with a saved state: training goes on at another rate.",
        steps=OptimizerSteps(forgets=True),
        source=PORT,
    ),
)

ALL = {fault.name: fault for fault in _EVERY}
"""Every fault of the family, by name."""


def faulty(entry: PathOptimizer, fault: OptimizerFault | None, promised: Contract) -> OptimizerSubject:
    """The reference as a subject, with a fault or without."""
    steps = OptimizerSteps() if fault is None else fault.steps

    def start(case: OptimizerCase, grouped: bool) -> OptimizerRun:
        return WorkingRun(case, steps, grouped=grouped)

    absent = {"gradient": "an optimizer is given its gradients"}
    name = "reference" if fault is None else fault.name
    return OptimizerSubject(name, entry, promised, replace(OptimizerDomain(), absent=absent), start)
