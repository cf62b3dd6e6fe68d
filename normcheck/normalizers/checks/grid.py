"""Sizes and weights between the usual ones: every threshold width in every format, numbers of sets, weights near 0."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from normcheck.core.result import Comparison, worst
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.sizes import Limit, large, whole
from normcheck.normalizers.checks.within_bounds import needs_gradient, refused_or_raised
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling import sizes
from normcheck.normalizers.sampling.recipes import WIDTHS, Draw, small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.subject import Subject

POWERS = tuple(n for k in range(1, 14) for n in ((1 << k) - 1, 1 << k, (1 << k) + 1))
"""Powers of two up to 8,192 with their neighbors: sizes of blocks, warps and vectors."""

HIDDEN = (96, 384, 768, 1152, 1536, 2560, 3072, 3584, 5120, 6144, 7168)
"""Widths of public models that are no powers of two; kernels have paths of their own for some."""

GRID = tuple(sorted({*WIDTHS, *POWERS, *HIDDEN}))
"""Numbers of members that are tried in every format."""

SETS = tuple(sorted({n for k in range(16) for n in ((1 << k) - 1, 1 << k, (1 << k) + 1)} - {0}))
"""Numbers of sets up to 32,769: powers of two and their neighbors; `many-sets` goes on from there."""

WEIGHTS = (0.0, -1.0, 1.5, -0.75, 1.0, 0.0)
"""Entries of a weight: none, negative, ordinary; -1 is none where the output is multiplied by 1 + w."""

SMALLER = 2.0**-8
"""Factor that makes all entries of a weight small."""

TINY, TINY_IN_HALF = 2.0**-12, 2.0**-6
"""A tiny entry; times an output, the second is no subnormal number of float16."""


EPS = 2.0**-6
"""An eps that is nobody's default, and large enough to be seen in half precision."""

SETS_OF_GRID = 3
"""Sets of a case where the width is what matters."""

LAW = "output and gradients are right"

SHORT = Limit(0.25, 64, 4096)
"""Code that loops over the members of a set, entry by entry, would take minutes for all widths."""


def _asked(subject: Subject, case: Case) -> Comparison:
    """Output and all gradients of one call; an input that is refused is not compared."""
    label, gradient = "x".join(map(str, case.x.shape)), subject.domain.gradient
    try:
        if seconds := SHORT.exceeded(subject, case, gradient=gradient):
            return Comparison(LAW, 0, 0.0, refused={f"inputs {label}": f"it would take {seconds:.1f} s"})
        answer = subject.call(case, gradient)
    except CallError as error:
        more = _raising(subject, case) if IN_BACKWARD in error.reason else {}
        return Comparison(LAW, 0, 0.0, refused=refused_or_raised({label: error} | more))
    return worst(*whole(subject, case, answer, label))


def _asked_of_weights(subject: Subject, case: Case) -> Comparison:
    """The case, and with all its weights small; not in float16, where products of these are no normal numbers."""
    assert case.weight is not None, "the space has cases with a weight"
    small_too = () if case.format is FLOAT16 else (case.but(weight=SMALLER * case.weight),)
    return worst(*(_asked(subject, one) for one in (case, *small_too)))


def _raising(subject: Subject, case: Case) -> dict[str, CallError]:
    """What the implementation raises in its backward pass at the widths of the grid, in the format of a case."""
    draw, found = sizes.again(case), {}
    for n in GRID:
        here = sizes.of_shape(subject.normalizer, draw, sizes.shaped(subject.normalizer, draw, SETS_OF_GRID, n))
        try:
            if not SHORT.exceeded(subject, here, gradient=True):
                subject.call(here, True)
        except CallError as error:
            if IN_BACKWARD in error.reason:
                found["x".join(map(str, here.x.shape))] = error
    return found


def any_weight(normalizer: Normalizer, draw: Draw) -> Case:
    """A case whose weight has entries of every size and sign. The cotangent has one sign, so that no sum cancels."""
    case = small(normalizer, draw)
    assert case.weight is not None, "the space has cases with a weight"
    tiny = TINY_IN_HALF if case.format is FLOAT16 else TINY
    weight = case.format.round(np.resize(np.array((*WEIGHTS, tiny, -tiny)), case.weight.shape))
    dy = None if case.dy is None else case.format.round(np.abs(case.dy) + 0.25)
    return case.but(weight=weight, dy=dy)


def _sized(subject: Subject) -> str:
    if subject.domain.compiles_per_shape:
        return "each shape would be compiled"
    return "" if subject.domain.sizes is None else "its sizes are fixed"


def _sized_gradient(subject: Subject) -> str:
    return needs_gradient(subject) or _sized(subject)


def _weighted(subject: Subject) -> str:
    return "" if {"both", "weight"} & set(subject.domain.affine) else "it has no weight"


def _activations(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "activation"


_SUMMED = (FLOAT32, BFLOAT16, FLOAT64)
"""Formats that hold the gradient of a bias for many sets; float16 ends at 65,504."""

_PLAIN = NormalizerSpace(small, widths=(8,), sets=(SETS_OF_GRID,), offsets=False)

CHECKS = (
    Check("every-width", "output and gradients are right at every threshold width, in every format",
          "vllm-project/vllm-xpu-kernels#387", _asked, replace(_PLAIN, edges=GRID, grid=True, eps=(EPS,)),
          lacks=_sized, least="default", cost=math.inf),
    Check("every-number-of-sets", "output and gradients are right for 1 to 32,769 sets",
          "BobMcDear/attorch#18", large(whole, True),
          replace(_PLAIN, recipe=sizes.many, formats=_SUMMED, widths=(12,), edges=SETS, affine=("both",),
                  given_shapes=False),
          concerns=_activations, lacks=_sized_gradient, least="default", cost=math.inf),
    Check("any-weight", "output and gradients are right for weights that are zero, negative or tiny",
          "NVIDIA/apex#1715", _asked_of_weights, replace(_PLAIN, recipe=any_weight, widths=(8, 17), sets=(8, 5),
                                              affine=("both", "weight")),
          concerns=lambda n: n.weight and n.acts_on == "activation", lacks=_weighted, cost=4.0),
)  # fmt: skip
