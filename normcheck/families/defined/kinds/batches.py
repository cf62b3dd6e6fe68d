"""Normalizers of several cases together: variants of batch norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import batch, centered, mean, space, standard, variance
from normcheck.families.defined.tracing.gradients import constant


def _renorm(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_std: Any,
    momentum: float = 0.01,
    eps: float = 1e-3,
    r_max: float = 3.0,
    d_max: float = 5.0,
) -> Any:
    at, root = mean(x, batch(x)), np.sqrt(variance(x, batch(x)) + eps)
    r = constant(np.clip(root / running_std, 1.0 / r_max, r_max))
    d = constant(np.clip((at - running_mean) / running_std, -d_max, d_max))
    return ((x - at) / root * r + d) * weight + bias


def _renorm_update(
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_std: Any,
    momentum: float,
    eps: float,
    r_max: float,
    d_max: float,
) -> dict[str, Any]:
    at, root = mean(x, batch(x)), np.sqrt(variance(x, batch(x)) + eps)
    return {
        "running_mean": running_mean + momentum * (at - running_mean),
        "running_std": running_std + momentum * (root - running_std),
    }


def _wrong_renorm(through: Any, shift: bool = True, square: bool = False) -> Any:
    """A forward of batch renormalization with the gradient through r and d, without d, or with r of variances."""

    def forward(
        x: Any,
        weight: Any,
        bias: Any,
        running_mean: Any,
        running_std: Any,
        momentum: float,
        eps: float,
        r_max: float,
        d_max: float,
    ) -> Any:
        at, root = mean(x, batch(x)), np.sqrt(variance(x, batch(x)) + eps)
        ratio = root / running_std
        r = through(np.clip(np.square(ratio) if square else ratio, 1.0 / r_max, r_max))
        d = through(np.clip((at - running_mean) / running_std, -d_max, d_max)) * float(shift)
        return ((x - at) / root * r + d) * weight + bias

    return forward


batch_renorm = DefinedNormalizer(
    name="batch_renorm",
    title="batch renormalization",
    paper=Paper(
        "Ioffe",
        2017,
        "Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized Models",
        "https://arxiv.org/abs/1702.03275",
        "Algorithm 1",
    ),
    formula="y = ((x - mean) / s r + d) weight + bias, s = sqrt(var + eps), r = clip(s / running_std, 1 / r_max, "
    "r_max), d = clip((mean - running_mean) / running_std, -d_max, d_max), r and d constants for the gradient",
    layout="channels",
    forward=_renorm,
    state=frozenset({"running_mean", "running_std"}),
    positive=frozenset({"running_std"}),
    update=_renorm_update,
    options={"momentum": (0.25, 0.01), "eps": (1e-3, 0.5), "r_max": (3.0, 1.0, 1.25), "d_max": (5.0, 0.0, 0.25)},
    derived=row("no  no  no  no  no  no"),
    note="In training. With r_max 1 and d_max 0 it is batch norm, and has its row; with wide limits it has the "
    "statistics of the past. The paper keeps a running root, as here.",
    slips=(
        Slip("renorm-gradient-through-r-and-d", "Differentiates through r and d.", _wrong_renorm(lambda v: v)),
        Slip("renorm-d-missing", "Leaves d out.", _wrong_renorm(constant, shift=False)),
        Slip(
            "renorm-ratio-of-variances", "Takes the ratio of the variances for r.", _wrong_renorm(constant, square=True)
        ),
        Slip(
            "renorm-not-clipped",
            "Does not clip r and d.",
            lambda x, weight, bias, running_mean, running_std, momentum, eps, r_max, d_max: _renorm(
                x, weight, bias, running_mean, running_std, momentum, eps, 1e9, 1e9
            ),
        ),
    ),
)

HALF_NORMAL = math.sqrt(math.pi / 2.0)
"""The standard deviation of a normal number, divided by its mean size."""


def _l1(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    c = centered(x, batch(x))
    return c / (HALF_NORMAL * mean(np.abs(c), batch(x)) + eps) * weight + bias


def _l1_backward(x: Any, dy: Any, weight: Any, bias: Any, eps: float) -> dict[str, Any]:
    """dc = g / s - k sign(c) mean(g c) / s^2, dx = dc - mean(dc); k = sqrt(pi / 2), s = k mean|c| + eps."""
    axes = batch(x)
    c, g = centered(x, axes), dy * weight
    s = HALF_NORMAL * mean(np.abs(c), axes) + eps
    dc = g / s - HALF_NORMAL * np.sign(c) * mean(g * c, axes) / np.square(s)
    return {"x": centered(dc, axes), "weight": (dy * c / s).sum(axis=axes), "bias": dy.sum(axis=axes)}


l1_batch_norm = DefinedNormalizer(
    name="l1_batch_norm",
    title="batch normalization by mean sizes (L1 batch norm)",
    paper=Paper(
        "Hoffer, Banner, Golan, Soudry",
        2018,
        "Norm matters: efficient and accurate normalization schemes in deep networks",
        "https://arxiv.org/abs/1803.01814",
        "section 4",
    ),
    formula="y = (x - mean) / (sqrt(pi / 2) mean|x - mean| + eps) weight + bias, over cases and positions of a channel",
    layout="channels",
    forward=_l1,
    backward=_l1_backward,
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes yes no"),
    note="In training. The factor makes the root of a normal number's variance of its mean size; Wu et al. 2018 "
    "(https://arxiv.org/abs/1802.09769) leave it out.",
    slips=(
        Slip(
            "l1-factor-missing",
            "Leaves sqrt(pi / 2) out.",
            lambda x, weight, bias, eps: (
                centered(x, batch(x)) / (mean(np.abs(centered(x, batch(x))), batch(x)) + eps) * weight + bias
            ),
        ),
        Slip(
            "l1-sizes-not-centered",
            "Takes the mean size of x, for that of x - mean.",
            lambda x, weight, bias, eps: (
                centered(x, batch(x)) / (HALF_NORMAL * mean(np.abs(x), batch(x)) + eps) * weight + bias
            ),
        ),
        Slip(
            "l1-root-of-mean-size",
            "Takes the root of the mean size.",
            lambda x, weight, bias, eps: (
                centered(x, batch(x))
                / np.sqrt(HALF_NORMAL * mean(np.abs(centered(x, batch(x))), batch(x)) + eps)
                * weight
                + bias
            ),
        ),
    ),
)


def _ghost(x: Any, weight: Any, bias: Any, virtual_batch_size: int = 2, eps: float = 1e-5) -> Any:
    parts = x.reshape(x.shape[0] // virtual_batch_size, virtual_batch_size, *x.shape[1:])
    return standard(parts, (1, *space(parts, 3)), eps).reshape(x.shape) * weight + bias


ghost_batch_norm = DefinedNormalizer(
    name="ghost_batch_norm",
    title="batch normalization of small virtual batches",
    paper=Paper(
        "Hoffer, Hubara, Soudry",
        2017,
        "Train longer, generalize better: closing the generalization gap in large batch training of neural networks",
        "https://arxiv.org/abs/1705.08741",
        "Algorithm 1",
    ),
    formula="y = (x - mean) / sqrt(var + eps) weight + bias, statistics over the cases and positions of each virtual "
    "batch",
    layout="channels",
    forward=_ghost,
    options={"virtual_batch_size": (2, 3, 6), "eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes yes no"),
    note="In training. Virtual batches are consecutive cases, and the batch is a multiple of their size.",
    slips=(
        Slip(
            "ghost-every-other",
            "Takes every n-th case into one virtual batch.",
            lambda x, weight, bias, virtual_batch_size, eps: _strided_ghost(x, virtual_batch_size, eps) * weight + bias,
        ),
        Slip(
            "ghost-whole-batch",
            "Takes the whole batch: a batch norm.",
            lambda x, weight, bias, virtual_batch_size, eps: standard(x, batch(x), eps) * weight + bias,
        ),
        Slip(
            "ghost-number-for-size",
            "Takes the size of a virtual batch as their number.",
            lambda x, weight, bias, virtual_batch_size, eps: _ghost(
                x, weight, bias, x.shape[0] // virtual_batch_size, eps
            ),
        ),
    ),
)


def _strided_ghost(x: Any, size: int, eps: float) -> Any:
    parts = x.reshape(size, x.shape[0] // size, *x.shape[1:])
    return standard(parts, (0, *space(parts, 3)), eps).reshape(x.shape)


ENTRIES = (batch_renorm, l1_batch_norm, ghost_batch_norm)
