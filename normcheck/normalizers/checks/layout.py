"""Strides, storage offsets and memory formats: the same numbers in another layout give the same output and gradients.

Arrays that are not contiguous lie inside a buffer of NaN, so reading beyond an array shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64
from normcheck.core.layouts import NAMES, applies
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import Ask, gradients_within, needs_gradient, output_within, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject


def _placed(subject: Subject, case: Case, role: str) -> Iterator[tuple[str, Case]]:
    """The case with one array in each layout that its shape and the implementation allow, with its name."""
    values = getattr(case, role)
    offered = subject.domain.layouts if role == "x" else NAMES[1:]
    for name in offered:
        if not applies(values.shape, name):
            continue
        yield name, laid(case, role, name).but(layouts={role: name})


def laid(case: Case, role: str, name: str) -> Case:
    """The case with an array whose values suit a layout: an expanded array has equal rows."""
    if name != "expanded":
        return case
    values = getattr(case, role)
    first = (
        values.flat[0] if role == "dy" else values[:1]
    )  # all entries of a cotangent are equal, as in that of y.sum()
    return case.but(**{role: np.broadcast_to(first, values.shape).copy()})


def together(normalizer: Normalizer, draw: Draw) -> Case:
    """A small case whose arrays lie in the layouts of the draw, as far as their shapes allow."""
    case = small(normalizer, draw)
    layouts: dict[str, str] = {}
    for role, name in zip(("x", "weight", "bias", "dy"), draw.layouts, strict=False):
        values = getattr(case, role)
        if values is not None and applies(values.shape, name):
            case = laid(case, role, name)
            layouts[role] = name
    return case.but(layouts=layouts)


def pairs(subject: Subject, case: Case) -> Comparison:
    """Output and gradients with several arrays that are not contiguous; the forward may raise."""
    gradient = subject.domain.gradient
    label = ", ".join(f"{role} {name}" for role, name in case.layouts.items() if name != "contiguous") or "contiguous"
    try:
        answer = subject.call(case, gradient)
    except CallError as error:
        if IN_BACKWARD in error.reason:
            raise
        return Comparison(f"y, {label}", 0, 0.0, refused=_refused(subject, case, error.reason))
    truth = truth_of(subject, case)
    found = [output_within(subject, truth, answer.y, label)]
    return worst(*found, *(gradients_within(subject, truth, answer, label) if gradient else ()))


def _refused(subject: Subject, case: Case, reason: str) -> dict[str, str]:
    """The refused layouts with the reason; empty if the forward raises on contiguous arrays as well."""
    try:
        subject.call(case.but(layouts={}), False)
    except CallError:
        return {}
    roles = ", ".join(f"{role} {name}" for role, name in case.layouts.items() if role != "dy")
    return {f"{roles}, together": reason}


def _accepted(subject: Subject, case: Case, *, gradient: bool) -> Answer | None:
    """What the implementation returns, or None if its forward raises: it may refuse a layout. A backward may not.

    A layer that takes an input has to take any cotangent, since the caller does not choose the cotangent's layout.
    """
    try:
        return subject.call(case, gradient)
    except CallError as error:
        if IN_BACKWARD in error.reason or case.layout("dy") != "contiguous":
            raise
        return None


def _gradients(subject: Subject, truth: Truth, case: Case, label: str) -> Iterator[Comparison]:
    """Compare all gradients of a case; nothing if the forward refuses its layout."""
    answer = _accepted(subject, case, gradient=True)
    if answer is None:
        return
    yield from gradients_within(subject, truth, answer, label)


def _outputs(role: str) -> Ask:
    def ask(subject: Subject, case: Case) -> Comparison:
        if getattr(case, role) is None:
            return Comparison(f"y, {role} in any layout", 0, 0.0)
        found = []
        for name, here in _placed(subject, case, role):
            truth = truth_of(subject, here)
            answer = _accepted(subject, here, gradient=False)
            if answer is not None:
                found.append(output_within(subject, truth, answer.y, f"{role} {name}"))
        return worst(*found) if found else Comparison(f"y, {role} in any layout", 0, 0.0)

    return ask


def _backwards(role: str) -> Ask:
    def ask(subject: Subject, case: Case) -> Comparison:
        found: list[Comparison] = []
        for name, here in _placed(subject, case, role):
            found += _gradients(subject, truth_of(subject, here), here, f"{role} {name}")
        return worst(*found) if found else Comparison(f"gradients, {role} in any layout", 0, 0.0)

    return ask


def _strided(subject: Subject) -> str:
    if not subject.domain.layouts:
        return subject.domain.absent.get("layouts", "takes contiguous arrays only")
    return ""


def _strided_gradient(subject: Subject) -> str:
    return needs_gradient(subject) or _strided(subject)


def _parameters(subject: Subject) -> str:
    return _strided(subject) or ("" if subject.domain.own_parameters else "its parameters are its own")


_SPACE = NormalizerSpace(
    small, formats=(FLOAT32, FLOAT64, BFLOAT16), widths=(4, 6, 8, 12), sets=(4, 6), affine=("both", "weight")
)

CHECKS = (
    Check("input-layout", "y(x in any layout) = y(x)", "pytorch/pytorch#131750", _outputs("x"), _SPACE, lacks=_strided,
          cost=2.0),
    Check("input-layout-gradient", "gradients(x in any layout) = gradients(x)", "pytorch/pytorch#175189",
          _backwards("x"), _SPACE, lacks=_strided_gradient, cost=2.0),
    Check("cotangent-layout", "gradients(dy in any layout) = gradients(dy)", "unslothai/unsloth#10617",
          _backwards("dy"), _SPACE, lacks=_strided_gradient, cost=2.0),
    Check("parameter-layout", "y(weight in any layout) = y(weight)", "unslothai/unsloth#10675", _outputs("weight"),
          _SPACE, concerns=lambda n: n.weight, lacks=_parameters, cost=2.0),
    Check("layout-pairs", "y and gradients with several arrays in any layout", "pytorch/pytorch#140913", pairs,
          replace(_SPACE, recipe=together, together=True, widths=(4, 6, 8, 12, 1), sets=(4, 6, 1)), lacks=_strided),
)  # fmt: skip
