"""Faults of the running statistics, and of evaluation with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.uses import WIDE, WITHOUT_GRADIENT
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import batched, keeps_variance, stateful
from normcheck.normalizers.normalizer import AXES, Partition
from normcheck.normalizers.reference.oracle import evaluate, partition, stored_factor
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps
from normcheck.normalizers.subject import Answer

_UNITS = tuple(AXES.index(name) for name in ("group", "unit"))


def _evaluating(question: FaultQuestion) -> bool:
    """Whether the case is an evaluation with given statistics."""
    case = question.case
    return not case.training and case.running_mean is not None and case.running_var is not None


def _updated(question: FaultQuestion) -> tuple[Array | None, Array | None]:
    """The running statistics after this batch, as a correct implementation has them."""
    truth = evaluate(question.normalizer, question.case.but(training=True, dy=None), question.contract)
    return truth.running_mean, truth.running_var


def _stays(answer: Answer, question: FaultQuestion) -> Answer:
    return replace(answer, running_mean=question.case.running_mean, running_var=question.case.running_var)


def _variance_stays(answer: Answer, question: FaultQuestion) -> Answer:
    return replace(answer, running_var=question.case.running_var)


def _moves(answer: Answer, question: FaultQuestion) -> Answer:
    """Evaluation updates as training does."""
    if not _evaluating(question):
        return answer
    mean, var = _updated(question)
    return replace(answer, running_mean=mean, running_var=var)


def _twice(steps: Steps) -> Steps:
    return replace(steps, blend=lambda old, new, m: steps.blend(steps.blend(old, new, m), new, m))


def _counts_cases(answer: Answer, question: FaultQuestion) -> Answer:
    """The factor n / (n - 1) with the number of cases for n."""
    case, var = question.case, answer.running_var
    cases, n = case.x.shape[0], case.x.size // max(case.x.shape[1], 1)
    if var is None or case.running_var is None or not case.training or cases < 2 or n < 2:
        return answer
    kept = (1.0 - case.momentum if question.contract.momentum == "new" else case.momentum) * case.running_var
    wrong = cases / (cases - 1.0) * ((n - 1.0) / n if question.contract.running_variance == "unbiased" else 1.0)
    return replace(answer, running_var=kept + (var - kept) * wrong)


def _corrected_twice(answer: Answer, question: FaultQuestion) -> Answer:
    """The factor n / (n - 1) on a variance that divides by n - 1 already."""
    case, var = question.case, answer.running_var
    n = partition(question.normalizer, case).n
    if var is None or case.running_var is None or not case.training or n < 2:
        return answer
    kept = (1.0 - batch_share(question)) * case.running_var
    return replace(answer, running_var=kept + (var - kept) * (n / (n - 1.0)))


def batch_share(question: FaultQuestion) -> float:
    """The weight of the new batch in the update."""
    momentum = question.case.momentum
    return momentum if question.contract.momentum == "new" else 1.0 - momentum


def stored(form: Callable[[Array, FaultQuestion], Array]) -> Callable[[Answer, FaultQuestion], Answer]:
    """Another number takes the place of the variance that training stores. form: from the variance to that number."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case, share = question.case, batch_share(question)
        if not case.training or case.running_mean is None or case.running_var is None:
            return answer
        empty = case.but(running_var=np.zeros_like(case.running_var), dy=None)
        truth = evaluate(question.normalizer, empty, question.contract)
        assert truth.running_var is not None
        new = form(truth.running_var / share, question)
        return replace(answer, running_var=(1.0 - share) * case.running_var + share * new)

    return after


def _inverse_deviation(var: Array, question: FaultQuestion) -> Array:
    out: Array = 1.0 / np.sqrt(var + question.case.eps)
    return out


def _enlarged(eps: Callable[[FaultQuestion], float]) -> Callable[[Answer, FaultQuestion], Answer]:
    """Training stores a variance that is too large."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if not case.training or case.running_mean is None or answer.running_var is None:
            return answer
        return replace(answer, running_var=answer.running_var + batch_share(question) * eps(question))

    return after


def _corrected_eps(question: FaultQuestion) -> float:
    """eps n / (n - 1), as Bessel's correction makes of eps that is in the variance already."""
    n = partition(question.normalizer, question.case).n
    return question.case.eps * (n / (n - 1.0) if question.contract.running_variance == "unbiased" and n > 1 else 1.0)


def _blended(question: FaultQuestion) -> Case:
    """Training normalizes with the statistics that it has just stored."""
    case = question.case
    if not case.training or case.running_mean is None:
        return case
    mean, var = _updated(question)
    return case.but(training=False, running_mean=mean, running_var=var)


