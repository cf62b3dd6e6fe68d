"""Unusual sizes: empty inputs, odd shapes, sets of half a million members, numbers of sets around 2^16.

An implementation may raise on a size, which is then reported as not offered; otherwise it must be right.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from normcheck.core.check import Check  # fmt: skip
from normcheck.core.compare import differ  # fmt: skip
from normcheck.core.errors import RAISED, CallError
from normcheck.core.floats import BFLOAT16, FLOAT32, FLOAT64, Array
from normcheck.core.result import CheckWarning, Comparison, worst
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import (
    Ask,
    gradients_within,
    needs_gradient,
    output_within,
    refused_or_raised,
    truth_of,
)
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import partition
from normcheck.normalizers.sampling import sizes
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

PATIENCE = 2.0
"""Seconds that one call may take; the check does not run on code that would take longer."""

SMALLER = 256
"""By how much smaller than a large case is the one from whose time that of the large one is estimated."""

Within = Callable[[Subject, Case, Answer, str], Iterator[Comparison]]
"""The comparisons of what was returned for a case; the text describes its shape, for the law."""


def _output(subject: Subject, case: Case, answer: Answer, label: str) -> Iterator[Comparison]:
    yield output_within(subject, truth_of(subject, case.but(dy=None)), answer.y, label)


def _gradients(subject: Subject, case: Case, answer: Answer, label: str) -> Iterator[Comparison]:
    yield from gradients_within(subject, truth_of(subject, case), answer, label)


def whole(subject: Subject, case: Case, answer: Answer, label: str) -> Iterator[Comparison]:
    """Output and gradients of one call: large calls are expensive. Gradients only of code that has any."""
    truth = truth_of(subject, case)
    yield output_within(subject, truth, answer.y, label)
    if subject.domain.gradient:
        yield from gradients_within(subject, truth, answer, label)


def _shape(case: Case) -> str:
    groups = f" in {case.groups} groups" if case.groups > 1 else ""
    axes = f", {case.normalized} axes normalized" if case.normalized > 1 else ""
    return "x".join(map(str, case.x.shape)) + groups + axes if case.x.ndim > 1 else f"a vector of {case.x.size}"


def _asking(law: str, cases: Callable[[Subject, Case], Iterator[Case]], within: Within, gradient: bool) -> Ask:
    """The check of several cases made from the drawn one; those on which the implementation raises are not compared."""

    def ask(subject: Subject, case: Case) -> Comparison:
        found: list[Comparison] = []
        errors: dict[str, CallError] = {}
        refused: dict[str, str] = {}
        for here in cases(subject, case):
            label = _shape(here)
            try:
                answer = subject.call(here, gradient)
            except CallError as error:
                if here.x.size:  # an empty input has no gradient that anyone needs
                    errors[label] = error
                else:
                    refused[f"inputs {label}"] = error.reason
                continue
            found += within(subject, here, answer, label)
        refused |= refused_or_raised(errors)
        return replace(worst(*found) if found else Comparison(law, 0, 0.0), refused=refused)

    return ask


def _accepted(ask: Ask) -> Ask:
    """The check of empty inputs, where to raise on an input without sets is weaker than torch's own functions."""

    def also(subject: Subject, case: Case) -> Comparison:
        found, declared = ask(subject, case), subject.contract.empty
        reason = subject.absent.get("inputs without sets", "")
        if not reason or declared == "refused" or (declared == "default" and not subject.normalizer.accepts_empty):
            return found
        if declared == "accepted":
            return Comparison("an input without sets is accepted", 1, math.inf, math.inf, 0.0, detail=reason)
        if not reason.startswith(RAISED):  # its framework does not offer it
            return found
        text = f"an input without sets raises ({reason}): return an empty output, as torch's own functions do"
        return replace(found, warnings=(CheckWarning("empty", text, "empty=refused"),))

    return also


def _odd(subject: Subject, case: Case) -> Iterator[Case]:
    made = sizes.odd(subject.normalizer, case, subject.domain.ranks, subject.domain.normalized)
    some = subject.contract.shapes == "some"
    yield from (one for one in made if not some or one.x.ndim in subject.domain.ranks)


def _empty(subject: Subject, case: Case) -> Iterator[Case]:
    """The drawn case, then without sets, and for normalized trailing axes with sets of no members."""
    yield case
    fixed = subject.domain.sizes is not None
    for what, axis in sizes.hollows(subject.normalizer, case, fixed=fixed).items():
        if what in subject.domain.empty:
            yield sizes.hollow(case, axis)


def _nothing_out(subject: Subject, case: Case, answer: Answer, label: str) -> Iterator[Comparison]:
    """The output has the shape of the input."""
    law = f"an empty input gives an empty output, {label}"
    if case.x.size:
        yield from _output(subject, case, answer, label)
    else:
        yield Comparison(law, 1, 0.0 if answer.y.shape == case.x.shape else float("inf"))


