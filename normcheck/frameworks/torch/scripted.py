"""What TorchScript cannot do, found on a layer norm that is right: a scripted target is not failed for it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from normcheck.core import uses
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32
from normcheck.core.foreign_code import ENDS, first_line, quiet
from normcheck.frameworks.torch.layer import Prepare, PreparedLayer
from normcheck.frameworks.torch.module import layer_of
from normcheck.frameworks.torch.tensors import given
from normcheck.frameworks.torch.uses import USES
from normcheck.normalizers.case import Case

BEFORE = (False, True, False)
"""Plain calls before a use is tried, with gradients or without: TorchScript optimizes a function for its first calls.

In inference mode code fails that was optimized for parameters that require a gradient and an input that does not.
"""

CASE = Case(
    np.arange(12.0).reshape(3, 4) % 5, 1e-5, FLOAT32, np.arange(1.0, 5.0), np.arange(4.0), np.arange(12.0).reshape(3, 4)
).but(tangent=np.arange(12.0).reshape(3, 4) % 7)


def _layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    centered = x - x.mean(-1, keepdim=True)
    return centered * torch.rsqrt((centered * centered).mean(-1, keepdim=True) + 1e-5) * weight + bias


class _LayerNorm(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(1.0, 5.0))
        self.bias = torch.nn.Parameter(torch.arange(4.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _layer_norm(x, self.weight, self.bias)


def _function(case: Case) -> PreparedLayer:
    leaves = given(case.x, case, "x"), given(case.weight, case, "weight"), given(case.bias, case, "bias")
    return PreparedLayer("layer norm", leaves, torch.jit.script(_layer_norm))


def _module(case: Case) -> PreparedLayer:
    x = given(case.x, case, "x")
    assert x is not None
    return layer_of(torch.jit.script(_LayerNorm()), ("weight", "bias"), case, x, "layer norm")


def unsupported(target: Any) -> Mapping[str, str]:
    """The uses at which right code fails too where it is scripted, with the reason; empty for what is not scripted."""
    if isinstance(target, torch.jit.ScriptModule):
        return _measured(_module)
    return _measured(_function) if isinstance(target, torch.jit.ScriptFunction) else {}


@functools.cache
def _measured(prepare: Prepare) -> Mapping[str, str]:
    of_kind = uses.OF_FUNCTIONS if prepare is _function else uses.ALL
    out: dict[str, str] = {}
    with quiet(), torch.inference_mode(mode=False), torch.enable_grad():
        for gradient in BEFORE:
            USES[uses.PLAIN](prepare, CASE, gradient)
        for use in (one for one in of_kind if one not in uses.SLOW):  # where they raise they count as refused
            try:
                USES[use](prepare, CASE.but(use=use), True)
            except ENDS:
                raise
            except BaseException as error:
                reason = error.reason if isinstance(error, CallError) else first_line(error)
                out.setdefault(use, f"right code fails too where it is scripted: {reason}")
    return out
