"""Weight norm put upon a module."""

import torch
from torch import nn
from torch.nn.utils import parametrize


def _length(v, dim):
    h = v.to(torch.promote_types(v.dtype, torch.float32))
    if dim is None:
        return torch.linalg.vector_norm(h).reshape([1] * v.dim())
    axes = [i for i in range(v.dim()) if i != dim % v.dim()]
    return torch.linalg.vector_norm(h, dim=axes, keepdim=True) if axes else h.abs()


def _weight(g, v, dim):
    h = v.to(torch.promote_types(v.dtype, torch.float32))
    return (h * (g.to(h.dtype) / _length(v, dim))).to(v.dtype)


class _Pair(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, g, v):
        return _weight(g, v, self.dim)

    def right_inverse(self, weight):
        return _length(weight, self.dim).to(weight.dtype), weight


def parametrized(module, name="weight", dim=0):
    parametrize.register_parametrization(module, name, _Pair(dim))
    return module


class _Hook:
    def __init__(self, name, dim):
        self.name, self.dim = name, dim

    def __call__(self, module, inputs):
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        object.__setattr__(module, self.name, _weight(g, v, self.dim))


class _AfterCall:
    """Leaves a weight without history, so the module can be copied between calls."""

    def __init__(self, name):
        self.name = name

    def __call__(self, module, inputs, output):
        object.__setattr__(module, self.name, getattr(module, self.name).detach())


def hooked(module, name="weight", dim=0):
    weight = getattr(module, name).detach()
    del module._parameters[name]
    module.register_parameter(name + "_g", nn.Parameter(_length(weight, dim).to(weight.dtype)))
    module.register_parameter(name + "_v", nn.Parameter(weight.clone()))
    object.__setattr__(module, name, weight)
    module.register_forward_pre_hook(_Hook(name, dim))
    module.register_forward_hook(_AfterCall(name))
    return module
