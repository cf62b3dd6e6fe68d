"""The page of a whitening layer, as sections."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.floats import FLOAT32, WIDE_NAMES
from normcheck.core.page import Section, paper
from normcheck.families.whitening.entry import Whitening


def sections(entry: Whitening) -> Iterator[Section]:
    """All sections but those that every page has: the note, and how to check one."""
    yield "formula", (entry.formula,)
    yield "paper", paper(entry)
    law = (
        "a channel reads none after it"
        if entry.triangular
        else "y(Q x) = Q y(x) for orthogonal Q, and its gradient's identity"
    )
    yield (
        "what is asked",
        (
            (
                f"Output and gradients against the closed form, in {' and '.join(WIDE_NAMES)}, where eigenvalues are "
                f"apart, equal, far apart or zero; {law}; groups apart; y(d x; d^2 eps) = y(x; eps); shifts of "
                "channels; running statistics and evaluation with them."
            ),
        ),
    )
    yield (
        "arguments",
        (
            (
                "A function f(input, running_mean, running_cov, weight, bias, training, momentum, eps, groups), or a "
                "module class C(num_features, num_groups, eps, momentum, affine) with parameters weight and bias and "
                "buffers running_mean and running_cov. input: (cases, channels, *space); running_cov: (groups, "
                "channels / groups, channels / groups), or one matrix where there is one group."
            ),
        ),
    )
    yield (
        "conventions",
        (
            (
                f"--norm-contract eps=E: the eps of code that takes none; formats={FLOAT32.name}; slack=S multiplies "
                "every bound."
            ),
        ),
    )
