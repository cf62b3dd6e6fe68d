"""Normalizers of the units of each case, and functions of one unit that replace them."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import INPUT, ONE, DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import length, mean, standard
from normcheck.families.defined.tracing.gradients import erf


def _l2(x: Any, eps: float = 1e-12) -> Any:
    return x / np.maximum(length(x, -1), eps)


def _l2_backward(x: Any, dy: Any, eps: float) -> dict[str, Any]:
    """dx = (dy - y <dy, y>) / |x|; below the floor dx = dy / eps."""
    size = length(x, -1)
    y = x / np.maximum(size, eps)
    along = np.where(size > eps, y * (dy * y).sum(axis=-1, keepdims=True), 0.0)
    return {"x": (dy - along) / np.maximum(size, eps)}


l2_norm = DefinedNormalizer(
    name="l2_norm",
    title="normalization to unit length",
    paper=Paper(
        "Wang, Xiang, Cheng, Yuille",
        2017,
        "NormFace: L2 Hypersphere Embedding for Face Verification",
        "https://arxiv.org/abs/1704.06369",
        "eq. 2",
    ),
    formula="y = x / max(|x|, eps), |x| the length of a case",
    forward=_l2,
    backward=_l2_backward,
    options={"eps": (1e-12, 0.5)},
    derived=row("yes no  no  yes no  yes"),
    note="torch.nn.functional.normalize computes it along dim=1 by default. The paper adds eps inside the root; the "
    "floor is torch's.",
    slips=(
        Slip(
            "l2-eps-added",
            "Adds eps to the length, which changes every case.",
            lambda x, eps: x / (length(x, -1) + eps),
        ),
        Slip(
            "l2-not-rooted",
            "Divides by the squared length.",
            lambda x, eps: x / np.maximum(np.square(length(x, -1)), eps),
        ),
        Slip(
            "l2-sum-of-sizes",
            "Divides by the sum of sizes, the length of another norm.",
            lambda x, eps: x / np.maximum(np.abs(x).sum(axis=-1, keepdims=True), eps),
        ),
        Slip(
            "l2-mean-square",
            "Divides by the root mean square: the length depends on the width.",
            lambda x, eps: x / np.maximum(np.sqrt(mean(np.square(x), -1)), eps),
        ),
    ),
)


def _scale(x: Any, weight: Any, eps: float = 1e-5) -> Any:
    return weight * x / np.maximum(length(x, -1), eps)


def _scale_backward(x: Any, dy: Any, weight: Any, eps: float) -> dict[str, Any]:
    """That of unit length with g dy; dg = <dy, x / |x|>."""
    unit = _l2(x, eps)
    return {"x": _l2_backward(x, weight * dy, eps)["x"], "weight": (dy * unit).sum()}


scale_norm = DefinedNormalizer(
    name="scale_norm",
    title="scaled normalization to unit length (ScaleNorm)",
    paper=Paper(
        "Nguyen, Salazar",
        2019,
        "Transformers without Tears: Improving the Normalization of Self-Attention",
        "https://arxiv.org/abs/1910.05895",
        "section 3.2",
    ),
    formula="y = g x / max(|x|, eps), one number g, |x| the length of a case",
    forward=_scale,
    backward=_scale_backward,
    shapes={"weight": ONE},
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  no  yes no  yes"),
    note="The paper's g starts at the root of the width.",
    slips=(
        Slip("scale-eps-added", "Adds eps to the length.", lambda x, weight, eps: weight * x / (length(x, -1) + eps)),
        Slip(
            "scale-root-mean-square",
            "Divides by the root mean square: g is multiplied by the root of the width.",
            lambda x, weight, eps: weight * x / np.maximum(np.sqrt(mean(np.square(x), -1)), eps),
        ),
        Slip(
            "scale-root-of-gain",
            "Multiplies by the root of the size of g.",
            lambda x, weight, eps: np.sqrt(np.abs(weight)) * _l2(x, eps),
        ),
    ),
)


def _crms(x: Any, eps: float = 1e-6) -> Any:
    n = x.shape[-1] + 1
    total = x.sum(axis=-1, keepdims=True)
    return x / np.sqrt((np.square(x).sum(axis=-1, keepdims=True) + np.square(total)) / n + eps)


crms_norm = DefinedNormalizer(
    name="crms_norm",
    title="compressed root mean square normalization (CRMSNorm)",
    paper=Paper(
        "Jiang, Gu, Zhu, Pan",
        2023,
        "Pre-RMSNorm and Pre-CRMSNorm Transformers",
        "https://arxiv.org/abs/2305.14858",
        "section 3",
    ),
    formula="y = x / sqrt((sum x^2 + (sum x)^2) / (n + 1) + eps), n the width: the entry that is left out is -sum x",
    forward=_crms,
    options={"eps": (1e-6, 0.5)},
    derived=row("yes no  no  yes no  yes"),
    note="It is the RMS norm of a vector of mean zero whose last entry is not kept. The paper writes no eps; this one "
    "is inside the root, as in RMS norm.",
    slips=(
        Slip(
            "crms-divisor",
            "Divides by the width that is kept, n, for the width n + 1.",
            lambda x, eps: (
                x
                / np.sqrt(
                    (np.square(x).sum(-1, keepdims=True) + np.square(x.sum(-1, keepdims=True))) / x.shape[-1] + eps
                )
            ),
        ),
        Slip(
            "crms-last-entry-missing",
            "Forgets the entry that is left out: a plain RMS norm.",
            lambda x, eps: x / np.sqrt(np.square(x).sum(-1, keepdims=True) / (x.shape[-1] + 1) + eps),
        ),
        Slip(
            "crms-mean-for-sum",
            "Takes the mean for the sum as the entry that is left out.",
            lambda x, eps: (
                x / np.sqrt((np.square(x).sum(-1, keepdims=True) + np.square(mean(x, -1))) / (x.shape[-1] + 1) + eps)
            ),
        ),
    ),
)


def _tanh(x: Any, alpha: Any, weight: Any, bias: Any) -> Any:
    return weight * np.tanh(alpha * x) + bias


def _tanh_backward(x: Any, dy: Any, alpha: Any, weight: Any, bias: Any) -> dict[str, Any]:
    """dx = dy w alpha (1 - t^2), t = tanh(alpha x); dalpha = sum dy w x (1 - t^2)."""
    t = np.tanh(alpha * x)
    g = dy * weight * (1.0 - t * t)
    others = tuple(range(x.ndim - 1))
    return {"x": g * alpha, "alpha": (g * x).sum(), "weight": (dy * t).sum(axis=others), "bias": dy.sum(axis=others)}


dynamic_tanh = DefinedNormalizer(
    name="dynamic_tanh",
    title="dynamic tanh (DyT)",
    paper=Paper(
        "Zhu, Chen, He, LeCun, Liu",
        2025,
        "Transformers without Normalization",
        "https://arxiv.org/abs/2503.10622",
        "section 4",
    ),
    formula="y = weight tanh(alpha x) + bias, one number alpha",
    forward=_tanh,
    backward=_tanh_backward,
    shapes={"alpha": ONE},
    derived=row("no  no  no  no  no  no"),
    note="It has no statistics: an output depends on one entry of the input. alpha starts at 0.5.",
    slips=(
        Slip(
            "dyt-alpha-outside",
            "Multiplies by alpha behind the tanh.",
            lambda x, alpha, weight, bias: weight * alpha * np.tanh(x) + bias,
        ),
        Slip(
            "dyt-sigmoid",
            "Takes the logistic function for tanh.",
            lambda x, alpha, weight, bias: weight * (0.5 + 0.5 * np.tanh(0.5 * alpha * x)) + bias,
        ),
        Slip(
            "dyt-bias-inside",
            "Adds the bias before the tanh.",
            lambda x, alpha, weight, bias: weight * np.tanh(alpha * x + bias),
        ),
        Slip(
            "dyt-hard",
            "Clips to -1 and 1, as a hard tanh does.",
            lambda x, alpha, weight, bias: weight * np.clip(alpha * x, -1.0, 1.0) + bias,
        ),
    ),
)


def _erf(x: Any, alpha: Any, shift: Any, weight: Any, bias: Any) -> Any:
    return weight * erf(alpha * x + shift) + bias


dynamic_erf = DefinedNormalizer(
    name="dynamic_erf",
    title="dynamic error function (Derf)",
    paper=Paper(
        "Chen, Lu, Zhu, Sun, Liu",
        2025,
        "Stronger Normalization-Free Transformers",
        "https://arxiv.org/abs/2512.10938",
        "eq. 10",
    ),
    formula="y = weight erf(alpha x + shift) + bias, one number each for alpha and shift",
    forward=_erf,
    shapes={"alpha": ONE, "shift": ONE},
    derived=row("no  no  no  no  no  no"),
    note="The paper's s is called shift here.",
    slips=(
        Slip(
            "derf-tanh",
            "Takes tanh for the error function.",
            lambda x, alpha, shift, weight, bias: weight * np.tanh(alpha * x + shift) + bias,
        ),
        Slip(
            "derf-shift-not-scaled",
            "Multiplies the shift by alpha too.",
            lambda x, alpha, shift, weight, bias: weight * erf(alpha * (x + shift)) + bias,
        ),
        Slip(
            "derf-normal-distribution",
            "Takes the distribution function of a normal number, erf(x / sqrt 2).",
            lambda x, alpha, shift, weight, bias: weight * erf((alpha * x + shift) / np.sqrt(2.0)) + bias,
        ),
    ),
)


def _deep(x: Any, branch: Any, weight: Any, bias: Any, alpha: float = 2.0, eps: float = 1e-5) -> Any:
    return standard(alpha * x + branch, -1, eps) * weight + bias


deep_norm = DefinedNormalizer(
    name="deep_norm",
    title="normalized sum of a scaled residual and a branch (DeepNorm)",
    paper=Paper(
        "Wang, Ma, Dong, Huang, Zhang, Wei",
        2022,
        "DeepNet: Scaling Transformers to 1,000 Layers",
        "https://arxiv.org/abs/2203.00555",
        "section 3",
    ),
    formula="y = LN(alpha x + branch) = (h - mean(h)) / sqrt(var(h) + eps) weight + bias, h = alpha x + branch",
    forward=_deep,
    shapes={"branch": INPUT},
    options={"alpha": (2.0, 0.5, 1.0), "eps": (1e-5, 0.5)},
    derived=row("no  yes no  no  no  no"),
    note="The paper's alpha follows from the depth; with alpha 1 it is post-norm. Scaling W changes the mixture with "
    "the branch.",
    slips=(
        Slip(
            "deep-alpha-on-branch",
            "Scales the branch for the residual.",
            lambda x, branch, weight, bias, alpha, eps: standard(x + alpha * branch, -1, eps) * weight + bias,
        ),
        Slip(
            "deep-alpha-on-sum",
            "Scales the whole sum, which a norm removes.",
            lambda x, branch, weight, bias, alpha, eps: standard(alpha * (x + branch), -1, eps) * weight + bias,
        ),
        Slip(
            "deep-norm-before-sum",
            "Normalizes the branch and then adds.",
            lambda x, branch, weight, bias, alpha, eps: alpha * x + standard(branch, -1, eps) * weight + bias,
        ),
    ),
)

ENTRIES = (l2_norm, scale_norm, crms_norm, dynamic_tanh, dynamic_erf, deep_norm)
