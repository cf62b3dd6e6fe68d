"""Every way to call a layer gives the results of a plain call: frozen, copied, transformed, compiled, from two threads.

Copies, transforms and second derivatives may raise, which is reported as not offered; if they do not raise they must be
right. Grad modes, frozen parameters and a second thread must work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Array
from normcheck.core.layouts import applies
from normcheck.core.result import CheckWarning, Comparison, worst
from normcheck.normalizers.bounds import bounds, derivatives, mixed_precision
from normcheck.normalizers.bounds.contracted import demanded, forward_bound
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import (
    Ask,
    answer_of,
    gradients_within,
    needs_gradient,
    needs_parameters,
    output_within,
    resolved,
    truth_of,
)
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference import oracle
from normcheck.normalizers.reference.cast_order import AFTER, BEFORE, output_format
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import Draw, parameters, small, values
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

Within = Callable[[Subject, Truth, Answer, str], Iterator[Comparison]]
"""The comparisons of what was returned; the text is the name of the use."""


def _applies(case: Case, use: str) -> bool:
    """Whether a use differs from a plain call: some of the case's arrays are frozen, and some are not."""
    if use not in uses.FROZEN:
        return True
    there = (True, case.weight is not None, case.bias is not None)
    wanted = [want and here for want, here in zip(uses.asks(use), there, strict=True)]
    return any(wanted) and wanted != list(there)


def _asked(use: str) -> tuple[bool, bool, bool]:
    """Whether a use gives the gradients of input, weight and bias."""
    if use in (*uses.WITHOUT_GRADIENT, *uses.CHANGED, *uses.WITHOUT_BACKWARD):
        return False, False, False
    return (True, False, False) if use in ("jacrev", "vmap") else uses.asks(use)


def same(subject: Subject, truth: Truth, answer: Answer, use: str) -> Iterator[Comparison]:
    """Output and gradients are those of a plain call."""
    yield output_within(subject, truth, answer.y, use)
    if subject.domain.gradient:
        yield from gradients_within(subject, truth, answer, use, _asked(use))


def _under(law: str, names: tuple[str, ...], *, refusable: bool, within: Within = same) -> Ask:
    """The check of several uses; refusable: whether the implementation may raise."""

    def ask(subject: Subject, case: Case) -> Comparison:
        found: list[Comparison] = []
        refused: dict[str, str] = {}
        for use in names:
            here = case.but(use=use)
            if use not in subject.domain.uses or not _applies(case, use):
                continue
            try:
                answer = subject.call(here, subject.domain.gradient)
                found += within(subject, truth_of(subject, here), answer, use)
            except CallError as error:
                if not refusable:
                    raise
                refused[use] = error.reason
        return replace(worst(*found) if found else Comparison(law, 0, 0.0), refused=refused)

    return ask


def _mixed(subject: Subject, truth: Truth, answer: Answer, use: str) -> Iterator[Comparison]:
    """Automatic mixed precision may round its arguments to its narrow format and compute everything in it."""
    narrow = replace(truth, case=truth.case.but(format=BFLOAT16))
    mask = resolved(narrow, bounds.HALF)
    multiplier = subject.contract.bound_multiplier
    allowed = multiplier * np.broadcast_to(mixed_precision.output(narrow), truth.y.shape)
    yield differ(f"y, {use}", answer.y, truth.y, allowed, mask)
    if answer.dx is not None and truth.dx is not None:
        yield differ(f"dx, {use}", answer.dx, truth.dx, multiplier * mixed_precision.gradient(narrow), mask)


def _wide(subject: Subject, truth: Truth, answer: Answer, use: str) -> Iterator[Comparison]:
    """Output and gradients are right; the output has the format of the input or of the parameters, as cast declares."""
    yield from same(subject, truth, answer, use)
    cast = subject.contract.cast
    formats = [output_format(truth.case, one).name for one in (BEFORE, AFTER) if cast in ("any", one)]
    formats += [truth.case.format.wide.name] if subject.domain.keeps_parameters else []  # which are as wide
    which = "has the format of the input or of the parameters" if cast == "any" else f"is {formats[0]} by cast={cast}"
    law = f"the output, {use}, {which}"
    yield Comparison(law, 1, 0.0 if answer.format in formats else math.inf, detail=f"the output is {answer.format}")


def _pushed(subject: Subject, truth: Truth, answer: Answer, use: str) -> Iterator[Comparison]:
    """y, and its derivative along the case's tangent."""
    yield output_within(subject, truth, answer.y, use)
    yield _along(subject, truth, answer, use)


def _along(subject: Subject, truth: Truth, answer: Answer, use: str) -> Comparison:
    """J v is the derivative of y along the case's tangent v."""
    accuracy = demanded(subject, truth.case, backward=True)
    expected = oracle.tangent(truth, subject.contract)
    got = np.full(expected.shape, np.nan) if answer.jv is None else answer.jv
    allowed = subject.contract.bound_multiplier * np.broadcast_to(
        derivatives.tangent(truth, accuracy).total, expected.shape
    )
    return differ(f"J v, {use}", got, expected, allowed, resolved(truth, accuracy))


