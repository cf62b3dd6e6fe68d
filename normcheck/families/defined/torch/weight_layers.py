"""Layers that normalize their own weight, as layers of a normalizer of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.torch.layer import DefinedLayer, Make, Tensors
from normcheck.frameworks.torch import weight_layers
from normcheck.frameworks.torch.tensors import DTYPES


def of_class(
    target: Any, entry: DefinedNormalizer, names: Mapping[str, tuple[str, ...]]
) -> tuple[Make, frozenset[str]] | None:
    """What makes a layer, and the constants that its constructor takes; None if the target is no such class.

    names: of the constants of the entry, as code calls them.
    """
    layers = weight_layers.of_class(target, names, entry.constants) if entry.layout == "rows" else None
    if layers is None:
        return None

    def make(held: Tensors, case: DefinedCase) -> DefinedLayer:
        module = layers.built(case.x.shape, case.constants).to(DTYPES[case.format.name]).train()

        def call(x: torch.Tensor, _case: DefinedCase) -> Any:
            return layers.weight(module, x, held)

        return DefinedLayer(call, lambda: held, frozenset(held))

    return make, frozenset(name for name in names if layers.given[name])