def _nothing_back(subject: Subject, case: Case, answer: Answer, label: str) -> Iterator[Comparison]:
    """dx has the shape of x, and sums over no sets are zero.

    dweight over sets without members is free: such a set has no statistics.
    """
    if case.x.size:
        yield from _gradients(subject, case, answer, label)
        return
    same = answer.dx is not None and answer.dx.shape == case.x.shape
    yield Comparison(f"the gradient of an empty input is empty, {label}", 1, 0.0 if same else float("inf"))
    sets = partition(subject.normalizer, case).sets
    for name, parameter in (("dweight", case.weight), ("dbias", case.bias)):
        if parameter is not None and (name == "dbias" or sets == 0):
            got: Array | None = getattr(answer, name)
            seen = np.full(parameter.shape, np.nan) if got is None else got
            yield differ(f"{name} over no rows is 0, {label}", seen, np.zeros(parameter.shape), NOTHING)


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds that one call may take; inputs of more entries are first tried about as many times smaller."""

    seconds: float = PATIENCE
    smaller: int = SMALLER
    entries: int = SMALLER * SMALLER

    def exceeded(self, subject: Subject, case: Case, *, gradient: bool) -> float:
        """The estimated seconds of a call if they are more, else 0. Tried twice: the first call may compile."""
        if case.x.size <= self.entries:
            return 0.0
        part = sizes.fraction(subject.normalizer, case, self.smaller, fixed=subject.domain.sizes is not None)
        seconds = math.inf
        for _ in range(2):
            started = time.perf_counter()
            subject.call(part, gradient)
            seconds = min(seconds, (time.perf_counter() - started) * case.x.size / part.x.size)
            if seconds <= self.seconds:
                return 0.0
        return seconds


USUAL = Limit()


def large(within: Within, gradient: bool, limit: Limit = USUAL) -> Ask:
    """The check of a large case; it does not run on code with a slow loop over sets or members, which takes minutes."""

    def ask(subject: Subject, case: Case) -> Comparison:
        label = _shape(case)
        law = f"the answer is right, {label}"
        try:
            if seconds := limit.exceeded(subject, case, gradient=gradient):
                return Comparison(law, 0, 0.0, refused={f"inputs {label}": f"it would take {seconds:.1f} s"})
            answer = subject.call(case, gradient)
        except CallError as error:
            return Comparison(law, 0, 0.0, refused=refused_or_raised({label: error}))
        return worst(*within(subject, case, answer, label))

    return ask


def _free(subject: Subject) -> str:
    return "" if subject.domain.sizes is None else "its sizes are fixed"


def _free_gradient(subject: Subject) -> str:
    return needs_gradient(subject) or _free(subject)


def _activations(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "activation"


_ODD = NormalizerSpace(
    small,
    formats=(FLOAT32, FLOAT64, BFLOAT16),
    widths=(6,),
    sets=(4,),
    affine=("both", "weight"),
    once=True,
    given_shapes=False,
)
_EMPTY = NormalizerSpace(
    small, formats=(FLOAT32, BFLOAT16), widths=(6,), sets=(4, 6), affine=("both", "weight", "none"), offsets=False
)
_WIDE, _WIDE_GRADIENT = (
    NormalizerSpace(
        sizes.wide, formats=(FLOAT32,), widths=(64,), edges=edges, offsets=False, affine=("both",), given_shapes=False
    )
    for edges in sizes.WIDE
)
_MANY, _MANY_GRADIENT = (
    NormalizerSpace(
        sizes.many, formats=(FLOAT32,), widths=(12,), edges=edges, offsets=False, affine=("both",), given_shapes=False
    )
    for edges in sizes.MANY
)

CHECKS = (
    Check("empty", "an empty input gives an empty output", "intel/torch-xpu-ops#4378",
          _accepted(_asking("an empty input gives an empty output", _empty, _nothing_out, False)), _EMPTY,
          concerns=_activations, cost=10.0),
    Check("empty-gradient", "the gradient of an empty input is empty, of parameters 0", "pytorch/pytorch#192179",
          _asking("an empty input has an empty gradient", _empty, _nothing_back, True), _EMPTY,
          concerns=_activations, lacks=needs_gradient, cost=10.0),
    Check("odd-shapes", "y is right in groups of 3, 5, 6 channels, on one pixel, for one case, of any rank",
          "flagos-ai/FlagGems#4984", _asking("y in odd shapes", _odd, _output, False), _ODD, lacks=_free, cost=10.0),
    Check("odd-shapes-gradient", "gradients are right in odd shapes", "flagos-ai/FlagGems#5392",
          _asking("gradients in odd shapes", _odd, _gradients, True), _ODD, lacks=_free_gradient, cost=10.0),
    Check("wide-sets", "y is right for half a million members in two sets", "facebookresearch/xformers#785",
          large(_output, False), _WIDE, lacks=_free, cost=math.inf, least="default"),
    Check("wide-sets-gradient", "gradients are right for half a million members in a set", "apache/mxnet#14870",
          large(whole, True), _WIDE_GRADIENT, lacks=_free_gradient, cost=math.inf, least="default"),
    Check("many-sets", "y is right for 65,535, 65,536 and 65,537 sets", "NVIDIA/apex#411",
          large(_output, False), _MANY, lacks=_free, cost=math.inf, least="default"),
    Check("many-sets-gradient", "gradients are right for 65,535, 65,536 and 65,537 sets", "pytorch/pytorch#192016",
          large(whole, True), _MANY_GRADIENT, lacks=_free_gradient, cost=math.inf, least="default"),
)  # fmt: skip
