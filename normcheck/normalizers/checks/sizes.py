"""Unusual sizes: no rows, odd shapes, rows of a million members, rows in numbers around sixteen bits.

An implementation may refuse a size: right or raises. What it refuses is reported as not offered.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64, Array
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import Ask, gradients_within, needs_gradient, output_within, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.sampling import sizes
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

PATIENCE = 2.0
"""Seconds that one call may take; code that would take longer is not asked."""

SHARE = 256
"""By how much smaller the case is that tells what a large one costs."""

Within = Callable[[Subject, Case, Answer, str], Iterator[Comparison]]


def _output(subject: Subject, case: Case, answer: Answer, said: str) -> Iterator[Comparison]:
    yield output_within(subject, truth_of(subject, case.but(dy=None)), answer.y, said)


def _gradients(subject: Subject, case: Case, answer: Answer, said: str) -> Iterator[Comparison]:
    yield from gradients_within(subject, truth_of(subject, case), answer, said)


def _whole(subject: Subject, case: Case, answer: Answer, said: str) -> Iterator[Comparison]:
    """Output and gradients of one call: a large one is dear."""
    truth = truth_of(subject, case)
    yield output_within(subject, truth, answer.y, said)
    yield from gradients_within(subject, truth, answer, said)


def _shape(case: Case) -> str:
    groups = f" in {case.groups} groups" if case.groups > 1 else ""
    axes = f", {case.normalized} axes normalized" if case.normalized > 1 else ""
    return "x".join(map(str, case.x.shape)) + groups + axes if case.x.ndim > 1 else f"a vector of {case.x.size}"


def _asking(law: str, cases: Callable[[Subject, Case], Iterator[Case]], within: Within, gradient: bool) -> Ask:
    """The check of some cases made from the drawn one; those that are refused are not compared."""

    def ask(subject: Subject, case: Case) -> Comparison:
        found: list[Comparison] = []
        refused: dict[str, str] = {}
        for here in cases(subject, case):
            said = _shape(here)
            try:
                answer = subject.call(here, gradient)
            except CallError as error:
                refused[f"inputs {said}"] = error.reason
                continue
            found += within(subject, here, answer, said)
        return replace(worst(*found) if found else Comparison(law, 0, 0.0), refused=refused)

    return ask


def _odd(subject: Subject, case: Case) -> Iterator[Case]:
    return sizes.odd(subject.normalizer, case, subject.domain.ranks, subject.domain.normalized)


def _empty(subject: Subject, case: Case) -> Iterator[Case]:
    """The drawn rows, then none of them, and for normalized trailing axes rows of no width."""
    yield case
    fixed = subject.domain.sizes is not None
    for what, axis in sizes.hollows(subject.normalizer, case, fixed=fixed).items():
        if what in subject.domain.empty:
            yield sizes.hollow(case, axis)


def _nothing_out(subject: Subject, case: Case, answer: Answer, said: str) -> Iterator[Comparison]:
    """As many entries come out as went in."""
    law = f"an empty input gives an empty output, {said}"
    if case.x.size:
        yield from _output(subject, case, answer, said)
    else:
        yield Comparison(law, 1, 0.0 if answer.y.shape == case.x.shape else float("inf"))


def _nothing_back(subject: Subject, case: Case, answer: Answer, said: str) -> Iterator[Comparison]:
    """dx is as empty as x; sums over no sets are zero.

    A set without members has no statistics: what multiplies its normalized entries, of which there are none, is free.
    """
    if case.x.size:
        yield from _gradients(subject, case, answer, said)
        return
    same = answer.dx is not None and answer.dx.shape == case.x.shape
    yield Comparison(f"the gradient of an empty input is empty, {said}", 1, 0.0 if same else float("inf"))
    sets = partition(subject.normalizer, case).sets
    for name, parameter in (("dweight", case.weight), ("dbias", case.bias)):
        if parameter is not None and (name == "dbias" or sets == 0):
            got: Array | None = getattr(answer, name)
            seen = np.full(parameter.shape, np.nan) if got is None else got
            yield differ(f"{name} over no rows is 0, {said}", seen, np.zeros(parameter.shape), NOTHING)


def _seconds(subject: Subject, case: Case, gradient: bool) -> float:
    """What a call on a large case may take, from a smaller one; the first call of a shape may have to compile."""
    part = sizes.fraction(subject.normalizer, case, SHARE)
    seconds = math.inf
    for _ in range(2):
        started = time.perf_counter()
        subject.call(part, gradient)
        seconds = min(seconds, (time.perf_counter() - started) * SHARE)
        if seconds <= PATIENCE:
            break
    return seconds


def _large(within: Within, gradient: bool) -> Ask:
    """The check of a large case; code that loops over what is many would take minutes, and is not asked."""

    def ask(subject: Subject, case: Case) -> Comparison:
        said = _shape(case)
        law = f"the answer is right, {said}"
        try:
            if case.x.size > SHARE * SHARE and (seconds := _seconds(subject, case, gradient)) > PATIENCE:
                return Comparison(law, 0, 0.0, refused={f"inputs {said}": f"it would take {seconds:.0f} s"})
            answer = subject.call(case, gradient)
        except CallError as error:
            return Comparison(law, 0, 0.0, refused={f"inputs {said}": error.reason})
        return worst(*within(subject, case, answer, said))

    return ask


def _free(subject: Subject) -> str:
    return "" if subject.domain.sizes is None else "its sizes are fixed"


def _free_gradient(subject: Subject) -> str:
    return needs_gradient(subject) or _free(subject)


def _activations(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "activation"


_ODD = NormalizerSpace(
    small, formats=(FLOAT32, FLOAT64, BFLOAT16), widths=(6,), sets=(4,), affine=("both", "weight"), once=True
)
_EMPTY = NormalizerSpace(
    small, formats=(FLOAT32, BFLOAT16), widths=(6,), sets=(4, 6), affine=("both", "weight", "none"), offsets=False
)
_WIDE, _WIDE_GRADIENT = (
    NormalizerSpace(sizes.wide, formats=(FLOAT32,), widths=(64,), edges=edges, offsets=False, affine=("both",))
    for edges in sizes.WIDE
)
_MANY, _MANY_GRADIENT = (
    NormalizerSpace(sizes.many, formats=(FLOAT32,), widths=(12,), edges=edges, offsets=False, affine=("both",))
    for edges in sizes.MANY
)

CHECKS = (
    Check("empty", "an empty input gives an empty output", "intel/torch-xpu-ops#4378",
          _asking("an empty input gives an empty output", _empty, _nothing_out, False), _EMPTY, concerns=_activations,
          cost=10.0),
    Check("empty-gradient", "the gradient of an empty input is empty, of parameters 0", "pytorch/pytorch#192179",
          _asking("an empty input has an empty gradient", _empty, _nothing_back, True), _EMPTY,
          concerns=_activations, lacks=needs_gradient, cost=10.0),
    Check("odd-shapes", "y is right in groups of 3, 5, 6 channels, on one pixel, for one case, of any rank",
          "flagos-ai/FlagGems#4984", _asking("y in odd shapes", _odd, _output, False), _ODD, lacks=_free, cost=10.0),
    Check("odd-shapes-gradient", "gradients are right in odd shapes", "flagos-ai/FlagGems#5392",
          _asking("gradients in odd shapes", _odd, _gradients, True), _ODD, lacks=_free_gradient, cost=10.0),
    Check("wide-sets", "y is right for a million members in a set", "facebookresearch/xformers#785",
          _large(_output, False), _WIDE, lacks=_free, cost=math.inf, least="default"),
    Check("wide-sets-gradient", "gradients are right for a million members in a set", "apache/mxnet#14870",
          _large(_whole, True), _WIDE_GRADIENT, lacks=_free_gradient, cost=math.inf, least="default"),
    Check("many-sets", "y is right for 65,535, 65,536 and 65,537 sets", "NVIDIA/apex#411",
          _large(_output, False), _MANY, lacks=_free, cost=math.inf, least="default"),
    Check("many-sets-gradient", "gradients are right for 65,535, 65,536 and 65,537 sets", "pytorch/pytorch#192016",
          _large(_whole, True), _MANY_GRADIENT, lacks=_free_gradient, cost=math.inf, least="default"),
)  # fmt: skip