def _trained(question: FaultQuestion) -> Case:
    """Evaluation is computed as training."""
    return question.case.but(training=True) if _evaluating(question) else question.case


def _trained_without_eps(question: FaultQuestion) -> Case:
    return question.case.but(training=True, eps=0.0) if _evaluating(question) else question.case


def _each_position(part: Partition, case: Case) -> Partition:
    return part if case.training else replace(part, members=_UNITS)


def _initial(question: FaultQuestion) -> Case:
    case = question.case
    if not _evaluating(question):
        return case
    assert case.running_mean is not None
    assert case.running_var is not None
    return case.but(running_mean=np.zeros_like(case.running_mean), running_var=np.ones_like(case.running_var))


def _inverse(question: FaultQuestion) -> Case:
    case = question.case
    if not _evaluating(question):
        return case
    assert case.running_var is not None
    return case.but(running_var=1.0 / np.square(case.running_var))


def _no_eps(question: FaultQuestion) -> Case:
    return question.case.but(eps=0.0) if _evaluating(question) else question.case


def _through_statistics(steps: Steps) -> Steps:
    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        return steps.backward(saved, g, replace(k, through=(1, 1)))

    return replace(steps, backward=backward)


def _usual_momentum(question: FaultQuestion) -> Case:
    return question.case.but(momentum=0.1)


def _lost(answer: Answer, question: FaultQuestion) -> Answer:
    """Running statistics that are not contiguous are copied, and the copies updated."""
    names = ("running_mean", "running_var")
    return answer if all(question.case.layout(name) == "contiguous" for name in names) else _stays(answer, question)


def _with_gradients(answer: Answer, question: FaultQuestion) -> Answer:
    return _stays(answer, question) if question.case.use in WITHOUT_GRADIENT else answer


def _rounded_batch(answer: Answer, question: FaultQuestion) -> Answer:
    """The statistics of a batch are rounded to its format before they are averaged."""
    case, share = question.case, batch_share(question)
    if case.use != WIDE or not case.training or case.running_mean is None or case.running_var is None:
        return answer
    n = partition(question.normalizer, case).n
    factor = stored_factor(question.contract, n)
    whole = case.but(dy=None, momentum=1.0 if question.contract.momentum == "new" else 0.0)
    batch = evaluate(question.normalizer, whole, question.contract)  # its statistics alone
    assert batch.running_mean is not None
    assert batch.running_var is not None
    mean = case.format.round(batch.running_mean)
    var = factor * case.format.round(batch.running_var / factor)
    return replace(
        answer,
        running_mean=(1.0 - share) * case.running_mean + share * mean,
        running_var=(1.0 - share) * case.running_var + share * var if question.normalizer.scaled else case.running_var,
    )


STORED = (
    Fault(
        name="running-variance-biased",
        story="Stores the variance that divides by n, where n - 1 is promised (or the reverse). Hides in large "
        "batches.",
        source="ml-explore/mlx#3817",
        concerns=keeps_variance,
        where="running",
        contract=lambda c: replace(c, running_variance="biased" if c.running_variance == "unbiased" else "unbiased"),
    ),
    Fault(
        name="running-variance-corrected-twice",
        story="The factor n / (n - 1) is applied to a variance that divides by n - 1 already. Hides in large batches.",
        source="constructed",
        concerns=keeps_variance,
        where="running",
        after=_corrected_twice,
    ),
    Fault(
        name="running-variance-counts-cases",
        story="The factor n / (n - 1) takes the number of cases for n. Hides on vectors.",
        source="tinygrad/tinygrad#807",
        concerns=batched,
        where="running",
        after=_counts_cases,
    ),
    Fault(
        name="running-deviation-stored",
        story="Stores the standard deviation in the place of the variance. Hides where it is 1.",
        source="ROCm/rocm-libraries#2459",
        concerns=stateful,
        where="running",
        after=stored(lambda var, question: np.sqrt(var)),
    ),
    Fault(
        name="running-inverse-deviation-stored",
        story="Stores 1 / s, which the backward needs, in the place of the variance. Hides where it is 1.",
        source="ROCm/rocm-libraries#2459",
        concerns=keeps_variance,
        where="running",
        after=stored(_inverse_deviation),
    ),
    Fault(
        name="eps-in-running-variance",
        story="Adds eps to the variance before it is stored, so that evaluation adds it twice. Hides where the "
        "variance is far above eps.",
        source="nntrainer/nntrainer#677",
        concerns=keeps_variance,
        where="running",
        after=_enlarged(lambda question: question.case.eps),
    ),
    Fault(
        name="bessel-with-eps",
        story="Adds eps to the variance, and the factor n / (n - 1) multiplies both. Hides where the variance is far "
        "above eps.",
        source="chainer/chainer#7506",
        concerns=keeps_variance,
        where="running",
        after=_enlarged(_corrected_eps),
    ),
    Fault(
        name="momentum-swapped",
        story="Takes the weight of the new batch for that of the old state (or the reverse). Hides at momentum 0.5.",
        source="PaddlePaddle/Paddle#51120",
        concerns=stateful,
        where="running",
        contract=lambda c: replace(c, momentum="old" if c.momentum == "new" else "new"),
    ),
    Fault(
        name="momentum-hard-coded",
        story="Uses momentum 0.1 and ignores the argument. Hides at the default.",
        source="Jermmy/pytorch-quantization-demo#17",
        concerns=stateful,
        where="running",
        before=_usual_momentum,
    ),
    Fault(
        name="running-statistics-not-updated",
        story="Training leaves the running statistics at what they were. Hides until evaluation.",
        source="paiml/aprender#2166",
        concerns=stateful,
        where="running",
        after=_stays,
    ),
    Fault(
        name="running-mean-only",
        story="Only the running mean is updated. Hides until evaluation, and where the variance is 1.",
        source="torch/nn#1271",
        concerns=keeps_variance,
        where="running",
        after=_variance_stays,
    ),
    Fault(
        name="running-statistics-updated-twice",
        story="A forward that is computed again for the backward updates again. Hides in outputs and gradients.",
        source="pytorch/pytorch#96136",
        concerns=stateful,
        where="running",
        steps=_twice,
    ),
    Fault(
        name="training-uses-running-statistics",
        story="Training normalizes with the blended statistics instead of the batch's own. Hides without running "
        "statistics.",
        source="onnx/onnx#8442",
        concerns=stateful,
        where="running",
        before=_blended,
    ),
)

