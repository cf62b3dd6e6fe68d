"""What a layer in refreshed coordinates must do: keep its function and its statistics, and step as its method says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.core.spec import OF_BATCH, REPARAMETRIZES
from normcheck.families.reparametrized import bounds
from normcheck.families.reparametrized.affine import lifted
from normcheck.families.reparametrized.case import ReparametrizedCase
from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.reference import truth
from normcheck.families.reparametrized.space import Layers
from normcheck.families.reparametrized.subject import ReparametrizedLife, ReparametrizedSubject

KEEPS = "a refresh leaves the function as it is"
STEP = "a step is gradient descent in the coordinates of the last refresh"
CONSTANT = "between refreshes statistics are constant"


def _same(
    subject: ReparametrizedSubject, law: str, got: Array, expected: Array, off: Array, *, seen: bool = True
) -> Comparison:
    return differ(law, got, expected, subject.contract.bound_multiplier * off, np.array(seen))


def _advanced(subject: ReparametrizedSubject, case: ReparametrizedCase) -> ReparametrizedLife:
    """A layer after a refresh with the first batch and a step on the second."""
    life = subject.start(case)
    life.refresh(*case.batches[0])
    life.step(*case.batches[1], case.rate)
    return life


def ask_function(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The given function at the start, after a refresh, after another; and after a step that of before the refresh."""
    true, life = truth(subject.entry, case), subject.start(case)
    expected, off = true.given(), true.kept(None)
    out = [_same(subject, "before any refresh it computes what the given layer does", life.outputs(case.probe),
                 expected, off)]  # fmt: skip
    for batch in (0, 1):
        life.refresh(*case.batches[batch])
        off = off + true.kept(batch)
        out.append(_same(subject, KEEPS, life.outputs(case.probe), expected, off))
    metrics = {f"extended/{REPARAMETRIZES}": worst(*out).bound_ratio}
    life = _advanced(subject, case)
    before = life.outputs(case.probe)
    life.refresh(*case.batches[2])
    # of the weights after the step: a few times as large as those before, as the rate is chosen
    moved = true.stepped().off + 4.0 * (true.kept(0) + true.kept(2))
    out.append(_same(subject, f"{KEEPS}, after a step", life.outputs(case.probe), before, moved))
    return replace(worst(*out), metrics=metrics)


