"""The checks of optimizers that divide gradients by the paths of a net, and of torch's interface of an optimizer.

Every step is compared from the parameters that the implementation itself holds, so that the error of one step does not
count in the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.path_optimizer import bounds, reference
from normcheck.families.path_optimizer.case import OptimizerCase, Parameters, rescaled
from normcheck.families.path_optimizer.space import OptimizerSpace
from normcheck.families.path_optimizer.subject import OptimizerRun, OptimizerSubject

PAPER = "Neyshabur, Salakhutdinov, Srebro 2015"
LAW = "w_e = w_e - lr g_e / kappa_e"

LOSS = 2.5
"""What the closure returns."""


def flat(parts: Parameters) -> Array:
    """All entries of a net in one row."""
    return np.concatenate([p.ravel() for p in parts])


def _alike(
    subject: OptimizerSubject, law: str, got: Parameters, expected: Parameters, allowed: Parameters
) -> Comparison:
    return differ(law, flat(got), flat(expected), subject.contract.bound_multiplier * flat(allowed))


def _one_step(
    subject: OptimizerSubject, case: OptimizerCase, run: OptimizerRun, law: str, rate: float | Sequence[float],
    gradients: Parameters,
) -> Comparison:  # fmt: skip
    """A step compared with the closed form from the implementation's own parameters."""
    before = run.parameters()
    run.step(gradients)
    expected = _stepped(subject, before, gradients, rate)
    return _alike(subject, law, run.parameters(), expected, bounds.step(before, expected, case.format))


def _stepped(
    subject: OptimizerSubject, before: Parameters, gradients: Parameters, rate: float | Sequence[float]
) -> Parameters:
    """The closed form, with the contract's eps added to kappa."""
    return reference.step(before, gradients, rate, subject.contract.eps or 0.0)


def _unmoved(law: str, got: Parameters, before: Parameters) -> Comparison:
    return differ(law, flat(got), flat(before), np.zeros(()))


