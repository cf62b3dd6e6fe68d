"""Layer norms that look fast when timed: each is right when it is called once. After bugs.md, section 6.1."""

import threading
import time

import torch
import torch.nn.functional as F

_answers = {}
_calls = [0]


def replay(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Computes once for each shape, then replays."""
    if x.shape not in _answers:
        _answers[x.shape] = F.layer_norm(x, normalized_shape, weight, bias, eps)
    return _answers[x.shape].clone()


def later(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Right for the first ten calls."""
    _calls[0] += 1
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    return y if _calls[0] <= 10 else y + 1.0


def thread(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Returns at once; a thread fills the output."""
    y = torch.empty_like(x)

    def work():
        time.sleep(0.01)
        y.copy_(F.layer_norm(x, normalized_shape, weight, bias, eps))

    threading.Thread(target=work).start()
    return y


class Lazy(torch.Tensor):
    pass


def lazy(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Returns a subclass, which could compute when compared."""
    return F.layer_norm(x, normalized_shape, weight, bias, eps).as_subclass(Lazy)


def overwrites(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Works in its input."""
    y = F.layer_norm(x, normalized_shape, weight, bias, eps)
    x.detach().zero_()
    return y


def patches(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """A timer that says that no time has passed."""
    time.perf_counter = lambda: 0.0
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def unwritten(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Leaves its output to the allocator."""
    _calls[0] += 1
    y = torch.full_like(x, float("nan"))
    return F.layer_norm(x, normalized_shape, weight, bias, eps) if _calls[0] <= 2 else y


_gradients = {}


class _Stale(torch.autograd.Function):
    """Forward as it should be; the backward returns what it returned for the first input of that shape."""

    @staticmethod
    def forward(ctx, x, normalized_shape, weight, bias, eps):
        ctx.save_for_backward(x, weight, bias)
        ctx.rest = normalized_shape, eps
        return F.layer_norm(x, normalized_shape, weight, bias, eps)

    @staticmethod
    def backward(ctx, dy):
        x, weight, bias = ctx.saved_tensors
        normalized_shape, eps = ctx.rest
        if x.shape not in _gradients:
            with torch.enable_grad():
                leaves = [one.detach().requires_grad_() for one in (x, weight, bias)]
                y = F.layer_norm(leaves[0], normalized_shape, leaves[1], leaves[2], eps)
            _gradients[x.shape] = torch.autograd.grad(y, leaves, dy)
        dx, dweight, dbias = (one.clone() for one in _gradients[x.shape])
        return dx, None, dweight, dbias, None


def stale_gradient(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Computes gradients once for each shape, then replays them."""
    return _Stale.apply(x, normalized_shape, weight, bias, eps)
