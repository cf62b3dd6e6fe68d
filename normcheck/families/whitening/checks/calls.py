"""Checks of one whitening layer that is called several times, copied, saved and loaded."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.core.result import Comparison, worst
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.checks.values import errors, needs_evaluation, needs_running, same, statistics
from normcheck.families.whitening.reference import answer
from normcheck.families.whitening.space import WhiteningSpace
from normcheck.families.whitening.subject import WhiteningSubject


def _other(case: WhiteningCase, factor: float) -> WhiteningCase:
    """The case with another batch: its channels change places within the batch, with other means and deviations."""
    return case.but(x=factor * case.x[::-1, ::-1] + 0.5)


def _turns(subject: WhiteningSubject, case: WhiteningCase) -> list[WhiteningCase]:
    """Training on two batches, evaluation, training on a third, evaluation; only training if nothing is stored."""
    batches = (case, _other(case, 0.5), case, _other(case, -2.0), _other(case, 0.5))
    modes = (True, True, False, True, False)
    able = subject.domain.evaluation and subject.domain.running
    return [batch.but(training=mode) for batch, mode in zip(batches, modes, strict=True) if mode or able]


def _held(subject: WhiteningSubject, case: WhiteningCase, before: WhiteningAnswer | None) -> WhiteningCase:
    """A case with the statistics that the layer has after a call."""
    if before is None or not subject.domain.running:
        return case
    return case.but(running_mean=before.running_mean, running_cov=before.running_cov)


def ask_turns(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Every call returns what a new layer returns that has the running statistics of the call before."""
    turns, before, found = _turns(subject, case), None, []
    for number, (one, got) in enumerate(zip(turns, subject.successive(turns), strict=True), 1):
        held = _held(subject, one, before)
        mode = f"call {number}, {'training' if one.training else 'evaluation'}"
        expected, off = answer(subject.entry.root, held), errors(subject, held)
        found.append(same(subject, held, f"y, {mode}", got.y, expected.y, off.y))
        if subject.domain.running:
            found += statistics(subject, held, got, mode)
            before = got
    return worst(*found)


def ask_restored(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """A copy and a loaded layer have in evaluation the statistics that two batches left, and return the same."""
    turns = [case.but(training=True), _other(case, 0.5).but(training=True), case.but(training=False)]
    before = subject.successive(turns[:2])[-1]
    held = _held(subject, turns[-1], before)
    expected, off = answer(subject.entry.root, held), errors(subject, held)
    return worst(*(
        same(subject, held, f"y in evaluation, of {name}", got.y, expected.y, off.y)
        for name, got in subject.restored(turns).items()
    ))  # fmt: skip


def needs_module(subject: WhiteningSubject) -> str:
    """Why it cannot be copied and saved; empty if it can."""
    return needs_running(subject) or needs_evaluation(subject) or (
        "" if subject.domain.module else "is a function, which has no state to save"
    )  # fmt: skip


_SPACE = WhiteningSpace(spectrum=("plain", "offset"), rank=(2, 4), channels=(4, 2))

CHECKS = (
    Check(
        "white-calls-in-turn",
        "a call depends on no call before it, but through running statistics",
        "torch.nn.BatchNorm1d",
        ask_turns,
        _SPACE,
        cost=3.0,
    ),
    Check(
        "white-state-dict",
        "what is saved or copied is all that evaluation needs",
        "torch.nn.Module.state_dict",
        ask_restored,
        _SPACE,
        lacks=needs_module,
        cost=2.0,
    ),
)
