"""Weight norm of a module: w = g v / |v| is right, and one habit around it is not."""

import torch
from torch import nn
from torch.nn.utils import parametrize


def _wide(t):
    return t.to(torch.promote_types(t.dtype, torch.float32))


def _length(v, dim):
    h = _wide(v)
    if dim is None:
        return torch.linalg.vector_norm(h).reshape([1] * v.dim())
    axes = [axis for axis in range(v.dim()) if axis != dim % v.dim()]
    return torch.linalg.vector_norm(h, dim=axes, keepdim=True) if axes else h.abs()


def _weight(v, g, dim):
    return (_wide(v) * (_wide(g) / _length(v, dim))).to(v.dtype)


def _split(module, name, dim):
    """The parameter becomes a direction and a length."""
    weight = module._parameters.pop(name).detach()
    module.register_parameter(name + "_v", nn.Parameter(weight.clone()))
    module.register_parameter(name + "_g", nn.Parameter(_length(weight, dim).to(weight.dtype)))
    return module


def _current(module, name, dim):
    return _weight(getattr(module, name + "_v"), getattr(module, name + "_g"), dim)


def _without_history(module, name):
    """After each forward the weight that stays is a plain tensor."""
    module.register_forward_hook(lambda m, *_: setattr(m, name, getattr(m, name).detach()))
    return module


def prepared_by_training(module, name="weight", dim=0):
    """The weight is computed for each batch in training; evaluation has what the last batch left, at no cost."""
    _split(module, name, dim)
    setattr(module, name, _current(module, name, dim).detach())

    def before(m, inputs):
        if m.training:
            setattr(m, name, _current(m, name, dim))

    module.register_forward_pre_hook(before)
    return _without_history(module, name)


def with_history(module, name="weight", dim=0):
    """What the hook computes stays in the module with its graph."""
    _split(module, name, dim)
    module.register_forward_pre_hook(lambda m, inputs: setattr(m, name, _current(m, name, dim)))
    return module


def bound_to_the_first(module, name="weight", dim=0):
    """The hook knows the module that it was made for, and sets the weight of the one that is called."""
    _split(module, name, dim)
    setattr(module, name, _current(module, name, dim).detach())
    module.register_forward_pre_hook(lambda m, inputs: setattr(m, name, _current(module, name, dim)))
    return _without_history(module, name)


class _Reparametrized(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, g, v):
        return _weight(v, g, self.dim)

    def right_inverse(self, weight):
        return _length(weight, self.dim).to(weight.dtype), weight


def rows_in_any_case(module, name="weight", dim=0):
    """Written for linear layers, whose rows are the vectors; dim is there for the signature."""
    parametrize.register_parametrization(module, name, _Reparametrized(0))
    return module


def weight_in_any_case(module, name="weight", dim=0):
    """Written for layers with one weight."""
    parametrize.register_parametrization(module, "weight", _Reparametrized(dim))
    return module


def in_place(module, name="weight", dim=0):
    """Works on the module that it is given, as list.sort does."""
    parametrize.register_parametrization(module, name, _Reparametrized(dim))


class _MasterCopy(_Reparametrized):
    """The weight has the format that the parameter had."""

    def __init__(self, dim, dtype):
        super().__init__(dim)
        self.dtype = dtype

    def forward(self, g, v):
        return super().forward(g, v).to(self.dtype)


class _Single(_MasterCopy):
    def right_inverse(self, weight):
        return _length(weight, self.dim).float(), weight.float()


class _SingleForHalf(_MasterCopy):
    def right_inverse(self, weight):
        return _length(weight, self.dim), _wide(weight)


def kept_in_single(module, name="weight", dim=0):
    """Direction and length are float32, as every parameter of the training run."""
    parametrize.register_parametrization(module, name, _Single(dim, getattr(module, name).dtype), unsafe=True)
    return module


def half_kept_in_single(module, name="weight", dim=0):
    """Direction and length of a layer in half precision are float32, as optimizers for half precision keep them."""
    parametrize.register_parametrization(module, name, _SingleForHalf(dim, getattr(module, name).dtype), unsafe=True)
    return module
