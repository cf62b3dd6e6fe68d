"""What a call may not change, on real torch code that does."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from normcheck.core.result import FAILED, PASSED
from normcheck.engine.asker import Asker
from normcheck.engine.claims import claims
from normcheck.engine.settings import Settings
from normcheck.families import CHECKS_BY_NAME

F = torch.nn.functional


def in_place(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(x.detach(), normalized_shape, weight, bias, eps)
    return x.detach().copy_(y)


BUFFERS: dict[object, torch.Tensor] = {}


def one_buffer(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(x.detach(), normalized_shape, weight, bias, eps)
    key = (tuple(x.shape), x.dtype)
    return BUFFERS.setdefault(key, torch.empty_like(y)).copy_(y)


def one_buffer_without_gradients(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """No graph keeps its result, so that it is kept for the next call."""
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    if torch.is_grad_enabled():
        return y
    return BUFFERS.setdefault((tuple(x.shape), x.dtype, "no graph"), torch.empty_like(y)).copy_(y)


def seeds(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    torch.manual_seed(0)
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def numpy_seeds(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    np.random.seed(0)  # noqa: NPY002
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def grad_mode(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    torch.set_grad_enabled(not torch.is_grad_enabled())
    return y


class Overwrites(torch.autograd.Function):
    """The backward of RMS norm without a weight, written into the cotangent."""

    @staticmethod
    def forward(ctx, x, eps):
        r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x * r, r)
        return x * r

    @staticmethod
    def backward(ctx, dy):
        xh, r = ctx.saved_tensors
        return dy.copy_((dy - xh * (dy * xh).mean(-1, keepdim=True)) * r), None


def overwrites(x, eps=1e-5):
    return Overwrites.apply(x, eps)


def expanded(x, eps=1e-5):
    """RMS norm whose result is a view of one stride 0 where all rows are equal."""
    y = F.rms_norm(x, x.shape[-1:], eps=eps)
    return y[:1].expand_as(y)


class Lazy(torch.Tensor):
    pass


def lazy(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return F.layer_norm(x, normalized_shape, weight, bias, eps).as_subclass(Lazy)


def background(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    threading.Thread(target=time.sleep, args=(0.3,)).start()
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


CACHE: dict[object, torch.Tensor] = {}


def cached_by_shape(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    key = (tuple(x.shape), x.dtype, weight is None, bias is None, eps)
    if key not in CACHE:
        CACHE[key] = F.layer_norm(x, normalized_shape, weight, bias, eps).detach()
    return CACHE[key].clone()


@pytest.fixture(autouse=True)
def _restored():
    state, grad = torch.get_rng_state(), torch.is_grad_enabled()
    yield
    torch.set_rng_state(state)
    torch.set_grad_enabled(grad)
    BUFFERS.clear()
    CACHE.clear()


def outcome_of(function, kind: str, check: str):
    (claim,) = claims([(kind, function)], {})
    return Asker(Settings("quick")).run_check(claim, CHECKS_BY_NAME[check])


@pytest.mark.parametrize(
    ("function", "kind", "check", "named"),
    [
        (in_place, "layer_norm", "forward-is-pure", "x was written to"),
        (in_place, "layer_norm", "forward-is-pure", "the output shares memory with x"),
        (one_buffer, "layer_norm", "forward-is-pure", "a later call changed an earlier result"),
        (one_buffer_without_gradients, "layer_norm", "forward-is-pure", "a later call changed an earlier result"),
        (seeds, "layer_norm", "forward-is-pure", "torch's random state was changed"),
        (numpy_seeds, "layer_norm", "forward-is-pure", "numpy's random state was changed"),
        (grad_mode, "layer_norm", "forward-is-pure", "the grad mode was changed"),
        (overwrites, "rms_norm", "backward-is-pure", "dy was written to"),
        (expanded, "rms_norm", "forward-is-pure", "several entries of the output share memory"),
        (lazy, "layer_norm", "forward-is-pure", "the output is no plain tensor: Lazy"),
        (background, "layer_norm", "forward-is-pure", "a thread was left running"),
    ],
)
def test_changes_are_named(function, kind: str, check: str, named: str) -> None:
    """The finding names each thing that a call changed."""
    outcome = outcome_of(function, kind, check)

    assert outcome.status == FAILED
    assert named in outcome.finding.detail


def test_clean() -> None:
    """torch's own layer norm changes nothing, and repeats itself."""
    for check in ("forward-is-pure", "backward-is-pure", "repeats", "repeats-gradient"):
        assert outcome_of(F.layer_norm, "layer_norm", check).status == PASSED


def test_a_cache_by_shape_is_caught() -> None:
    """An output remembered by the input's shape is not the output of other content."""
    assert outcome_of(cached_by_shape, "layer_norm", "value").status == FAILED
