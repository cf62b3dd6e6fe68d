"""Conventions of kernels that a contract can declare: the order of cast and weight, the format of eps, equal bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import normcheck
from normcheck import families
from normcheck.core.contract import contract
from normcheck.core.floats import BFLOAT16
from normcheck.normalizers import faults
from normcheck.normalizers.reference.cast_order import AFTER, BEFORE, cast_bits
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.recipes import Draw, small


class CastThenWeight(nn.Module):
    """RMS norm as Llama has it: rounded to the format of the input, and then multiplied by the weight."""

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def normalized(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * self.normalized(x).to(x.dtype)


class WeightThenCast(CastThenWeight):
    """RMS norm as Gemma has it, but for 1 + w: multiplied by the weight in float32, and rounded once."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.normalized(x)
        return (y * self.weight.to(y.dtype)).to(x.dtype)


class CastTwice(CastThenWeight):
    """Its bits are those of the cast before the weight; with a weight in float32 the output is cast again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).to(x.dtype)


def in_half(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Layer norm whose statistics have the format of the input: its bits are of neither order."""
    c = x - x.mean(-1, keepdim=True)
    y = c / torch.sqrt(c.square().mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def check(target: Any, kind: str, **declared: str) -> normcheck.Verdict:
    return normcheck.check(target, kind, effort="quick", contract={k.replace("_", "-"): v for k, v in declared.items()})


def names(some: Any) -> list[str]:
    return [one["name"] for one in some]


@pytest.mark.parametrize("target", [CastThenWeight, WeightThenCast, CastTwice])
def test_undeclared_either_order_is_right(target: type) -> None:
    verdict = check(target, "rms_norm")

    assert verdict.ok
    assert verdict.warnings == ()


@pytest.mark.parametrize(
    ("target", "kind", "cast"),
    [
        (CastThenWeight, "rms_norm", BEFORE), (WeightThenCast, "rms_norm", AFTER),
        ("torch.nn.functional:layer_norm", "layer_norm", AFTER), ("torch.nn:BatchNorm1d", "batch_norm", AFTER),
        (in_half, "layer_norm", BEFORE),
    ],
)  # fmt: skip
def test_the_declared_order_passes(target: Any, kind: str, cast: str) -> None:
    assert check(target, kind, cast=cast).ok


@pytest.mark.parametrize(
    ("target", "kind", "cast"),
    [
        (CastThenWeight, "rms_norm", AFTER), (WeightThenCast, "rms_norm", BEFORE),
        ("torch.nn.functional:layer_norm", "layer_norm", BEFORE), ("torch.nn:BatchNorm1d", "batch_norm", BEFORE),
        (in_half, "layer_norm", AFTER),
    ],
)  # fmt: skip
def test_the_other_order_is_one_finding(target: Any, kind: str, cast: str) -> None:
    """It names the convention, and the option that declares it."""
    verdict = check(target, kind, cast=cast)
    other = AFTER if cast == BEFORE else BEFORE

    assert [one.check for one in verdict.findings] == ["conventions"]
    assert names(verdict.causes) == [f"cast-{other}"]
    assert verdict.causes[0]["declare"] == f"cast={other}"
    assert f"it follows cast={other}, where cast={cast} is claimed" in verdict.findings[0].detail


def test_a_wide_weight_makes_the_output_wide_if_the_cast_comes_first() -> None:
    verdict = check(CastTwice, "rms_norm", cast=BEFORE)

    assert [one.check for one in verdict.findings] == ["wide-parameters"]
    assert verdict.findings[0].detail == "the output is bfloat16"
    assert verdict.findings[0].law == "the output, wide parameters, is float32, as cast=before-weight has it"


def test_bits_that_show_no_order_are_reported() -> None:
    assert "cast=before-weight" in check(in_half, "layer_norm", cast=BEFORE).not_checked
    assert "cast=before-weight" not in check(CastThenWeight, "rms_norm", cast=BEFORE).not_checked


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm", "batch_norm"])
@pytest.mark.parametrize("cast", [BEFORE, AFTER])
def test_the_bits_of_each_order(kind: str, cast: str) -> None:
    """The reference under an order has its bits, and not those of the other; an ulp off in each set it has neither."""
    normalizer = families.get(kind)
    case = small(normalizer, Draw(n=64, sets=8, rank=2, format=BFLOAT16.name))
    truth, y = (
        evaluate(normalizer, case),
        faults.subject(normalizer, None, contract({"cast": cast})).call(case, False).y,
    )
    everywhere = np.ones(y.shape, dtype=bool)
    found = cast_bits(truth, y, everywhere)

    assert found.order == cast
    assert not found.strays(cast)
    assert found.strays(AFTER if cast == BEFORE else BEFORE)
    assert cast_bits(truth, BFLOAT16.round(y * (1.0 + 2.0**-7)), everywhere).order == ""
    assert cast_bits(truth, y, np.arange(y.size).reshape(y.shape) < 20).order == ""
