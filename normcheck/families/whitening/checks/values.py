"""Whitening layers against the closed forms: output, gradients, running statistics, evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.floats import Array
from normcheck.core.result import Comparison, worst
from normcheck.families.whitening import bounds
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.reference import answer, constant_statistics
from normcheck.families.whitening.space import WhiteningSpace
from normcheck.families.whitening.subject import WhiteningSubject

ZCA, ITER = "Huang et al. 2018, Decorrelated Batch Normalization", "Huang et al. 2019, Iterative Normalization"


def errors(subject: WhiteningSubject, case: WhiteningCase) -> bounds.WhiteningBounds:
    """What a correct answer may be off by, before the contract's multiplier."""
    return bounds.allowed(subject.entry.root, case)


def same(
    subject: WhiteningSubject, case: WhiteningCase, law: str, got: Array | None, expected: Array, off: Array
) -> Comparison:
    """An array of the input's shape against its bound, in groups that are resolved."""
    got = np.full(expected.shape, np.nan) if got is None else got
    mask = np.broadcast_to(errors(subject, case).visible(case), expected.shape)
    return differ(law, got, expected, subject.contract.bound_multiplier * off, mask)


def _output(subject: WhiteningSubject, case: WhiteningCase, law: str) -> Comparison:
    expected = answer(subject.entry.root, case)
    return same(subject, case, law, subject.call(case, False).y, expected.y, errors(subject, case).y)


def _gradients(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    expected, off = answer(subject.entry.root, case), errors(subject, case)
    got = subject.call(case, True)
    out = [same(subject, case, "dx", got.dx, expected.dx if expected.dx is not None else got.y, off.dx)]
    seen, multiplier = off.visible(case).reshape(-1), subject.contract.bound_multiplier
    for name, parameter in (("dweight", case.weight), ("dbias", case.bias)):
        value = getattr(got, name)
        if parameter is not None:
            value = np.full(parameter.shape, np.nan) if value is None else value
            out.append(differ(name, value, getattr(expected, name), multiplier * getattr(off, name), seen))
    return worst(*out)


def ask_output(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Output against the closed form."""
    return _output(subject, case, f"y = w ({subject.entry.formula.partition(',')[0].partition('= ')[2]}) + b")


def ask_gradient(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Gradients of input, weight and bias against the closed forms; which of two forms that of the input fits."""
    root = subject.entry.root
    constant = constant_statistics(root, case)
    dx, off = subject.call(case, True).dx, errors(subject, case).dx
    full, found = answer(root, case).dx, _gradients(subject, case)
    assert full is not None
    metrics = {
        f"gradient/{mode}": same(subject, case, mode, dx, expected, off).bound_ratio
        for mode, expected in (("full", full), ("statistics-constant", constant))
    }
    return replace(found, metrics=metrics)


def statistics(
    subject: WhiteningSubject, case: WhiteningCase, got: WhiteningAnswer, mode: str = ""
) -> list[Comparison]:
    """Running mean and covariance after a call in a mode."""
    expected, off = answer(subject.entry.root, case), errors(subject, case)
    law = "= (1 - momentum) {name} + momentum of the batch" if case.training else "stays"
    return [
        differ(f"{name} {law.format(name=name)}{mode and f', {mode}'}", _statistic(got, name),
               getattr(expected, name), subject.contract.bound_multiplier * getattr(off, name))
        for name in ("running_mean", "running_cov")
    ]  # fmt: skip


def ask_running(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """Running mean and covariance after a call in training."""
    return worst(*statistics(subject, case, subject.call(case, False)))


def _statistic(got: WhiteningAnswer, name: str) -> Array:
    value = getattr(got, name)
    return np.array(np.nan) if value is None else value


def ask_evaluation(subject: WhiteningSubject, case: WhiteningCase) -> Comparison:
    """With running statistics: the output, the gradient with the matrix constant, statistics unchanged."""
    got, law = subject.call(case, False), "evaluation leaves running statistics as they are"
    kept = [differ(law, _statistic(got, n), getattr(case, n), np.zeros(())) for n in ("running_mean", "running_cov")]
    out = _output(subject, case, "y in evaluation, by running_mean and running_cov")
    return worst(out, *kept, *([_gradients(subject, case)] if subject.domain.gradient else []))


def needs_gradient(subject: WhiteningSubject) -> str:
    """Why the gradient cannot be checked; empty if it can."""
    return "" if subject.domain.gradient else f"no gradient: {subject.domain.absent.get('gradient', '')}"


def needs_running(subject: WhiteningSubject) -> str:
    """Why running statistics cannot be checked; empty if they can."""
    return "" if subject.domain.running else subject.domain.absent.get("running statistics", "")


def needs_evaluation(subject: WhiteningSubject) -> str:
    """Why evaluation cannot be checked; empty if it can."""
    return "" if subject.domain.evaluation else subject.domain.absent.get("evaluation", "")


OUTPUT = Check("white-output", "y = w R (x - mean(x)) + b", f"{ZCA}, Algorithm 1", ask_output, WhiteningSpace())
GRADIENT = Check(
    "white-gradient",
    "dx, dweight and dbias are those of the closed form",
    f"{ZCA}, section 3.2",
    ask_gradient,
    WhiteningSpace(),
    lacks=needs_gradient,
)
RUNNING = Check(
    "white-running",
    "running statistics are averaged with momentum",
    f"{ZCA}, Algorithm 1",
    ask_running,
    WhiteningSpace(affine=(False,)),
    lacks=needs_running,
)
EVALUATION = Check(
    "white-evaluation",
    "evaluation is by running statistics",
    f"{ITER}, Algorithm 1",
    ask_evaluation,
    WhiteningSpace(training=(False,)),
    lacks=needs_evaluation,
)
