"""One layer over several calls: every output and every running statistic against those computed in float64.

Each check has operations of its own (`programs`), which its programs mix with ordinary training and evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import Comparison, worst
from normcheck.normalizers import programs
from normcheck.normalizers.bounds import history
from normcheck.normalizers.bounds.contracted import running_bound
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.accuracy import has_state
from normcheck.normalizers.checks.ledger import LAW, run_program
from normcheck.normalizers.checks.statistics import needs_state, training
from normcheck.normalizers.checks.within_bounds import needs_gradient, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.programs import COPY, FREEZE, NARROW, RARE, RELOAD, RENEW, RESET, WIDEN
from normcheck.normalizers.sampling.recipes import Draw, state
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject


def recomputed(subject: Subject, case: Case) -> Comparison:
    """Under checkpointing the forward runs again in the backward: one update of the statistics, or two, is right."""
    again = case.but(use=uses.CHECKPOINT)
    seen = subject.call(again, True)
    one = truth_of(subject, case)
    two = truth_of(subject, case.but(running_mean=one.running_mean, running_var=one.running_var))
    found = []
    for truth, updates in ((one, 1), (two, 2)):
        both = []
        for name, variance in (("running_mean", False), ("running_var", True)):
            expected, got = getattr(truth, name), getattr(seen, name)
            allowed = history.updates(running_bound(subject, truth, variance=variance), updates)
            law = f"recomputed in the backward, the {name.replace('_', ' ')} is that of one update, or of two"
            got = np.full(expected.shape, np.nan) if got is None else got
            both.append(differ(law, got, expected, allowed))
        found.append(worst(*both))
    best = min(found, key=lambda c: c.bound_ratio)
    notes = {"under checkpointing": "running statistics are updated twice"} if best is found[1] else {}
    return replace(best, notes=notes if best.holds else {})


def _recomputes(subject: Subject) -> str:
    if uses.CHECKPOINT not in subject.domain.uses:
        return "its forward cannot be computed again"
    return needs_state(subject) or needs_gradient(subject)


def over_calls(normalizer: Normalizer, draw: Draw) -> Case:
    """A case with parameters, running statistics and a program, whose batches have numbers of their own."""
    return state(normalizer, draw, training=True).but(dy=None)


def _needs(*operations: str) -> Callable[[Subject], str]:
    """A predicate: why an implementation offers none of these operations; empty if it offers one."""

    def lacks(subject: Subject) -> str:
        offered, absent = subject.domain.operations, subject.domain.absent
        if needs_state(subject) or subject.live is None:
            return needs_state(subject) or "its calls cannot follow each other"
        if set(operations) & set(offered):
            return ""
        return absent.get(operations[0], "a function keeps no state")

    return lacks


SINGLE_VALUES = "single-values"
"""Name of the check with batches of one value for each channel."""


def _trains_on_one_value(subject: Subject) -> str:
    if subject.contract.single_value == "any":
        return "one value for each channel is declared not to be checked"
    return _needs(_VALUE)(subject)


_FOUR, _ONE, _TWO, _THREE, _BACKWARD, _EVALUATE, _EVALUATE_ONE = (
    name for name in programs.BATCHES if name not in RARE
)  # fmt: skip
_NONE, _VALUE = RARE
_M0, _M01, _M1, _MNONE = programs.MOMENTA

_EVERYDAY = (
    (_TWO, _EVALUATE, _EVALUATE_ONE, _THREE, _EVALUATE, _ONE, _BACKWARD, _EVALUATE),
    (RESET, _EVALUATE, _TWO, _MNONE, _THREE, _TWO, _EVALUATE, RESET, _TWO, _TWO, _ONE),
    (_M0, _TWO, _M1, _TWO, _EVALUATE, _M01, _THREE, _EVALUATE),
    (FREEZE, _TWO, _EVALUATE, _BACKWARD),
    (_TWO, RENEW, _EVALUATE, _THREE, _EVALUATE),
)
_SAVED = (
    (_MNONE, _TWO, _THREE, RELOAD, _EVALUATE, _TWO, _EVALUATE),
    (_TWO, COPY, _EVALUATE, _THREE, RELOAD, _THREE, _EVALUATE),
)
_MOVED = ((_TWO, WIDEN, _EVALUATE, _THREE, NARROW, _EVALUATE, _TWO), (NARROW, _TWO, WIDEN, _TWO))
_EMPTY = ((_TWO, _NONE, _EVALUATE, _TWO, _EVALUATE), (_MNONE, _NONE, _TWO, _NONE, _THREE, _EVALUATE))
_SINGLE = ((_TWO, _VALUE, _EVALUATE, _TWO, _VALUE, _EVALUATE), (_M1, _VALUE, _EVALUATE, _MNONE, _VALUE, _TWO))

_ANYTHING = (
    (_TWO, NARROW, RELOAD, _MNONE, _THREE, COPY, WIDEN, _EVALUATE, _TWO, RENEW, _BACKWARD, _EVALUATE_ONE),
    (WIDEN, _TWO, COPY, RELOAD, _EVALUATE, _M1, _ONE, NARROW, RESET, _EVALUATE, _TWO, COPY, _EVALUATE, _THREE),
)

_SPACE = NormalizerSpace(
    over_calls, formats=(FLOAT32, FLOAT64), widths=(2, 3, 4, 6), sets=(4, 6), offsets=False,
    affine=("both", "weight", "none"), operations=programs.ORDINARY, programs=_EVERYDAY,
)  # fmt: skip
_REPEATS = 6
"""How often the operations of a check are listed among those from which its programs are drawn."""

_OTHERWISE = tuple(name for name in programs.ORDINARY if name != FREEZE)
"""Operations that every program may contain; not freezing, after which a layer stays frozen to the end."""


def _with(*operations: str) -> tuple[str, ...]:
    return (*_OTHERWISE, *operations * _REPEATS)


_EVERYTHING = (*_OTHERWISE, RELOAD, COPY, WIDEN, NARROW)
"""All operations but the rare batches, which have checks of their own, so that one error gives one finding."""


CHECKS = (
    Check("history", LAW, "Ioffe, Szegedy 2015, Algorithm 2", run_program, _SPACE, has_state,
          _needs(*programs.BATCHES)),
    Check("state-dict", "a layer that was saved or copied goes on as the original", "pytorch/pytorch#110850",
          run_program, replace(_SPACE, operations=_with(RELOAD, COPY), programs=_SAVED), has_state,
          _needs(RELOAD, COPY), cost=2.0),
    Check("moved-state", "running statistics move with their layer", "tinygrad/tinygrad#7025",
          run_program, replace(_SPACE, operations=_with(WIDEN, NARROW), programs=_MOVED), has_state,
          _needs(WIDEN, NARROW), cost=2.0),
    Check("empty-batches", "a batch of no cases is refused, or leaves no trace", "pytorch/pytorch#12013",
          run_program, replace(_SPACE, operations=_with(_NONE), programs=_EMPTY), has_state, _needs(_NONE), cost=2.0),
    Check(SINGLE_VALUES, "a batch of one value for each channel is refused, or leaves numbers",
          "FluxML/Flux.jl#2716", run_program, replace(_SPACE, operations=_with(_VALUE), programs=_SINGLE), has_state,
          _trains_on_one_value, cost=2.0),
    Check("whole-life", "a layer may be saved, copied, moved and trained in any order", "pytorch/pytorch#29015",
          run_program, replace(_SPACE, operations=_EVERYTHING, programs=_ANYTHING), has_state, _needs(RELOAD, COPY),
          cost=2.0),
    Check("recomputed-state", "recomputed in the backward, running statistics are updated once, or twice",
          "facebookresearch/fairscale#1035", recomputed,
          NormalizerSpace(training, formats=(FLOAT32, FLOAT64), widths=(2, 3, 6), offsets=False), has_state,
          _recomputes, least="default", cost=4.0),
)  # fmt: skip
