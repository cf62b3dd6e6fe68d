"""Strides, offsets and memory formats: the same numbers, lying elsewhere, give the same answer.

Every array but a contiguous one is placed inside a buffer of NaN, so an entry read from outside of it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.errors import CallError
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

IN_BACKWARD = "in its backward"
"""What adapters say of code that raised there."""


def _placed(subject: Subject, case: Case, role: str) -> Iterator[tuple[str, Case]]:
    """The case with one array in every layout that its shape allows and that the implementation takes."""
    values = getattr(case, role)
    offered = subject.domain.layouts if role == "x" else NAMES[1:]
    for name in offered:
        if not applies(values.shape, name):
            continue
        yield name, laid(case, role, name).but(layouts={role: name})


def laid(case: Case, role: str, name: str) -> Case:
    """The case with an array that a layout can hold: expanded arrays hold equal rows."""
    if name != "expanded":
        return case
    values = getattr(case, role)
    first = values.flat[0] if role == "dy" else values[:1]  # of a cotangent, all entries, as y.sum() sends it
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
    """Output and gradients where several arrays are not contiguous at once: the forward may refuse some of them."""
    gradient = subject.domain.gradient
    said = ", ".join(f"{role} {name}" for role, name in case.layouts.items() if name != "contiguous") or "contiguous"
    try:
        answer = subject.call(case, gradient)
    except CallError as error:
        if IN_BACKWARD in error.reason:
            raise
        return Comparison(f"y, {said}", 0, 0.0, refused=_refused(subject, case, error.reason))
    truth = truth_of(subject, case)
    found = [output_within(subject, truth, answer.y, said)]
    return worst(*found, *(gradients_within(subject, truth, answer, said) if gradient else ()))


def _refused(subject: Subject, case: Case, reason: str) -> dict[str, str]:
    """What a forward refuses: these layouts together, or nothing that has to do with layouts."""
    try:
        subject.call(case.but(layouts={}), False)
    except CallError:
        return {}
    roles = ", ".join(f"{role} {name}" for role, name in case.layouts.items() if role != "dy")
    return {f"{roles}, together": reason}


def _answered(subject: Subject, case: Case, *, gradient: bool) -> Answer | None:
    """The answer, or None where the forward refuses a layout: right or raises. A backward may not refuse.

    Whoever takes an input has to take the gradient that comes back, and nobody chooses its layout.
    """
    try:
        return subject.call(case, gradient)
    except CallError as error:
        if IN_BACKWARD in error.reason or case.layout("dy") != "contiguous":
            raise
        return None


def _gradients(subject: Subject, truth: Truth, case: Case, said: str) -> Iterator[Comparison]:
    """All gradients of a case against their bounds."""
    answer = _answered(subject, case, gradient=True)
    if answer is None:
        return
    yield from gradients_within(subject, truth, answer, said)


def _outputs(role: str) -> Ask:
    def ask(subject: Subject, case: Case) -> Comparison:
        if getattr(case, role) is None:
            return Comparison(f"y, {role} in any layout", 0, 0.0)
        found = []
        for name, here in _placed(subject, case, role):
            truth = truth_of(subject, here)
            answer = _answered(subject, here, gradient=False)
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
