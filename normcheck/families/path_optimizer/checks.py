"""What an optimizer with torch's interface must do that claims to divide by the paths of a net.

Every step is compared from the parameters that the implementation itself holds, so that an error of one step is not
charged to the next.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import OptimizerCase, output_bound, roundings, step_bound
from normcheck.families.path_optimizer.reference import Parameters
from normcheck.families.path_optimizer.space import Nets
from normcheck.families.path_optimizer.subject import OptimizerRun, OptimizerSubject

PAPER = "Neyshabur, Salakhutdinov, Srebro 2015"
LAW = "w_e = w_e - lr g_e / kappa_e"


def flat(parts: Parameters) -> Array:
    """All entries of a net in one row."""
    return np.concatenate([p.ravel() for p in parts])


def _alike(
    subject: OptimizerSubject, law: str, got: Parameters, expected: Parameters, allowed: Parameters
) -> Comparison:
    return differ(law, flat(got), flat(expected), subject.contract.bound_multiplier * flat(allowed))


def _one_step(
    subject: OptimizerSubject, case: OptimizerCase, life: OptimizerRun, law: str, rate: float, gradients: Parameters
) -> Comparison:
    """A step compared from where the implementation stands."""
    before = life.parameters()
    life.step(gradients)
    expected = _stepped(subject, before, gradients, rate)
    return _alike(subject, law, life.parameters(), expected, step_bound(before, expected, case.format))


def _stepped(subject: OptimizerSubject, before: Parameters, gradients: Parameters, rate: float) -> Parameters:
    """The closed form, with what the contract says is added to kappa."""
    return reference.step(before, gradients, rate, subject.contract.eps or 0.0)


def _unmoved(law: str, got: Parameters, before: Parameters) -> Comparison:
    return differ(law, flat(got), flat(before), np.zeros(()))


def ask_step(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """One step of every edge, against the closed form."""
    return _one_step(subject, case, subject.start(case, False), LAW, case.rate, case.gradients[0])


def ask_steps(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """Several steps: each kappa is of the weights as they are then."""
    life = subject.start(case, False)
    law = f"{LAW}, kappa of the weights at that step"
    return worst(*(_one_step(subject, case, life, law, case.rate, g) for g in case.gradients))


def ask_total(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """kappa as it is read off from the step: kappa_e w_e^2 summed over the edges of any layer is the path norm."""
    life = subject.start(case, False)
    life.step(case.gradients[0])
    total = reference.path_norm(case.parameters)
    u, out = case.format.u, []
    for p, after, g in zip(case.parameters, life.parameters(), case.gradients[0], strict=True):
        moved = p - after
        with np.errstate(all="ignore"):
            passing = np.where(moved != 0, case.rate * g / moved, np.inf) * p * p
            # the step is read as a difference of two rounded weights; kappa has its own roundings
            blur = u * (2.0 * np.maximum(np.abs(p), np.abs(after)) / np.abs(moved) + roundings(case.parameters))
        # to first order, and only where most digits of a step are left
        read = float((passing * blur).sum()) if np.all(blur < math.sqrt(u)) else math.inf
        law = "sum over a layer of kappa_e w_e^2 = J, the same for every layer"
        allowed = np.array(subject.contract.bound_multiplier * 2.0 * read)
        out.append(differ(law, np.array(passing.sum()), np.array(total), allowed, np.isfinite(allowed)))
    return worst(*out)


def ask_rescaling(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """Each edge of the rescaled net after a step is the edge of the net after a step, rescaled."""
    one, other = subject.start(case, False), subject.start(case.rescaled, False)
    one.step(case.gradients[0])
    other.step(case.rescaled.gradients[0])
    expected = reference.rescaled(one.parameters(), case.factors)
    moved = step_bound(case.rescaled.parameters, expected, case.format)
    law = "a step commutes with the rescaling of nodes"
    return _alike(subject, law, other.parameters(), expected, tuple(2.0 * part for part in moved))


def ask_function(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A net and the same net rescaled compute one function before a step; they must do so after it."""
    one, other = subject.start(case, False), subject.start(case.rescaled, False)
    one.step(case.gradients[0])
    other.step(case.rescaled.gradients[0])
    outputs, allowed = [], np.zeros(())
    for net, stepped in ((case, one.parameters()), (case.rescaled, other.parameters())):
        outputs.append(reference.activations(stepped, case.x)[-1])
        error = step_bound(net.parameters, stepped, case.format)
        allowed = allowed + output_bound(stepped, error, case.x)
    law = "stepped nets that computed one function compute one function"
    found = differ(law, outputs[1], outputs[0], subject.contract.bound_multiplier * allowed)
    return replace(found, metrics={"row/weight_vector_rescaling": found.bound_ratio})


