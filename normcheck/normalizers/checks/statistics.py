"""Running statistics: their update by a training batch, and that evaluation leaves them unchanged."""

from __future__ import annotations

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.bounds.contracted import exact_bound, forward_bound, running_bound
from normcheck.normalizers.bounds.exactness import NOTHING
from normcheck.normalizers.bounds.laws import two_answers
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.accuracy import has_state, needs_evaluation
from normcheck.normalizers.checks.within_bounds import answer_of, truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Draw, small, state
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject


def needs_state(subject: Subject) -> str:
    """Why a check of running statistics cannot run; empty if it can."""
    why = subject.domain.absent.get("running statistics", "keeps no running statistics, or takes no momentum")
    return "" if subject.domain.state else why


def update(subject: Subject, case: Case) -> Comparison:
    """After a batch, new = (1 - m) old + m batch; the variance has the factor n / (n - 1), which shows at small n."""
    truth = truth_of(subject, case)
    answer = answer_of(subject, case)
    pairs = (
        ("running mean = (1 - m) old + m mean", answer.running_mean, truth.running_mean, False),
        ("running var = (1 - m) old + m var n / (n - 1)", answer.running_var, truth.running_var, True),
    )
    found = []
    for law, got, expected, variance in pairs:
        assert expected is not None
        allowed = running_bound(subject, truth, variance=variance)
        found.append(differ(law, np.full(expected.shape, np.nan) if got is None else got, expected, allowed))
    return worst(*found)


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
    Check("training-ignores-state", "in training y does not depend on the running statistics", "onnx/onnx#8442",
          output_ignores_state, _SPACE, has_state, needs_state),
    Check("evaluation-keeps-state", "evaluation leaves the running statistics unchanged", "pytorch/pytorch#12013",
          evaluation_keeps, _EVAL, has_state, needs_evaluation),
    Check("evaluation-alone", "in evaluation a case does not depend on its batch", "jax-ml/jax#139",
          evaluation_alone, _EVAL, has_state, needs_evaluation),
)  # fmt: skip
