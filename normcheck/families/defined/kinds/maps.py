"""Normalizers of maps (cases, channels, *space): over channels, over space, over both."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import length, mean, space, standard, variance


def _pixel(x: Any, eps: float = 1e-8) -> Any:
    return x / np.sqrt(mean(np.square(x), 1) + eps)


def _pixel_backward(x: Any, dy: Any, eps: float) -> dict[str, Any]:
    """dx = (dy - y mean(dy y)) / s, s the root."""
    s = np.sqrt(mean(np.square(x), 1) + eps)
    y = x / s
    return {"x": (dy - y * mean(dy * y, 1)) / s}


pixel_norm = DefinedNormalizer(
    name="pixel_norm",
    title="pixelwise feature vector normalization",
    paper=Paper(
        "Karras, Aila, Laine, Lehtinen",
        2018,
        "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
        "https://arxiv.org/abs/1710.10196",
        "section 4.2",
    ),
    formula="y = x / sqrt(mean(x^2) + eps), the mean over the channels of one position",
    layout="channels",
    forward=_pixel,
    backward=_pixel_backward,
    options={"eps": (1e-8, 0.5)},
    derived=row("yes no  no  yes no  yes"),
    slips=(
        Slip(
            "pixel-over-space",
            "Averages over positions too.",
            lambda x, eps: x / np.sqrt(mean(np.square(x), tuple(range(1, x.ndim))) + eps),
        ),
        Slip(
            "pixel-sum",
            "Sums the squares for their mean.",
            lambda x, eps: x / np.sqrt(np.square(x).sum(axis=1, keepdims=True) + eps),
        ),
        Slip(
            "pixel-last-axis",
            "Averages over the last axis, as for a channels-last input.",
            lambda x, eps: x / np.sqrt(mean(np.square(x), -1) + eps),
        ),
    ),
)


def _positional(x: Any, eps: float = 1e-5) -> Any:
    return standard(x, 1, eps)


positional_norm = DefinedNormalizer(
    name="positional_norm",
    title="positional normalization (PONO)",
    paper=Paper(
        "Li, Wu, Weinberger, Belongie",
        2019,
        "Positional Normalization",
        "https://arxiv.org/abs/1907.04312",
        "eq. 1",
    ),
    formula="y = (x - mean) / sqrt(var + eps), statistics over the channels of one position",
    layout="channels",
    forward=_positional,
    options={"eps": (1e-5, 0.5)},
    derived=row("yes yes no  yes no  yes"),
    note="The paper's layer returns mean and root too, which a later layer adds again; here the output is y. The "
    "variance divides by the number of channels.",
    slips=(
        Slip(
            "pono-over-space",
            "Takes statistics over channels and positions: a layer norm of the whole map.",
            lambda x, eps: standard(x, tuple(range(1, x.ndim)), eps),
        ),
        Slip("pono-last-axis", "Takes statistics over the last axis.", lambda x, eps: standard(x, -1, eps)),
        Slip(
            "pono-unbiased",
            "Divides the squares by n - 1, as x.var() does in torch.",
            lambda x, eps: (x - mean(x, 1)) / np.sqrt(variance(x, 1) * (x.shape[1] / (x.shape[1] - 1)) + eps),
        ),
    ),
)


def _response(x: Any, weight: Any, bias: Any, eps: float = 1e-6) -> Any:
    size = length(x, tuple(range(1, x.ndim - 1)))
    return weight * (x * (size / (mean(size, -1) + eps))) + bias + x


global_response_norm = DefinedNormalizer(
    name="global_response_norm",
    title="global response normalization (GRN)",
    paper=Paper(
        "Woo, Debnath, Hu, Chen, Liu, Kweon, Xie",
        2023,
        "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
        "https://arxiv.org/abs/2301.00808",
        "Algorithm 1",
    ),
    formula="y = weight x n + bias + x, n = g / (mean(g) + eps), g the length of a channel's map, its mean over "
    "channels",
    layout="trailing",
    ranks=(4, 3),
    forward=_response,
    options={"eps": (1e-6, 0.5)},
    derived=row("no  no  no  no  no  no"),
    note="Channels last, (cases, *space, channels), as in the authors' code. Weight and bias start at zero.",
    slips=(
        Slip(
            "grn-residual-missing",
            "Does not add the input.",
            lambda x, weight, bias, eps: _response(x, weight, bias, eps) - x,
        ),
        Slip(
            "grn-mean-over-cases",
            "Averages the lengths over cases too.",
            lambda x, weight, bias, eps: (
                weight
                * x
                * length(x, tuple(range(1, x.ndim - 1)))
                / (mean(length(x, tuple(range(1, x.ndim - 1))), (0, -1)) + eps)
                + bias
                + x
            ),
        ),
        Slip(
            "grn-sum-over-channels",
            "Divides by the sum of the lengths, for their mean.",
            lambda x, weight, bias, eps: (
                weight
                * x
                * length(x, tuple(range(1, x.ndim - 1)))
                / (length(x, tuple(range(1, x.ndim - 1))).sum(axis=-1, keepdims=True) + eps)
                + bias
                + x
            ),
        ),
        Slip(
            "grn-length-over-channels",
            "Takes the length over channels, as for a channels-first input.",
            lambda x, weight, bias, eps: weight * x * length(x, -1) / (mean(length(x, -1), -1) + eps) + bias + x,
        ),
    ),
)


def _filter(x: Any, weight: Any, bias: Any, tau: Any, eps: float = 1e-6) -> Any:
    return np.maximum(weight * x / np.sqrt(mean(np.square(x), space(x)) + eps) + bias, tau)


filter_response_norm = DefinedNormalizer(
    name="filter_response_norm",
    title="FRN with a thresholded linear unit (TLU)",
    paper=Paper(
        "Singh, Krishnan",
        2020,
        "Filter Response Normalization Layer: Eliminating Batch Dependence in the Training of Deep Neural Networks",
        "https://arxiv.org/abs/1911.09737",
        "eq. 1 to 3",
    ),
    formula="y = max(weight x / sqrt(mean(x^2) + eps) + bias, tau), the mean over the positions of a channel in a case",
    layout="channels",
    ranks=(4, 3),
    forward=_filter,
    options={"eps": (1e-6, 0.5)},
    derived=row("yes no  yes yes no  yes"),
    note="The paper's eps can be learned, as its size; here it is a constant.",
    slips=(
        Slip(
            "frn-relu",
            "Takes 0 for the learned threshold.",
            lambda x, weight, bias, tau, eps: _filter(x, weight, bias, 0.0 * tau, eps),
        ),
        Slip(
            "frn-threshold-before-affine",
            "Compares with the threshold before weight and bias.",
            lambda x, weight, bias, tau, eps: (
                weight * np.maximum(x / np.sqrt(mean(np.square(x), space(x)) + eps), tau) + bias
            ),
        ),
        Slip(
            "frn-centered",
            "Subtracts the mean: an instance norm.",
            lambda x, weight, bias, tau, eps: np.maximum(weight * standard(x, space(x), eps) + bias, tau),
        ),
        Slip(
            "frn-sum",
            "Sums the squares for their mean.",
            lambda x, weight, bias, tau, eps: np.maximum(
                weight * x / np.sqrt(np.square(x).sum(axis=space(x), keepdims=True) + eps) + bias, tau
            ),
        ),
    ),
)


def _local(x: Any, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    square = np.square(x)
    width = [(0, 0), (size // 2, (size - 1) // 2)] + [(0, 0)] * (x.ndim - 2)
    padded = np.pad(square, width)
    total = sum(padded[:, i : i + x.shape[1]] for i in range(size))
    return x / (k + alpha * total / size) ** beta


local_response_norm = DefinedNormalizer(
    name="local_response_norm",
    title="local response normalization (LRN)",
    paper=Paper(
        "Krizhevsky, Sutskever, Hinton",
        2012,
        "ImageNet Classification with Deep Convolutional Neural Networks",
        "https://papers.nips.cc/paper/4824",
        "section 3.3",
    ),
    formula="y = x / (k + alpha / size sum(x^2))^beta, the sum over size neighboring channels",
    layout="channels",
    ranks=(4, 3),
    forward=_local,
    options={"size": (3, 5, 2, 4), "alpha": (1.0, 1e-4, 3.0), "beta": (0.75, 0.5), "k": (1.0, 2.0)},
    derived=row("no  no  no  no  no  no"),
    note="torch divides alpha by the size, the paper does not. Of an even number of neighbors, one more lies before.",
    slips=(
        Slip(
            "lrn-alpha-not-divided",
            "Does not divide alpha by the size, as the paper has it.",
            lambda x, size, alpha, beta, k: _local(x, size, alpha * size, beta, k),
        ),
        Slip(
            "lrn-neighbors-behind",
            "Takes the channels behind only.",
            lambda x, size, alpha, beta, k: (
                x
                / (
                    k
                    + alpha
                    / size
                    * sum(
                        np.pad(np.square(x), [(0, 0), (0, size - 1)] + [(0, 0)] * (x.ndim - 2))[:, i : i + x.shape[1]]
                        for i in range(size)
                    )
                )
                ** beta
            ),
        ),
        Slip(
            "lrn-wraps-around",
            "Takes the last channels as neighbors of the first.",
            lambda x, size, alpha, beta, k: (
                x / (k + alpha / size * sum(np.roll(np.square(x), i - (size - 1) // 2, 1) for i in range(size))) ** beta
            ),
        ),
        Slip(
            "lrn-root",
            "Takes the root for the power beta.",
            lambda x, size, alpha, beta, k: _local(x, size, alpha, 0.5, k),
        ),
    ),
)

ENTRIES = (
    pixel_norm,
    positional_norm,
    global_response_norm,
    filter_response_norm,
    local_response_norm,
)