def ask_rate(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """The rate of the group counts: none moves nothing, and a scheduler's new one is used at the next step."""
    life = subject.start(case, False)
    before = life.parameters()
    life.set_rate(0.0)
    life.step(case.gradients[0])
    out = [_unmoved("a step at rate 0 moves nothing", life.parameters(), before)]
    for rate in (case.rate, case.rate / 4.0):
        life.set_rate(rate)
        law = "the step is taken at the rate that the group has now"
        out.append(_one_step(subject, case, life, law, rate, case.gradients[0]))
    return worst(*out)


def ask_closure(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """step(closure) calls it once with gradients on, takes the gradients that it leaves, returns its loss."""
    life = subject.start(case, False)
    before = life.parameters()
    called = life.step_with_closure(case.gradients[0], 2.5)
    expected = _stepped(subject, before, case.gradients[0], case.rate)
    moved = _alike(
        subject, f"{LAW}, the gradients of the closure", life.parameters(), expected,
        step_bound(before, expected, case.format),
    )  # fmt: skip
    exact = np.zeros(())
    times = differ("a closure is called once", np.array(float(called.times)), np.ones(()), exact)
    recording = differ("a closure is called with gradients on", np.array(float(called.recording)), np.ones(()), exact)
    loss = math.nan if called.returned is None else called.returned
    said = differ("step(closure) returns the loss", np.array(loss), np.array(2.5), exact)
    return worst(moved, times, recording, said)


def ask_frozen(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A layer without a gradient stays where it is, and its weights are on the paths of the others."""
    out = []
    for still in (0, len(case.parameters) - 1):
        life = subject.start(case, False)
        given = [None if i == still else g for i, g in enumerate(case.gradients[0])]
        life.step(given)
        expected = list(_stepped(subject, case.parameters, case.gradients[0], case.rate))
        expected[still] = case.parameters[still]
        allowed = list(step_bound(case.parameters, expected, case.format))
        allowed[still] = np.zeros_like(expected[still])
        law = "a layer without a gradient stays, and counts in the paths of the others"
        out.append(_alike(subject, law, life.parameters(), tuple(expected), tuple(allowed)))
    return worst(*out)


def ask_dead(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """An edge whose paths all end at a weight of zero has kappa 0 and no gradient: it stays, and is no NaN."""
    law = "an edge with kappa 0 and no gradient stays as it is"
    return _one_step(subject, case, subject.start(case, False), law, case.rate, case.gradients[0])


def ask_left(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """The gradients are the caller's: a step leaves them as they are, for a clip, a log, or another step."""
    life = subject.start(case, False)
    life.step(case.gradients[0])
    held = tuple(np.full(p.shape, np.nan) if g is None else g for p, g in zip(case.parameters, life.gradients(),
                                                                             strict=True))  # fmt: skip
    return _unmoved("a step leaves the gradients as they are", held, case.gradients[0])


def ask_groups(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """A group for each layer changes nothing: paths run through the net, not through a group."""
    life = subject.start(case, True)
    return _one_step(subject, case, life, f"{LAW}, each layer in a group", case.rate, case.gradients[0])


def ask_resumed(subject: OptimizerSubject, case: OptimizerCase) -> Comparison:
    """An optimizer that has loaded the saved state of another goes on as that one would."""
    life = subject.start(case, False)
    out = []
    for gradients in case.gradients:
        out.append(_one_step(subject, case, life, f"{LAW}, saved and loaded between steps", case.rate, gradients))
        life.resume()
    return worst(*out)


def needs_groups(subject: OptimizerSubject) -> str:
    return "" if subject.domain.groups else f"takes no groups: {subject.domain.absent.get('groups', '')}"


def needs_kappa_alone(subject: OptimizerSubject) -> str:
    eps = subject.contract.eps
    return f"kappa + {eps:g}, as the contract has it, follows no rescaling" if eps else ""


_INTERFACE = "torch.optim.Optimizer"
_SEVERAL = Nets(steps=(3, 2, 5), nodes=((3, 4, 2), (2, 3, 3, 2), (4, 1, 3)))

CHECKS = (
    Check("path-step", LAW, f"{PAPER}, eq. 9", ask_step, Nets()),
    Check("path-steps", f"{LAW}, kappa of the weights at that step", f"{PAPER}, Algorithm 1", ask_steps, _SEVERAL),
    Check("path-total", "sum over a layer of kappa_e w_e^2 = J", f"{PAPER}, eq. 4 and 7", ask_total, Nets(),
          lacks=needs_kappa_alone),
    Check(
        "path-rescaling", "a step commutes with the rescaling of nodes", f"{PAPER}, section 4", ask_rescaling,
        Nets(factors=("twos", "threes"), biases=(False, True)), lacks=needs_kappa_alone,
    ),
    Check(
        "path-function", "nets that compute one function compute one function after a step",
        f"{PAPER}, section 4, Theorem 4.1", ask_function, Nets(factors=("twos", "threes")), lacks=needs_kappa_alone,
    ),
    Check("path-rate", "the step is taken at the rate of its group", _INTERFACE, ask_rate, Nets()),
    Check("path-closure", "step(closure) calls it once and returns its loss", _INTERFACE, ask_closure, Nets()),
    Check("path-frozen", "a layer without a gradient stays, and counts", _INTERFACE, ask_frozen, Nets()),
    Check("path-dead-node", "an edge with kappa 0 stays as it is", f"{PAPER}, eq. 9", ask_dead, Nets(dead=(True,))),
    Check("path-gradients-left", "a step leaves the gradients as they are", _INTERFACE, ask_left, Nets()),
    Check("path-groups", "a group for each layer changes nothing", _INTERFACE, ask_groups, Nets(),
          lacks=needs_groups),
    Check("path-resumed", "a loaded optimizer goes on as the saved one", _INTERFACE, ask_resumed, _SEVERAL),
)  # fmt: skip
