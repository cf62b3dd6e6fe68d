"""The checks of layers in refreshed coordinates: functions and statistics that stay, steps as the method has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.core.spec import OF_BATCH, REPARAMETRIZES
from normcheck.families.reparametrized.bounds import perceptron as perceptron_bounds
from normcheck.families.reparametrized.bounds import truth as bounds
from normcheck.families.reparametrized.bounds.truth import truth
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import LINEAR, ROTATION, SHIFT, Reparametrized
from normcheck.families.reparametrized.reference.affine import lifted
from normcheck.families.reparametrized.space import ReparametrizedSpace
from normcheck.families.reparametrized.subject import ReparametrizedRun, ReparametrizedSubject

KEEPS = "a refresh leaves the function as it is"
STEP = "a step is gradient descent in the coordinates of the last refresh"
CONSTANT = "between refreshes statistics are constant"


def _same(
    subject: ReparametrizedSubject, law: str, got: Array, expected: Array, off: Array, *, seen: bool = True
) -> Comparison:
    return differ(law, got, expected, subject.contract.bound_multiplier * off, np.array(seen))


def _advanced(subject: ReparametrizedSubject, case: ReparametrizedCase) -> ReparametrizedRun:
    """A layer after a refresh with the first batch and a step on the second."""
    run = subject.start(case)
    run.refresh(*case.batches[0])
    run.step(*case.batches[1], case.rate)
    return run


def ask_function(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The given function at first, after one refresh and after two; a refresh after a step keeps the function too."""
    true, run = truth(subject.entry, case), subject.start(case)
    expected, off = true.given(), true.kept(None)
    out = [_same(subject, "before any refresh it computes what the given layer does", run.outputs(case.probe),
                 expected, off)]  # fmt: skip
    for batch in (0, 1):
        run.refresh(*case.batches[batch])
        off = off + true.kept(batch)
        out.append(_same(subject, KEEPS, run.outputs(case.probe), expected, off))
    metrics = {f"extended/{REPARAMETRIZES}": worst(*out).bound_ratio}
    run = _advanced(subject, case)
    before = run.outputs(case.probe)
    run.refresh(*case.batches[2])
    after = bounds.refreshed_after_step(true)
    out.append(_same(subject, f"{KEEPS}, after a step", run.outputs(case.probe), before, after))
    return replace(worst(*out), metrics=metrics)


