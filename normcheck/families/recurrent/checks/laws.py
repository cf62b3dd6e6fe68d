"""Laws of recurrent nets: what may depend on what, the order of the gates, and how much gradient is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import WITNESS, Comparison, worst
from normcheck.core.spec import OF_BATCH, OF_LENGTH, REPARAMETRIZES
from normcheck.families.recurrent import bounds
from normcheck.families.recurrent.case import RecurrentCase
from normcheck.families.recurrent.checks.table import LAWS, negligible_eps, rng_of
from normcheck.families.recurrent.checks.values import needs_states, truth_of
from normcheck.families.recurrent.entry import INPUT, STATE, Recurrent
from normcheck.families.recurrent.space import RecurrentSpace
from normcheck.families.recurrent.subject import RecurrentSubject

COOIJMANS = "Cooijmans and others 2016"

LONG = RecurrentSpace(
    steps=(4, 12, 24, 40), cases=(3, 5), units=(3, 2), inputs=(2, 3), offset=(1.0,), eps=(1e-5,), states=(True, False)
)
"""Series in which a gradient goes back over more steps than those of other checks have."""


def causal(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """The first steps by themselves have the outputs of a longer series; not so with statistics over time."""
    case = case.forward
    steps = max(1, case.steps // 2)
    short = case.but(x=case.x[:steps])
    right = truth_of(net, case)
    law = "y(x_1 .. x_t) = the first t of y(x)"
    whole, part = net.call(case, False).y[:steps], net.call(short, False).y
    allowed = bounds.difference(right.allowed.y, right.allowed.y)
    found = differ(law, part, whole, allowed[:steps])
    return _dependence(found, OF_LENGTH, no=not net.entry.length_independent)


def batch_independence(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """Some cases by themselves have the outputs that they have in the batch; not so if cases share statistics."""
    case = case.forward
    some = slice(0, max(2, case.cases // 2))
    fewer = case.but(
        x=case.x[:, some],
        h=None if case.h is None else case.h[some],
        c=None if case.c is None else case.c[some],
    )
    right = truth_of(net, case)
    whole, part = net.call(case, False).y[:, some], net.call(fewer, False).y
    allowed = bounds.difference(right.allowed.y, right.allowed.y)
    found = differ("y(X)[some cases] = y(X[some cases])", part, whole, allowed[:, some])
    if net.entry.batch_independent:
        return _dependence(found, OF_BATCH, no=False)
    return _dependence(found, OF_BATCH, REPARAMETRIZES, no=True)  # a plain net reads no other case with any weights


def _dependence(found: Comparison, *names: str, no: bool) -> Comparison:
    metrics = {f"extended/{name}": found.bound_ratio for name in names}
    law = f"not so: {found.law} has a counterexample of {WITNESS:g} bounds" if no else found.law
    return replace(found, law=law, metrics=metrics, seeks=no)


def own_step(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """Inputs of one step change the statistics of the input at that step, and at no other, bit for bit."""
    case = case.forward
    step = int(rng_of(case).integers(case.steps))
    x = case.x.copy()
    x[step] = case.format.round(x[step, ::-1] * 1.5)
    before, after = net.call(case, False).means, net.call(case.but(x=x), False).means
    if INPUT not in before or before[INPUT].shape[0] != case.slots:
        return Comparison("the statistics of a step are its own", 1, np.inf, np.inf, detail="not one for each step")
    others = np.arange(case.slots) != step
    same = differ("the statistics of other steps stay", after[INPUT][others], before[INPUT][others], np.zeros(()))
    moved = np.abs(after[INPUT][step] - before[INPUT][step]).max()
    own = Comparison("its own statistics move", 1, 0.0 if moved > 0 else np.inf, float(moved))
    return worst(same, own)


def gates(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """Gates held open or shut by their bias: the state is kept, whatever the input; no reference is needed."""
    keeping = net.entry.cell.keeping
    role = "bias_ih" if "bias_ih" in case.parameters else "shift_ih"
    if keeping is None or role not in case.parameters:
        return Comparison("the state is kept", 0, 0.0)
    held = case.forward.having(**{role: np.repeat(bounds.OPEN * np.array(keeping.signs), case.units)})
    answer, first = net.call(held, False), {"h": held.h, "c": held.c}[keeping.state]
    if keeping.state not in answer.last or first is None:
        return Comparison("the state is kept", 0, 0.0)
    return differ(keeping.law, answer.last[keeping.state], first, bounds.kept_state(held, first))


def through_time(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """A cotangent of only the last state gives the right gradient of the first input."""
    case = case.but(dy=None)
    right = truth_of(net, case)
    dx, allowed = right.exact.grads["x"][0], right.allowed.grads["x"][0]
    if not np.any(np.abs(dx) > WITNESS * allowed):
        return Comparison("dL/dx of the first step, L of the last state", 0, 0.0)
    answer = net.call(case, True)
    return differ("dL/dx of the first step, L of the last state", answer.grads["x"][0], dx, allowed)


def orthogonal(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """Where a matrix's scale changes nothing, its gradient through all steps has no part along it: <dL/dW, W> = 0."""
    case = negligible_eps(net, case)
    right, answer = truth_of(net, case), net.call(case, True)
    found = []
    for role, place in (("weight_ih", INPUT), ("weight_hh", STATE)):
        if place in net.entry.places:
            w = case.parameters[role]
            inner = (answer.grads[role] * w).sum(keepdims=True)
            due = np.zeros_like(inner) if net.domain.eps is None else (right.exact.grads[role] * w).sum(keepdims=True)
            found.append(differ(f"<dL/d{role}, {role}> = 0", inner, due, bounds.along(right, role)))
    return worst(*found)


