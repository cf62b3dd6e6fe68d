"""What there is to say about a whitening layer, as sections of its page."""

from __future__ import annotations

from collections.abc import Iterator

from normcheck.core.page import Section, paper
from normcheck.families.whitening.entry import Whitening


def sections(entry: Whitening) -> Iterator[Section]:
    """All but the note and how to check one, which every page has."""
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
                "Output and gradients against the closed form, in float64 and float32, where eigenvalues are apart, "
                f"equal, far apart or zero; {law}; groups apart; y(d x; d^2 eps) = y(x; eps); shifts of channels; "
                "running statistics and evaluation with them."
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
        ("--norm-contract eps=E: the eps of code that takes none; formats=float32; slack=S multiplies every bound.",),
    )