ONCE = "its backward keeps statistics as constants, so it can be differentiated once: mark it once_differentiable"
"""True of every hand-written backward that uses saved statistics (functorch#807)."""

SECOND = "second-derivative"
"""Name of the check, of the key of the contract, and of the warning."""


def _through_statistics(truth: Truth, missing: Array, allowed: Array) -> bool:
    """Whether what is missing is, in each set, a combination of 1 and xh: what passes through mean and scale."""
    part = truth.partition
    flat, limit = part.gather(missing), part.gather(allowed)
    base = [truth.saved.xh, np.ones_like(flat)] if truth.setting.centered else [truth.saved.xh]
    for one, axes, bound in zip(flat, np.stack(base, axis=2), limit, strict=True):
        rest = one - axes @ np.linalg.lstsq(axes, one, rcond=None)[0]
        if not np.all(np.abs(rest) <= bound):
            return False
    return True


def _twice(subject: Subject, truth: Truth, answer: Answer, use: str) -> Iterator[Comparison]:
    """A backward that is differentiated: its gradients, and their derivatives with respect to input and cotangent."""
    yield from gradients_within(subject, truth, answer, use)
    accuracy = demanded(subject, truth.case, backward=True)
    expected = oracle.second(subject.normalizer, truth.case, subject.contract)
    got = np.full(expected.shape, np.nan) if answer.ddx is None else answer.ddx
    allowed = subject.contract.bound_multiplier * np.broadcast_to(
        derivatives.second(truth, accuracy).total, expected.shape
    )
    mask = resolved(truth, accuracy)
    found = differ("d<dx, v>/dx", got, expected, allowed, mask)
    once = not found.holds and _through_statistics(truth, got - expected, allowed)
    if once and subject.contract.second_derivative != "right":
        size = float(np.abs(expected).max(initial=0.0))
        text = (
            f"the second derivative is off by {found.observed / size:.1g} of its largest entry without an error: {ONCE}"
        )
        yield Comparison(found.law, 0, 0.0, warnings=(CheckWarning(SECOND, text, f"{SECOND}=any"),))
        return
    yield found
    yield replace(_along(subject, truth, answer, use), law="d<dx, v>/d(dy) = J v")


CALLS = 101
"""Number of repeated calls: more than a test makes, and more than a benchmark of a hundred."""


def many_calls(subject: Subject, case: Case) -> Comparison:
    """Each of `CALLS` equal calls gives the right output."""
    truth = truth_of(subject, case)
    allowed = forward_bound(subject, truth)
    found = [differ(f"y, call {call}", answer_of(subject, case).y, truth.y, allowed) for call in range(1, CALLS + 1)]
    return replace(worst(*found), notes=_observed(subject, case))


def _observed(subject: Subject, case: Case) -> dict[str, str]:
    """Notes: the framework's operators that the code calls, and whether the output has the input's memory format."""
    if uses.OBSERVED not in subject.domain.uses:
        return {}
    here = case.but(use=uses.OBSERVED)
    names = subject.call(here, False).called
    notes = {"calls": ", ".join(names)} if names else {}
    last = "channels last"
    images = subject.normalizer.sets.layout == "channels" and applies(case.x.shape, last)
    if images and last in subject.domain.layouts and not subject.call(here.but(layouts={"x": last}), False).kept_format:
        notes[last] = "the output does not keep the memory format of its input, as torch's convolutions do"
    return notes


def directed(normalizer: Normalizer, draw: Draw) -> Case:
    """A small case with a tangent."""
    case = small(normalizer, draw)
    rng = np.random.default_rng((draw.seed, 5))
    return case.but(tangent=case.format.round(rng.standard_normal(case.x.shape) + 0.25))


def finer(normalizer: Normalizer, draw: Draw) -> Case:
    """A small case in a narrow format whose parameters have values of the wide format."""
    case = small(normalizer, draw)
    rng = np.random.default_rng((draw.seed, 6))
    shape = next((own.shape for own in (case.weight, case.bias) if own is not None), ())
    weight, bias = parameters(rng, shape, case.format.wide)
    return case.but(
        weight=None if case.weight is None else weight, bias=None if case.bias is None else bias, use=uses.WIDE
    )


def offers(*names: str) -> Callable[[Subject], str]:
    """A predicate: why an implementation offers none of these uses; empty if it offers one."""

    def lacks(subject: Subject) -> str:
        return "" if set(names) & set(subject.domain.uses) else uses.NOT_APPLICABLE

    return lacks


def offers_gradient(*names: str) -> Callable[[Subject], str]:
    offered = offers(*names)
    return lambda subject: needs_gradient(subject) or offered(subject)