def ask_step(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """Outputs after a refresh and a step on another batch, against the closed form."""
    found = truth(subject.entry, case).stepped()
    return _same(subject, STEP, _advanced(subject, case).outputs(case.probe), found.y, found.off, seen=found.resolved)


def ask_again(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The same after an earlier refresh with a third batch, whose statistics must have no effect."""
    true, run = truth(subject.entry, case), subject.start(case)
    for batch in (2, 0):
        run.refresh(*case.batches[batch])
    run.step(*case.batches[1], case.rate)
    found = true.stepped()
    law = f"{STEP}, whatever was refreshed before"
    return _same(subject, law, run.outputs(case.probe), found.y, found.off + true.kept(2), seen=found.resolved)


def ask_constant(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """A case by itself has the output that it has among others, also after a call on others."""
    run, off = subject.start(case), truth(subject.entry, case).kept(0)
    run.refresh(*case.batches[0])
    whole = run.outputs(case.probe)
    run.outputs(case.batches[2][0])
    alone = np.vstack([run.outputs(case.probe[i : i + 1]) for i in range(len(case.probe))])
    law = f"{CONSTANT}: a case alone has the output that it has among others"
    found = _same(subject, law, alone, whole, bounds.difference(off, off))
    return replace(found, metrics={f"extended/{OF_BATCH}": found.bound_ratio})


def _commutes(
    subject: ReparametrizedSubject, case: ReparametrizedCase, law: str, inner: Array, shift: Array, outer: Array
) -> Comparison:
    """A layer and the same one for mapped inputs still compute the same after a refresh and a step of each."""
    mapped = case.mapped(inner, shift, outer)
    one, other = (_advanced(subject, c).outputs(c.probe) for c in (case, mapped))
    found, seen = truth(subject.entry, case).stepped(), truth(subject.entry, mapped).stepped()
    off = bounds.mapped(outer, found, seen)
    return _same(subject, law, other, one @ outer.T, off, seen=found.resolved and seen.resolved)


def _turn(size: int) -> Array:
    """A reflection, which mixes all axes; of numbers with few digits where the size is a power of two."""
    return np.asarray(np.eye(size) - 2.0 / size)


def _sizes(case: ReparametrizedCase) -> tuple[int, int]:
    return case.probe.shape[1], len(case.weights[0])


def ask_shift(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """A constant added to every input."""
    inputs, outputs = _sizes(case)
    shift = np.arange(1.0, inputs + 1.0)
    law = "a step commutes with a shift of the input"
    return _commutes(subject, case, law, np.eye(inputs), shift, np.eye(outputs))


def ask_rotation(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """Reflections of inputs and of outputs, which are orthogonal."""
    inputs, outputs = _sizes(case)
    law = "a step commutes with rotations of input and output"
    return _commutes(subject, case, law, _turn(inputs), np.zeros(inputs), _turn(outputs))


def ask_linear(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """A triangle of integers that stretches axes by powers of two."""
    inputs, outputs = _sizes(case)
    map_ = np.tril(np.ones((inputs, inputs))) * 2.0 ** (np.arange(inputs) % 2)
    law = "a step with eps 0 commutes with every invertible map of the input"
    return _commutes(subject, case, law, map_, np.zeros(inputs), np.eye(outputs))


def ask_length(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """A step on one case moves [W b] by lr |dy| |x~|, as that of plain gradient descent does."""
    inputs = case.probe.shape[1]
    axes = np.vstack([np.zeros(inputs), np.eye(inputs)])
    run = subject.start(case)
    run.refresh(*case.batches[0])
    before = run.outputs(axes)
    x, dy = (part[:1] for part in case.batches[1])
    run.step(x, dy, case.rate)
    moved = run.outputs(axes) - before
    bias = moved[:1]
    length = np.linalg.norm(np.vstack([moved[1:] - bias, bias]))
    expected = case.rate * np.linalg.norm(lifted(x)) * np.linalg.norm(dy)
    true = truth(subject.entry, case.but(probe=axes, batches=(case.batches[0], (x, dy), case.batches[2])))
    off = bounds.length(true, moved.shape)
    law = "a step on one case is as long as that of gradient descent"
    return _same(subject, law, np.asarray(length), np.asarray(expected), off)


def _balanced(
    subject: ReparametrizedSubject,
    case: ReparametrizedCase,
    law: str,
    shape: tuple[int, ...],
    off: Callable[[ReparametrizedCase, Array], Array],
) -> Comparison:
    """The gradient of a parameter is zero if the derivative is the same at every case of the refresh."""
    run = subject.start(case)
    x, dy = case.batches[0]
    run.refresh(x, dy)
    got = run.gradient(x, np.broadcast_to(dy[:1], dy.shape), shape)
    return _same(subject, law, got, np.zeros(shape), off(case, np.abs(dy[0])))


def ask_mean_output(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The gradient of A is dy times the sum of f."""
    law = "f is zero on average over the batch of the refresh: so is the gradient of A for equal dy"
    return _balanced(subject, case, law, case.weights[2].shape, perceptron_bounds.mean_output)


def ask_mean_slope(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The gradient of b is A^T dy times the sum of f'."""
    law = "the slope of f is zero on average over the batch of the refresh: so is the gradient of b for equal dy"
    return _balanced(subject, case, law, case.weights[1].shape, perceptron_bounds.mean_slope)


def ask_sent(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The gradient by the input, before a refresh and after it: that of the function, which stays."""
    true, run, (x, dy) = truth(subject.entry, case), subject.start(case), case.batches[1]
    out = [_same(subject, "dx is that of the given layer", run.input_gradient(x, dy), true.sent(), true.off_sent(None))]
    run.refresh(*case.batches[0])
    law = "a refresh leaves the gradient by the input as it is"
    out.append(_same(subject, law, run.input_gradient(x, dy), true.sent(), true.off_sent(0)))
    return worst(*out)


def ask_saved(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """A deep copy and a loaded layer take the step that the layer itself would take; the layer does not see theirs."""
    true, run, out = truth(subject.entry, case), subject.start(case), []
    run.refresh(*case.batches[0])
    found, before = true.stepped(), run.outputs(case.probe)
    for what, other in (("a deep copy", run.copied()), ("a loaded layer", run.reloaded())):
        law = f"{STEP}, of {what}"
        out.append(_same(subject, f"{KEEPS}, in {what}", other.outputs(case.probe), true.given(), 2.0 * true.kept(0)))
        other.step(*case.batches[1], case.rate)
        out.append(_same(subject, law, other.outputs(case.probe), found.y, found.off, seen=found.resolved))
    law = "a step of a copy leaves the layer as it is"
    out.append(_same(subject, law, run.outputs(case.probe), before, np.zeros(())))
    return worst(*out)


def ask_momentum(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """With a momentum under which a new batch has no weight, a second refresh changes nothing.

    Whether the first one takes the whole of its batch, or has no effect, is not asked.
    """
    steps = []
    for batches in ((0,), (0, 2)):
        run = subject.start(case)
        for batch in batches:
            run.refresh(*case.batches[batch])
        run.step(*case.batches[1], case.rate)
        steps.append(run.outputs(case.probe))
    law = "a batch without weight changes no average: the step is that before the second refresh"
    off = truth(subject.entry, case).off_averaged()
    return _same(subject, law, steps[1], steps[0], bounds.difference(off, off))


def ask_given(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The layers that it was made of are as they were after a refresh and a step, or are a part of it."""
    law = "the given layer is left as it was"
    change = _advanced(subject, case).written()
    detail = f"a parameter of it changed by {change:.3g}" if change else ""
    return Comparison(law, 1, np.inf if change else 0.0, float(change > 0.0), detail=detail)


def needs_averages(subject: ReparametrizedSubject) -> str:
    """Why averages cannot be checked; empty if they can."""
    return "" if subject.domain.averages else subject.domain.absent.get("momentum", "takes no momentum")


def needs_saves(subject: ReparametrizedSubject) -> str:
    """Why saved states cannot be checked; empty if they can."""
    return "" if subject.domain.saves else "has no state_dict and load_state_dict"


def needs_undamped(subject: ReparametrizedSubject) -> str:
    """Why damping 0 cannot be checked; empty if it can."""
    if subject.contract.eps is not None:
        return "its eps cannot be changed"
    return "" if subject.domain.undamped else subject.domain.absent.get("eps 0", "")


def _with(name: str) -> Callable[[Reparametrized], bool]:
    return lambda entry: name in entry.commutes


def _has_linear_part(entry: Reparametrized) -> bool:
    return not entry.affine


def _keeps(entry: Reparametrized) -> bool:
    return entry.keeps


RAIKO = "Raiko, Valpola, LeCun 2012"
DERIVED = "derived from the formula"
_ANY = ReparametrizedSpace()
_TURNS = ReparametrizedSpace(inputs=(4, 2))

FUNCTION = Check("refresh-function", KEEPS, "Desjardins et al. 2015, Algorithm 1", ask_function, _ANY)
COEFFICIENTS = Check("refresh-constant", CONSTANT, "Desjardins et al. 2015, Algorithm 1", ask_constant, _ANY)

TABLE = (FUNCTION, COEFFICIENTS)
"""Those that measure the columns beyond Table 1."""

CHECKS = (
    FUNCTION,
    Check("refresh-step", STEP, "the paper of the entry", ask_step, _ANY),
    Check("refresh-again", f"{STEP}, whatever was refreshed before", "the paper of the entry", ask_again, _ANY),
    COEFFICIENTS,
    Check("refresh-shift", "a step commutes with a shift of the input", DERIVED, ask_shift, _ANY,
          concerns=_with(SHIFT)),
    Check("refresh-rotation", "a step commutes with rotations of input and output", DERIVED, ask_rotation, _TURNS,
          concerns=_with(ROTATION)),
    Check("refresh-linear", "a step with eps 0 commutes with every invertible map of the input", DERIVED, ask_linear,
          ReparametrizedSpace(damping=(0.0,)), concerns=_with(LINEAR), lacks=needs_undamped),
    Check("refresh-length", "a step on one case is as long as that of gradient descent",
          "Povey, Zhang, Khudanpur 2014, gamma_t", ask_length, _ANY, concerns=_keeps),
    Check("refresh-mean-output", "f is zero on average over the batch of the refresh", RAIKO, ask_mean_output,
          _ANY, concerns=_has_linear_part),
    Check("refresh-mean-slope", "the slope of f is zero on average over the batch of the refresh", RAIKO,
          ask_mean_slope, _ANY, concerns=_has_linear_part),
    Check("refresh-input-gradient", "a refresh leaves the gradient by the input as it is", DERIVED, ask_sent, _ANY),
    Check("refresh-state-dict", "what is saved or copied is all that a step needs", "torch.nn.Module.state_dict",
          ask_saved, _ANY, lacks=needs_saves, cost=2.0),
    Check("refresh-momentum", "a batch without weight changes no average", "torch.nn.BatchNorm1d, momentum",
          ask_momentum, ReparametrizedSpace(newest=(0.0,)), lacks=needs_averages),
    Check("refresh-given-layer", "the given layer is left as it was", "torch.nn.utils.fusion", ask_given, _ANY),
)  # fmt: skip
