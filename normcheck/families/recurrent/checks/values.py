"""Recurrent nets against the reference: outputs, gradients through time, statistics of each step, padding, states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.recurrent import bounds
from normcheck.families.recurrent.bounds import RecurrentTruth, truth
from normcheck.families.recurrent.case import RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.entry import Recurrent
from normcheck.families.recurrent.space import RecurrentSpace
from normcheck.families.recurrent.subject import RecurrentSubject

COOIJMANS = "Cooijmans and others 2016, section 3"

LARGE = 1000.0
"""What stands beyond the end of a series."""


def needs_state(net: RecurrentSubject) -> str:
    """Why running statistics cannot be checked; empty if they can."""
    return "" if net.domain.state else f"running statistics: {net.absent.get('running statistics', 'keeps none')}"


def needs_lengths(net: RecurrentSubject) -> str:
    """Why lengths cannot be checked; empty if they can."""
    return "" if net.domain.lengths else f"lengths: {net.absent.get('lengths', 'takes none')}"


def needs_batch_first(net: RecurrentSubject) -> str:
    """Why batch_first cannot be checked; empty if it can."""
    return "" if net.domain.batch_first else f"batch first: {net.absent.get('batch first', 'takes none')}"


def needs_states(net: RecurrentSubject) -> str:
    """Why first states cannot be checked; empty if they can."""
    return "" if net.domain.states else f"first state: {net.absent.get('first state', 'takes none')}"


def keeps(entry: Recurrent) -> bool:
    """Whether it keeps running statistics."""
    return entry.state


def truth_of(net: RecurrentSubject, case: RecurrentCase) -> RecurrentTruth:
    """The exact answer under the net's contract, with what is allowed."""
    return truth(net.entry, case, net.contract)


def outputs_within(right: RecurrentTruth, answer: RecurrentAnswer, mode: str) -> Iterator[Comparison]:
    """Outputs where a case has an input, and the last states."""
    live = np.broadcast_to(right.case.live[:, :, None], right.exact.y.shape)
    yield differ(f"y, {mode}", answer.y, right.exact.y, right.allowed.y, live)
    for name, value in answer.last.items():
        yield differ(f"last {name}, {mode}", value, right.exact.last[name], right.allowed.last[name])


def gradients_within(right: RecurrentTruth, answer: RecurrentAnswer, mode: str) -> Iterator[Comparison]:
    """The gradient of every parameter, of the input and of the first state."""
    given = {"h": right.case.h, "c": right.case.c}
    for name, exact in right.exact.grads.items():
        if name in given and given[name] is None:
            continue
        got = answer.grads.get(name, np.full(exact.shape, np.nan))
        mask = None
        if name == "x":
            mask = np.broadcast_to(right.case.live[:, :, None], exact.shape)
        yield differ(f"d{name}, {mode}", got, exact, right.allowed.grads[name], mask)


def statistics_within(right: RecurrentTruth, answer: RecurrentAnswer, mode: str) -> Iterator[Comparison]:
    """Running mean and variance of every step and place."""
    pairs = (
        ("mean", answer.means, right.exact.means, right.allowed.means),
        ("variance", answer.variances, right.exact.variances, right.allowed.variances),
    )
    for kind, got, exact, allowed in pairs:
        for place, value in exact.items():
            found = got.get(place, np.full(value.shape, np.nan))
            if found.shape != value.shape:
                slots = f"{len(value)} are due, it keeps {len(found)}"
                yield Comparison(f"a running {kind} for each step, {place}", 1, np.inf, np.inf, 0.0, detail=slots)
                continue
            yield differ(f"running {kind} of each step, {place}, {mode}", found, value, allowed[place])


def _mode(case: RecurrentCase) -> str:
    return "training" if case.training else "evaluation"


