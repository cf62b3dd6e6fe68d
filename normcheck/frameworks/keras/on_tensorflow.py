"""Layers of Keras on TensorFlow, differentiated as its own functions are.

A layer that is made for a case serves all cases of the same sizes, format and options, as a user calls it many times:
making one takes twice as long as calling it, and its variables are never written.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from normcheck.frameworks.keras.ready import ReadyLayer, Source
from normcheck.frameworks.tensorflow.call import LEAVES, Ready, call_of, output_of
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Call

KEPT = 64
"""Layers that are kept at most."""


def _key(case: Case) -> Hashable:
    """What a layer is made from; two cases with equal keys are served by one layer."""
    options = (
        case.weight is None,
        case.bias is None,
        case.running_mean is None,
        case.training,
        case.part,
        case.units_first,
    )
    return (case.x.shape, case.normalized, case.groups, case.format.name, case.eps, case.momentum, options)


def calling(source: Source) -> Call:
    """A call of layers."""
    kept: dict[Hashable, ReadyLayer] = {}

    def prepare(case: Case, tensors: dict[str, Any]) -> Ready:
        key = _key(case)
        if key not in kept:
            if len(kept) == KEPT:
                del kept[next(iter(kept))]  # the oldest
            kept[key] = source.ready(case)
        made = kept[key]
        leaves = {role: tensors[role] for role in LEAVES if role in tensors}
        return Ready(leaves, lambda: made.run(case, tensors, output_of))

    return call_of(prepare, source.name)
