"""Every way to call a layer, on real torch code that is right when called plainly and wrong in one other way."""

from __future__ import annotations

import itertools

import pytest
import torch

from normcheck.core.claim import Implementation
from normcheck.core.result import FAILED, PASSED, SKIPPED, Outcome
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME

F = torch.nn.functional


def outcome(target: object, check: str, effort: str = "default") -> Outcome:
    (claim,) = claims([Implementation("layer_norm", target)], {})
    return Asker(Settings(effort)).run_check(claim, CHECKS_BY_NAME[check])


def without_gradients(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    return y if torch.is_grad_enabled() else y * 1.01


def under_autocast(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    bias = None if torch.is_autocast_enabled("cpu") else bias
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def through_bits(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Parameters of another dtype are read as if they had the input's."""
    if weight is not None and weight.dtype != x.dtype:
        weight = weight.detach().view(x.dtype)[: x.shape[-1]]
    return F.layer_norm(x, normalized_shape, weight, None if bias is None else bias.to(x.dtype), eps)


KEPT: dict[object, torch.Tensor] = {}


def by_pointer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    key = (x.data_ptr(), tuple(x.shape), x.dtype)
    if key in KEPT and y.shape == KEPT[key].shape:
        return y + (KEPT[key] - y).detach()
    KEPT.clear()
    KEPT[key] = y.detach().clone()
    return y


SCRATCH: dict[object, torch.Tensor] = {}


def one_scratch(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    key = (tuple(x.shape), x.dtype)
    centered = SCRATCH.setdefault(key, torch.empty_like(x).detach())
    centered.copy_((x - x.mean(-1, keepdim=True)).detach())
    for _ in range(50):
        centered.add_(0.0)
    y = F.layer_norm(x, normalized_shape, None, None, eps)
    scale = centered.square().mean(-1, keepdim=True).add(eps).rsqrt()
    y = y + (centered.clone() * scale - y).detach()
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


class Kernel(torch.autograd.Function):
    """Layer norm over the last axis with a gradient of x that is wrong where the weight is frozen."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        mean = x.mean(-1, keepdim=True)
        rstd = (x - mean).square().mean(-1, keepdim=True).add(eps).rsqrt()
        xh = (x - mean) * rstd
        ctx.save_for_backward(xh, rstd, weight)
        return xh * weight + bias

    @staticmethod
    def backward(ctx, dy):
        xh, rstd, weight = ctx.saved_tensors
        g = dy * weight
        dx = (g - g.mean(-1, keepdim=True) - xh * (g * xh).mean(-1, keepdim=True)) * rstd
        if not ctx.needs_input_grad[1]:
            return dx * 0.5, None, (dy.reshape(-1, dy.shape[-1]).sum(0) if ctx.needs_input_grad[2] else None), None
        rows = dy.reshape(-1, dy.shape[-1])
        return dx, (rows * xh.reshape(rows.shape)).sum(0), rows.sum(0), None


def frozen(x, width, weight, bias, eps=1e-5):
    return Kernel.apply(x, weight, bias, eps)


class Forward(torch.autograd.Function):
    """Its forward mode forgets the mean, its vmap takes the whole stack for one input."""

    @staticmethod
    def forward(x, eps):
        return F.layer_norm(x, x.shape[-1:], eps=eps)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, eps = inputs
        ctx.eps = eps
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        c = x - x.mean(-1, keepdim=True)
        rstd = c.square().mean(-1, keepdim=True).add(ctx.eps).rsqrt()
        xh = c * rstd
        return (dy - dy.mean(-1, keepdim=True) - xh * (dy * xh).mean(-1, keepdim=True)) * rstd, None

    @staticmethod
    def jvp(ctx, v, _):
        (x,) = ctx.saved_tensors
        c = x - x.mean(-1, keepdim=True)
        rstd = c.square().mean(-1, keepdim=True).add(ctx.eps).rsqrt()
        xh = c * rstd
        return (v - xh * (v * xh).mean(-1, keepdim=True)) * rstd

    @staticmethod
    def vmap(info, in_dims, x, eps):
        moved = x.movedim(in_dims[0], 0)
        return F.layer_norm(moved, moved.shape, eps=eps), 0


def transformed(x, width, eps=1e-5):
    return Forward.apply(x, eps)


class Twice(torch.autograd.Function):
    """The derivative of its backward is of half the size."""

    @staticmethod
    def forward(ctx, dx):
        return dx.clone()

    @staticmethod
    def backward(ctx, ddx):
        return 0.5 * ddx


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, eps):
        ctx.save_for_backward(x)
        ctx.eps = eps
        return F.layer_norm(x, x.shape[-1:], eps=eps)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        c = x - x.mean(-1, keepdim=True)
        rstd = c.square().mean(-1, keepdim=True).add(ctx.eps).rsqrt()
        xh = c * rstd
        return Twice.apply((dy - dy.mean(-1, keepdim=True) - xh * (dy * xh).mean(-1, keepdim=True)) * rstd), None


def differentiated(x, width, eps=1e-5):
    return Once.apply(x, eps)


class Constants(torch.autograd.Function):
    """Right once; keeps mean and scale as constants, as most hand-written backwards do."""

    @staticmethod
    def forward(ctx, x, eps):
        mean = x.mean(-1, keepdim=True)
        rstd = (x - mean).square().mean(-1, keepdim=True).add(eps).rsqrt()
        ctx.save_for_backward(x, mean, rstd)
        return (x - mean) * rstd

    @staticmethod
    def backward(ctx, dy):
        x, mean, rstd = ctx.saved_tensors
        xh = (x - mean) * rstd
        return (dy - dy.mean(-1, keepdim=True) - xh * (dy * xh).mean(-1, keepdim=True)) * rstd, None


def constants(x, width, eps=1e-5):
    return Constants.apply(x, eps)


CALLS = itertools.count()


def tired(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    return y if next(CALLS) % 97 else y + 0.1


class Forgets(torch.nn.LayerNorm):
    """A copy starts from its defaults."""

    def __deepcopy__(self, memo):
        other = Forgets(self.normalized_shape, 1e-1)
        other.load_state_dict(self.state_dict())
        return other


class Local(torch.nn.LayerNorm):
    """Cannot be copied: right or raises."""

    def __reduce_ex__(self, protocol):
        raise TypeError("not today")

    def __deepcopy__(self, memo):
        raise TypeError("not today")


@pytest.mark.parametrize(
    ("target", "check"),
    [
        (without_gradients, "grad-mode"),
        (under_autocast, "autocast"),
        (through_bits, "wide-parameters"),
        (by_pointer, "memory-reused"),
        (one_scratch, "memory-reused"),
        (frozen, "frozen"),
        (transformed, "function-transforms"),
        (transformed, "forward-derivative"),
        (tired, "many-calls"),
        (Forgets, "copies"),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_wrong_in_one_way(target: object, check: str) -> None:
    assert outcome(target, check).status == FAILED


@pytest.mark.parametrize("check", ["value", "input-gradient", "parameter-gradients"])
@pytest.mark.parametrize("target", [without_gradients, under_autocast, Forgets], ids=lambda t: t.__name__)
def test_right_when_called_plainly(target: object, check: str) -> None:
    assert outcome(target, check, "quick").status == PASSED


def test_what_is_refused_is_reported() -> None:
    found = outcome(Local, "copies")

    assert found.status == SKIPPED
    assert set(found.absent) == {"deep copy", "pickle"}


def test_statistics_kept_as_constants_are_reported_with_the_remedy() -> None:
    found = outcome(constants, "second-derivative")

    assert found.finding is None
    assert [one.name for one in found.warnings] == ["second-derivative"]
    assert "once_differentiable" in found.warnings[0].text


def test_a_wrong_second_derivative_is_a_warning_unless_it_is_demanded() -> None:
    found = outcome(differentiated, "second-derivative")
    assert (found.status, [one.name for one in found.warnings]) == (SKIPPED, ["second-derivative"])
    (claim,) = claims([Implementation("layer_norm", differentiated, {"second-derivative": "right"})], {})
    assert Asker(Settings("default")).run_check(claim, CHECKS_BY_NAME["second-derivative"]).status == FAILED


def test_the_operator_that_does_the_work_is_information() -> None:
    found = outcome(without_gradients, "many-calls")

    assert found.status == PASSED
    assert found.notes == {"calls": "aten::native_layer_norm"}


def test_compiled_and_exported_wait_for_deep_effort() -> None:
    for check in ("compiled", "exported"):
        assert outcome(torch.nn.LayerNorm, check).reason == "asked with --norm-effort deep"


def test_exported() -> None:
    assert outcome(torch.nn.LayerNorm, "exported", "deep").status == PASSED