def _derivative(*names: str) -> Callable[[Subject], str]:
    offered = offers_gradient(*names)

    def lacks(subject: Subject) -> str:
        claimed = subject.contract.gradient
        return offered(subject) or ("" if claimed == "full" else f"the claimed gradient is {claimed}")

    return lacks


def _second_derivative(subject: Subject) -> str:
    declared = subject.contract.second_derivative
    return _derivative(uses.SECOND)(subject) or (f"{SECOND}={declared} is declared" if declared == "any" else "")


def stateless(normalizer: Normalizer) -> bool:
    """Whether it keeps no running statistics: textbook code that does trains if gradients are enabled."""
    return not normalizer.state


_SPACE = NormalizerSpace(small, formats=(FLOAT32, FLOAT64), widths=(4, 6), sets=(4, 6), offsets=False)
_ONCE = replace(_SPACE, formats=(FLOAT32,), once=True)
_DIRECTED = replace(_SPACE, recipe=directed, formats=(FLOAT64, FLOAT32), widths=(3, 4, 6), sets=(4,), eps=(1e-5, 0.1))
_FUNCTIONAL = "pytorch/functorch#534"


def use_check(name: str, law: str, source: str, names: tuple[str, ...], space: NormalizerSpace = _SPACE, *,
              refusable: bool = True, within: Within = same, least: str = "default",
              cost: float = 4.0) -> Check:  # fmt: skip
    """The check of a law under several uses of a layer."""
    lacks = offers(*names)
    return Check(name, law, source, _under(law, names, refusable=refusable, within=within), space, lacks=lacks,
                 least=least, cost=cost)  # fmt: skip


CHECKS = (
    replace(
        use_check("grad-mode", "without gradients y is the same", "intel/intel-extension-for-pytorch#597",
               uses.WITHOUT_GRADIENT,
               replace(_SPACE, recipe=values, offsets=True), refusable=False, least="quick"),
        concerns=stateless,
    ),
    replace(
        use_check("frozen", "input, weight or bias may be frozen: the other gradients stay", "pytorch/pytorch#80952",
               uses.FROZEN, refusable=False, least="quick"),
        lacks=lambda subject: needs_parameters(subject) or offers(*uses.FROZEN)(subject),
    ),
    use_check("memory-reused", "other content in the same memory, two backwards, two threads: the same answer",
           "gpu-mode/reference-kernels#162", uses.REUSED, refusable=False, least="quick"),
    use_check("copies", "a copy of a module answers as the module", "pytorch/pytorch#102983", uses.COPIES,
           replace(_SPACE, once=True), least="quick"),
    replace(
        use_check("function-transforms", "vjp, jacrev and vmap give what a plain call gives", _FUNCTIONAL,
                  uses.FUNCTIONAL, replace(_SPACE, widths=(3, 4, 6), sets=(4,), given_shapes=False)),
        lacks=offers_gradient(*uses.FUNCTIONAL),
    ),
    replace(
        use_check("checkpoint", "recomputed in the backward, the gradients are the same", "pytorch/pytorch#96136",
               (uses.CHECKPOINT,)),
        lacks=offers_gradient(uses.CHECKPOINT),
    ),
    replace(
        use_check("forward-derivative", "forward mode gives J v", "pytorch/pytorch#196700", (uses.JVP,), _DIRECTED,
               within=_pushed),
        lacks=_derivative(uses.JVP),
    ),
    replace(
        use_check(SECOND, "a backward that can be differentiated has the right derivative",
               "pytorch/pytorch#41595", (uses.SECOND,), _DIRECTED, within=_twice),
        concerns=lambda n: n.scaled,  # without a scale it is linear, and has none
        lacks=_second_derivative,
    ),
    use_check("autocast", "under automatic mixed precision y and dx are right in its format", "pytorch/pytorch#167308",
           (uses.AUTOCAST,), replace(_SPACE, formats=(FLOAT32,)), within=_mixed, least="quick"),
    replace(
        use_check("wide-parameters", "narrow input with wide parameters gives the exact output in the narrow format",
               "pytorch/pytorch#190054", (uses.WIDE,),
               replace(_SPACE, recipe=finer, formats=(BFLOAT16, FLOAT16), affine=("both", "weight")),
               within=_wide, least="quick"),
        concerns=lambda normalizer: normalizer.acts_on == "activation",
    ),
    use_check("compiled", "compiled, the layer is as near to float64 as eager", "pytorch/pytorch#143182",
              (uses.COMPILED,), _ONCE, least="deep", cost=math.inf),
    use_check("exported", "exported, the module is as near to float64 as eager", "pytorch/pytorch#18525",
           (uses.EXPORTED,), _ONCE, least="deep", cost=math.inf),
    Check("many-calls", "the first call and the hundred and first give the same output", "karpathy/llm.c#852",
          many_calls, _ONCE, least="default", cost=math.inf),
)  # fmt: skip
