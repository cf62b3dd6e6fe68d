"""Weaker contracts under which an implementation is right: what differs is a warning then, not a finding.

Each is tried on the case that failed, and only where the contract does not demand more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from normcheck.core.ask import EXCEPTION, run_check
from normcheck.core.check import Check
from normcheck.core.contract import Contract
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32, FLOAT64, FORMATS
from normcheck.core.result import CheckWarning
from normcheck.core.uses import PLAIN as USUAL
from normcheck.diagnosis.standard_cases import adapted
from normcheck.normalizers.bounds.contracted import forward_bound
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.accuracy import FINITE, WIDE_STATISTICS
from normcheck.normalizers.checks.call_modes import SECOND
from normcheck.normalizers.checks.history import SINGLE_VALUES
from normcheck.normalizers.checks.ledger import NUMBER
from normcheck.normalizers.checks.statistics import UNROUNDED
from normcheck.normalizers.checks.within_bounds import gradients_within, output_within, truth_of
from normcheck.normalizers.sampling.recipes import Draw, small
from normcheck.normalizers.sampling.space import narrowed
from normcheck.normalizers.subject import Answer, Subject


def weaker(subject: Subject, check: Check, draw: Any) -> Iterator[tuple[CheckWarning, Subject]]:
    """Warnings, each with the subject under the contract under which a failing case is right.

    draw: of that case.
    """
    contract, format = subject.contract, FORMATS[draw.format]
    better = check.name in (FINITE, UNROUNDED, WIDE_STATISTICS)  # what torch's own does better than its class
    other = better or not _reaches_half(subject)
    if format.narrow and contract.accuracy_in(format.name) == "default" and other:
        lower = replace(subject, contract=replace(contract, accuracy=_half(contract, format.name)))
        if _holds(lower, check, draw):
            yield _half_class(format.name), lower
    if format is FLOAT64 and contract.formats is None and _computes_in_single(subject):
        names = tuple(name for name in subject.domain.formats if name != format.name)
        fewer = replace(contract, formats=names)
        yield _computed_in_single(names), replace(subject, contract=fewer, domain=narrowed(subject.domain, fewer))
    second = check.name == SECOND and contract.second_derivative == "default"
    if second and _plainly_right(subject, check.space.recipe(subject.normalizer, draw)):
        yield _second_derivative(), replace(subject, contract=replace(contract, second_derivative="any"))
    if contract.sizes == "every" and (refused := _refused_size(subject, check, draw)):
        yield _by_size(refused), replace(subject, contract=replace(contract, sizes="some"))
    if check.name == SINGLE_VALUES and contract.single_value == "default" and _leaves_nan(subject, check, draw):
        yield _single_value(), replace(subject, contract=replace(contract, single_value="any"))


def _reaches_half(subject: Subject) -> bool:
    """Whether torch's own function of the kind is in the class half itself."""
    return "sound" not in subject.normalizer.narrow_accuracy


def _holds(subject: Subject, check: Check, draw: Any) -> bool:
    return not check.lacks(subject) and run_check(subject, check, [draw]).finding is None


SINGLE = FLOAT32.u / FLOAT64.u
"""By how much the error of single precision is larger than that of double precision."""

ORDINARY = Draw(n=64, sets=8, format=FLOAT64.name, seed=31)
"""A well-conditioned case in float64, on which single precision shows as its roundoff."""

BELOW, ABOVE = 2.0**-40, 2.0**-8
"""Relative changes of an input that float64 resolves and float32 does not, and that both resolve."""

FOLLOWS = 0.3
"""An output follows a change of scale if it changes by this part of it: float64 statistics take out nearly all."""

UNLIKE = 1e3
"""In bounds of double precision, the least error that shows single precision: its roundoff is 5e8 times as large."""


NOISE = 0.1
"""An error changes by this part of it where the input is scaled by 1 + `ABOVE`, if it is of rounding. That of another
formula follows the input smoothly: a power p of the scale changes it by p 2^-8."""


