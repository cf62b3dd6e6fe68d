"""Code that TorchScript runs: right code passes, wrong code is found, and what TorchScript cannot do is not offered."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch

import normcheck
from normcheck.core import uses
from normcheck.core.claim import Implementation
from normcheck.families import bind
from normcheck.frameworks.torch.module import copied
from normcheck.frameworks.torch.scripted import unsupported

N = 8


def by_hand(
    x: torch.Tensor, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, eps: float = 1e-5
) -> torch.Tensor:
    h = x if x.dtype == torch.float64 else x.float()
    c = h - h.mean(-1, keepdim=True)
    y = c * torch.rsqrt((c * c).mean(-1, keepdim=True) + eps)
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return y.to(x.dtype)


def by_torch(
    x: torch.Tensor, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, eps: float = 1e-5
) -> torch.Tensor:
    return torch.nn.functional.layer_norm(x, [x.shape[-1]], weight, bias, eps)


def unbiased(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    c = x - x.mean(-1, keepdim=True)
    return c * torch.rsqrt(x.var(-1, keepdim=True) + eps) * weight + bias


class ByHand(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.eps = 1e-5
        self.weight = torch.nn.Parameter(torch.ones(N))
        self.bias = torch.nn.Parameter(torch.zeros(N))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return by_hand(x, self.weight, self.bias, self.eps)


class Unbiased(ByHand):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return unbiased(x, self.weight, self.bias, self.eps)


def scripted(code: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(code)


def traced(module: torch.nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(module, torch.randn(3, N))


@pytest.mark.parametrize("make", [
    pytest.param(lambda: scripted(by_hand), id="function"),
    pytest.param(lambda: scripted(by_torch), id="function-of-torch"),
    pytest.param(lambda: scripted(ByHand()), id="module"),
    pytest.param(lambda: scripted(torch.nn.LayerNorm(N)), id="module-of-torch"),
    pytest.param(lambda: traced(torch.nn.LayerNorm(N)), id="traced"),
])  # fmt: skip
def test_right_code_passes(make: Any) -> None:
    verdict = normcheck.check(make(), as_="layer_norm", effort="quick")

    assert verdict.ok, [(one.check, one.detail) for one in verdict.findings]
    assert not verdict.errors


@pytest.mark.parametrize("code", [unbiased, Unbiased], ids=["function", "module"])
def test_wrong_code_is_found(code: Any) -> None:
    made = code() if isinstance(code, type) else code
    verdict = normcheck.check(scripted(made), as_="layer_norm", effort="quick")

    assert not verdict.ok
    assert not verdict.errors


def test_batch_norm_binds() -> None:
    assert bind(Implementation("batch_norm", scripted(torch.nn.BatchNorm1d(6)))).domain.gradient


def test_what_torchscript_cannot_do_is_not_offered() -> None:
    """A module is not pickled, transformed, or called in inference mode; a function is; each with the reason."""
    module = bind(Implementation("layer_norm", scripted(ByHand()))).domain
    function = bind(Implementation("layer_norm", scripted(by_hand))).domain
    refused = {"pickle", "inference mode", *uses.FUNCTIONAL, uses.JVP}

    assert not refused & set(module.uses)
    assert all("right code fails too where it is scripted" in module.absent[use] for use in refused)
    assert {"deep copy", "no grad", *uses.FROZEN, *uses.REUSED, *uses.EVALUATED, *uses.CHANGED} <= set(module.uses)
    assert {"inference mode", *uses.FUNCTIONAL, uses.JVP, uses.SECOND} <= set(function.uses)


def test_other_code_is_offered_everything() -> None:
    assert unsupported(by_hand) == unsupported(ByHand()) == {}


def test_a_copy_has_leaves() -> None:
    """A deep copy of a scripted module with gradients has parameters that are none: torch's own, as it is today."""
    module = scripted(ByHand())
    module.bias.requires_grad_(False)
    own = copied(module)

    assert not copy.deepcopy(module).weight.is_leaf
    assert own.weight.is_leaf
    assert [own.weight.requires_grad, own.bias.requires_grad] == [True, False]
