"""Faults of the formula: eps, centering, the root, the parameters, the output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from normcheck.core.floats import BFLOAT16, FLOAT32, Array
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import (
    any_of_them,
    averages,
    averages_or_centered,
    centered,
    divides,
    has_bias,
    has_both,
    has_eps,
    only_centers,
    standardizes,
    stateful,
    uncentered,
    weighted,
    weighted_activations,
    weights,
)
from normcheck.normalizers.reference.oracle import evaluate, partition
from normcheck.normalizers.reference.standardize import Saved, Setting, Steps, forward
from normcheck.normalizers.subject import Answer


def with_setting(change: Callable[[Setting], Setting]) -> Callable[[Steps], Steps]:
    """Every step gets another setting, so that the backward is still the derivative of the forward."""

    def wrap(steps: Steps) -> Steps:
        return replace(
            steps,
            center=lambda x, k: steps.center(x, change(k)),
            variance=lambda c, x, k: steps.variance(c, x, change(k)),
            scale=lambda v, k: steps.scale(v, change(k)),
            normalize=lambda c, s, k: steps.normalize(c, s, change(k)),
            backward=lambda saved, g, k: steps.backward(saved, g, change(k)),
        )

    return wrap


def fewer(k: Setting) -> Setting:
    """The divisor less one; NaN for a single member."""
    return replace(k, divisor=k.divisor - 1.0 if k.divisor > 1.0 else math.nan)


def with_eps(change: Callable[[float], float]) -> Callable[[FaultQuestion], Case]:
    return lambda question: question.case.but(eps=change(question.case.eps))


def through_scale(change: Callable[[Array, Array], tuple[Array, Array]]) -> Callable[[Steps], Steps]:
    """Another function of v for s: change maps s and ds/dv to the wrong ones; the gradient follows."""

    def wrap(steps: Steps) -> Steps:
        return replace(steps, scale=lambda v, k: change(*steps.scale(v, k)))

    return wrap


def _eps_last(steps: Steps) -> Steps:
    """The scale has no eps; the normalized input gets it."""

    def normalize(c: Array, s: Array, k: Setting) -> Array:
        out: Array = steps.normalize(c, s, k) + s.dtype.type(k.eps)
        return out

    return replace(steps, scale=lambda v, k: steps.scale(v, replace(k, eps=0.0)), normalize=normalize)


def _squared(s: Array, slope: Array) -> tuple[Array, Array]:
    return s * s, slope * s * s.dtype.type(2.0)


def _inverted(s: Array, slope: Array) -> tuple[Array, Array]:
    return s.dtype.type(1.0) / s, -slope / (s * s)


def _floored(v: Array, k: Setting) -> tuple[Array, Array]:
    eps = v.dtype.type(k.eps)
    s = np.sqrt(np.maximum(v, eps))
    return s, np.where(v > eps, v.dtype.type(0.5) / s, v.dtype.type(0.0))


def one_pass(c: Array, x: Array, k: Setting) -> Array:
    mean = x.mean(axis=1, keepdims=True)
    out: Array = (x * x).sum(axis=1, keepdims=True) / x.dtype.type(k.divisor) - mean * mean
    return out


def _deviation(c: Array, x: Array, k: Setting) -> Array:
    total = np.abs(c[:, : k.part]).sum(axis=1, keepdims=True)
    out: Array = np.square(total / x.dtype.type(k.divisor))
    return out


def _deviations(x: Array, k: Setting) -> Array:
    read = x[:, : k.part]
    out: Array = read - read.mean(axis=1, keepdims=True)
    return out


def _about_the_mean(steps: Steps) -> Steps:
    """The numerator keeps its mean, the denominator is the deviation about it; the gradient is right for that."""

    def variance(c: Array, x: Array, k: Setting) -> Array:
        return steps.variance(_deviations(x, k), x, k)

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        dx = g / saved.s
        if k.through[1]:
            variance_term = (g * saved.c).sum(axis=1, keepdims=True) * saved.slope / (saved.s * saved.s)
            dx[:, : k.part] -= variance_term * g.dtype.type(2.0 / k.divisor) * _deviations(saved.x, k)
        return dx

    return replace(steps, center=lambda x, k: (steps.center(x, k)[0], x), variance=variance, backward=backward)


def _largest(x: Array) -> Array:
    out: Array = np.abs(x).max(axis=1, keepdims=True)
    return out


def _prescaled(steps: Steps) -> Steps:
    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu, c = steps.center(x, k)
        return mu, c / _largest(x)

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        return steps.backward(saved, g, k) / _largest(saved.x)

    return replace(steps, center=center, backward=backward)


def _divided_too(steps: Steps) -> Steps:
    """Divides as batch norm with its usual eps does, forward and backward, where nothing should divide."""

    def usual(k: Setting) -> Setting:
        return replace(k, scaled=True, divisor=float(k.n), eps=1e-5)

    def normalized(c: Array, s: Array, k: Setting) -> Array:
        return forward(c, usual(k), steps).xh

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        return steps.backward(forward(saved.x, usual(k), steps), g, usual(k))

    return replace(steps, normalize=normalized, backward=backward)


def rough_inverse_root(a: Array) -> Array:
    """The fast inverse square root with one Newton step, right to about 2 in 1000."""
    integer, magic = (np.int32, 0x5F3759DF) if a.dtype == np.float32 else (np.int64, 0x5FE6EB50C7B537A9)
    half = np.right_shift(np.ascontiguousarray(a).view(integer), 1)
    guess: Array = (integer(magic) - half).view(a.dtype)
    out: Array = guess * (a.dtype.type(1.5) - a.dtype.type(0.5) * a * guess * guess)
    return out


def _rough(v: Array, k: Setting) -> tuple[Array, Array]:
    s = v.dtype.type(1.0) / rough_inverse_root(v + v.dtype.type(k.eps))
    return s, v.dtype.type(0.5) / s


def _constants(steps: Steps) -> Steps:
    """The statistics of uniform numbers from 0 to 1, for every input."""

    def center(x: Array, k: Setting) -> tuple[Array, Array]:
        mu = np.full_like(x[:, :1], 0.5 if k.centered else 0.0)
        return mu, x - mu

    def variance(c: Array, x: Array, k: Setting) -> Array:
        return np.full_like(x[:, :1], 1.0 / 12.0 if k.centered else 1.0 / 3.0)

    def backward(saved: Saved, g: Array, k: Setting) -> Array:
        return steps.backward(saved, g, replace(k, through=(0, 0)))

    return replace(steps, center=center, variance=variance, backward=backward)


def _without_bias(steps: Steps) -> Steps:
    return replace(steps, affine=lambda xh, w, b: steps.affine(xh, w, None), dbias=np.zeros_like)


def _without_weight(steps: Steps) -> Steps:
    return replace(
        steps,
        affine=lambda xh, w, b: steps.affine(xh, None, b),
        cotangent=lambda dy, w: steps.cotangent(dy, None),
        dweight=lambda dy, xh, x: np.zeros_like(dy),
    )


def _bias_first(steps: Steps) -> Steps:
    def affine(xh: Array, w: Array | None, b: Array | None) -> Array:
        return steps.affine(xh if b is None else xh + b, w, None)

    return replace(steps, affine=affine)


def with_weight(change: Callable[[Array], Array]) -> Callable[[Steps], Steps]:
    """Forward and backward multiply by a function of the weight."""

    def wrap(steps: Steps) -> Steps:
        return replace(
            steps,
            affine=lambda xh, w, b: steps.affine(xh, None if w is None else change(w), b),
            cotangent=lambda dy, w: steps.cotangent(dy, None if w is None else change(w)),
        )

    return wrap


def _weight(question: FaultQuestion, offset: float) -> Array | None:
    """What the output is multiplied by, as it broadcasts against the input. offset: added beyond the contract."""
    weight = question.case.weight
    if weight is None:
        return None
    spread = partition(question.normalizer, question.case).spread(weight)
    return spread + (offset + 1.0 if question.contract.weight == "1+w" else offset)


def weighted_first(offset: float = 0.0) -> Callable[[FaultQuestion], Case]:
    """The input is multiplied by the weight plus an offset, and what is normalized by nothing."""

    def before(question: FaultQuestion) -> Case:
        weight = _weight(question, offset)
        return question.case if weight is None else question.case.but(x=question.case.x * weight, weight=None)

    return before


def through_weight(offset: float = 0.0) -> Callable[[Answer, FaultQuestion], Answer]:
    """The gradients of input and weight from that of their product."""

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        weight = _weight(question, offset)
        if weight is None or answer.dx is None:
            return answer
        dweight = partition(question.normalizer, question.case).collect(answer.dx * question.case.x)
        return replace(answer, dx=answer.dx * weight, dweight=dweight)

    return after


def _direction(answer: Answer, question: FaultQuestion) -> Answer:
    """w = v, whatever the length."""
    dweight = None if answer.dweight is None else np.zeros_like(answer.dweight)
    return replace(answer, y=question.case.x, dx=None if answer.dx is None else question.case.dy, dweight=dweight)


def _once_already(question: FaultQuestion) -> Case:
    """The input has been through the whole layer before."""
    y = evaluate(question.normalizer, question.case.but(dy=None), question.contract).y
    return question.case.but(x=question.case.format.round(y))


def with_output(change: Callable[[Array], Array]) -> Callable[[Answer, FaultQuestion], Answer]:
    return lambda answer, question: replace(answer, y=change(answer.y))


def _coarse(answer: Answer, question: FaultQuestion) -> Answer:
    return replace(answer, y=BFLOAT16.round(answer.y)) if question.case.format == FLOAT32 else answer


EPS = (
    Fault(
        name="eps-outside-root",
        story="Divides by sqrt(v) + eps. Hides where the variance is far above eps.",
        source="tracel-ai/burn#2185",
        concerns=has_eps,
        contract=lambda c: replace(c, eps_place="outside" if c.eps_place == "inside" else "inside"),
    ),
    Fault(
        name="eps-ignored",
        story="Takes eps and never adds it. Hides until a set is constant or its variance small.",
        source="tensorflow/tensorflow#58863",
        concerns=has_eps,
        before=with_eps(lambda eps: 0.0),
    ),
    Fault(
        name="eps-in-float32",
        story="eps is held as a number in float32, whatever the format of the computation: in float64 it is off by up "
        "to 6e-8 of itself. Hides in every other format, and where the variance is far above eps.",
        source="onnx.ai: LayerNormalization, attribute epsilon: float",
        concerns=has_eps,
        contract=lambda c: replace(c, eps_format=FLOAT32.name),
    ),
    Fault(
        name="eps-hard-coded",
        story="Uses an eps of its own, as 1e-5, and ignores the argument. Hides where no other eps is used.",
        source="ggml-org/llama.cpp#2373",
        concerns=has_eps,
        before=with_eps(lambda eps: 1e-5),
    ),
    Fault(
        name="eps-as-floor",
        story="Takes the larger of v and eps instead of their sum. Hides where the variance is far above eps.",
        source="ggml-org/llama.cpp#20350",
        concerns=has_eps,
        steps=lambda steps: replace(steps, scale=_floored),
    ),
    Fault(
        name="eps-squared",
        story="Adds eps^2 below the root, as if it were a length. Hides where the variance is far above eps.",
        source="allenai/OLMo#281",
        concerns=has_eps,
        before=with_eps(lambda eps: eps * eps),
    ),
    Fault(
        name="eps-added-to-result",
        story="Divides by sqrt(v) and adds eps to the quotient. Hides where eps is small, and the variance is not.",
        source="discuss.pytorch.org/t/51877",
        concerns=has_eps,
        steps=_eps_last,
    ),
    Fault(
        name="prescaled-by-maximum",
        story="Divides by max|x| against overflow and adds eps afterwards, so eps grows by max|x|^2; a set of zeros "
        "gives 0/0. Hides where the variance is far above eps.",
        source="apple/coremltools#2821",
        concerns=lambda n: has_eps(n) and not stateful(n),
        steps=_prescaled,
    ),
)

FORMULA = (
    Fault(
        name="variance-unbiased",
        story="Normalizes with the variance that divides by n - 1. Hides in wide sets, where the factor is nearly 1.",
        source="LBANN/lbann#2024",
        concerns=averages_or_centered,
        steps=with_setting(fewer),
    ),
    Fault(
        name="one-pass-variance",
        story="Takes E[x^2] - E[x]^2, which cancels. Hides where the mean is no larger than the deviation.",
        source="pytorch/pytorch#51102",
        concerns=standardizes,
        steps=lambda steps: replace(steps, variance=one_pass),
    ),
    Fault(
        name="one-pass-variance-clamped",
        story="Takes E[x^2] - E[x]^2 and clamps it at 0: the NaN is gone, the noise is not. Hides where the mean is "
        "no larger than the deviation.",
        source="patrick-kidger/equinox#314",
        concerns=standardizes,
        steps=lambda steps: replace(steps, variance=lambda c, x, k: np.maximum(one_pass(c, x, k), 0)),
    ),
    Fault(
        name="constants-instead-of-statistics",
        story="Knows that the test draws from 0 to 1 and uses mean 1/2 and variance 1/12. Hides in wide sets of "
        "exactly that distribution.",
        source="Infatoshi/kernelbench.com#7",
        concerns=averages,
        steps=_constants,
    ),
    Fault(
        name="mean-not-subtracted",
        story="Divides by the root mean square and subtracts nothing. Hides where the mean is 0.",
        source="ggml-org/llama.cpp#173",
        concerns=centered,
        steps=with_setting(lambda k: replace(k, centered=False)),
    ),
    Fault(
        name="mean-subtracted",
        story="Subtracts a mean that is not to be subtracted. Hides where the mean is 0.",
        source="ggml-org/llama.cpp#173",
        concerns=uncentered,
        steps=with_setting(lambda k: replace(k, centered=True)),
    ),
    Fault(
        name="mean-kept-in-numerator",
        story="Divides by the deviation about the mean but leaves the mean in. Hides where the mean is 0.",
        source="keras-team/keras#21234",
        concerns=centered,
        steps=_about_the_mean,
    ),
    Fault(
        name="variance-about-the-mean",
        story="Divides by the deviation about the mean where the root mean square is meant. Hides where the mean is 0.",
        source="huggingface/pytorch-image-models#2380",
        concerns=uncentered,
        steps=_about_the_mean,
    ),
    Fault(
        name="variance-instead-of-root",
        story="Divides by v + eps and takes no root. Hides where the variance is 1.",
        source="rinuboney/ladder#17",
        concerns=averages,
        steps=through_scale(_squared),
    ),
    Fault(
        name="scale-multiplied",
        story="Multiplies by the root instead of dividing. Hides where the variance is 1.",
        source="mosaicml/llm-foundry#371",
        concerns=divides,
        steps=through_scale(_inverted),
    ),
    Fault(
        name="absolute-deviation",
        story="Divides by the mean (or sum) of absolute values instead of the root of squares. Hides where all "
        "deviations are of one size.",
        source="copenlu/xai-benchmark#2",
        concerns=divides,
        steps=lambda steps: replace(steps, variance=_deviation),
    ),
    Fault(
        name="divides-by-norm",
        story="Divides by the length, the root of the sum of squares, where the root of their mean is meant. Hides in "
        "sets of one member.",
        source="huggingface/diffusers, LpNorm in models/normalization.py",
        concerns=averages,
        steps=with_setting(lambda k: replace(k, divisor=1.0)),
    ),
    Fault(
        name="divides-too",
        story="Divides by the standard deviation as well: batch norm under another name. Hides where the input has "
        "unit variance, as a weight-normalized layer's has at initialization.",
        source="constructed",
        concerns=only_centers,
        steps=_divided_too,
    ),
    Fault(
        name="rough-root",
        story="Takes a fast inverse root with a single Newton step, wrong by up to 2 in 1000. Hides behind "
        "tolerances of a percent.",
        source="Xilinx/finn#1667",
        concerns=divides,
        steps=lambda steps: replace(steps, scale=_rough),
    ),
    Fault(
        name="normalized-twice",
        story="The result of the fast path goes through the whole layer once more. Hides while weight is 1, bias 0 "
        "and eps small.",
        source="huggingface/pytorch-image-models#2741",
        concerns=any_of_them,
        before=_once_already,
    ),
)

PARAMETERS = (
    Fault(
        name="affine-ignored",
        story="Neither weight nor bias is used. Hides while they are 1 and 0.",
        source="AI-Hypercomputer/accelerator-agents#50",
        concerns=has_bias,
        steps=lambda steps: _without_bias(_without_weight(steps)),
    ),
    Fault(
        name="weight-ignored",
        story="The weight is not used. Hides while it is 1.",
        source="AI-Hypercomputer/accelerator-agents#50",
        concerns=weighted,
        steps=_without_weight,
    ),
    Fault(
        name="bias-ignored",
        story="The bias is not used. Hides while it is 0.",
        source="tensorflow/addons#210",
        concerns=has_bias,
        steps=_without_bias,
    ),
    Fault(
        name="bias-before-weight",
        story="Computes (xh + b) w. Hides while the weight is 1 or the bias 0.",
        source="ROCm/MIOpen#104",
        concerns=has_both,
        steps=_bias_first,
    ),
    Fault(
        name="weight-offset-one",
        story="Multiplies by 1 + w where w is meant. Hides in tests without a weight.",
        source="linkedin/Liger-Kernel#74",
        concerns=weighted,
        steps=with_weight(lambda w: w + w.dtype.type(1)),
    ),
    Fault(
        name="weight-before-statistic",
        story="Multiplies the input by the weight and normalizes the product. Hides while all weights are equal.",
        source="vllm-project/tpu-inference#3040",
        concerns=weighted_activations,
        before=weighted_first(),
        after=through_weight(),
    ),
    Fault(
        name="weight-absolute",
        story="Multiplies by |w|. Hides while every weight is positive.",
        source="mapillary/inplace_abn#92",
        concerns=weighted,
        steps=with_weight(np.abs),
    ),
)

OUTPUT = (
    Fault(
        name="output-clipped",
        story="Clips the output to 3 on either side. Hides in narrow sets without outliers.",
        source="energnn/energnn#91",
        concerns=averages,
        after=with_output(lambda y: np.clip(y, -3.0, 3.0)),
    ),
    Fault(
        name="small-outputs-zeroed",
        story="Returns 0 wherever the output is below 0.01. Hides behind an absolute tolerance of that size.",
        source="ScalingIntelligence/KernelBench#165",
        concerns=any_of_them,
        after=with_output(lambda y: np.where(np.abs(y) < 0.01, 0.0, y)),
    ),
    Fault(
        name="activated-too",
        story="The kernel that normalizes and applies ReLU is called where the plain one is meant: negative outputs "
        "come as zero. Hides below a ReLU, and in tests of such blocks.",
        source="uxlfoundation/oneDNN#529",
        concerns=any_of_them,
        after=with_output(lambda y: np.maximum(y, 0.0)),
    ),
    Fault(
        name="output-rounded-to-half",
        story="Returns single precision with the values of bfloat16. Hides behind tolerances of a percent.",
        source="ScalingIntelligence/KernelBench#82",
        concerns=any_of_them,
        after=_coarse,
    ),
    Fault(
        name="wrong-format-output",
        story="Returns float32 for a half-precision input, because a parameter or constant promotes it. Hides where "
        "only values are compared.",
        source="huggingface/transformers#30236",
        concerns=any_of_them,
        where="format",
        after=lambda answer, question: replace(answer, format=FLOAT32.name) if question.case.format.narrow else answer,
    ),
)

WEIGHTS = (
    Fault(
        name="weight-squared-norm",
        story="Divides by |v|^2. Hides where every vector has length 1.",
        source="google/flax#1671",
        concerns=weights,
        steps=through_scale(_squared),
    ),
    Fault(
        name="g-replaced-by-norm",
        story="Multiplies by |v| where g is meant, so that w = v. Hides at initialization, where they are equal.",
        source="pytorch/pytorch#94759",
        concerns=weights,
        after=_direction,
    ),
    Fault(
        name="norm-plus-one",
        story="Divides by |v| + 1, so that a vector of zeros is no danger. Hides where the vectors are long.",
        source="KohakuBlueleaf/LyCORIS#166",
        concerns=weights,
        steps=through_scale(lambda s, slope: (s + s.dtype.type(1), slope)),
    ),
    Fault(
        name="norm-averaged",
        story="Divides by the root mean square of the vector, not its length. Hides where a vector has one entry.",
        source="krasserm/super-resolution#28",
        concerns=weights,
        steps=with_setting(lambda k: replace(k, divisor=float(k.part))),
    ),
)

FAULTS = EPS + FORMULA + PARAMETERS + OUTPUT + WEIGHTS