def output(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """Outputs and last states are those of the formula, step after step."""
    right = truth_of(net, case.forward)
    return worst(*outputs_within(right, net.call(case, False), _mode(case)))


def gradient(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """The gradient of every parameter, of the inputs and of the first state, through all steps."""
    right = truth_of(net, case)
    found = worst(*gradients_within(right, net.call(case, True), _mode(case)))
    return replace(found, metrics={f"gradient/{net.contract.gradient}": found.bound_ratio}) if case.training else found


def statistics(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """After a training step, each step's running statistics have moved towards its own batch's, and no other's."""
    right = truth_of(net, case.forward)
    return worst(*statistics_within(right, net.call(case, False), _mode(case)))


def padding(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """What lies beyond the end of a case changes nothing: outputs, last states, gradients, statistics of any step."""
    right = truth_of(net, case)
    found = []
    for mode, fill in (("padded with zeros", 0.0), ("padded with large numbers", LARGE)):
        x = np.where(case.live[:, :, None], case.x, fill)
        answer = net.call(case.but(x=x), True)
        found += [*outputs_within(right, answer, mode), *gradients_within(right, answer, mode)]
        if net.domain.state and case.training:
            found += list(statistics_within(right, answer, mode))
    return worst(*found)


def purity(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """A call does not change its arguments, a second one returns the same; evaluation does not change statistics."""
    first, second = net.call(case, False), net.call(case, False)
    zero = np.zeros(())
    found = [differ("the same twice", second.y, first.y, zero)]
    changed = float(bool(first.changed))
    found.append(Comparison("what it was given is left as it was", 1, np.inf * changed if changed else 0.0, changed,
                            detail=", ".join(first.changed)))  # fmt: skip
    if net.domain.state and not case.training:
        for kind, before, after in (("mean", case.means, first.means), ("variance", case.variances, first.variances)):
            found += [
                differ(f"evaluation leaves the running {kind}, {place}", after.get(place, np.full(rows.shape, np.nan)),
                       rows, zero)
                for place, rows in before.items() if place not in after or after[place].shape == rows.shape
            ]  # fmt: skip
    return worst(*found)


def reloaded(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """A second net that loads the saved state of the first has, in evaluation, the statistics that the first stored."""
    case = case.forward
    answer = net.reloaded(case)
    after = case.but(training=False, means=answer.means, variances=answer.variances)
    return worst(*outputs_within(truth_of(net, after), answer, "after loading"))


def _built(name: str, got: Mapping[str, Array], value: float) -> Iterator[Comparison]:
    for role, found in got.items():
        allowed = bounds.first_value(value, found.shape)
        yield differ(f"{name} at start, {role}", found, np.full(found.shape, value), allowed)


def built(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """A new net is as published: gains, shifts 0, statistics of every step 0 and 1, no trained parameter too many."""
    new, entry = net.initial(case), net.entry
    by_kind = {kind: {r: v for r, v in new.parameters.items() if r.startswith(kind)} for kind in ("gain", "shift")}
    found = [
        *_built(f"a gain is {entry.gain}", by_kind["gain"], entry.gain),
        *_built("a shift is 0", by_kind["shift"], 0),
    ]
    found += [*_built("a running mean is 0", new.means, 0), *_built("a running variance is 1", new.variances, 1)]
    extra = ", ".join(new.extra)
    found.append(Comparison("nothing is trained that the formula has not", 1, np.inf if extra else 0.0,
                            float(len(new.extra)), detail=extra))  # fmt: skip
    if net.domain.state:
        due = case.slots
        found += [
            Comparison(f"statistics of {due} steps, {place}", 1, 0.0 if len(rows) == due else np.inf,
                       float(len(rows)), float(due))
            for place, rows in new.means.items()
        ]  # fmt: skip
    return worst(*found)


_BOTH = (True, False)
_EVALUATION = (False,)
_SMALL = RecurrentSpace(steps=(4, 1, 3), cases=(5, 3), units=(4, 2), inputs=(3, 1), offset=(1.0,))

CHECKS = (
    Check("recurrent-output", "y and the last state are those of the formula", "the formula of the entry", output,
          RecurrentSpace(states=_BOTH), cost=2.0),
    Check("recurrent-gradient", "backward through time is the derivative of the forward", "the formula of the entry",
          gradient, RecurrentSpace(states=_BOTH), cost=2.0),
    Check("recurrent-evaluation", "evaluation at step t takes the statistics of step t", COOIJMANS, output,
          RecurrentSpace(training=_EVALUATION, beyond=(0, -2)), keeps, needs_state, cost=2.0),
    Check("recurrent-evaluation-gradient", "in evaluation the statistics are constants", COOIJMANS, gradient,
          RecurrentSpace(training=_EVALUATION), keeps, needs_state, cost=2.0),
    Check("steps-beyond-statistics", "evaluation beyond the last step with statistics takes the last ones", COOIJMANS,
          output, RecurrentSpace(training=_EVALUATION, beyond=(2, 1, 3), steps=(5, 4, 6, 9)),
          lambda entry: entry.slotted, needs_state, cost=2.0),
    Check("step-statistics", "running statistics of a step are those of its own batches", COOIJMANS, statistics,
          RecurrentSpace(beyond=(0, -2)), keeps, needs_state, cost=2.0),
    Check("padding", "what lies beyond the end of a case changes nothing",
          "cooijmanstim/recurrent-batch-normalization#2", padding, RecurrentSpace(padded=(True,), training=_BOTH),
          lacks=needs_lengths, cost=4.0),
    Check("batch-first-input", "with batch_first the axes of input and output change places, those of the state do not",
          "torch.nn.LSTM", output, RecurrentSpace(batch_first=(True,)), lacks=needs_batch_first, cost=2.0),
    Check("recurrent-is-pure", "a call changes nothing that is not its own", "as every layer", purity,
          replace(_SMALL, training=_BOTH), cost=4.0),
    Check("recurrent-state-dict", "what is saved is all that evaluation needs", "torch.nn.Module.state_dict", reloaded,
          replace(_SMALL, states=_BOTH), cost=4.0),
    Check("built-as-published", "a new net has the first values of its paper", COOIJMANS, built,
          replace(_SMALL, plain_only=True), cost=10.0),
)  # fmt: skip
