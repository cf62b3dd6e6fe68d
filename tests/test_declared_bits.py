"""Conventions of kernels that a contract can declare: the order of cast and weight, the format of eps, equal bits."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import normcheck
from normcheck import families
from normcheck.core.contract import contract
from normcheck.core.events import outcomes_of
from normcheck.core.floats import BFLOAT16, FORMATS, Format
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.explain.pages import page
from normcheck.families import identify
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


def eps_in_single(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, float(np.float32(eps)))


class FixedEpsInSingle(nn.Module):
    """Layer norm without an argument for eps, which it holds in float32."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(n)), nn.Parameter(torch.zeros(n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return eps_in_single(x, self.weight, self.bias)


class BatchNormEpsInSingle(nn.BatchNorm1d):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features, eps=float(np.float32(eps)), momentum=momentum)


class FrozenEpsInSingle(nn.Module):
    """Batch norm by running statistics only."""

    def __init__(self, n: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.held = float(np.float32(eps))
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.ones(n))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, var, w, b = (t.reshape(shape) for t in (self.running_mean, self.running_var, self.weight, self.bias))
        return (x - mean) * torch.rsqrt(var + self.held) * w + b


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


def in_single(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    wide = [t if t is None else t.float() for t in (x, weight, bias)]
    return nn.functional.layer_norm(wide[0], x.shape[-1:], wide[1], wide[2], eps).to(x.dtype)


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
    assert f"it follows cast={other}, and cast={cast} is claimed" in verdict.findings[0].detail


def test_a_wide_weight_makes_the_output_wide_if_the_cast_comes_first() -> None:
    verdict = check(CastTwice, "rms_norm", cast=BEFORE)

    assert [one.check for one in verdict.findings] == ["wide-parameters"]
    assert verdict.findings[0].detail == "the output is bfloat16"
    assert verdict.findings[0].law == "the output, wide parameters, is float32 by cast=before-weight"


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


EPS_IN_SINGLE = [
    (eps_in_single, "layer_norm"), (FixedEpsInSingle, "layer_norm"), (BatchNormEpsInSingle, "batch_norm"),
    (FrozenEpsInSingle, "batch_norm"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "kind"), EPS_IN_SINGLE)
def test_an_eps_in_float32_is_a_warning(target: Any, kind: str) -> None:
    """It is right in every format but float64, where it is another eps."""
    verdict = check(target, kind)

    assert verdict.ok
    assert "eps-in-float32" in names(verdict.warnings)
    assert {one["declare"] for one in verdict.warnings if one["format"] == "float64"} == {"eps-format=float32"}
    assert (verdict.formats["float64"], verdict.formats["float32"]) == ("warning", "right")


@pytest.mark.parametrize(("target", "kind"), EPS_IN_SINGLE)
def test_an_eps_in_float32_can_be_declared_or_ruled_out(target: Any, kind: str) -> None:
    declared, ruled_out = check(target, kind, eps_format="float32"), check(target, kind, eps_format="own")

    assert declared.ok
    assert "eps-in-float32" not in names(declared.warnings)
    assert [one.check for one in ruled_out.findings] == ["conventions"]
    assert names(ruled_out.causes) == ["eps-in-float32"]
    assert ruled_out.causes[0]["declare"] == "eps-format=float32"
    assert "and eps-format=own is claimed" in ruled_out.findings[0].detail


def test_an_exact_eps_where_one_in_float32_is_declared() -> None:
    target = "torch.nn.functional:layer_norm"
    verdict = check(target, "layer_norm", eps_format="float32")

    assert check(target, "layer_norm", eps_format="own").ok
    assert [one.check for one in verdict.findings] == ["conventions"]
    assert verdict.causes[0]["declare"] == "eps-format=own"


def test_strict_fails_with_a_case_that_its_replay_repeats() -> None:
    """The replay is under the contract that fails, not under the one that was found."""
    made = claims([("layer_norm", eps_in_single)], {})
    failed = [one for one in outcomes_of(events(made, Settings("quick", strict=True))) if one.status == "failed"]
    (finding,) = (one.finding for one in failed)

    assert finding is not None
    assert finding.cause == "eps-in-float32"
    assert "--norm-replay eps-is-read/" in finding.replay
    assert "eps-format" not in finding.replay


def test_float64_computed_in_float32_is_no_eps_in_float32() -> None:
    assert names(check(in_single, "layer_norm").warnings) == ["float64-in-float32"]


def test_identify_finds_an_eps_in_float32() -> None:
    assert dict(identify(eps_in_single).contract) == {"eps-format": "float32"}
    assert dict(identify("torch.nn.functional:layer_norm").contract) == {}


class FusedInOneStep(CastThenWeight):
    """Divides by the root, where the composition multiplies by its inverse: right, with other bits."""

    def normalized(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return wide / torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)


class InSingle(CastThenWeight):
    """As Llama has it, also for float64."""

    def normalized(self, x: torch.Tensor) -> torch.Tensor:
        return super().normalized(x.to(torch.float32))


class Gemma(CastThenWeight):
    """Multiplies by 1 + w in float32."""

    def __init__(self, dim: int, eps: float = 1e-6) -> None:
        super().__init__(dim, eps)
        nn.init.zeros_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.normalized(x)
        return (y * (1.0 + self.weight.to(y.dtype))).to(x.dtype)


def plain_layer_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    c = x.to(torch.promote_types(x.dtype, torch.float32))
    c = c - c.mean(-1, keepdim=True)
    y = (c * torch.rsqrt(c.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def plain_group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    c = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(x.shape[0], num_groups, -1)
    c = c - c.mean(-1, keepdim=True)
    y = (c * torch.rsqrt(c.pow(2).mean(-1, keepdim=True) + eps)).reshape(x.shape).to(x.dtype)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


@pytest.mark.parametrize(
    ("target", "kind", "more"),
    [
        (CastThenWeight, "rms_norm", {}), (CastThenWeight, "rms_norm", {"cast": BEFORE}),
        (WeightThenCast, "rms_norm", {"cast": AFTER}), (Gemma, "rms_norm", {"cast": AFTER, "weight": "1+w"}),
        (InSingle, "rms_norm", {}), (plain_layer_norm, "layer_norm", {}), (plain_group_norm, "group_norm", {}),
    ],
)  # fmt: skip
def test_plain_code_has_the_bits_of_the_composition(target: Any, kind: str, more: dict[str, str]) -> None:
    """Written independently of the composition, in the usual operators over the axes themselves."""
    assert check(target, kind, exact_to="composition", **more).ok


@pytest.mark.parametrize(
    ("target", "kind"), [(FusedInOneStep, "rms_norm"), ("torch.nn.functional:layer_norm", "layer_norm")]
)
def test_other_bits_are_one_finding(target: Any, kind: str) -> None:
    """It tells how many entries differ, and by how many steps; without the demand they are right."""
    verdict = check(target, kind, exact_to="composition")

    assert check(target, kind).ok
    assert [one.check for one in verdict.findings] == ["conventions"]
    assert names(verdict.causes) == ["other-bits"]
    assert verdict.causes[0]["declare"] == "exact-to=bound"
    assert verdict.findings[0].law == "y has the bits of the composition of basic operators"
    assert re.search(r"entries differ, the first by \d+ ulp", verdict.findings[0].detail)
    assert "times rsqrt(mean of squares + eps), in the format of the input, times weight" in verdict.findings[0].detail


@pytest.mark.parametrize(
    ("target", "kind", "more", "reason"),
    [
        (plain_layer_norm, "layer_norm", {"axis": "1"}, "no composition of basic operators is defined for axis=1"),
        ("torch:_weight_norm", "weight_norm", {}, "no composition of basic operators is defined for weight_norm"),
        (plain_layer_norm, "layer_norm", {"eps_place": "outside"},
         "no composition of basic operators is defined for eps-place=outside"),
        (plain_layer_norm, "layer_norm", {"variance": "unbiased"},
         "no composition of basic operators is defined for variance=unbiased"),
        ("normcheck.implementations.recurrent:LNLSTM", "recurrent_layer_norm", {},
         "no composition of basic operators is defined for recurrent_layer_norm"),
        ("normcheck.implementations.whitening:zca_whitening", "zca_whitening", {},
         "whitening has no such convention"),
    ],
)  # fmt: skip
def test_a_kind_without_a_composition_refuses_the_key(
    target: Any, kind: str, more: dict[str, str], reason: str
) -> None:
    with pytest.raises(normcheck.UsageError, match=reason):
        check(target, kind, exact_to="composition", **more)


def test_a_framework_without_a_composition_refuses_the_key() -> None:
    pair = (lambda x, eps: (x / np.sqrt((x * x).mean(-1, keepdims=True) + eps), x), lambda dy, saved: dy)
    with pytest.raises(normcheck.UsageError, match="its framework has no composition of basic operators"):
        check(pair, "rms_norm", exact_to="composition")


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_steps_between_numbers(format: Format) -> None:
    """Neighbors, both zeros, the smallest and the largest numbers, infinity, NaN."""
    ulp, tiny = 2.0 ** (1 - format.digits), 2.0 ** (format.smallest + 1 - format.digits)
    ones = np.array([1.0, 1.0, -1.0, 0.0, 0.0, -tiny, format.largest, np.nan, 2.0**format.smallest, 1.0])
    others = np.array([1.0, 1.0 + 3 * ulp, -1.0 - ulp, -0.0, tiny, tiny, np.inf, np.nan,
                       2.0**format.smallest - tiny, 2.0])  # fmt: skip

    steps = [0, 3, 1, 1, 1, 3, 1, 0, 1, 2 ** (format.digits - 1)]
    assert format.steps_apart(ones, others).tolist() == steps
    assert format.steps_apart(others, ones).tolist() == steps


def test_the_page_of_a_kind_tells_the_order() -> None:
    sections = dict(page("rms_norm").sections)

    assert "x in float32 or wider, times rsqrt(mean of squares + eps), in the format" in sections["composition"][0]
    assert "composition" not in dict(page("weight_norm").sections)
