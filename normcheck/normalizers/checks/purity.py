"""Side effects that a call may not have: on its arguments, on the process, on later calls; no shared memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64
from normcheck.core.layouts import applies
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds.contracted import backward_bound, forward_bound, parameter_bound
from normcheck.normalizers.bounds.laws import two_answers
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.call_modes import offers_gradient, use_check
from normcheck.normalizers.checks.layout import laid
from normcheck.normalizers.checks.within_bounds import gradients_of, has_cases, needs_gradient, truth_of
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

AROUND = ("row slice", "expanded")
"""Layouts in which the input is watched: with memory around its rows, and with equal rows that are stored once."""


def _unchanged(law: str, changed: tuple[str, ...], arrays: int) -> Comparison:
    """A law that holds if nothing changed; arrays: how many were watched."""
    return Comparison(
        law, arrays, float("inf") if changed else 0.0, float(len(changed)), 0.0, detail="; ".join(changed)
    )


def forward_is_pure(subject: Subject, case: Case) -> Comparison:
    """The forward leaves its arguments, earlier results and the process unchanged; its output has its own memory.

    It is watched without gradients too: no graph needs its result there, so that code may keep it.
    """
    there = [name for name in AROUND if name in subject.domain.layouts and applies(case.x.shape, name)]
    cases = [case, *(laid(case, "x", name).but(layouts={"x": name}) for name in there)]
    cases.append(_zeros(subject, case))
    cases.extend(case.but(use=use) for use in uses.WITHOUT_GRADIENT[:1] if use in subject.domain.uses)
    law = "a forward changes nothing but its output"
    return worst(*(_unchanged(law, subject.call(here.but(watched=True), False).changed, 3) for here in cases))


def _zeros(subject: Subject, case: Case) -> Case:
    """The case with an input of zeros, without what may be left out: code may return an input that is its output."""
    affine = subject.domain.affine
    bias = None if {"none", "weight"} & set(affine) else case.bias
    return case.but(x=np.zeros_like(case.x), weight=None if "none" in affine else case.weight, bias=bias)


def backward_is_pure(subject: Subject, case: Case) -> Comparison:
    """The backward leaves the cotangent and the arguments of the forward unchanged."""
    answer = gradients_of(subject, case.but(watched=True))
    return _unchanged("a backward changes nothing but its gradients", answer.changed, 4)


def _calls(subject: Subject, case: Case, gradient: bool) -> tuple[Answer, Answer]:
    """The results of two equal calls, with calls on other values, of the same shape and of another, in between."""
    first = subject.call(case, gradient)
    subject.call(case.but(x=case.format.round(1.5 - 0.5 * case.x)), gradient)
    if has_cases(subject, case):
        fewer = case.x[: max(1, len(case.x) - 1)]
        dy = None if case.dy is None else case.dy[: len(fewer)]
        subject.call(case.but(x=fewer, dy=dy), gradient)
    return first, subject.call(case, gradient)


def repeats(subject: Subject, case: Case) -> Comparison:
    """A repeated call gives the same output, whatever calls were in between."""
    first, again = _calls(subject, case, gradient=False)
    allowed = two_answers(forward_bound(subject, truth_of(subject, case)))
    return differ("the same call again gives the same y", again.y, first.y, allowed)


def repeats_gradient(subject: Subject, case: Case) -> Comparison:
    """A repeated call gives the same gradients: none accumulates over calls."""
    first, again = _calls(subject, case, gradient=True)
    truth = truth_of(subject, case)
    allowed = {"dx": backward_bound(subject, truth)}
    if truth.dweight is not None:
        allowed["dweight"] = parameter_bound(subject, truth, bias=False)
    if truth.dbias is not None:
        allowed["dbias"] = parameter_bound(subject, truth, bias=True)
    found = []
    for name, bound in allowed.items():
        before, after = getattr(first, name), getattr(again, name)
        if before is not None and after is not None:
            law = f"the same call again gives the same {name}"
            found.append(differ(law, after, before, two_answers(bound)))
    return worst(*found)


def _watched(subject: Subject) -> str:
    return "" if subject.domain.watched else "what its calls change cannot be seen"


def _watched_gradient(subject: Subject) -> str:
    return needs_gradient(subject) or _watched(subject)


_SPACE = NormalizerSpace(small, formats=(FLOAT32, FLOAT64, BFLOAT16), widths=(4, 6, 16), sets=(4, 6), offsets=False)

_ONE_GRAPH = replace(_SPACE, formats=(FLOAT32,), widths=(4, 6), once=True)

CHECKS = (
    Check("forward-is-pure", "a forward changes nothing but its output", "linkedin/Liger-Kernel#1305",
          forward_is_pure, _SPACE, lacks=_watched),
    Check("backward-is-pure", "a backward changes nothing but its gradients", "linkedin/Liger-Kernel#1305",
          backward_is_pure, _SPACE, lacks=_watched_gradient),
    replace(
        use_check("graph-again", "a second backward through one graph gives the gradients of the first",
                  "pytorch/pytorch#18619", (uses.GRAPH_AGAIN,), _ONE_GRAPH, least="quick"),
        lacks=offers_gradient(uses.GRAPH_AGAIN),
    ),
    Check("repeats", "the same call again gives the same output", "karpathy/llm.c#852", repeats, _SPACE),
    Check("repeats-gradient", "the same call again gives the same gradients", "apache/mxnet#16297",
          repeats_gradient, _SPACE, lacks=needs_gradient),
)  # fmt: skip
