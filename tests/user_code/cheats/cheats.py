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
