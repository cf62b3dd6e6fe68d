"""Faults of a layer that is called several times: what it keeps between calls and must not, or must and does not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.whitening.case import WhiteningCase
from normcheck.families.whitening.faults.base import CALLS, STATE, WhiteningFault
from normcheck.families.whitening.reference import Root, whitened

CACHE = "construction: a cache that is not emptied"


def _constant(matrix: Array) -> Root:
    """A matrix that was computed before, which no gradient passes."""
    return Root(lambda s: matrix, lambda s, gradient: np.zeros_like(s), 1)


def _first_matrix(
    root: Root, case: WhiteningCase, before: Sequence[WhiteningCase]
) -> tuple[Root, WhiteningCase]:  # fmt: skip
    first = before[0]
    return (_constant(whitened(root, first).matrix) if first.training and case.training else root), case


def _first_in_evaluation(
    root: Root, case: WhiteningCase, before: Sequence[WhiteningCase]
) -> tuple[Root, WhiteningCase]:  # fmt: skip
    first = next((one for one in before if not one.training), None)
    return (root if first is None or case.training else _constant(whitened(root, first).matrix)), case


def _same_address(
    root: Root, case: WhiteningCase, before: Sequence[WhiteningCase]
) -> tuple[Root, WhiteningCase]:  # fmt: skip
    return root, case.but(x=before[0].x)


def _no_weight(
    root: Root, case: WhiteningCase, before: Sequence[WhiteningCase]
) -> tuple[Root, WhiteningCase]:  # fmt: skip
    return root, case.but(momentum=0.0)


def _as_new(case: WhiteningCase) -> WhiteningCase:
    eye = np.broadcast_to(np.eye(case.running_cov.shape[-1]), case.running_cov.shape)
    return case.but(running_mean=np.zeros_like(case.running_mean), running_cov=eye)


ALL = (
    WhiteningFault(
        name="white-matrix-of-first-batch",
        story="Computes the matrix of the first batch in training, and whitens all later ones by it.",
        source=CACHE,
        damages=CALLS,
        later=_first_matrix,
    ),
    WhiteningFault(
        name="white-matrix-of-first-evaluation",
        story="Computes the matrix of evaluation once: running statistics that move later have no effect.",
        source=CACHE,
        damages="evaluation after more training",
        later=_first_in_evaluation,
    ),
    WhiteningFault(
        name="white-kept-by-address",
        story="What was computed of an input is used again for another one in the same memory.",
        source="construction: a cache with data_ptr() as its key",
        damages=CALLS,
        later=_same_address,
    ),
    WhiteningFault(
        name="white-running-of-first-batch",
        story="Running statistics move at the first batch, and at no later one.",
        source="construction: a flag that statistics are initialized, which ends their average",
        damages=STATE,
        later=_no_weight,
    ),
    WhiteningFault(
        name="white-statistics-not-saved",
        story="Running statistics are no persistent buffers: a layer that is loaded has those of a new one.",
        source="torch.nn.Module.register_buffer, persistent",
        damages="layers that are loaded",
        loaded=_as_new,
    ),
)
