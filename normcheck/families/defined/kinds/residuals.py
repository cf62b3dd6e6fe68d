"""Normalizers of a branch that is added to a residual."""

from __future__ import annotations

from typing import Any

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import INPUT, DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import standard
from normcheck.families.defined.tracing.gradients import constant


def _sandwich(x: Any, residual: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    return residual + (standard(x, -1, eps) * weight + bias)


sandwich_norm = DefinedNormalizer(
    name="sandwich_norm",
    title="residual and layer norm of a branch (Sandwich-LN, res-post-norm)",
    paper=Paper(
        "Ding, Yang, Hong, Zheng, Zhou, Yin, Lin, Zou, Shao, Yang, Tang",
        2021,
        "CogView: Mastering Text-to-Image Generation via Transformers",
        "https://arxiv.org/abs/2105.13290",
        "section 2.4",
    ),
    formula="y = residual + LN(x) = residual + (x - mean(x)) / sqrt(var(x) + eps) weight + bias, x = f(LN(residual))",
    forward=_sandwich,
    shapes={"residual": INPUT},
    options={"eps": (1e-5, 0.5)},
    derived=row("yes yes no  yes no  yes"),
    note="x is the output of the branch; the norm before the branch is a plain layer_norm. Swin Transformer V2 has the "
    "second norm alone, residual + LN(f(residual)). The other arrangements (Xiong et al. 2020) have no normalizer of "
    "their own: post-norm, LN(residual + x), is layer_norm with the form add, or deep_norm with alpha 1; pre-norm, "
    "residual + f(LN(residual)), is layer_norm and a sum, and fused with the sum before it the form add again.",
    slips=(
        Slip(
            "sandwich-sum-normalized",
            "Normalizes the sum: post-norm.",
            lambda x, residual, weight, bias, eps: standard(residual + x, -1, eps) * weight + bias,
        ),
        Slip(
            "sandwich-branch-not-normalized",
            "Adds the branch as it is: pre-norm.",
            lambda x, residual, weight, bias, eps: residual + (x * weight + bias),
        ),
        Slip(
            "sandwich-residual-normalized",
            "Adds the normalized residual: the stream itself is normalized.",
            lambda x, residual, weight, bias, eps: standard(residual, -1, eps) + (standard(x, -1, eps) * weight + bias),
        ),
        Slip(
            "sandwich-affine-of-sum",
            "Multiplies the residual by the weight too.",
            lambda x, residual, weight, bias, eps: (residual + standard(x, -1, eps)) * weight + bias,
        ),
        Slip(
            "sandwich-residual-is-constant",
            "No gradient reaches the residual.",
            lambda x, residual, weight, bias, eps: _sandwich(x, constant(residual), weight, bias, eps),
        ),
    ),
)

ENTRIES = (sandwich_norm,)
