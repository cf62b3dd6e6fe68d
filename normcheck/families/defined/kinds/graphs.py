"""Normalizers of the nodes of one graph: the input is (nodes, features)."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import centered, mean, standard, variance


def _subtract(x: Any) -> Any:
    return centered(x, 0)


mean_subtraction_norm = DefinedNormalizer(
    name="mean_subtraction_norm",
    title="mean subtraction over the nodes of a graph",
    paper=Paper(
        "Yang, Wang, Yao, Liu, Abdelzaher",
        2020,
        'Revisiting "Over-smoothing" in Deep GCNs',
        "https://arxiv.org/abs/2003.13663",
        "section 4",
    ),
    formula="y = x - mean(x), the mean of a feature over the nodes",
    ranks=(2,),
    forward=_subtract,
    backward=lambda x, dy: {"x": centered(dy, 0)},
    derived=row("no  no  no  no  yes no"),
    note="x is (nodes, features) of one graph.",
    slips=(
        Slip("subtract-over-features", "Takes the mean over features.", lambda x: centered(x, -1)),
        Slip("subtract-over-all", "Takes the mean over nodes and features.", lambda x: centered(x, (0, 1))),
        Slip("subtract-and-scale", "Divides by the standard deviation too.", lambda x: standard(x, 0, 0.0)),
    ),
)


def _graph(x: Any, weight: Any, bias: Any, mean_scale: Any, eps: float = 1e-5) -> Any:
    c = x - mean_scale * mean(x, 0)
    return c / np.sqrt(mean(np.square(c), 0) + eps) * weight + bias


graph_norm = DefinedNormalizer(
    name="graph_norm",
    title="graph nodes less a learned share of their mean (GraphNorm)",
    paper=Paper(
        "Cai, Luo, Xu, He, Liu, Wang",
        2021,
        "GraphNorm: A Principled Approach to Accelerating Graph Neural Network Training",
        "https://arxiv.org/abs/2009.03294",
        "eq. 6",
    ),
    formula="y = c / sqrt(mean(c^2) + eps) weight + bias, c = x - mean_scale mean(x), means over the nodes",
    ranks=(2,),
    forward=_graph,
    options={"eps": (1e-5, 0.5)},
    derived=row("yes no  yes yes no  no"),
    note="x is (nodes, features) of one graph. The square is that of c, whose mean is not zero.",
    slips=(
        Slip(
            "graph-mean-fully",
            "Subtracts the whole mean.",
            lambda x, weight, bias, mean_scale, eps: standard(x, 0, eps) * weight + bias + 0.0 * mean_scale,
        ),
        Slip(
            "graph-variance-of-c",
            "Divides by the variance of c, which is that of x.",
            lambda x, weight, bias, mean_scale, eps: (
                (x - mean_scale * mean(x, 0)) / np.sqrt(variance(x, 0) + eps) * weight + bias
            ),
        ),
        Slip(
            "graph-over-features",
            "Takes means over features.",
            lambda x, weight, bias, mean_scale, eps: (
                (x - mean_scale * mean(x, -1))
                / np.sqrt(mean(np.square(x - mean_scale * mean(x, -1)), -1) + eps)
                * weight
                + bias
            ),
        ),
    ),
)


def _pair(x: Any, scale: float = 1.0, eps: float = 1e-5) -> Any:
    c = centered(x, 0)
    return scale * c / np.sqrt(mean(np.square(c).sum(axis=-1, keepdims=True), 0) + eps)


pair_norm = DefinedNormalizer(
    name="pair_norm",
    title="normalization of distances between nodes (PairNorm)",
    paper=Paper(
        "Zhao, Akoglu",
        2020,
        "PairNorm: Tackling Oversmoothing in GNNs",
        "https://arxiv.org/abs/1909.12223",
        "eq. 10 and 11",
    ),
    formula="y = scale c / sqrt(mean(|c|^2) + eps), c = x - mean(x) over the nodes, |c| the length of a "
    "node's features",
    ranks=(2,),
    forward=_pair,
    options={"scale": (1.0, 2.5), "eps": (1e-5, 0.5)},
    derived=row("yes no  no  yes yes no"),
    note="x is (nodes, features) of one graph. The paper has no eps; it is inside the root here, as in PyTorch "
    "Geometric.",
    slips=(
        Slip(
            "pair-each-node",
            "Divides each node by its own length.",
            lambda x, scale, eps: (
                scale * centered(x, 0) / np.sqrt(np.square(centered(x, 0)).sum(axis=-1, keepdims=True) + eps)
            ),
        ),
        Slip(
            "pair-mean-over-features",
            "Averages the squares over features too.",
            lambda x, scale, eps: scale * centered(x, 0) / np.sqrt(mean(np.square(centered(x, 0)), (0, 1)) + eps),
        ),
        Slip(
            "pair-not-centered",
            "Does not subtract the mean.",
            lambda x, scale, eps: scale * x / np.sqrt(mean(np.square(x).sum(axis=-1, keepdims=True), 0) + eps),
        ),
        Slip(
            "pair-scale-inside",
            "Divides by the scale inside the root.",
            lambda x, scale, eps: (
                centered(x, 0) / np.sqrt(mean(np.square(centered(x, 0)).sum(axis=-1, keepdims=True), 0) / scale + eps)
            ),
        ),
    ),
)

ENTRIES = (mean_subtraction_norm, graph_norm, pair_norm)
