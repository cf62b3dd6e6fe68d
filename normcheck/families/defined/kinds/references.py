"""Normalizers by the statistics of another batch, which is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from normcheck.core.spec import Paper, row
from normcheck.families.defined.entry import INPUT, DefinedNormalizer, Slip
from normcheck.families.defined.kinds.parts import batch, mean, space, variance
from normcheck.families.defined.tracing.gradients import constant


def _joined(example: Any, axes: Any, reference: Any, share: float) -> tuple[Any, Any]:
    """Mean and variance of the example along axes, which has a share, and of the reference batch, which has the rest.

    The variance is that about the common mean: no large squares are subtracted.
    """
    of_example, of_reference = mean(example, axes), mean(reference, batch(reference))
    at = share * of_example + (1.0 - share) * of_reference
    around = variance(example, axes) + np.square(of_example - at)
    others = variance(reference, batch(reference)) + np.square(of_reference - at)
    return at, share * around + (1.0 - share) * others


def _share(reference: Any) -> float:
    """That of one example among those of the reference batch."""
    return 1.0 / (len(reference) + 1)


def _virtual(x: Any, reference: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    at, var = _joined(x, space(x), reference, _share(reference))
    return (x - at) / np.sqrt(var + eps) * weight + bias


def _averaged(x: Any, reference: Any, weight: Any, bias: Any, eps: float) -> Any:
    share = _share(reference)
    at = share * mean(x, space(x)) + (1.0 - share) * mean(reference, batch(reference))
    var = share * variance(x, space(x)) + (1.0 - share) * variance(reference, batch(reference))
    return (x - at) / np.sqrt(var + eps) * weight + bias


def _virtual_by(example: Any, axes: Any, share: Any) -> Any:
    """A forward whose statistics are of another example than x, along other axes, or with another share."""

    def forward(x: Any, reference: Any, weight: Any, bias: Any, eps: float) -> Any:
        at, var = _joined(example(x), axes(x), reference, share(reference))
        return (x - at) / np.sqrt(var + eps) * weight + bias

    return forward


virtual_batch_norm = DefinedNormalizer(
    name="virtual_batch_norm",
    title="virtual batch normalization (VBN)",
    paper=Paper(
        "Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen",
        2016,
        "Improved Techniques for Training GANs",
        "https://arxiv.org/abs/1606.03498",
        "section 3.5",
    ),
    formula="y = (x - mean) / sqrt(var + eps) weight + bias, statistics of the m cases of reference and of the case "
    "itself, which has the share 1 / (m + 1), over positions of a channel",
    layout="channels",
    ranks=(3, 4, 2),
    forward=_virtual,
    shapes={"reference": INPUT},
    state=frozenset({"reference"}),
    alike=frozenset({"reference"}),
    aliases={"reference": ("reference_batch", "ref_batch", "ref", "x_ref")},
    options={"eps": (1e-5, 0.5)},
    derived=row("no  no  no  no  no  no"),
    note="reference is the reference batch as it reaches this layer, given and held fixed: no gradient is asked of it. "
    "In a network it comes through the same weights, and with it the row is that of batch norm; a reference that stays "
    "as it is has none. The reference batch itself has batch norm. The authors keep mean and mean square of the "
    "reference, and subtract squares; here the variance is taken about the common mean. Code that is spread for "
    "speech takes the mean over the current batch, for the case alone.",
    slips=(
        Slip(
            "virtual-of-current-batch",
            "Takes the statistics of the current batch, for those of the case.",
            _virtual_by(lambda x: x, batch, _share),
        ),
        Slip(
            "virtual-reference-alone",
            "Leaves the case out of its statistics.",
            _virtual_by(lambda x: x, space, lambda reference: 0.0),
        ),
        Slip(
            "virtual-half-each",
            "Gives the case the same share as the whole reference batch.",
            _virtual_by(lambda x: x, space, lambda reference: 0.5),
        ),
        Slip(
            "virtual-case-is-constant",
            "No gradient passes through the share of the case in the statistics.",
            _virtual_by(constant, space, _share),
        ),
        Slip(
            "virtual-variances-averaged",
            "Averages the variances, without the distance of the means.",
            _averaged,
        ),
    ),
)

ENTRIES = (virtual_batch_norm,)
