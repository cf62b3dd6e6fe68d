"""Layers that normalize and activate at once, found by a search."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import batch, mean, sigmoid, space, variance

_EVO = Paper(
    "Liu, Brock, Simonyan, Le",
    2020,
    "Evolving Normalization-Activation Layers",
    "https://arxiv.org/abs/2004.02967",
    "Table 2",
)


def _group_root(x: Any, groups: int, eps: float) -> Any:
    parted = x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    root = np.sqrt(variance(parted, tuple(range(2, parted.ndim))) + eps)
    return (root + np.zeros(parted.shape)).reshape(x.shape)


def _evo_s0(x: Any, v: Any, weight: Any, bias: Any, groups: int = 2, eps: float = 1e-5) -> Any:
    return weight * x * sigmoid(v * x) / _group_root(x, groups, eps) + bias


evonorm_s0 = DefinedNormalizer(
    name="evonorm_s0",
    title="evolved normalization-activation layer of each sample (EvoNorm-S0)",
    paper=_EVO,
    formula="y = weight x sigmoid(v x) / sqrt(var + eps) + bias, the variance over each case's group of channels",
    layout="channels",
    ranks=(4, 3),
    units=(6, 12),
    forward=_evo_s0,
    options={"groups": (2, 1, 3), "eps": (1e-5, 0.5)},
    derived=row("no  no  no  no  no  no"),
    note="The variance is taken about the mean, which is not subtracted from x; it divides by n. The paper has 32 "
    "groups.",
    slips=(
        Slip(
            "evo-s0-swish",
            "Leaves v out of the sigmoid.",
            lambda x, v, weight, bias, groups, eps: (
                weight * x * sigmoid(x + 0.0 * v) / _group_root(x, groups, eps) + bias
            ),
        ),
        Slip(
            "evo-s0-mean-square",
            "Divides by the root mean square: the variance without its mean.",
            lambda x, v, weight, bias, groups, eps: (
                weight * x * sigmoid(v * x) / np.sqrt(mean(np.square(x), tuple(range(1, x.ndim))) + eps) + bias
            ),
        ),
        Slip(
            "evo-s0-one-group",
            "Takes all channels as one group.",
            lambda x, v, weight, bias, groups, eps: _evo_s0(x, v, weight, bias, 1, eps),
        ),
        Slip(
            "evo-s0-sigmoid-only",
            "Leaves x out of the numerator.",
            lambda x, v, weight, bias, groups, eps: weight * sigmoid(v * x) / _group_root(x, groups, eps) + bias,
        ),
    ),
)


def _evo_b0(x: Any, v: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    of_batch = np.sqrt(variance(x, batch(x)) + eps)
    return weight * x / np.maximum(of_batch, v * x + np.sqrt(variance(x, space(x)) + eps)) + bias


evonorm_b0 = DefinedNormalizer(
    name="evonorm_b0",
    title="evolved normalization-activation layer of a batch (EvoNorm-B0)",
    paper=_EVO,
    formula="y = weight x / max(sqrt(var_batch + eps), v x + sqrt(var_case + eps)) + bias, variances of a channel over "
    "the batch and over the positions of a case",
    layout="channels",
    ranks=(4, 3),
    forward=_evo_b0,
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes no  no"),
    note="In training; evaluation takes a running variance for that of the batch, which is not checked.",
    slips=(
        Slip(
            "evo-b0-sum",
            "Adds the two roots, for their maximum.",
            lambda x, v, weight, bias, eps: (
                weight * x / (np.sqrt(variance(x, batch(x)) + eps) + v * x + np.sqrt(variance(x, space(x)) + eps))
                + bias
            ),
        ),
        Slip(
            "evo-b0-case-only",
            "Leaves the variance of the batch out.",
            lambda x, v, weight, bias, eps: weight * x / (v * x + np.sqrt(variance(x, space(x)) + eps)) + bias,
        ),
        Slip(
            "evo-b0-v-outside",
            "Multiplies the root by v, for x.",
            lambda x, v, weight, bias, eps: (
                weight
                * x
                / np.maximum(np.sqrt(variance(x, batch(x)) + eps), x + v * np.sqrt(variance(x, space(x)) + eps))
                + bias
            ),
        ),
    ),
)

ENTRIES = (evonorm_s0, evonorm_b0)