def needs_whole_gradient(net: RecurrentSubject) -> str:
    """Why <dL/dW, W> is not 0; empty if it is: a statistic that is a constant to the gradient follows no scale."""
    gradient = net.contract.gradient
    return "" if net.contract.through == (1, 1) else f"not so with gradient={gradient}, as the contract has it"


def _bare(entry: Recurrent, case: RecurrentCase, gain: float) -> RecurrentCase:
    """The case with every gain the same, and nothing added, so that the output is tanh of the normalized cell."""
    changes: dict[str, Array] = {
        role: np.full(v.shape, gain) for role, v in case.parameters.items() if role.startswith("gain")
    }
    changes |= {role: np.zeros(v.shape) for role, v in case.parameters.items() if role.startswith(("shift", "bias"))}
    if "bias_ih" in changes:
        changes["bias_ih"] = np.repeat(bounds.OPEN * np.array(entry.cell.exposing), case.units)
    return case.having(**changes)


SMALL_GAINS = (0.1, 0.3)
"""Gains at which the mean slope of tanh is compared."""

GAINS = (0.1, 0.5, 1.0)
"""Gains at which the surviving gradient is measured."""


def slope(net: RecurrentSubject, case: RecurrentCase) -> Comparison:
    """The mean slope of tanh over the batch is at least 1 - (sum of the gains)^2, since the gains are the deviations.

    tanh'(a) = 1 - tanh(a)^2 >= 1 - a^2, and a normalized unit has a mean square of at most 1: at a gain of 0.1 the
    slope is at least 0.96 with two norms, at 1 nothing is promised. The share of a gradient that is left after all
    steps is measured and not judged: without shifts and biases the gain cancels against the next step's division.
    """
    norms = net.entry.norms_before_output
    found = []
    for gain in SMALL_GAINS:
        made = _bare(net.entry, case, gain).forward
        y = net.call(made, False).y
        seen = (1.0 - np.square(y)).mean(axis=1)
        least = 1.0 - (norms * gain) ** 2
        law = f"mean tanh' >= 1 - ({norms} gain)^2"
        right = truth_of(net, made)
        allowed = bounds.mean_slope(right, y)
        found.append(differ(law, np.minimum(seen, least), np.full(seen.shape, least), allowed))
    left = ", ".join(f"{survives(net, case, gain):.2g} at gain {gain}" for gain in GAINS)
    return replace(worst(*found), notes={f"gradient left after {case.steps} steps": left})


def survives(net: RecurrentSubject, case: RecurrentCase, gain: float) -> float:
    """Length of dL/dx at the first step over that at the last, L of only the last state, without its cell."""
    made = _bare(net.entry, case, gain).but(dy=None, dc=None)
    dx = net.call(made, True).grads["x"]
    return float(np.linalg.norm(dx[0]) / np.linalg.norm(dx[-1]))


def _normalizes_state(entry: Recurrent) -> bool:
    return entry.over_cases and STATE in entry.places


INDEPENDENCE = (
    Check("causal", "an output depends on no later input, unless statistics are taken over time",
          "Laurent and others 2015, section 3.2", causal, LAWS, cost=4.0),
    Check("recurrent-batch-independence", "a case's output depends on no other case, unless they share statistics",
          "Ba, Kiros, Hinton 2016, section 3", batch_independence, LAWS, cost=4.0),
)  # fmt: skip
"""Of the past alone, and of the case alone."""

CHECKS = (
    *INDEPENDENCE,
    Check("own-step-statistics", "the statistics of a step read that step alone", COOIJMANS, own_step, LAWS,
          lambda entry: entry.slotted,
          lambda net: "" if net.domain.state else "keeps no running statistics", cost=4.0),
    Check("gates-in-order", "a gate is where torch has it", "torch.nn.LSTM, torch.nn.GRU", gates, LAWS,
          lambda entry: entry.gates > 1, needs_states, cost=2.0),
    Check("gradient-through-time", "the gradient of the last state reaches the first input",
          "Cooijmans and others 2016, section 4", through_time, LONG, cost=6.0),
    Check("gradient-along-weights", "<dL/dW, W> = 0 for a matrix whose product is normalized",
          "Ba, Kiros, Hinton 2016, section 5.1", orthogonal, LAWS, lambda entry: INPUT in entry.places,
          needs_whole_gradient, cost=4.0),
    Check("gain-and-slope", "the mean slope of tanh is at least 1 - (sum of gains)^2",
          "Cooijmans and others 2016, section 4", slope,
          RecurrentSpace(steps=(12, 6), cases=(16, 8), units=(6, 4), offset=(1.0,), eps=(1e-5,)), _normalizes_state,
          cost=6.0),
)  # fmt: skip