def ask_step(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """Outputs after a refresh and a step on another batch, against the closed form."""
    found = truth(subject.entry, case).stepped()
    return _same(subject, STEP, _advanced(subject, case).outputs(case.probe), found.y, found.off, seen=found.resolved)


def ask_again(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The same after an earlier refresh with a third batch: the function stayed, and its statistics are gone."""
    true, life = truth(subject.entry, case), subject.start(case)
    for batch in (2, 0):
        life.refresh(*case.batches[batch])
    life.step(*case.batches[1], case.rate)
    found = true.stepped()
    law = f"{STEP}, whatever was refreshed before"
    return _same(subject, law, life.outputs(case.probe), found.y, found.off + true.kept(2), seen=found.resolved)


def ask_constant(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """A case alone has the output that it has among others, also once others went through."""
    life, off = subject.start(case), truth(subject.entry, case).kept(0)
    life.refresh(*case.batches[0])
    whole = life.outputs(case.probe)
    life.outputs(case.batches[2][0])
    alone = np.vstack([life.outputs(case.probe[i : i + 1]) for i in range(len(case.probe))])
    found = _same(subject, f"{CONSTANT}: a case alone has the output that it has among others", alone, whole, 2.0 * off)
    return replace(found, metrics={f"extended/{OF_BATCH}": found.bound_ratio})


def _commutes(
    subject: ReparametrizedSubject, case: ReparametrizedCase, law: str, inner: Array, shift: Array, outer: Array
) -> Comparison:
    """A layer that computes the same of mapped inputs computes the same of them after a refresh and a step."""
    mapped = case.mapped(inner, shift, outer)
    one, other = (_advanced(subject, c).outputs(c.probe) for c in (case, mapped))
    found, seen = truth(subject.entry, case).stepped(), truth(subject.entry, mapped).stepped()
    size = np.abs(outer).sum(axis=1).max()
    return _same(subject, law, other, one @ outer.T, size * found.off + seen.off, seen=found.resolved and seen.resolved)


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
    """Reflections of inputs and of outputs, which are turns of the axes."""
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
    life = subject.start(case)
    life.refresh(*case.batches[0])
    before = life.outputs(axes)
    x, dy = (part[:1] for part in case.batches[1])
    life.step(x, dy, case.rate)
    moved = life.outputs(axes) - before
    bias = moved[:1]
    length = np.linalg.norm(np.vstack([moved[1:] - bias, bias]))
    expected = case.rate * np.linalg.norm(lifted(x)) * np.linalg.norm(dy)
    true = truth(subject.entry, case.but(probe=axes, batches=(case.batches[0], (x, dy), case.batches[2])))
    off = np.linalg.norm(np.broadcast_to(2.0 * true.stepped().off, moved.shape)) * 2.0
    law = "a step on one case is as long as that of gradient descent"
    return _same(subject, law, np.asarray(length), np.asarray(expected), np.asarray(off))


def _balanced(
    subject: ReparametrizedSubject,
    case: ReparametrizedCase,
    law: str,
    shape: tuple[int, ...],
    off: Callable[[Array], Array],
) -> Comparison:
    """The gradient of a parameter for one and the same derivative at every case of the refresh is zero."""
    life = subject.start(case)
    x, dy = case.batches[0]
    life.refresh(x, dy)
    got = life.gradient(x, np.broadcast_to(dy[:1], dy.shape), shape)
    return _same(subject, law, got, np.zeros(shape), off(np.abs(dy[0])))


def ask_mean_output(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The gradient of A is dy times the sum of f."""
    heard, outer = bounds.heard_at(case), case.weights[2]
    count = bounds.roundings(len(case.batches[0][0]), 0) * case.format.u
    summed = (2.0 * heard.value + 2.0 * count * heard.size).sum(axis=0)
    law = "f is zero on average over the batch of the refresh: so is the gradient of A for equal dy"
    return _balanced(subject, case, law, outer.shape, lambda dy: np.outer(dy, summed))


def ask_mean_slope(subject: ReparametrizedSubject, case: ReparametrizedCase) -> Comparison:
    """The gradient of b is A^T dy times the sum of f'."""
    heard, outer = bounds.heard_at(case), case.weights[2]
    count = bounds.roundings(len(case.batches[0][0]), len(outer)) * case.format.u
    summed = (2.0 * heard.slope + 2.0 * count).sum(axis=0)
    law = "the slope of f is zero on average over the batch of the refresh: so is the gradient of b for equal dy"
    return _balanced(subject, case, law, case.weights[1].shape, lambda dy: (dy @ np.abs(outer)) * summed)


def needs_undamped(subject: ReparametrizedSubject) -> str:
    if subject.contract.eps is not None:
        return "its eps cannot be changed"
    return "" if subject.domain.undamped else subject.domain.absent.get("eps 0", "")


def _with(name: str) -> Callable[[Reparametrized], bool]:
    return lambda entry: name in entry.commutes


def _bends(entry: Reparametrized) -> bool:
    return not entry.geometry


def _keeps(entry: Reparametrized) -> bool:
    return entry.keeps


RAIKO = "Raiko, Valpola, LeCun 2012"
DERIVED = "derived from the formula"
_TURNS = Layers(inputs=(4, 2))

CHECKS = (
    Check("refresh-function", KEEPS, "Desjardins et al. 2015, Algorithm 1", ask_function, Layers()),
    Check("refresh-step", STEP, "the paper of the entry", ask_step, Layers()),
    Check("refresh-again", f"{STEP}, whatever was refreshed before", "the paper of the entry", ask_again, Layers()),
    Check("refresh-constant", CONSTANT, "Desjardins et al. 2015, Algorithm 1", ask_constant, Layers()),
    Check("refresh-shift", "a step commutes with a shift of the input", DERIVED, ask_shift, Layers(),
          concerns=_with("shift")),
    Check("refresh-rotation", "a step commutes with rotations of input and output", DERIVED, ask_rotation, _TURNS,
          concerns=_with("rotation")),
    Check("refresh-linear", "a step with eps 0 commutes with every invertible map of the input", DERIVED, ask_linear,
          Layers(damping=(0.0,)), concerns=_with("linear"), lacks=needs_undamped),
    Check("refresh-length", "a step on one case is as long as that of gradient descent",
          "Povey, Zhang, Khudanpur 2014, gamma_t", ask_length, Layers(), concerns=_keeps),
    Check("refresh-mean-output", "f is zero on average over the batch of the refresh", RAIKO, ask_mean_output,
          Layers(), concerns=_bends),
    Check("refresh-mean-slope", "the slope of f is zero on average over the batch of the refresh", RAIKO,
          ask_mean_slope, Layers(), concerns=_bends),
)  # fmt: skip
