"""A layer of a defined normalizer in torch: how it is called, and its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from normcheck.families.defined.case import DefinedCase

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class DefinedLayer:
    """A layer that can be called again: the call, and its parameters by name, which a call may replace."""

    call: Callable[[torch.Tensor, DefinedCase], Any]
    parameters: Callable[[], Tensors]
    takes: frozenset[str]  # the parameters that have a place in it, and the constants that each call gets


Make = Callable[[Tensors, DefinedCase], DefinedLayer]
"""Makes a layer from parameters and a case."""
