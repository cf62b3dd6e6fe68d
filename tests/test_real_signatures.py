"""Layers in the style of well-known libraries: maps with units in axis 1, frozen statistics, no eps, schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from normcheck.core.claim import Implementation
from normcheck.core.contract import contract
from normcheck.core.errors import UsageError
from normcheck.core.limits import Limits
from normcheck.engine.claims import claims
from normcheck.engine.run import events
from normcheck.engine.settings import Settings
from normcheck.engine.verdict import document
from normcheck.families import CHECKS, CHECKS_BY_NAME
from normcheck.families import bind as subject
from normcheck.families import get as entry
from normcheck.frameworks.isolation.remote import Remote
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.sampling.fit import fit
from normcheck.normalizers.sampling.recipes import Draw, Sizes, state, values
from normcheck.normalizers.subject import Subject


def bound(kind: str, target: Any, **conventions: str) -> Subject:
    return subject(Implementation(kind, target, conventions))


def agrees(found: Subject, *, training: bool = True) -> bool:
    """Whether output and gradients are those of the reference on an ordinary float64 case."""
    domain, normalizer = found.domain, found.normalizer
    draw = fit(normalizer, Draw(rank=max(domain.ranks), affine=domain.affine[0]), domain.sizes)
    case = values(normalizer, draw) if training else state(normalizer, draw, training=False)
    case = case if domain.eps is None else case.but(eps=domain.eps)
    answer, truth = found.call(case, True), evaluate(normalizer, case, found.contract)
    pairs = [(answer.y, truth.y), (answer.dx, truth.dx)]
    if training:
        pairs += [(answer.dweight, truth.dweight), (answer.dbias, truth.dbias)]
    return all((a is None and b is None) or bool(np.allclose(a, b, rtol=1e-9, atol=1e-9)) for a, b in pairs)


# Units in axis 1


class Subclass2d(torch.nn.LayerNorm):
    """timm's and torchvision's: permutes maps, and takes nothing else."""

    def __init__(self, num_channels: int, eps: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(num_channels, eps=eps, **kwargs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class Format(torch.nn.Module):
    """ConvNeXt's: an option says where the units are."""

    def __init__(self, normalized_shape: int, eps: float = 1e-6, data_format: str = "channels_last") -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(normalized_shape))
        self.bias = torch.nn.Parameter(torch.zeros(normalized_shape))
        self.eps, self.data_format, self.normalized_shape = eps, data_format, (normalized_shape,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.data_format == "channels_last":
            return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        c = x - x.mean(1, keepdim=True)
        y = c / torch.sqrt(c.pow(2).mean(1, keepdim=True) + self.eps)
        return self.weight[:, None, None] * y + self.bias[:, None, None]


class Sequence(torch.nn.LayerNorm):
    """SqueezeBERT's: (cases, units, length)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 1)).permute(0, 2, 1)


class AnyRank(torch.nn.Module):
    """Pixel norm: no parameters, and inputs of any rank."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        return (h / torch.sqrt(h.square().mean(self.dim, keepdim=True) + self.eps)).to(x.dtype)


def function_2d(x: Any, weight: Any, bias: Any, eps: float = 1e-6) -> Any:
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], weight, bias, eps).permute(0, 3, 1, 2)


HERE = "tests/test_real_signatures.py"


@pytest.mark.parametrize(("kind", "target", "ranks"), [
    ("layer_norm", Subclass2d, (4,)),
    ("layer_norm", Subclass2d(16), (4,)),
    ("layer_norm", f'{HERE}:Format(data_format="channels_first")', (4,)),
    ("layer_norm", Sequence, (3,)),
    ("rms_norm", AnyRank, (2, 3, 4)),
    ("layer_norm", function_2d, (4,)),
])  # fmt: skip
def test_units_in_axis_1(kind: str, target: Any, ranks: tuple[int, ...]) -> None:
    """Found by trying, bound by moving the axis, and noted; inputs of other ranks are missing capabilities."""
    found = bound(kind, target)

    assert agrees(found)
    assert found.domain.ranks == ranks
    assert "axis=1" in found.notes
    assert any(what.startswith("inputs of rank") for what in found.absent) is (ranks != (2, 3, 4))


@pytest.mark.parametrize("target", [Format, torch.nn.LayerNorm, torch.nn.LayerNorm(16), F.layer_norm])
def test_units_in_the_last_axis(target: Any) -> None:
    """Nothing is noted where the last axis is normalized, as the kind has it."""
    assert bound("layer_norm", target).notes == {}