CALLED = (
    Fault(
        name="strided-state-copied",
        story="Running statistics are made contiguous first, and what is written into the copy is lost. Hides where "
        "they are contiguous.",
        source="pytorch/pytorch#33867",
        concerns=stateful,
        where="memory",
        after=_lost,
    ),
    Fault(
        name="state-moves-with-gradients",
        story="Running statistics are updated only while gradients are recorded. Hides until they are estimated anew "
        "under no_grad.",
        source="facebookresearch/unbiased-teacher#47",
        concerns=stateful,
        where="use",
        after=_with_gradients,
    ),
    Fault(
        name="batch-statistics-rounded",
        story="The statistics of a batch in half precision are rounded to it before they reach running statistics in "
        "single. Hides where batch and state have one format.",
        source="onnx/onnx#3415",
        concerns=stateful,
        where="use",
        after=_rounded_batch,
    ),
)
"""Faults under a layout, a grad mode, or a format of the running statistics."""

EVALUATION = (
    Fault(
        name="eval-uses-batch-statistics",
        story="Evaluation normalizes with the batch's own statistics. Hides until a single case is evaluated.",
        source="jax-ml/jax#139",
        concerns=stateful,
        where="evaluation",
        before=_trained,
    ),
    Fault(
        name="eval-normalizes-units",
        story="Evaluation normalizes the units of each case and position, without eps. Hides in tests of training.",
        source="pytorch/pytorch#4444",
        concerns=stateful,
        where="evaluation",
        before=_trained_without_eps,
        repartition=_each_position,
    ),
    Fault(
        name="eval-ignores-running-statistics",
        story="Evaluation uses mean 0 and variance 1. Hides before the first update.",
        source="LaurentMazare/tch-rs#628",
        concerns=stateful,
        where="evaluation",
        before=_initial,
    ),
    Fault(
        name="eval-takes-inverse-deviation",
        story="Evaluation takes the stored variance for an inverse deviation. Hides where the variance is 1.",
        source="ROCm/rocm-libraries#2459",
        concerns=keeps_variance,
        where="evaluation",
        before=_inverse,
    ),
    Fault(
        name="eval-eps-ignored",
        story="Evaluation divides by the root of the running variance alone. Hides where the variance is far above "
        "eps.",
        source="torchcvnn/torchcvnn#32",
        concerns=keeps_variance,
        where="evaluation",
        before=_no_eps,
    ),
    Fault(
        name="eval-gradient-through-statistics",
        story="Evaluation has the gradient of training. Hides where no gradient is computed in evaluation.",
        source="pytorch/xla#913",
        concerns=stateful,
        where="evaluation",
        steps=_through_statistics,
    ),
    Fault(
        name="eval-updates-state",
        story="Evaluation updates the running statistics. Hides in a single evaluation.",
        source="mf1024/Batch-Renormalization-PyTorch#1",
        concerns=stateful,
        where="evaluation",
        after=_moves,
    ),
)

FAULTS = STORED + EVALUATION + CALLED
