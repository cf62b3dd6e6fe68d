"""Normalizers by the length of a case that have a learned weight for each unit."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import length, mean
from normcheck.families.defined.tracing.gradients import constant

ADDED, INSIDE, FLOOR = "added", "inside", "floor"
"""Where eps is: |x| + eps, sqrt(|x|^2 + eps), max(|x|, eps)."""


def _divisor(x: Any, axes: Any, eps: float, eps_place: str) -> Any:
    if eps_place == INSIDE:
        return np.sqrt(np.square(x).sum(axis=axes, keepdims=True) + eps)
    size = length(x, axes)
    return np.maximum(size, eps) if eps_place == FLOOR else size + eps


def _weighted(x: Any, weight: Any, eps: float = 1e-10, eps_place: str = ADDED) -> Any:
    return weight * (x / _divisor(x, -1, eps, eps_place))


weighted_l2_norm = DefinedNormalizer(
    name="weighted_l2_norm",
    title="unit length with a learned weight for each channel",
    paper=Paper(
        "Liu, Rabinovich, Berg",
        2015,
        "ParseNet: Looking Wider to See Better",
        "https://arxiv.org/abs/1506.04579",
        "section 3.3",
    ),
    formula="y = weight x / (|x| + eps), |x| the length over the channels of one position",
    ranks=(4, 3, 2),
    forward=_weighted,
    options={"eps": (1e-10, 0.5), "eps_place": (ADDED, ADDED, INSIDE, INSIDE, FLOOR, FLOOR)},
    conventions=frozenset({"eps_place"}),
    derived=row("yes no  no  yes no  yes"),
    note="SSD (Liu et al. 2016, section 3.1) has it behind conv4_3, with weights that start at 20; channels in axis 1 "
    "are found. The papers have no eps. Public code adds it to the length (ssd.pytorch), has it inside the root (the "
    "authors' Caffe) or as a floor (torchvision): in code that takes no eps_place, it is measured. Without a weight "
    "it is l2_norm, with one number scale_norm.",
    slips=(
        Slip(
            "weighted-l2-over-map",
            "Takes the length over positions too, as the option across_spatial does.",
            lambda x, weight, eps, eps_place: weight * (x / _divisor(x, tuple(range(1, x.ndim)), eps, eps_place)),
        ),
        Slip(
            "weighted-l2-weight-first",
            "Multiplies by the weight, then normalizes: the length has the weight in it.",
            lambda x, weight, eps, eps_place: weight * x / _divisor(weight * x, -1, eps, eps_place),
        ),
        Slip(
            "weighted-l2-root-mean-square",
            "Divides by the root mean square, for the length.",
            lambda x, weight, eps, eps_place: (
                weight * (x / np.sqrt(mean(np.square(_divisor(x, -1, eps, eps_place)), -1) / x.shape[-1]))
            ),
        ),
        Slip(
            "weighted-l2-length-is-constant",
            "Takes the length as a constant in the backward, as norm.data does.",
            lambda x, weight, eps, eps_place: weight * (x / constant(_divisor(x, -1, eps, eps_place))),
        ),
    ),
)

ENTRIES = (weighted_l2_norm,)