def test_the_axis_can_be_declared() -> None:
    """With axis=1 nothing else is tried; what normalizes another axis then disagrees."""
    assert contract({}).axis == "last"
    assert agrees(bound("layer_norm", Subclass2d, axis="1"))
    assert not agrees(bound("rms_norm", AnyRank(-1), axis="1"))
    with pytest.raises(UsageError, match="contract axis=2"):
        contract({"axis": "2"})


class WrongAxis2d(Subclass2d):
    """Normalizes the last axis of maps where it should have been the units."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.dim() == 4
        y = F.layer_norm(x, x.shape[-1:], None, None, self.eps)
        return y * self.weight[:, None, None] + self.bias[:, None, None]


def test_another_axis_is_wrong() -> None:
    """A layer of maps that normalizes their width is bound, and is no layer norm."""
    assert not agrees(bound("layer_norm", WrongAxis2d))


@pytest.mark.parametrize("check", ["value", "input-gradient", "parameter-gradients", "input-layout", "forward-is-pure"])
def test_checks_hold_in_axis_1(check: str) -> None:
    """Values, gradients, memory layouts and side effects of the input as the layer gets it."""
    found = [one for one in CHECKS if one.name == check]
    run = document(list(events(claims([("layer_norm", Subclass2d)], {}), Settings("quick"), found)), {})

    assert [one["verdict"] for one in run["implementations"]] == ["passed"]
    assert "axis=1" in run["implementations"][0]["information"]


@pytest.mark.parametrize("target", [Subclass2d, Sequence, AnyRank])
def test_every_check_holds_in_axis_1(target: Any) -> None:
    """A whole run: odd shapes, single vectors and empty inputs too."""
    kind = "rms_norm" if target is AnyRank else "layer_norm"
    run = document(list(events(claims([(kind, target)], {}), Settings("quick"))), {})
    (one,) = run["implementations"]

    assert one["errors"] == []
    assert one["findings"] == []


class Writes2d(Subclass2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        x.data.mul_(2.0)
        return y


def test_side_effects_are_seen_in_axis_1() -> None:
    """The layer gets the caller's memory, not a copy."""
    found = [CHECKS_BY_NAME["forward-is-pure"]]
    run = document(list(events(claims([("layer_norm", Writes2d)], {}), Settings("quick"), found)), {})

    assert "x was written to" in str(run["implementations"][0]["findings"])


def test_a_script_moves_the_axis() -> None:
    """The script of a finding runs without normcheck, so it moves the axis itself."""
    spell = bound("layer_norm", f"{HERE}:Subclass2d").domain.spell
    assert spell is not None
    lines = spell(values(entry("layer_norm"), Draw(rank=4)))

    assert lines[-1] == "y = m(x.movedim(-1, 1)).movedim(1, -1)"
    assert "num_channels=8" in "\n".join(lines)


def test_isolated() -> None:
    """The same in a process of its own."""
    remote = Remote(Implementation("layer_norm", f"{HERE}:Subclass2d"), entry("layer_norm"), Limits())
    try:
        found = remote.subject()
        assert agrees(found)
        assert "axis=1" in found.notes
    finally:
        remote.close()


# An axis that is an option, and weights of other shapes


class OneWeight(torch.nn.Module):
    """x-transformers' ScaleNorm: one weight for all units, and a floor in place of eps."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale, self.g = dim**0.5, torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.normalize(x, dim=-1) * self.scale * self.g


def test_an_optional_dim_is_no_width() -> None:
    """It keeps its default: the axis that is normalized."""
    assert agrees(bound("rms_norm", AnyRank(-1)))
    assert bound("rms_norm", f"{HERE}:AnyRank(dim=-1)").notes == {}


def test_one_weight_for_all_units() -> None:
    """The weight keeps its first value, which is listed; a floor far below the usual rows is found."""
    found = bound("rms_norm", OneWeight)

    assert agrees(found)
    assert (found.contract.eps_place, found.domain.eps) == ("floor", 1e-12)
    assert found.absent["parameters"].startswith("of other shapes")


# One group


class OneGroup(torch.nn.GroupNorm):
    def __init__(self, num_channels: int, **kwargs: Any) -> None:
        super().__init__(1, num_channels, **kwargs)


class TwoGroups(torch.nn.GroupNorm):
    def __init__(self, num_channels: int, **kwargs: Any) -> None:
        super().__init__(2, num_channels, **kwargs)


def one_group(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return F.group_norm(x, 1, weight, bias, eps)


@pytest.mark.parametrize(("target", "groups"), [(OneGroup, 1), (TwoGroups, 2), (one_group, 1)])
def test_no_number_of_groups(target: Any, groups: int) -> None:
    """Without that argument there is one group, or as many as the layer says; the number of units stays free."""
    found = bound("group_norm", target)

    assert agrees(found)
    assert found.domain.sizes == Sizes(None, groups)


# Frozen statistics


class Frozen(torch.nn.Module):
    """torchvision's and DETR's: everything is a buffer."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias, mean, var = (
            getattr(self, name).reshape(1, -1, 1, 1) for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight * (var + 3e-5).rsqrt()
        return x * scale + (bias - mean * scale)