def ask_step(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """One step of every edge, against the closed form."""
    return _one_step(subject, case, subject.start(case, False), LAW, case.rate, case.gradients[0])


def ask_steps(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """Several steps: each kappa is of the weights as they are then."""
    run = subject.start(case, False)
    law = f"{LAW}, kappa of the weights at that step"
    return worst(*(_one_step(subject, case, run, law, case.rate, g) for g in case.gradients))


def ask_total(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """kappa as it is read off the step: kappa_e w_e^2 summed over the edges of any layer is the path norm."""
    run = subject.start(case, False)
    run.step(case.gradients[0])
    total, out = reference.path_norm(case.parameters), []
    for p, after, g in zip(case.parameters, run.parameters(), case.gradients[0], strict=True):
        moved = p - after
        with np.errstate(all="ignore"):
            passing = np.where(moved != 0, case.rate * g / moved, np.inf) * p * p
        law = "sum over a layer of kappa_e w_e^2 = J, the same for every layer"
        allowed = np.array(subject.contract.bound_multiplier * bounds.read_kappa(case, p, after, passing))
        out.append(differ(law, np.array(passing.sum()), np.array(total), allowed, np.isfinite(allowed)))
    return worst(*out)


def ask_rescaling(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """Each edge of the rescaled net after a step is the edge of the net after a step, rescaled."""
    one, other = subject.start(case, False), subject.start(case.rescaled, False)
    one.step(case.gradients[0])
    other.step(case.rescaled.gradients[0])
    expected = rescaled(one.parameters(), case.factors)
    allowed = bounds.rescaled(case.rescaled.parameters, expected, case.format)
    law = "a step commutes with the rescaling of nodes"
    return _alike(subject, law, other.parameters(), expected, allowed)


def ask_function(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A net and the same net rescaled compute one function before a step; they must do so after it."""
    one, other = subject.start(case, False), subject.start(case.rescaled, False)
    one.step(case.gradients[0])
    other.step(case.rescaled.gradients[0])
    outputs, allowed = [], np.zeros(())
    for net, stepped in ((case, one.parameters()), (case.rescaled, other.parameters())):
        outputs.append(reference.activations(stepped, case.x)[-1])
        error = bounds.step(net.parameters, stepped, case.format)
        allowed = allowed + bounds.outputs(stepped, error, case.x)
    law = "stepped nets that computed one function compute one function"
    found = differ(law, outputs[1], outputs[0], subject.contract.bound_multiplier * allowed)
    return replace(found, metrics={"row/weight_vector_rescaling": found.bound_ratio})


def ask_rate(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """The rate of the group is used: rate 0 moves nothing, and a scheduler's new rate is used at the next step."""
    run = subject.start(case, False)
    before = run.parameters()
    run.set_rate(0.0)
    run.step(case.gradients[0])
    out = [_unmoved("a step at rate 0 moves nothing", run.parameters(), before)]
    for rate in (case.rate, case.rate / 4.0):
        run.set_rate(rate)
        law = "the step is taken at the rate that the group has now"
        out.append(_one_step(subject, case, run, law, rate, case.gradients[0]))
    return worst(*out)


def ask_closure(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """step(closure) calls it once with gradients on, uses the gradients that it sets, returns its loss."""
    run = subject.start(case, False)
    before = run.parameters()
    called = run.step_with_closure(case.gradients[0], LOSS)
    expected = _stepped(subject, before, case.gradients[0], case.rate)
    moved = _alike(
        subject, f"{LAW}, the gradients of the closure", run.parameters(), expected,
        bounds.step(before, expected, case.format),
    )  # fmt: skip
    exact = np.zeros(())
    times = differ("a closure is called once", np.array(float(called.times)), np.ones(()), exact)
    recording = differ("a closure is called with gradients on", np.array(float(called.recording)), np.ones(()), exact)
    loss = math.nan if called.returned is None else called.returned
    returned = differ("step(closure) returns the loss", np.array(loss), np.array(LOSS), exact)
    return worst(moved, times, recording, returned)


def ask_frozen(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A layer without a gradient stays where it is, and its weights are on the paths of the others."""
    out = []
    for frozen in (0, len(case.parameters) - 1):
        run = subject.start(case, False)
        given = [None if i == frozen else g for i, g in enumerate(case.gradients[0])]
        run.step(given)
        expected = list(_stepped(subject, case.parameters, case.gradients[0], case.rate))
        expected[frozen] = case.parameters[frozen]
        allowed = list(bounds.step(case.parameters, expected, case.format))
        allowed[frozen] = np.zeros_like(expected[frozen])
        law = "a layer without a gradient stays, and counts in the paths of the others"
        out.append(_alike(subject, law, run.parameters(), tuple(expected), tuple(allowed)))
    return worst(*out)


def ask_dead(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """An edge whose paths all end at a weight of zero has kappa 0 and no gradient: it stays, and is no NaN."""
    law = "an edge with kappa 0 and no gradient stays as it is"
    return _one_step(subject, case, subject.start(case, False), law, case.rate, case.gradients[0])


def ask_left(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """The gradients are the caller's: a step does not change them, since a log or another step may read them."""
    run = subject.start(case, False)
    run.step(case.gradients[0])
    pairs = zip(case.parameters, run.gradients(), strict=True)
    held = tuple(np.full(p.shape, np.nan) if g is None else g for p, g in pairs)
    return _unmoved("a step leaves the gradients as they are", held, case.gradients[0])


def ask_groups(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A group for each layer changes nothing: paths run through the net, not through a group.

    Where groups have rates of their own, each parameter is stepped at that of its group.
    """
    run = subject.start(case, True)
    one = _one_step(subject, case, run, f"{LAW}, each layer in a group", case.rate, case.gradients[0])
    rates = tuple(case.rate * 2.0 ** -(i + 1) for i in range(len(case.parameters)))
    run.set_rates(rates)
    law = f"{LAW}, at the rate of the parameter's group"
    return worst(one, _one_step(subject, case, run, law, rates, case.gradients[0]))


def ask_bias(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A bias is an edge from a node that is always one: kappa sums the paths from the node that it leads to.

    Weights are not compared: code may count the paths that begin at a bias in theirs, or not.
    """
    if all(p.ndim == 2 for p in case.parameters):
        return Comparison("b = b - lr g / kappa", 0, 0.0)
    run = subject.start(case, False)
    run.step(case.gradients[0])
    expected = _stepped(subject, case.parameters, case.gradients[0], case.rate)
    allowed = bounds.step(case.parameters, expected, case.format)
    got, due, off = (tuple(p for p in some if p.ndim == 1) for some in (run.parameters(), expected, allowed))
    step = _alike(subject, "b = b - lr g / kappa, kappa of the paths from its node", got, due, off)
    before = flat(tuple(p for p in case.parameters if p.ndim == 1))
    still = bool(np.all(flat(got) == before)) and not np.all(flat(due) == before)
    moves = Comparison("a bias with a gradient moves", len(before), math.inf if still else 0.0, float(still))
    return worst(step, moves)


def needs_biases(subject: OptimizerSubject) -> str:
    """Why biases cannot be checked; empty if they can."""
    return "" if subject.domain.biases else f"takes no biases: {subject.domain.absent.get('biases', '')}"


def ask_resumed(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """An optimizer that has loaded the saved state of another goes on as that one would."""
    run = subject.start(case, False)
    out = []
    for gradients in case.gradients:
        out.append(_one_step(subject, case, run, f"{LAW}, saved and loaded between steps", case.rate, gradients))
        run.resume()
    return worst(*out)


def needs_groups(subject: OptimizerSubject) -> str:
    """Why groups cannot be checked; empty if they can."""
    return "" if subject.domain.groups else f"takes no groups: {subject.domain.absent.get('groups', '')}"


def needs_kappa_alone(subject: OptimizerSubject) -> str:
    """Why laws of rescaling do not hold; empty if nothing is added to kappa."""
    eps = subject.contract.eps
    return f"kappa + {eps:g}, as the contract has it, follows no rescaling" if eps else ""


_INTERFACE = "torch.optim.Optimizer"
_ONE = OptimizerSpace()
_SEVERAL = OptimizerSpace(steps=(3, 2, 5), nodes=((3, 4, 2), (2, 3, 3, 2), (4, 1, 3)))

FUNCTION = Check(
    "path-function", "nets that compute one function compute one function after a step",
    f"{PAPER}, section 4, Theorem 4.1", ask_function, OptimizerSpace(factors=("twos", "threes")),
    lacks=needs_kappa_alone,
)  # fmt: skip

TABLE = (FUNCTION,)
"""The one that measures a column of Table 1."""

CHECKS = (
    Check("path-step", LAW, f"{PAPER}, eq. 9", ask_step, _ONE),
    Check("path-steps", f"{LAW}, kappa of the weights at that step", f"{PAPER}, Algorithm 1", ask_steps, _SEVERAL),
    Check("path-total", "sum over a layer of kappa_e w_e^2 = J", f"{PAPER}, eq. 4 and 7", ask_total, _ONE,
          lacks=needs_kappa_alone),
    Check(
        "path-rescaling", "a step commutes with the rescaling of nodes", f"{PAPER}, section 4", ask_rescaling,
        OptimizerSpace(factors=("twos", "threes"), biases=(False, True)), lacks=needs_kappa_alone,
    ),
    FUNCTION,
    Check("path-rate", "the step is taken at the rate of its group", _INTERFACE, ask_rate, _ONE),
    Check("path-closure", "step(closure) calls it once and returns its loss", _INTERFACE, ask_closure, _ONE),
    Check("path-frozen", "a layer without a gradient stays, and counts", _INTERFACE, ask_frozen, _ONE),
    Check("path-dead-node", "an edge with kappa 0 stays as it is", f"{PAPER}, eq. 9", ask_dead,
          OptimizerSpace(dead=(True,))),
    Check("path-gradients-left", "a step leaves the gradients as they are", _INTERFACE, ask_left, _ONE),
    Check("path-groups", "a group for each layer changes nothing", _INTERFACE, ask_groups, _ONE,
          lacks=needs_groups),
    Check("path-bias", "a bias moves by lr g / kappa", f"{PAPER}, eq. 9, of an edge from a node that is one", ask_bias,
          OptimizerSpace(biases=(True,)), lacks=needs_biases),
    Check("path-resumed", "a loaded optimizer goes on as the saved one", _INTERFACE, ask_resumed, _SEVERAL),
)  # fmt: skip
