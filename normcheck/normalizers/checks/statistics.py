"""Running statistics: their update by a training batch, and that evaluation leaves them unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from normcheck.core import uses
from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from normcheck.core.layouts import NAMES, applies
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds import history
from normcheck.normalizers.bounds.contracted import exact_bound, forward_bound, running_bound
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.bounds.laws import two_answers
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.accuracy import has_state, needs_evaluation
from normcheck.normalizers.checks.within_bounds import answer_of, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.reference.oracle import Truth
from normcheck.normalizers.sampling.recipes import Draw, small, state
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Answer, Subject

STATISTICS = ("running_mean", "running_var")
"""Names of the running statistics in a case, an answer and the reference."""


def needs_state(subject: Subject) -> str:
    """Why a check of running statistics cannot run; empty if it can."""
    why = subject.domain.absent.get("running statistics", "keeps no running statistics, or takes no momentum")
    return "" if subject.domain.state else why


def update(subject: Subject, case: Case) -> Comparison:
    """After a batch, new = (1 - m) old + m batch; the variance has the factor n / (n - 1), which shows at small n."""
    return worst(*updated(subject, truth_of(subject, case), answer_of(subject, case)))


def updated(subject: Subject, truth: Truth, answer: Answer, label: str = "") -> Iterator[Comparison]:
    """Compare the running statistics after a call with those of the reference. label: the end of the law."""
    laws = ("running mean = (1 - m) old + m mean", "running var = (1 - m) old + m var n / (n - 1)")
    for name, law in zip(STATISTICS, laws, strict=True):
        expected, got = getattr(truth, name), getattr(answer, name)
        allowed = running_bound(subject, truth, variance=name == STATISTICS[1])
        yield differ(law + label, np.full(expected.shape, np.nan) if got is None else got, expected, allowed)


def _also(subject: Subject, law: str, plain: Case, others: Mapping[str, Case]) -> Comparison:
    """The update of other cases, by what is particular about them, if that of a plain one is right.

    A call may refuse another case; that the plain update is wrong is found by a check of its own.
    """
    found, refused = [Comparison(law, 0, 0.0)], {}
    for label, case in others.items() if update(subject, plain).holds else ():
        try:
            one = update(subject, case)
            found.append(replace(one, law=f"{one.law}, {label}"))
        except CallError as error:
            refused[label] = error.reason
    return replace(worst(*found), refused=refused)


def strided(subject: Subject, case: Case) -> Comparison:
    """Running statistics that are not contiguous in memory are updated where they are."""
    assert case.running_mean is not None
    names = [name for name in NAMES[1:] if applies(case.running_mean.shape, name)]
    others = {f"statistics {name}": case.but(layouts=dict.fromkeys(STATISTICS, name)) for name in names}
    return _also(subject, "running statistics in any layout", case, others)


def without_gradient(subject: Subject, case: Case) -> Comparison:
    """Where no gradients are recorded, a batch in training moves the running statistics all the same."""
    others = {use: case.but(use=use) for use in uses.WITHOUT_GRADIENT if use in subject.domain.uses}
    return _also(subject, "running statistics without gradients", case, others)


UNROUNDED = "unrounded-statistics"
"""Name of the check of narrow batches and wide running statistics."""


def unrounded(subject: Subject, case: Case) -> Comparison:
    """A batch in half precision moves running statistics in single precision as the same numbers in single do."""
    law = "a narrow batch moves wide running statistics unrounded"
    plain = case.but(format=case.format.wide)
    if not update(subject, plain).holds:
        return Comparison(law, 0, 0.0)
    try:
        answer = answer_of(subject, case.but(use=uses.WIDE))
    except CallError as error:
        return Comparison(law, 0, 0.0, refused={uses.WIDE: error.reason})
    truth = truth_of(subject, plain)
    found = worst(*updated(subject, truth, answer, f", {law}"))
    if subject.contract.accuracy_in(case.format.name) not in ("half", "one-pass"):
        return found
    rounded = history.kept_in(case.format, truth.running_mean, truth.running_var)
    return replace(found, bound_ratio=found.observed / max(found.allowed, rounded))


def output_ignores_state(subject: Subject, case: Case) -> Comparison:
    """In training the output does not depend on the running statistics or the momentum."""
    assert case.running_mean is not None
    assert case.running_var is not None
    other = case.but(running_mean=case.running_mean + 2.0, running_var=4.0 * case.running_var, momentum=0.5)
    truth = truth_of(subject, case)
    y = answer_of(subject, case).y
    law = "in training y does not depend on the running statistics"
    return differ(law, answer_of(subject, other).y, y, exact_bound(subject, truth))


def evaluation_keeps(subject: Subject, case: Case) -> Comparison:
    """Evaluation leaves the running statistics unchanged, bit for bit."""
    answer = answer_of(subject, case)
    found = []
    for name in ("running_mean", "running_var"):
        before, after = getattr(case, name), getattr(answer, name)
        law = f"evaluation leaves the {name.replace('_', ' ')} unchanged"
        found.append(differ(law, np.full(before.shape, np.nan) if after is None else after, before, NOTHING))
    return worst(*found)


def evaluation_alone(subject: Subject, case: Case) -> Comparison:
    """In evaluation a training case gives the same output by itself as within its batch."""
    truth = truth_of(subject, case)
    single = case.but(x=case.x[:1], dy=None)
    law = "in evaluation y(X)[i] = y(X[i])"
    allowed = two_answers(forward_bound(subject, truth))[:1]
    return differ(law, answer_of(subject, single).y, answer_of(subject, case).y[:1], allowed)


def _strided(subject: Subject) -> str:
    domain = subject.domain
    if not domain.layouts:
        return needs_state(subject) or domain.absent.get("layouts", "takes contiguous arrays only")
    return needs_state(subject) or ("" if domain.own_parameters else "its running statistics are its own")


def _called(*names: str) -> Callable[[Subject], str]:
    """A predicate: why an implementation with running statistics cannot be called in any of these ways."""

    def lacks(subject: Subject) -> str:
        offered = set(names) & set(subject.domain.uses)
        return needs_state(subject) or ("" if offered else uses.NOT_APPLICABLE)

    return lacks


def training(normalizer: Normalizer, draw: Draw) -> Case:
    """A well-conditioned case with running statistics, in training."""
    return state(normalizer, draw, training=True).but(x=small(normalizer, draw).x)


def _evaluating(normalizer: Normalizer, draw: Draw) -> Case:
    return state(normalizer, draw, training=False)


_SPACE = NormalizerSpace(training, formats=(FLOAT64, FLOAT32), widths=(2, 3, 4, 6, 12), offsets=False)
_EVAL = NormalizerSpace(_evaluating, formats=(FLOAT64, FLOAT32), widths=(4, 6, 12), offsets=False)

CHECKS = (
    Check("running-statistics", "new = (1 - momentum) old + momentum batch", "Ioffe, Szegedy 2015, Algorithm 2",
          update, _SPACE, has_state, needs_state),
    Check("strided-statistics", "running statistics are updated where they are in memory", "pytorch/pytorch#33867",
          strided, replace(_SPACE, once=True), has_state, _strided),
    Check("statistics-without-gradient", "where no gradients are recorded, training moves the running statistics",
          "facebookresearch/unbiased-teacher#47", without_gradient, replace(_SPACE, once=True), has_state,
          _called(*uses.WITHOUT_GRADIENT)),
    Check(UNROUNDED, "a narrow batch moves wide running statistics unrounded",
          "onnx/onnx#3415", unrounded,
          replace(_SPACE, formats=(BFLOAT16, FLOAT16), affine=("both", "weight"), once=True), has_state,
          _called(uses.WIDE)),
    Check("training-ignores-state", "in training y does not depend on the running statistics", "onnx/onnx#8442",
          output_ignores_state, _SPACE, has_state, needs_state),
    Check("evaluation-keeps-state", "evaluation leaves the running statistics unchanged", "pytorch/pytorch#12013",
          evaluation_keeps, _EVAL, has_state, needs_evaluation),
    Check("evaluation-alone", "in evaluation a case does not depend on its batch", "jax-ml/jax#139",
          evaluation_alone, _EVAL, has_state, needs_evaluation),
)  # fmt: skip