@pytest.mark.parametrize("target", [Frozen, Frozen(6)])
def test_frozen_statistics(target: Any) -> None:
    """Weight and bias are found among the buffers; there is evaluation and no training; eps is measured."""
    found = bound("batch_norm", target)

    assert agrees(found, training=False)
    assert (found.domain.training, found.domain.evaluation, found.domain.state) == (False, True, False)
    assert found.domain.affine == ("both",)
    assert found.domain.eps == 3e-5
    assert "no training mode" in found.notes


def test_a_frozen_layer_passes() -> None:
    """Checks of the training mode do not concern it, and the others hold."""
    run = document(list(events(claims([("batch_norm", Frozen)], {}), Settings("quick"))), {})
    (one,) = run["implementations"]

    assert one["verdict"] == "passed"
    assert one["not_checked"]["value"] == "has no training mode"
    assert "evaluation" not in one["not_checked"]


class NeverTrains(torch.nn.BatchNorm2d):
    """Updates nothing and always normalizes by its statistics, though it has a momentum."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def test_a_layer_with_a_momentum_must_train() -> None:
    """It claims to keep running statistics, so evaluation in training is a fault."""
    found = bound("batch_norm", NeverTrains)

    assert found.domain.training
    assert not agrees(found)


# Eps that is measured


def fixed(eps: float, place: str = "inside") -> Any:
    def norm(x: Any, w: Any) -> Any:
        v = x.square().mean(-1, keepdim=True)
        return x / {"inside": (v + eps).sqrt(), "floor": v.sqrt().clamp(min=eps)}[place] * w

    return norm


@pytest.mark.parametrize(("target", "eps"), [
    (fixed(1e-3), 1e-3), (fixed(1e-6), 1e-6), (fixed(1e-12), 1e-12), (fixed(1e-20), 1e-20), (fixed(0.0), 0.0),
    (fixed(1e-12, "floor"), 1e-12),
])  # fmt: skip
def test_a_fixed_eps(target: Any, eps: float) -> None:
    """From a thousandth to none at all; it is said to be fixed only where it was measured."""
    found = bound("rms_norm", target)

    assert found.domain.eps == eps
    assert found.domain.eps_measured
    assert CHECKS_BY_NAME["eps-is-read"].lacks(found) == f"takes no eps; the fixed one is {eps:g}"


def test_an_eps_that_differs_between_formats() -> None:
    """The machine epsilon of the format."""
    found = bound("rms_norm", lambda x, w: F.rms_norm(x, x.shape[-1:], w, None))

    assert (found.domain.eps, found.domain.eps64) == (2.0**-23, 2.0**-52)


@pytest.mark.parametrize("target", [lambda x, w: x.tanh() * w, fixed(0.5)])
def test_an_eps_that_is_not_measured(target: Any) -> None:
    """No value is told where the outputs show none."""
    found = bound("rms_norm", target)

    assert not found.domain.eps_measured
    assert CHECKS_BY_NAME["eps-is-read"].lacks(found) == "takes no eps"


class IgnoresItsEps(torch.nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, 1e-3)


def test_an_attribute_is_a_promise() -> None:
    """An instance is held to its attribute; that this is the fixed eps is said only if the outputs show it."""
    right, wrong = bound("layer_norm", torch.nn.LayerNorm(8, eps=1e-4)), bound("layer_norm", IgnoresItsEps(8))

    assert (right.domain.eps, right.domain.eps_measured) == (1e-4, True)
    assert (wrong.domain.eps, wrong.domain.eps_measured) == (1e-5, False)


def test_no_eps_at_all_passes() -> None:
    """Constant sets have no value, and nothing is asked of them."""

    def norm(x: Any, w: Any) -> Any:
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        return (h * h.square().mean(-1, keepdim=True).rsqrt() * w.to(h.dtype)).to(x.dtype)

    chosen = [CHECKS_BY_NAME[name] for name in ("value", "constant-rows", "constant-gradient", "input-gradient")]
    run = document(list(events(claims([("rms_norm", norm)], {}), Settings("quick"), chosen)), {})
    (one,) = run["implementations"]

    assert one["verdict"] == "passed"
    assert one["not_checked"]["constant-rows"] == "takes no eps; the fixed one is 0"


# What a call changes


class Renorm(torch.nn.BatchNorm1d):
    """Batch renormalization: r and d are limited by a schedule over the first batches."""

    @property
    def r_max(self) -> float:
        return float((self.num_batches_tracked / 1000).clamp(1.0, 3.0))

    @property
    def d_max(self) -> float:
        return float((self.num_batches_tracked / 1000 - 1).clamp(0.0, 5.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        mean, var = x.mean(0), x.var(0, correction=0)
        s, stored = (var + self.eps).sqrt(), (self.running_var + self.eps).sqrt()
        r = (s / stored).detach().clamp(1 / self.r_max, self.r_max)
        d = ((mean - self.running_mean) / stored).detach().clamp(-self.d_max, self.d_max)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(x.var(0), self.momentum)
            self.num_batches_tracked += 1
        return ((x - mean) / s * r + d) * self.weight + self.bias


class OwnNames(torch.nn.BatchNorm1d):
    """sb3-contrib's: statistics and count under names of their own, a plain attribute too."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, track_running_stats=False)
        self.register_buffer("ra_mean", torch.zeros(num_features))
        self.register_buffer("steps", torch.tensor(0))
        self.seen = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.ra_mean += 0.1 * (x.detach().mean(0) - self.ra_mean)
        self.steps += 1
        self.seen += len(x)
        return super().forward(x)


