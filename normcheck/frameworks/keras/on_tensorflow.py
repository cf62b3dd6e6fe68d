"""Layers of Keras on TensorFlow, differentiated as its own functions are."""

from __future__ import annotations

from typing import Any

from normcheck.frameworks.keras.ready import Source
from normcheck.frameworks.tensorflow.call import LEAVES, Ready, call_of, output_of
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Call


def calling(source: Source) -> Call:
    """A call of layers."""

    def prepare(case: Case, tensors: dict[str, Any]) -> Ready:
        made = source.ready(case)
        leaves = {role: tensors[role] for role in LEAVES if role in tensors}
        return Ready(leaves, lambda: made.run(case, tensors, output_of))

    return call_of(prepare, source.name)
