"""One cause, one finding: conventions, warnings, causes, inherited bugs, and what a reader sees of them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import normcheck
from normcheck.core.ask import run_check
from normcheck.core.claim import Implementation
from normcheck.core.errors import LostError
from normcheck.core.events import outcomes_of
from normcheck.core.replay import decode
from normcheck.core.result import FAILED, Finding, Outcome, conviction
from normcheck.engine import inherited
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.engine.warnings import under_weaker
from normcheck.families import CHECKS_BY_NAME, bind
from normcheck.report import causes


class InSingle(nn.Module):
    """RMS norm as language models have it: float32 inside, cast back before the weight."""

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def divisor(self, count: int) -> int:
        return count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.float32)
        square = wide.pow(2).sum(-1, keepdim=True) / self.divisor(x.shape[-1])
        return self.weight * (wide * torch.rsqrt(square + self.variance_epsilon)).to(x.dtype)


class InSingleUnbiased(InSingle):
    def divisor(self, count: int) -> int:
        return count - 1


class Shifted(InSingle):
    """The weight is used as 1 + w, as Gemma does."""

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__(hidden_size, eps)
        nn.init.zeros_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.float32)
        xh = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return ((1.0 + self.weight.float()) * xh).to(x.dtype)


class OwnGroupNorm(nn.GroupNorm):
    """Calls torch's own function."""