@lru_cache(maxsize=16)
def _computes_in_single(subject: Subject) -> bool:
    """Whether float64 input, or its statistics, is computed in float32. The output may be wrong beside.

    Either a change of scale that float32 does not resolve changes nothing; or the output follows it, though it does not
    follow a larger one, since the statistics do not see it; or the output has the error of float32, and no larger one,
    and it is one of rounding.
    """
    if FLOAT32.name not in subject.domain.formats:
        return False
    draw = replace(ORDINARY, rank=subject.domain.ranks[0], dim=subject.domain.dims[0])
    case = small(subject.normalizer, adapted(subject, draw))
    bias = None if case.bias is None else np.zeros(case.bias.shape)
    case = case.but(x=FLOAT32.round(case.x), bias=bias, dy=None)
    try:
        y, below, above = (subject.call(case.but(x=case.x * (1.0 + by)), False).y for by in (0.0, BELOW, ABOVE))
    except CallError:
        return False
    size = float(np.abs(y).max(initial=0.0))
    little, much = (float(np.abs(a - y).max(initial=0.0)) / by for a, by in ((below, BELOW), (above, ABOVE)))
    if little == 0.0 < much or (little > FOLLOWS * size > 3.0 * much):
        return True
    truth = truth_of(subject, case)
    if y.shape != truth.y.shape:
        return False
    off, allowed = y - truth.y, forward_bound(subject, truth)
    if not ((np.abs(off) > UNLIKE * allowed).any() and (np.abs(off) <= SINGLE * allowed).all()):
        return False
    changed = above - truth_of(subject, case.but(x=case.x * (1.0 + ABOVE))).y - off
    return float(np.abs(changed).max()) > NOISE * float(np.abs(off).max())


def _refused_size(subject: Subject, check: Check, draw: Any) -> str:
    """The shape and the reason where the forward raises on a case, and not on an ordinary one of the same format."""
    calls: list[Case] = []

    def call(case: Case, gradient: bool) -> Answer:
        calls.append(case)
        return subject.call(case, gradient)

    finding = run_check(replace(subject, call=call), check, [draw]).finding
    if finding is None or finding.law != EXCEPTION or not calls:
        return ""
    case = calls[-1]  # the one that raised
    ordinary = replace(Draw(), rank=draw.rank, format=draw.format, affine=draw.affine, eps=draw.eps, dim=draw.dim)
    usual = small(subject.normalizer, adapted(subject, ordinary))
    try:
        subject.call(usual.but(dy=None), False)
    except CallError:
        return ""
    try:
        subject.call(_plainly(case), False)
    except CallError as error:
        return f"{'x'.join(map(str, case.x.shape))} ({error.reason})"
    return ""


def _plainly(case: Case) -> Case:
    """The case in a plain call without a backward."""
    return case.but(use=USUAL, layouts={}, dy=None)


def _leaves_nan(subject: Subject, check: Check, draw: Any) -> bool:
    finding = run_check(subject, check, [draw]).finding
    return finding is not None and finding.law.endswith(NUMBER)


def _plainly_right(subject: Subject, case: Case) -> bool:
    """Whether output and first gradients of a plain call are right."""
    plain = case.but(use=USUAL)
    truth = truth_of(subject, plain)
    try:
        answer = subject.call(plain, True)
    except CallError:
        return False
    found = (output_within(subject, truth, answer.y, USUAL), *gradients_within(subject, truth, answer, USUAL))
    return all(one.holds for one in found)


def refusals(subject: Subject) -> tuple[CheckWarning, ...]:
    """A warning for each format on which an implementation raises, where the contract does not name its formats."""
    if subject.contract.formats is not None:
        return ()
    declare = f"formats={','.join(subject.domain.formats)}"
    return tuple(
        CheckWarning(f"refuses:{name}", f"{name} input is refused ({subject.absent[name]})", declare, name)
        for name in subject.domain.refused_formats
    )


def _half(contract: Contract, format: str) -> str:
    """The class half in one more format."""
    name, _, some = contract.accuracy.partition(":")
    return f"half:{some},{format}" if name == "half" else f"half:{format}"


def _half_class(format: str) -> CheckWarning:
    wide = FORMATS[format].wide.name
    text = (
        f"the error is that of statistics kept in the input's format; torch keeps them in {wide} (batch and instance "
        f"norm: on a GPU): compute in {wide}, round the output"
    )
    name = f"accuracy=half:{format}"
    return CheckWarning(name, text, name, format)


def _computed_in_single(names: tuple[str, ...]) -> CheckWarning:
    text = (
        "float64 input is computed in float32: convert only what is narrower than float32, as in "
        "x.to(torch.promote_types(x.dtype, torch.float32))"
    )
    return CheckWarning("float64-in-float32", text, f"formats={','.join(names)}", FLOAT64.name)


def _second_derivative() -> CheckWarning:
    text = (
        "a second derivative is taken without an error and is wrong: compute the backward with operators that can be "
        "differentiated, or mark it once_differentiable"
    )
    return CheckWarning(SECOND, text, f"{SECOND}=any")


def _single_value() -> CheckWarning:
    text = (
        "training on one value for each channel leaves NaN in the running variance, in all later calls: raise a "
        "ValueError, as torch's function does, or leave the statistics as they are"
    )
    return CheckWarning("single-value", text, "single-value=any")


def _by_size(refused: str) -> CheckWarning:
    text = f"raises on an input of {refused}, where an input of another size is right: take every size"
    return CheckWarning("sizes", text, "sizes=some")
