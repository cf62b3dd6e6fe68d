"""A torch function and a module for each kind, which answer as the reference with a fault, under a contract.

What they answer as is set by `answering`; scripts import this module as they import the code of a user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from normcheck import families
from normcheck.core.contract import Contract
from normcheck.core.floats import FORMATS
from normcheck.normalizers import faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault

_CHOSEN: list[tuple[Fault | None, Contract]] = [(None, Contract())]


@contextmanager
def answering(fault: Fault | None, contract: Contract) -> Iterator[None]:
    """Every function answers as the reference with this fault under this contract."""
    _CHOSEN.append((fault, contract))
    yield
    _CHOSEN.pop()


def _array(t: torch.Tensor | None) -> Any:
    return None if t is None else t.detach().double().numpy()


class _Answer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, kind, settings, state):
        subject = faults.subject(families.get(kind), *_CHOSEN[-1])
        mean, var = (_array(t) for t in state)
        case = Case(
            _array(x), format=FORMATS[str(x.dtype).removeprefix("torch.")], weight=_array(weight), bias=_array(bias),
            running_mean=mean, running_var=var, **settings,
        )  # fmt: skip
        ctx.subject, ctx.case, ctx.type = subject, case, x.dtype
        found = subject.call(case, False)
        if case.training:
            for kept, new in zip(state, (found.running_mean, found.running_var), strict=True):
                if kept is not None and new is not None:
                    kept.copy_(torch.from_numpy(new))
        return torch.from_numpy(found.y.copy()).to(x.dtype)

    @staticmethod
    def backward(ctx, dy):
        found = ctx.subject.call(ctx.case.but(dy=_array(dy)), True)
        grads = (found.dx, found.dweight, found.dbias)
        return *(None if g is None else torch.from_numpy(g.copy()).to(ctx.type) for g in grads), None, None, None


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return _Answer.apply(x, weight, bias, "layer_norm", {"eps": eps, "normalized": len(normalized_shape)}, (None, None))


def rms_norm(x, normalized_shape, weight=None, eps=1e-5):
    return _Answer.apply(x, weight, None, "rms_norm", {"eps": eps, "normalized": len(normalized_shape)}, (None, None))


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    return _Answer.apply(x, weight, bias, "group_norm", {"eps": eps, "groups": num_groups}, (None, None))


def weight_norm(v, g, dim=0):
    return _Answer.apply(v, g, None, "weight_norm", {"eps": 0.0, "dim": dim}, (None, None))


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    settings = {"eps": eps, "momentum": momentum, "training": training or running_mean is None}
    return _Answer.apply(x, weight, bias, "batch_norm", settings, (running_mean, running_var))


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1,
                  eps=1e-5):  # fmt: skip
    settings = {"eps": eps, "momentum": momentum, "training": use_input_stats}
    return _Answer.apply(x, weight, bias, "instance_norm", settings, (running_mean, running_var))


def mean_only_batch_norm(x, running_mean=None, bias=None, training=True, momentum=0.1):
    settings = {"eps": 0.0, "momentum": momentum, "training": training or running_mean is None}
    variance = None if running_mean is None else torch.ones_like(running_mean)
    return _Answer.apply(x, None, bias, "mean_only_batch_norm", settings, (running_mean, variance))


class LayerNorm(torch.nn.Module):
    def __init__(self, normalized_shape, eps=1e-5):
        super().__init__()
        self.shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.weight, self.bias = (torch.nn.Parameter(f(self.shape)) for f in (torch.ones, torch.zeros))
        self.eps = eps

    def forward(self, x):
        return layer_norm(x, self.shape, self.weight, self.bias, self.eps)


class BatchNorm(torch.nn.Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True):
        super().__init__()
        self.weight, self.bias = (
            torch.nn.Parameter(f(num_features)) if affine else None for f in (torch.ones, torch.zeros)
        )
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.eps, self.momentum = eps, momentum

    def forward(self, x):
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training,
                          self.momentum, self.eps)  # fmt: skip
