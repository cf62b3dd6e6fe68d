"""Linear layers that normalize the product of weights and inputs."""

from __future__ import annotations

from typing import Any

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import centered, length

_LUO = Paper(
    "Luo, Zhan, Xue, Wang, Ren, Yang",
    2018,
    "Cosine Normalization: Using Cosine Similarity Instead of Dot Product in Neural Networks",
    "https://arxiv.org/abs/1702.05870",
    "section 3",
)


def _cosine(x: Any, weight: Any) -> Any:
    return (x / length(x, -1)) @ (weight / length(weight, -1)).T


def _cosine_backward(x: Any, dy: Any, weight: Any) -> dict[str, Any]:
    """With unit vectors a of x and b of w: da = dy b, dx = (da - a <da, a>) / |x|, and the same for w."""

    def through(v: Any, d: Any) -> Any:
        unit = v / length(v, -1)
        return (d - unit * (d * unit).sum(axis=-1, keepdims=True)) / length(v, -1)

    return {
        "x": through(x, dy @ (weight / length(weight, -1))),
        "weight": through(weight, dy.T @ (x / length(x, -1))),
    }


cosine_norm = DefinedNormalizer(
    name="cosine_norm",
    title="cosine normalization",
    paper=_LUO,
    formula="y = <w, x> / (|w| |x|), for each weight vector w and each case x",
    layout="linear",
    forward=_cosine,
    backward=_cosine_backward,
    derived=row("yes no  yes yes no  yes"),
    note="The paper has no eps, and no test case a vector of zeros.",
    slips=(
        Slip(
            "cosine-input-not-normalized",
            "Divides by the length of the weight vector only: weight norm.",
            lambda x, weight: x @ (weight / length(weight, -1)).T,
        ),
        Slip(
            "cosine-weight-not-normalized",
            "Divides by the length of the case only.",
            lambda x, weight: (x / length(x, -1)) @ weight.T,
        ),
        Slip(
            "cosine-length-of-matrix",
            "Divides by the length of the whole weight matrix.",
            lambda x, weight: (x / length(x, -1)) @ (weight / length(weight, (0, 1))).T,
        ),
        Slip(
            "cosine-length-of-column",
            "Divides by the length of the columns of the weight matrix.",
            lambda x, weight: (x / length(x, -1)) @ (weight / length(weight, 0)).T,
        ),
    ),
)


def _pearson(x: Any, weight: Any) -> Any:
    return _cosine(centered(x, -1), centered(weight, -1))


centered_cosine_norm = DefinedNormalizer(
    name="centered_cosine_norm",
    title="centered cosine normalization (Pearson correlation)",
    paper=_LUO,
    formula="y = <w - mean(w), x - mean(x)> / (|w - mean(w)| |x - mean(x)|)",
    layout="linear",
    forward=_pearson,
    derived=row("yes no  yes yes no  yes"),
    note="Beyond Table 1, a number that is added to all weights of a unit, or to all inputs of a case, changes "
    "nothing.",
    slips=(
        Slip(
            "pearson-weight-not-centered",
            "Subtracts the mean of the inputs only, and divides by the plain length.",
            lambda x, weight: _cosine(centered(x, -1), weight),
        ),
        Slip(
            "pearson-length-not-centered",
            "Divides by the length of the vectors with their means.",
            lambda x, weight: (centered(x, -1) / length(x, -1)) @ (centered(weight, -1) / length(weight, -1)).T,
        ),
        Slip(
            "pearson-mean-of-units",
            "Subtracts the mean over units, for that over inputs.",
            lambda x, weight: _cosine(centered(x, -1), centered(weight, 0)),
        ),
    ),
)

ENTRIES = (cosine_norm, centered_cosine_norm)