class Counts(torch.nn.LayerNorm):
    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


@pytest.mark.parametrize(("kind", "target", "names"), [
    ("batch_norm", Renorm, "num_batches_tracked, r_max, d_max"),
    ("batch_norm", Renorm(6), "num_batches_tracked, r_max, d_max"),
    ("batch_norm", OwnNames, "seen, ra_mean, steps"),
    ("layer_norm", Counts, "calls"),
])  # fmt: skip
def test_what_a_batch_changes_is_named(kind: str, target: Any, names: str) -> None:
    """Buffers, attributes and schedules that no convention explains are listed by name."""
    found = bound(kind, target)

    assert set(found.notes["buffers changed"].split(", ")) == set(names.split(", "))


class MeanScaled(torch.nn.Module):
    """A norm of graphs: subtracts the mean times a parameter, which is 1 in a new layer; another one is unused."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = (torch.nn.Parameter(make(num_features)) for make in (torch.ones, torch.zeros))
        self.mean_scale = torch.nn.Parameter(torch.ones(num_features))
        self.unused = torch.nn.Parameter(torch.ones(num_features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x - x.mean(0) * self.mean_scale
        return self.weight * out / (out.square().mean(0) + self.eps).sqrt() + self.bias


@pytest.mark.parametrize("target", [MeanScaled, MeanScaled(6)])
def test_a_parameter_without_a_role_is_named(target: Any) -> None:
    """What the output depends on beside weight and bias is listed by name; the target is left as it was."""
    notes = bound("batch_norm", target).notes

    assert [one for one in notes if one.startswith("parameter ")] == ["parameter mean_scale"]
    assert "buffers changed" not in notes
    if not isinstance(target, type):
        assert bool((target.mean_scale == 1).all())


@pytest.mark.parametrize("target", [torch.nn.BatchNorm1d, torch.nn.BatchNorm2d(6), torch.nn.BatchNorm2d])
def test_running_statistics_are_explained(target: Any) -> None:
    """torch's batch norm changes what every batch norm changes; a target is left as it was."""
    before = (
        {name: value.clone() for name, value in target.state_dict().items()} if not isinstance(target, type) else {}
    )

    assert bound("batch_norm", target).notes == {}
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in before.items())


# Lazy modules


@pytest.mark.parametrize("target", [
    torch.nn.LazyBatchNorm1d, torch.nn.LazyBatchNorm2d, "torch.nn:LazyBatchNorm1d()",
])  # fmt: skip
def test_lazy_modules(target: Any) -> None:
    """A first call completes them, at each size."""
    found = bound("batch_norm", target)

    assert agrees(found)
    assert found.domain.sizes is None
    assert found.domain.state


def test_a_lazy_instance() -> None:
    """Its class can be checked: an instance cannot be copied."""
    with pytest.raises(UsageError) as raised:
        bound("batch_norm", torch.nn.LazyBatchNorm2d())

    assert str(raised.value) == (
        "torch.nn.modules.batchnorm:LazyBatchNorm2d is a lazy module that no call has completed: name its class, or "
        "call it once before"
    )
