"""Weight norm of a module, made with a hook before its forward; one fault in each."""

import torch
from torch import nn


def _norm(v, dim):
    h = v.to(torch.promote_types(v.dtype, torch.float32))
    if dim is None:
        return torch.linalg.vector_norm(h).reshape([1] * v.dim()).to(v.dtype)
    axes = [axis for axis in range(v.dim()) if axis != dim % v.dim()]
    norm = torch.linalg.vector_norm(h, dim=axes, keepdim=True) if axes else h.abs()
    return norm.to(v.dtype)


class _Hook:
    def __init__(self, name, dim):
        self.name, self.dim = name, dim

    def compute(self, module):
        v, g = getattr(module, self.name + "_v"), getattr(module, self.name + "_g")
        h = v.to(torch.promote_types(v.dtype, torch.float32))
        if self.dim is None:
            norm = torch.linalg.vector_norm(h)
        else:
            axes = [axis for axis in range(v.dim()) if axis != self.dim % v.dim()]
            norm = torch.linalg.vector_norm(h, dim=axes, keepdim=True) if axes else h.abs()
        return (h * (g.to(h.dtype) / norm)).to(v.dtype)

    def __call__(self, module, inputs):
        setattr(module, self.name, self.compute(module))


def _install(module, name, dim, hook, g=None, keep=False):
    weight = getattr(module, name)
    if not keep:
        del module._parameters[name]
    module.register_parameter(name + "_g", nn.Parameter(_norm(weight.detach(), dim) if g is None else g))
    module.register_parameter(name + "_v", nn.Parameter(weight.detach().clone()))
    if not keep:
        setattr(module, name, hook.compute(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module, name="weight"):
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, _Hook) and hook.name == name:
            weight = hook.compute(module).detach()
            del module._forward_pre_hooks[key]
            for own in (name + "_g", name + "_v"):
                del module._parameters[own]
            module.__dict__.pop(name, None)
            module.register_parameter(name, nn.Parameter(weight))
    return module


def length_of_one(module, name="weight", dim=0):
    """Every vector begins with length 1."""
    return _install(module, name, dim, _Hook(name, dim), torch.ones_like(_norm(getattr(module, name).detach(), dim)))


class _Cached(_Hook):
    """Computes the weight once; its gradient is that of the formula."""

    def __init__(self, name, dim):
        super().__init__(name, dim)
        self.value = None

    def __call__(self, module, inputs):
        weight = self.compute(module)
        if self.value is None:
            self.value = weight.detach()
        setattr(module, self.name, self.value + (weight - weight.detach()))


def computed_once(module, name="weight", dim=0):
    hook = _Cached(name, dim)
    module.register_load_state_dict_post_hook(lambda *_: setattr(hook, "value", None))
    return _install(module, name, dim, hook)


def checkpoints_ignored(module, name="weight", dim=0):
    """Reads checkpoints of the plain module, and nothing else: what is its own stays."""
    _install(module, name, dim, _Hook(name, dim))

    def only_plain(state, prefix, *_):
        plain = state.pop(prefix + name, None)
        v = getattr(module, name + "_v").detach() if plain is None else plain
        g = getattr(module, name + "_g").detach() if plain is None else _norm(plain, dim)
        state[prefix + name + "_v"], state[prefix + name + "_g"] = v.clone(), g.clone()

    module._register_load_state_dict_pre_hook(only_plain)
    return module


def ending_as_direction(module, name="weight", dim=0):
    return _install(module, name, dim, _Hook(name, dim))


def remove_ending_as_direction(module, name="weight"):
    """The parameter that had the weight's shape is the weight again."""
    v = getattr(module, name + "_v").detach().clone()
    module._forward_pre_hooks.clear()
    del module._parameters[name + "_g"], module._parameters[name + "_v"]
    module.__dict__.pop(name, None)
    module.register_parameter(name, nn.Parameter(v))
    return module


class _Beside(_Hook):
    """Puts the computed weight into the instance, where it hides the parameter."""

    def __call__(self, module, inputs):
        module.__dict__[self.name] = self.compute(module)


def weight_beside(module, name="weight", dim=0):
    """The weight is registered still."""
    _install(module, name, dim, _Beside(name, dim), keep=True)
    return module
