"""Weight norm put upon a module: by hooks, by parametrizations, by subclasses of nn.Linear."""

import torch
from torch import nn
from torch.nn.utils import parametrize


def _length(v, dim):
    h = v.to(torch.promote_types(v.dtype, torch.float32))
    if dim is None:
        return torch.linalg.vector_norm(h).reshape([1] * v.dim()).to(v.dtype)
    axes = [i for i in range(v.dim()) if i != dim % v.dim()]
    return (torch.linalg.vector_norm(h, dim=axes, keepdim=True) if axes else h.abs()).to(v.dtype)


def _weight(g, v, dim):
    h = v.to(torch.promote_types(v.dtype, torch.float32))
    if dim is None:
        norm = torch.linalg.vector_norm(h)
    else:
        axes = [i for i in range(v.dim()) if i != dim % v.dim()]
        norm = torch.linalg.vector_norm(h, dim=axes, keepdim=True) if axes else h.abs()
    return (h * (g.to(h.dtype) / norm)).to(v.dtype)


class _Pair(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, g, v):
        return _weight(g, v, self.dim)

    def right_inverse(self, weight):
        return _length(weight, self.dim), weight


class _UnitInverse(_Pair):
    """What is assigned gets the length one."""

    def right_inverse(self, weight):
        return torch.ones_like(_length(weight, self.dim)), weight


class _Detached(_Pair):
    """The length of the direction is a constant."""

    def forward(self, g, v):
        h = v.to(torch.promote_types(v.dtype, torch.float32))
        return (h * (g.to(h.dtype) / _length(h.detach(), self.dim))).to(v.dtype)


def unit_inverse(module, name="weight", dim=0):
    parametrize.register_parametrization(module, name, _UnitInverse(dim))
    return module


def length_is_constant(module, name="weight", dim=0):
    parametrize.register_parametrization(module, name, _Detached(dim))
    return module


def dim_ignored(module, name="weight", dim=0):
    """Always one length for each index of the first axis."""
    parametrize.register_parametrization(module, name, _Pair(0))
    return module


def name_ignored(module, name="weight", dim=0):
    """Always the weight, whichever parameter is named."""
    parametrize.register_parametrization(module, "weight", _Pair(dim))
    return module


def returns_nothing(module, name="weight", dim=0):
    """The module is changed, and not returned."""
    parametrize.register_parametrization(module, name, _Pair(dim))


def _split(module, name, dim):
    weight = getattr(module, name)
    del module._parameters[name]
    module.register_parameter(name + "_g", nn.Parameter(_length(weight.detach(), dim)))
    module.register_parameter(name + "_v", nn.Parameter(weight.detach().clone()))


def hook_without_gradient(module, name="weight", dim=0):
    """The hook computes the weight under no_grad, as an initialization would."""
    _split(module, name, dim)

    def compute(module, inputs):
        with torch.no_grad():
            setattr(module, name, _weight(getattr(module, name + "_g"), getattr(module, name + "_v"), dim))

    compute(module, None)
    module.register_forward_pre_hook(compute)
    return module


def hook_in_training(module, name="weight", dim=0):
    """The weight is computed while training; evaluation uses the last one."""
    _split(module, name, dim)

    def compute(module, inputs):
        if module.training or getattr(module, name).dtype != getattr(module, name + "_v").dtype:
            setattr(module, name, _weight(getattr(module, name + "_g"), getattr(module, name + "_v"), dim))

    setattr(module, name, _weight(getattr(module, name + "_g"), getattr(module, name + "_v"), dim))
    module.register_forward_pre_hook(compute)
    return module


def hook_leaves_graph(module, name="weight", dim=0):
    """The weight that the hook leaves behind has a history: the module cannot be copied."""
    _split(module, name, dim)

    def compute(module, inputs):
        setattr(module, name, _weight(getattr(module, name + "_g"), getattr(module, name + "_v"), dim))

    compute(module, None)
    module.register_forward_pre_hook(compute)
    return module


def swapped_parameters(module, name="weight", dim=0):
    """Direction and length are kept in single precision, whatever the module was made in."""
    weight = getattr(module, name).detach()
    del module._parameters[name]
    module.register_parameter(name + "_g", nn.Parameter(_length(weight, dim).float()))
    module.register_parameter(name + "_v", nn.Parameter(weight.float()))
    module.register_forward_pre_hook(
        lambda m, _: m.__dict__.__setitem__(
            name, _weight(getattr(m, name + "_g"), getattr(m, name + "_v"), dim).to(weight.dtype)
        )
    )
    return module
