"""Normalizers of an input together with another one: a residual, the features of a node, the update of a weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import INPUT, DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import length, space
from normcheck.families.defined.tracing.gradients import constant


def _unit(x: Any, eps: float) -> Any:
    return x / np.maximum(length(x, -1), eps)


def _message(x: Any, node: Any, scale: Any, eps: float = 1e-12) -> Any:
    return scale * length(node, -1) * _unit(x, eps)


message_norm = DefinedNormalizer(
    name="message_norm",
    title="message normalization (MessageNorm)",
    paper=Paper(
        "Li, Xiong, Thabet, Ghanem",
        2020,
        "DeeperGCN: All You Need to Train Deeper GCNs",
        "https://arxiv.org/abs/2006.07739",
        "section 4.3",
    ),
    formula="y = scale |node| x / max(|x|, eps), one number scale, |.| the length over features",
    ranks=(2,),
    forward=_message,
    shapes={"node": INPUT, "scale": "one"},
    options={"eps": (1e-12, 0.5)},
    derived=row("yes no  no  yes no  yes"),
    note="x is the aggregated message of each node, node its features; the sum with node is not part of it. The paper "
    "has no eps: the floor is that of torch's normalize, as in PyTorch Geometric.",
    slips=(
        Slip(
            "message-length-of-x",
            "Multiplies by the length of the message, which gives the message back.",
            lambda x, node, scale, eps: scale * length(x, -1) * _unit(x, eps) + 0.0 * node,
        ),
        Slip(
            "message-squared-length",
            "Multiplies by the squared length of the node's features.",
            lambda x, node, scale, eps: scale * np.square(length(node, -1)) * _unit(x, eps),
        ),
        Slip(
            "message-node-is-constant",
            "No gradient reaches the node's features.",
            lambda x, node, scale, eps: _message(x, constant(node), scale, eps),
        ),
        Slip(
            "message-over-nodes",
            "Takes lengths over nodes, for each feature.",
            lambda x, node, scale, eps: scale * length(node, 0) * x / np.maximum(length(x, 0), eps),
        ),
    ),
)


def _residual(x: Any, residual: Any, alpha: Any, eps: float = 1e-12) -> Any:
    return _unit(residual + alpha * (_unit(x, eps) - residual), eps)


normalized_residual = DefinedNormalizer(
    name="normalized_residual",
    title="residual on the hypersphere (nGPT)",
    paper=Paper(
        "Loshchilov, Hsieh, Sun, Ginsburg",
        2024,
        "nGPT: Normalized Transformer with Representation Learning on the Hypersphere",
        "https://arxiv.org/abs/2410.01131",
        "eq. 10 and 11",
    ),
    formula="y = unit(residual + alpha (unit(x) - residual)), unit(v) = v / max(|v|, eps), |v| the length of a case",
    forward=_residual,
    shapes={"residual": INPUT},
    options={"eps": (1e-12, 0.5)},
    derived=row("yes no  no  yes no  yes"),
    note="x is the output of a block, alpha the learned step of each unit. The paper has no eps.",
    slips=(
        Slip(
            "residual-block-not-normalized",
            "Takes the output of the block as it is.",
            lambda x, residual, alpha, eps: _unit(residual + alpha * (x - residual), eps),
        ),
        Slip(
            "residual-sum-not-normalized",
            "Does not normalize the sum.",
            lambda x, residual, alpha, eps: residual + alpha * (_unit(x, eps) - residual),
        ),
        Slip(
            "residual-added-in-full",
            "Adds the step to the residual without the difference.",
            lambda x, residual, alpha, eps: _unit(residual + alpha * _unit(x, eps), eps),
        ),
        Slip(
            "residual-of-magnitudes",
            "Takes the magnitude of alpha.",
            lambda x, residual, alpha, eps: _residual(x, residual, np.abs(alpha), eps),
        ),
    ),
)


def _dora(x: Any, update: Any, magnitude: Any) -> Any:
    whole = x + update
    return magnitude * whole / constant(length(whole, space(x, 1)))


dora = DefinedNormalizer(
    name="dora",
    title="weight-decomposed low-rank adaptation (DoRA)",
    paper=Paper(
        "Liu, Wang, Yin, Molchanov, Wang, Cheng, Chen",
        2024,
        "DoRA: Weight-Decomposed Low-Rank Adaptation",
        "https://arxiv.org/abs/2402.09353",
        "eq. 5 and 11",
    ),
    formula="w = magnitude (v + update) / |v + update|, for each unit; the length is a constant for the gradient",
    layout="rows",
    forward=_dora,
    shapes={"update": INPUT},
    derived=row("no  no  no  no  no  no"),
    note="The input is the frozen weight, update the product of the two low-rank matrices. The gradient through the "
    "length is left out, as in section 4.3 of the paper. The length is that of a row of (units, inputs), as in PEFT.",
    slips=(
        Slip(
            "dora-gradient-through-length",
            "Differentiates through the length.",
            lambda x, update, magnitude: magnitude * (x + update) / length(x + update, space(x, 1)),
        ),
        Slip(
            "dora-length-of-frozen",
            "Divides by the length of the frozen weight.",
            lambda x, update, magnitude: magnitude * (x + update) / constant(length(x, space(x, 1))),
        ),
        Slip(
            "dora-update-not-scaled",
            "Adds the update to the scaled weight.",
            lambda x, update, magnitude: magnitude * x / constant(length(x + update, space(x, 1))) + update,
        ),
        Slip(
            "dora-over-units",
            "Takes lengths over units, for each input.",
            lambda x, update, magnitude: magnitude * (x + update) / constant(length(x + update, 0)),
        ),
    ),
)

ENTRIES = (message_norm, normalized_residual, dora)