def textbook(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    mean = x.mean(-1, keepdim=True)
    y = (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def unbiased_outside(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    y = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def refuses(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if x.dtype == torch.bfloat16:
        raise TypeError("no bfloat16 here")
    return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def one_pass(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    mean = x.mean(-1, keepdim=True)
    y = (x - mean) / torch.sqrt((x * x).mean(-1, keepdim=True) - mean * mean + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


class InHalves(nn.BatchNorm2d):
    """Each half of the batch is normalized by itself, the second by another module with the same parameters."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features, eps, momentum)
        self.other = nn.BatchNorm2d(num_features, eps, momentum, affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        if len(x) % 2:
            raise ValueError("the batch has no halves")
        first, second = x.chunk(2)
        shape = (1, -1, 1, 1)
        return torch.cat([super().forward(first), self.other(second) * self.weight.view(shape) + self.bias.view(shape)])


def names(some: Any) -> list[str]:
    return [one["name"] for one in some]


def check(target: Any, kind: str, **contract: str) -> normcheck.Verdict:
    return normcheck.check(target, kind, effort="quick", contract={k.replace("_", "-"): v for k, v in contract.items()})


def test_right_in_every_format_that_it_computes_in() -> None:
    verdict = check(InSingle, "rms_norm")

    assert verdict.ok
    assert names(verdict.warnings) == ["float64-in-float32"]
    assert verdict.formats == {"float64": "warning", "float32": "right", "bfloat16": "right", "float16": "right"}
    assert "invariant" in verdict.row.values()
    assert check(InSingle, "rms_norm", formats="float32,bfloat16,float16").warnings == ()
    assert not check(InSingle, "rms_norm", formats="float64,float32,bfloat16,float16").ok


def test_a_warning_does_not_hide_a_fault() -> None:
    """The divisor n - 1 in code that computes in float32: one cause, by its name, shown in float32."""
    verdict = check(InSingleUnbiased, "rms_norm")

    assert names(verdict.causes) == ["variance-unbiased"]
    assert verdict.causes[0]["checks"] == ["conventions"]
    assert verdict.causes[0]["finding"]["case"]["format"] == "float32"
    assert verdict.causes[0]["declare"] == "variance=unbiased"
    assert names(verdict.warnings) == ["float64-in-float32"]


def test_a_convention_is_told_once_and_checked_no_more() -> None:
    verdict = check(Shifted, "rms_norm")

    assert names(verdict.causes) == ["weight-offset-one"]
    assert [one.check for one in verdict.findings] == ["conventions"]
    assert set(verdict.formats.values()) == {"failed"}  # the convention differs in each, whatever else is right there
    assert check(Shifted, "rms_norm", weight="1+w").ok


def test_what_is_wrong_in_a_plain_call_is_no_other_cause_in_a_special_use() -> None:
    """Frozen, copied and with reused memory it is wrong in the way in which every call is."""
    verdict = check(InHalves, "batch_norm")

    assert names(verdict.causes) == ["split-batch"]
    assert {"value", "frozen", "memory-reused", "copies"} <= set(verdict.causes[0]["checks"])
    assert names(verdict.warnings) == ["sizes"]


def test_two_conventions_and_the_options_that_declare_them() -> None:
    verdict = check(unbiased_outside, "layer_norm")
    (record,) = json.loads(verdict.to_json())["implementations"]

    assert {"variance-unbiased", "eps-outside-root"} <= set(names(verdict.causes))
    told = {one["name"]: one["declare"] for one in verdict.causes}
    assert told["variance-unbiased"] == "variance=unbiased"
    assert told["eps-outside-root"] == "eps-place=outside"
    lines = list(causes.lines(record))
    assert [label for label, _ in lines].count("cause") == len(verdict.causes)


def test_statistics_in_half_are_a_warning() -> None:
    verdict = check(textbook, "layer_norm")

    assert verdict.ok
    assert set(names(verdict.warnings)) == {"accuracy=half:bfloat16", "accuracy=half:float16"}
    assert check(textbook, "layer_norm", accuracy="half").warnings == ()
    assert not check(textbook, "layer_norm", accuracy="torch").ok
    assert not check(textbook, "layer_norm", accuracy="sound").ok


def test_strict_lets_warnings_fail() -> None:
    made = claims([("rms_norm", InSingle)], {})
    found = list(outcomes_of(events(made, Settings("quick", strict=True))))
    failed = [one for one in found if one.status == "failed"]

    assert [one.finding.cause for one in failed if one.finding] == ["float64-in-float32"]
    assert [one.check for one in failed] == ["conventions"]


def test_a_format_that_is_refused_is_a_warning() -> None:
    verdict = check(refuses, "layer_norm")

    assert verdict.ok
    assert names(verdict.warnings) == ["refuses:bfloat16"]
    assert "no bfloat16 here" in verdict.warnings[0]["text"]
    assert verdict.formats["bfloat16"] == "warning"


def normalized_twice(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """In float64, with an error as small as a roundoff of float32: eps counts twice."""
    y = nn.functional.layer_norm(nn.functional.layer_norm(x, x.shape[-1:], eps=eps), x.shape[-1:], eps=eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def length_with_eps(v: Any, g: Any, dim: int = 0) -> Any:
    return v * (g / (torch.linalg.vector_norm(v, dim=[i for i in range(v.dim()) if i != dim], keepdim=True) + 1e-5))


@pytest.mark.parametrize(("target", "kind"), [(normalized_twice, "layer_norm"), (length_with_eps, "weight_norm")])
def test_a_small_error_of_a_formula_is_none_of_single_precision(target: Any, kind: str) -> None:
    verdict = check(target, kind)

    assert not verdict.ok
    assert "float64" in {finding.case["format"] for finding in verdict.findings}
    assert "float64-in-float32" not in names(verdict.warnings)


class StopsInput(nn.Module):
    """In evaluation mode the normalized input has no history; weight and bias have gradients."""

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        y = nn.functional.layer_norm(wide, x.shape[-1:], eps=self.eps)
        return ((y if self.training else y.detach()) * self.weight + self.bias).to(x.dtype)


def test_an_evaluation_that_stops_the_gradient_of_the_input_alone_is_named() -> None:
    assert names(check(StopsInput, "layer_norm").causes) == ["evaluation-stops-gradient"]


def test_one_fault_is_one_cause() -> None:
    verdict = check(one_pass, "layer_norm")

    assert names(verdict.causes) == ["one-pass-variance"]
    assert len(verdict.causes[0]["checks"]) > 3
    assert {one.cause for one in verdict.findings} == {"one-pass-variance"}
    assert [bool(one.script or one.likely) for one in verdict.findings].count(True) == 1


def test_bugs_of_torch_are_inherited() -> None:
    """A subclass passes as torch's own class does, with the same note."""
    mine, own = (check(target, "group_norm") for target in (OwnGroupNorm, "torch.nn:GroupNorm"))

    assert own.expected_findings
    assert mine.expected_findings == own.expected_findings
    assert mine.ok


@pytest.mark.parametrize(("framework", "asked"), [("jax", False), ("torch", True)])
def test_code_of_another_framework_is_not_compared_with_torch(framework: str, *, asked: bool) -> None:
    """So that torch is imported for its own targets only, and nothing ends where it is not installed."""
    subject = bind(Implementation("batch_norm", "torch.nn.functional:batch_norm"))
    language = SimpleNamespace(framework=framework)
    subject = replace(subject, domain=replace(subject.domain, language=language))
    outcome = Outcome("batch_norm", "mine", "wide-statistics", FAILED, finding=finding("bfloat16", 1.0, [8, 6]))
    compared: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inherited, "draw_of", lambda *given: compared.append(given))
        patch.setattr(inherited, "_answers", lambda *given: [])
        assert inherited.inherited_bug(subject, CHECKS_BY_NAME["wide-statistics"], outcome) is None
    assert bool(compared) == asked


class GroupNormSilu(nn.GroupNorm):
    """torch's group norm and an activation in operators of its own, which round otherwise than torch's function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y * torch.sigmoid(y)


class OnePassChannelsLast(GroupNormSilu):
    """Takes E[x^2] - E[x]^2 where channels are last: a fault of its own, where torch's function has one too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 4 or x.is_contiguous():
            return super().forward(x)
        groups = x.unflatten(1, (self.num_groups, -1))
        mean, square = (each.mean((2, 3, 4), keepdim=True) for each in (groups, groups * groups))
        y = ((groups - mean) * torch.rsqrt((square - mean * mean).clamp_min(0.0) + self.eps)).flatten(1, 2)
        units = (1, -1, 1, 1)
        y = y * self.weight.view(units) + self.bias.view(units)
        return y * torch.sigmoid(y)


def test_bugs_of_torch_are_inherited_in_a_form() -> None:
    """What the form makes of torch's wrong output has the same error but for rounding; another error is a finding."""
    mine, other = (check(target, "group_norm", form="silu") for target in (GroupNormSilu, OnePassChannelsLast))

    assert mine.ok
    assert mine.expected_findings
    assert not other.ok


def finding(format: str, observed: float, shape: list[int]) -> Finding:
    return Finding("value", "law", observed, 1e-6, (), {"format": format, "shape": shape})


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (finding("float64", 1.0, [2, 3]), finding("float32", 9.0, [2, 3])),
        (finding("float32", 9.0, [20, 3]), finding("float32", 1.0, [2, 3])),
        (finding("float32", 9.0, [2, 3]), finding("float32", 9.0, [20, 3])),
    ],
)
def test_the_case_that_convinces(more: Finding, less: Finding) -> None:
    """The widest format, then the largest error, then the smallest shape."""
    assert conviction(more) > conviction(less)


def test_a_shown_case_has_the_smallest_beside_it() -> None:
    verdict = check(one_pass, "layer_norm")
    first = verdict.findings[0]

    assert first.case["format"] in ("float64", "float32")
    assert "--norm-replay value/" in first.replay
    assert first.smallest == "" or first.smallest != first.replay


class Floored(nn.Module):
    """RMS norm by torch's function that divides by a length, which it keeps from falling below 1e-12."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5 * self.g


def test_an_eps_that_is_a_floor() -> None:
    verdict = check(Floored, "rms_norm")

    assert verdict.ok
    assert verdict.contract == {"eps-place": "floor"}
    assert "lengths below 1e-12" in verdict.information["eps-place=floor"]


class OwnEps(nn.LayerNorm):
    """Its base class takes an eps; it sets its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.eps = 1e-6


def test_an_eps_that_a_class_sets_itself() -> None:
    assert check(OwnEps, "layer_norm").ok


class Uncounted(nn.Module):
    """Batch norm with a count that stays 0, and without a cumulative average."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 1.0 * self.momentum, self.eps
        )


def test_a_count_that_nothing_reads() -> None:
    verdict = check(Uncounted, "batch_norm")

    assert verdict.ok
    assert "momentum None" in verdict.not_checked


def unbiased_about_the_mean(x: Any, weight: Any = None, eps: float = 1e-6) -> Any:
    y = x * torch.rsqrt(torch.var(x, dim=-1, keepdim=True) + eps)
    return y if weight is None else y * weight


def test_two_faults_are_two_causes() -> None:
    verdict = check(unbiased_about_the_mean, "rms_norm")

    assert {"variance-about-the-mean", "variance-unbiased"} == set(names(verdict.causes))


def test_an_exception_at_one_size_is_a_warning() -> None:
    def moody(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        if x.shape[0] == 5:
            raise ArithmeticError(f"not for {tuple(x.shape)}")
        return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)

    verdict = check(moody, "layer_norm")

    assert names(verdict.causes) == []
    assert names(verdict.warnings) == ["sizes"]
    assert "not for (5, " in verdict.warnings[0]["text"]
    assert check(moody, "layer_norm", sizes="some").warnings == ()


class Backward(torch.autograd.Function):
    """The identity, whose backward refuses five rows."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if dy.shape[0] == 5:
            raise ArithmeticError(f"not for {tuple(dy.shape)}")
        return dy


def test_a_backward_that_raises_on_what_its_forward_took_is_a_cause() -> None:
    def moody(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        return nn.functional.layer_norm(Backward.apply(x), x.shape[-1:], weight, bias, eps)

    verdict = check(moody, "layer_norm")

    assert names(verdict.causes) == ["raises ArithmeticError"]
    assert verdict.diagnosis == ()


def test_a_format_that_is_not_claimed_is_in_no_program() -> None:
    """After float64 is left to a warning, no program moves a layer to it."""
    from normcheck.core.contract import Contract
    from normcheck.normalizers import catalog, faults
    from normcheck.normalizers.sampling.space import narrowed

    domain = faults.subject(catalog.ALL["batch_norm"]).domain
    assert "move to float64" in domain.operations
    assert "move to float64" not in narrowed(domain, Contract(formats=("float32",))).operations


def test_a_process_that_ends_while_conventions_are_measured() -> None:
    """The check with the case that ends it is an error; all others are run."""
    (claim,) = claims([("layer_norm", "torch.nn.functional:layer_norm")], {})
    asker = Asker(Settings("quick"))
    whole = asker.subject(claim)

    def call(case: Any, gradient: bool) -> Any:
        if case.format.name == "bfloat16":
            raise LostError("its process ended")
        return whole.call(case, gradient)

    asker._binder._bound[claim] = replace(whole, call=call)

    assert [one.status for one in asker.run_conventions(claim)] == ["passed"]
    assert asker.run_check(claim, CHECKS_BY_NAME["value"]).status == "error"
    assert asker.run_check(claim, CHECKS_BY_NAME["sign"]).status == "passed"


def textbook_batch(
    x: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Divides by n - 1 for the running variance, also where n is 1."""
    dims, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(dims), x.var(dims, unbiased=False)
        if running_mean is not None:
            n = x.numel() / x.shape[1]
            with torch.no_grad():
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(var * n / (n - 1), momentum)
    y = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + eps)
    y = y if weight is None else y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


def test_one_value_for_each_channel_that_is_not_refused() -> None:
    """NaN for ever in the running variance is a warning where torch refuses, as no textbook refuses it."""
    verdict = check(textbook_batch, "batch_norm")

    assert verdict.ok
    assert "single-value" in names(verdict.warnings)
    assert "single-value" not in names(check(textbook_batch, "batch_norm", single_value="any").warnings)
    assert not check(textbook_batch, "batch_norm", single_value="right").ok


class StaleAfterTen(nn.Module):
    """From the eleventh call on, returns what the tenth did not."""

    calls = 0

    def __init__(self, normalized_shape: Any, eps: float = 1e-5) -> None:
        super().__init__()
        self.inner = nn.LayerNorm(normalized_shape, eps=eps, elementwise_affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        StaleAfterTen.calls += 1
        y: torch.Tensor = self.inner(x)
        return y if StaleAfterTen.calls < 10 else 1.5 * y


def test_what_changes_from_call_to_call_is_one_cause() -> None:
    """Nothing that is found later has a name of its own: any fault can be reproduced by what changes."""
    assert len(check(StaleAfterTen, "layer_norm").causes) <= 2


class FilterResponse(nn.Module):
    """Subtracts no mean, for maps alone: its parameters are (1, C, 1, 1). eps is a buffer, float32 in a new layer."""

    def __init__(self, num_features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, num_features, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, num_features, 1, 1))
        self.register_buffer("eps", torch.tensor([eps]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        square = x.pow(2).mean(dim=[2, 3], keepdim=True)
        return self.weight * (x * torch.rsqrt(square + self.eps)) + self.bias


def test_a_rank_that_broadcasts_by_chance_and_a_weakness_beside_a_cause() -> None:
    """Inputs of a rank that only broadcasts where sizes are alike are not asked; a weaker eps is no second cause."""
    verdict = normcheck.check(FilterResponse, as_="instance_norm", effort="quick")

    assert [cause["name"] for cause in verdict.causes] == ["mean-not-subtracted"]
    assert {len(finding.case["shape"]) for finding in verdict.findings} == {4}


class ReciprocalRoot(nn.Module):
    """Instance norm as one writes it, with a reciprocal root, whose derivative overflows float16 at small variances."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(2, x.dim()))
        centered = x - x.mean(axes, keepdim=True)
        return centered * torch.rsqrt(centered.square().mean(axes, keepdim=True) + 1e-5)


def test_an_overflow_in_half_by_the_class_alone_is_no_finding() -> None:
    assert normcheck.check(ReciprocalRoot, as_="instance_norm", effort="quick").ok


@pytest.mark.parametrize("form", ["plain", "mask"])
def test_code_has_no_fault_of_a_form_that_it_is_not_of(form: str) -> None:
    """What returns its input resembles a residual norm that returns the sum first."""

    def nothing(x: torch.Tensor, mask: Any = None, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        return x * 1.0

    verdict = normcheck.check(nothing, as_="instance_norm", effort="smoke", contract={"form": form})

    assert not verdict.ok
    assert "outputs-exchanged" not in [cause["name"] for cause in verdict.causes]


class SumInHalf(nn.Module):
    """Instance norm whose sum is rounded to the input's format: it leaves float16's range in some cases."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axes = tuple(range(2, x.dim()))
        centered = x - x.sum(axes, keepdim=True) / x[0, 0].numel()
        return centered / torch.sqrt(centered.square().mean(axes, keepdim=True) + 1e-5)


@pytest.mark.parametrize(("format", "warned"), [("float16", ["accuracy=half:float16"]), ("float32", [])])
def test_a_sum_that_leaves_the_range_of_half_is_a_warning(format: str, warned: list[str]) -> None:
    """Its random cases are rare: torch's own instance norm rounds its statistics, but sums in float32."""
    scale = 6 if format == "float16" else 120
    replay = f"finite/seed=0/n=64/sets=8/rank=3/format={format}/offset=10.0/affine=none/scale={scale}"
    mine, check = bind(Implementation("instance_norm", SumInHalf)), CHECKS_BY_NAME["finite"]
    draw = decode(replay, check.space.plain)[1]
    alone = run_check(mine, check, [draw])
    outcome = under_weaker(mine, check, lambda subject: run_check(subject, check, [draw])).outcome

    assert alone.finding is not None
    assert [one.name for one in outcome.warnings] == warned
    assert (outcome.finding is None) == bool(warned)


@torch.no_grad()
def forward_only(x: torch.Tensor, weight: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
    """As kernels for inference are."""
    return torch.nn.functional.rms_norm(x, (x.shape[-1],), weight, eps)


def test_code_without_gradients_is_not_asked_for_them() -> None:
    verdict = normcheck.check(forward_only, as_="rms_norm", effort="default")

    assert verdict.ok, str(verdict)


class FramesApart(nn.Module):
    """Group norm of videos (cases, channels, time, height, width) that makes each frame a case."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(num_groups, num_channels, eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cases, channels, time, height, width = x.shape
        y = self.norm(x.permute(0, 2, 1, 3, 4).reshape(cases * time, channels, height, width))
        return y.reshape(cases, time, channels, height, width).permute(0, 2, 1, 3, 4)


def test_a_slight_excess_beside_a_cause_is_no_second_one() -> None:
    """Where a fault takes its statistics from other entries, the bound of the right ones can be exceeded a little."""
    verdict = normcheck.check(FramesApart, as_="group_norm", effort="default")

    assert [cause["name"] for cause in verdict.causes] == ["positions-apart"]
