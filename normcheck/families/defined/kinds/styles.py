"""Normalizers whose weight and bias, or whose statistics, come from several sources."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import INPUT, DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import batch, mean, space, standard, variance


def _adain(x: Any, style: Any, eps: float = 1e-5) -> Any:
    root = np.sqrt(variance(style, space(style)) + eps)
    return standard(x, space(x), eps) * root + mean(style, space(style))


def _unbiased_adain(x: Any, style: Any, eps: float) -> Any:
    n = x[0, 0].size
    factor = n / (n - 1)
    root = np.sqrt(variance(style, space(style)) * factor + eps)
    own = np.sqrt(variance(x, space(x)) * factor + eps)
    return (x - mean(x, space(x))) / own * root + mean(style, space(style))


adaptive_instance_norm = DefinedNormalizer(
    name="adaptive_instance_norm",
    title="adaptive instance normalization (AdaIN)",
    paper=Paper(
        "Huang, Belongie",
        2017,
        "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization",
        "https://arxiv.org/abs/1703.06868",
        "eq. 8",
    ),
    formula="y = sqrt(var(style) + eps) (x - mean(x)) / sqrt(var(x) + eps) + mean(style), statistics over the "
    "positions of a channel in a case",
    layout="channels",
    ranks=(4, 3),
    forward=_adain,
    shapes={"style": INPUT},
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes yes yes"),
    note="The gradient passes through the statistics of the style too. The authors' code divides both variances by "
    "n - 1, the paper does not say; here it is n.",
    slips=(
        Slip(
            "adain-variance-for-root",
            "Multiplies by the variance of the style, not by its root.",
            lambda x, style, eps: (
                standard(x, space(x), eps) * (variance(style, space(style)) + eps) + mean(style, space(style))
            ),
        ),
        Slip(
            "adain-style-of-first-case",
            "Takes the style of the first case for all.",
            lambda x, style, eps: _adain(x, style[:1], eps),
        ),
        Slip(
            "adain-unbiased",
            "Divides the squares by n - 1, in both variances.",
            _unbiased_adain,
        ),
        Slip(
            "adain-mean-kept",
            "Adds the mean of the style before it is multiplied.",
            lambda x, style, eps: (
                (standard(x, space(x), eps) + mean(style, space(style))) * np.sqrt(variance(style, space(style)) + eps)
            ),
        ),
    ),
)


def _spade(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Any:
    return standard(x, batch(x), eps) * (1.0 + gamma) + beta


spatially_adaptive_norm = DefinedNormalizer(
    name="spatially_adaptive_norm",
    title="spatially-adaptive normalization (SPADE)",
    paper=Paper(
        "Park, Liu, Wang, Zhu",
        2019,
        "Semantic Image Synthesis with Spatially-Adaptive Normalization",
        "https://arxiv.org/abs/1903.07291",
        "eq. 1",
    ),
    formula="y = (x - mean) / sqrt(var + eps) (1 + gamma) + beta, maps gamma and beta, statistics of batch norm",
    layout="channels",
    ranks=(4, 3),
    forward=_spade,
    shapes={"gamma": INPUT, "beta": INPUT},
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes yes no"),
    note="The paper multiplies by gamma, the authors' code by 1 + gamma, as here. gamma and beta are outputs of a "
    "convolution, so they are arguments.",
    slips=(
        Slip(
            "spade-gamma",
            "Multiplies by gamma, as the paper has it.",
            lambda x, gamma, beta, eps: standard(x, batch(x), eps) * gamma + beta,
        ),
        Slip(
            "spade-of-case",
            "Takes the statistics of each case: an instance norm.",
            lambda x, gamma, beta, eps: standard(x, space(x), eps) * (1.0 + gamma) + beta,
        ),
        Slip(
            "spade-maps-averaged",
            "Takes the mean of a map, one number for each channel.",
            lambda x, gamma, beta, eps: (
                standard(x, batch(x), eps) * (1.0 + mean(gamma, space(x))) + mean(beta, space(x))
            ),
        ),
    ),
)


def _softmax(v: Any) -> Any:
    e = np.exp(v)
    return e / e.sum()


def _switch(x: Any, mean_weight: Any, var_weight: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    at, of = mean(x, space(x)), variance(x, space(x))
    centers = [at, mean(at, 1), mean(at, 0)]
    spreads = [of, mean(of + np.square(at - centers[1]), 1), mean(of + np.square(at - centers[2]), 0)]
    m, v = _softmax(mean_weight), _softmax(var_weight)
    center = m[0] * centers[0] + m[1] * centers[1] + m[2] * centers[2]
    spread = v[0] * spreads[0] + v[1] * spreads[1] + v[2] * spreads[2]
    return (x - center) / np.sqrt(spread + eps) * weight + bias


switchable_norm = DefinedNormalizer(
    name="switchable_norm",
    title="switchable normalization",
    paper=Paper(
        "Luo, Ren, Peng, Zhang, Li",
        2019,
        "Differentiable Learning-to-Normalize via Switchable Normalization",
        "https://arxiv.org/abs/1806.10779",
        "eq. 3",
    ),
    formula="y = (x - sum m_k mean_k) / sqrt(sum v_k var_k + eps) weight + bias, k instance, layer, batch; m and v the "
    "softmax of mean_weight and var_weight",
    layout="channels",
    ranks=(4, 3),
    forward=_switch,
    shapes={"mean_weight": 3, "var_weight": 3},
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  no  yes no  no"),
    note="In training. The three weights are in the order instance, layer, batch; all variances divide by n.",
    slips=(
        Slip(
            "switch-one-softmax",
            "Takes the weights of the means for the variances too.",
            lambda x, mean_weight, var_weight, weight, bias, eps: _switch(
                x, mean_weight, mean_weight + 0.0 * var_weight, weight, bias, eps
            ),
        ),
        Slip(
            "switch-order",
            "Takes the weights in the order batch, layer, instance.",
            lambda x, mean_weight, var_weight, weight, bias, eps: _switch(
                x, np.flip(mean_weight), np.flip(var_weight), weight, bias, eps
            ),
        ),
        Slip(
            "switch-no-softmax",
            "Does not take the softmax of the weights of the means.",
            lambda x, mean_weight, var_weight, weight, bias, eps: _switch(
                x, np.log(np.abs(mean_weight)), var_weight, weight, bias, eps
            ),
        ),
    ),
)

ENTRIES = (adaptive_instance_norm, spatially_adaptive_norm, switchable_norm)
