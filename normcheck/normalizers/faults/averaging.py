"""Faults of running statistics that treat mean and variance differently, or average something else than the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.running import batch_share, stored
from normcheck.normalizers.faults.structure import keeps_variance, stateful
from normcheck.normalizers.reference.oracle import evaluate, partition, stored_factor
from normcheck.normalizers.subject import Answer

After = Callable[[Answer, FaultQuestion], Answer]


def _updates(case: Case) -> bool:
    return case.training and case.running_mean is not None and case.running_var is not None


def _mean_stays(answer: Answer, question: FaultQuestion) -> Answer:
    return replace(answer, running_mean=question.case.running_mean)


def _other_meaning(contract: Contract) -> Contract:
    """The other meaning of momentum."""
    return replace(contract, momentum="old" if contract.momentum == "new" else "new")


def _swapped(name: str) -> After:
    """One of the two statistics is updated with the other meaning of momentum."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        if not _updates(question.case):
            return answer
        other = evaluate(question.normalizer, question.case.but(dy=None), _other_meaning(question.contract))
        return replace(answer, **{name: getattr(other, name)})

    return after


def _grows(answer: Answer, question: FaultQuestion) -> Answer:
    """The share of the batch is added, and nothing of the old statistics is taken away."""
    case = question.case
    if not _updates(case):
        return answer
    assert answer.running_mean is not None
    assert answer.running_var is not None
    kept = batch_share(question)
    return replace(
        answer,
        running_mean=answer.running_mean + kept * np.asarray(case.running_mean),
        running_var=answer.running_var + kept * np.asarray(case.running_var),
    )


def _of_normalized(var: Array, question: FaultQuestion) -> Array:
    """The variance of what has the variance var / (var + eps), as it is stored."""
    factor = stored_factor(question.contract, partition(question.normalizer, question.case).n)
    own = var / factor
    out: Array = factor * own / (own + question.case.eps)
    return out


def _from_normalized(answer: Answer, question: FaultQuestion) -> Answer:
    """The statistics of the normalized batch: mean 0, and a variance of nearly 1."""
    case = question.case
    if not _updates(case):
        return answer
    kept = (1.0 - batch_share(question)) * np.asarray(case.running_mean)
    return stored(_of_normalized)(replace(answer, running_mean=kept), question)


def _about_running_mean(answer: Answer, question: FaultQuestion) -> Answer:
    """The mean of the squared distances from the running mean that was just stored."""
    case, kept = question.case, batch_share(question)
    if not _updates(case) or answer.running_mean is None:
        return answer
    whole = case.but(dy=None, momentum=1.0 if question.contract.momentum == "new" else 0.0)
    batch = evaluate(question.normalizer, whole, replace(question.contract, running_variance="biased"))
    squares = np.asarray(batch.running_var) + np.square(np.asarray(batch.running_mean) - answer.running_mean)
    return replace(answer, running_var=(1.0 - kept) * np.asarray(case.running_var) + kept * squares)


FAULTS = (
    Fault(
        name="running-variance-only",
        story="Only the running variance is updated. Hides until evaluation, and where the mean is 0.",
        source="constructed",
        concerns=keeps_variance,
        where="running",
        after=_mean_stays,
    ),
    Fault(
        name="momentum-of-variance-swapped",
        story="Takes the weight of the new batch for that of the old state, in the running variance alone. Hides at "
        "momentum 0.5.",
        source="constructed, after PaddlePaddle/Paddle#51120",
        concerns=keeps_variance,
        where="running",
        after=_swapped("running_var"),
    ),
    Fault(
        name="momentum-of-mean-swapped",
        story="Takes the weight of the new batch for that of the old state, in the running mean alone. Hides at "
        "momentum 0.5.",
        source="constructed, after PaddlePaddle/Paddle#51120",
        concerns=keeps_variance,
        where="running",
        after=_swapped("running_mean"),
    ),
    Fault(
        name="running-statistics-not-decayed",
        story="Adds the share of the batch to the running statistics, and takes nothing away: they grow with every "
        "batch. Hides where they begin at 0.",
        source="constructed",
        concerns=stateful,
        where="running",
        after=_grows,
    ),
    Fault(
        name="running-statistics-of-normalized",
        story="Takes the running statistics from the batch after it is normalized: mean 0, variance 1. Hides until "
        "evaluation.",
        source="constructed",
        concerns=keeps_variance,
        where="running",
        after=_from_normalized,
    ),
    Fault(
        name="running-variance-about-running-mean",
        story="Averages the squared distances from the running mean, for those from the batch's own mean. Hides where "
        "the mean of every batch is the same, and batches are large.",
        source="constructed",
        concerns=keeps_variance,
        where="running",
        after=_about_running_mean,
    ),
)
