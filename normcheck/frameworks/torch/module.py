"""torch.nn.Module classes and instances: construction for a case, setting of parameters and buffers, and the call."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.nn.parameter import is_lazy

from normcheck.core.device import DEVICE
from normcheck.core.errors import CallError, UsageError
from normcheck.core.floats import Array
from normcheck.core.foreign_code import attribute
from normcheck.frameworks.forms.names import of_keys
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.protocol import LayerParts
from normcheck.frameworks.roles import NAMES, plain
from normcheck.frameworks.torch import tensors
from normcheck.frameworks.torch.emptied import left_behind, unfilled
from normcheck.frameworks.torch.layer import Leaf, PreparedLayer
from normcheck.frameworks.torch.uses import make as make_call
from normcheck.normalizers.case import Case
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed


def is_module(target: object) -> bool:
    """Whether a target is a module class or a module."""
    return isinstance(target, torch.nn.Module) or (inspect.isclass(target) and issubclass(target, torch.nn.Module))


def _find(module: torch.nn.Module, role: str, tensors_by_name: dict[str, torch.Tensor]) -> torch.Tensor | None:
    for full, value in tensors_by_name.items():
        if plain(full.rpartition(".")[2]) in NAMES[role]:
            return value
    return None


FROZEN = (*NAMES["weight"], *NAMES["bias"])
"""Names of buffers that are weight and bias of a module whose parameters are frozen."""


def parameter_names(module: torch.nn.Module) -> tuple[str, str]:
    """The names of weight and bias of a new module; empty if it has none.

    They are recognized by name, else by their initial values (ones, zeros), else by their order. Buffers are recognized
    by name, in a module without parameters. Parameters of keys beside those of queries are neither.
    """
    remaining: dict[str, torch.Tensor] = dict(module.named_parameters())
    for name in of_keys(remaining):  # the form qk gives them values
        del remaining[name]
    if not remaining:
        remaining = {n: b for n, b in module.named_buffers() if plain(n.rpartition(".")[2]) in FROZEN}

    def take_first(fits: Callable[[str, torch.Tensor], bool]) -> str:
        name = next((n for n, p in remaining.items() if fits(n, p)), "")
        remaining.pop(name, None)
        return name

    weight = take_first(lambda n, p: plain(n.rpartition(".")[2]) in NAMES["weight"])
    bias = take_first(lambda n, p: plain(n.rpartition(".")[2]) in NAMES["bias"])
    weight = weight or take_first(lambda n, p: bool((p.detach() == 1.0).all()))
    bias = bias or take_first(lambda n, p: bool((p.detach() == 0.0).all()))
    weight = weight or take_first(lambda n, p: True)
    return weight, bias or take_first(lambda n, p: True)


def parameters(module: torch.nn.Module, names: tuple[str, str]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Weight and bias by their names, which may be those of buffers; None for an empty name."""
    held: dict[str, torch.Tensor] = {**dict(module.named_buffers()), **dict(module.named_parameters())}
    return held.get(names[0]), held.get(names[1])


_STARTING: WeakKeyDictionary[type, tuple[str, str]] = WeakKeyDictionary()
"""The names of running mean and variance of classes that give them no known names, as their values show when new."""


def buffers(module: torch.nn.Module) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Running mean and running variance, recognized by name, else by their first values (zeros, ones).

    None if the module has none.
    """
    by_name: dict[str, torch.Tensor] = dict(module.named_buffers())
    by_name |= {name: value for name, value in vars(module).items() if isinstance(value, torch.Tensor)}
    mean, var = _find(module, "running_mean", by_name), _find(module, "running_var", by_name)
    if mean is None and var is None:
        names = _STARTING.get(type(module)) or _starting(module)
        if names is not None:
            _STARTING[type(module)] = names
            return by_name.get(names[0]), by_name.get(names[1])
    return mean, var


def _starting(module: torch.nn.Module) -> tuple[str, str] | None:
    """The names of the only two vectors among the buffers, of one shape, one of zeros and one of ones."""
    some = {name: b for name, b in module.named_buffers() if b.is_floating_point() and b.numel() > 1}
    zeros = [name for name, b in some.items() if bool((b == 0.0).all())]
    ones = [name for name, b in some.items() if bool((b == 1.0).all())]
    if any(plain(name.rpartition(".")[2]) in FROZEN for name in some):
        return None
    if len(some) != 2 or len(zeros) != 1 or len(ones) != 1 or some[zeros[0]].shape != some[ones[0]].shape:
        return None
    return zeros[0], ones[0]


def momentum_name(module: torch.nn.Module) -> str:
    """The name of the attribute that holds the momentum of running statistics; empty if there is none."""
    found = (name for name, value in vars(module).items() if isinstance(value, (float, int, type(None))))
    return next((name for name in found if plain(name) in NAMES["momentum"]), "")


def parts(module: torch.nn.Module) -> LayerParts:
    """The names of the module's parameters, running statistics and momentum, and the value of its eps."""
    weight, bias = parameter_names(module)
    mean, var = buffers(module)
    names = {id(value): name for name, value in (*vars(module).items(), *module.named_buffers())}
    eps = (attribute(module, name) for name in ("eps", "epsilon", "variance_epsilon"))
    return LayerParts(
        weight=weight,
        bias=bias,
        running_mean="" if mean is None else names[id(mean)],
        running_var="" if var is None else names[id(var)],
        momentum=momentum_name(module),
        eps=next((number for number in map(_number, eps) if number is not None), None),
    )


def _number(value: object) -> float | None:
    """A value as a number, which may be in a tensor; None for any other."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and value.is_floating_point():
        value = value.item()
    return value if isinstance(value, float) else None


def constructed(module: torch.nn.Module, case: Case) -> Constructed:
    """The values with which a module starts, without parameters that a case leaves out and that take no part."""
    units = 0 if case.weight is None else case.weight.size
    named = parameters(module, parameter_names(module))
    start = [None if one is None else tensors.array(one.detach()) for one in (*named, *buffers(module))]
    own = {id(one) for one in (*module.parameters(), *module.buffers())}
    free = tuple(
        name for one in module.modules() for name, value in vars(one).items()
        if (plain(name) in FROZEN and _like(value, units, own))
        or any(_like(item, units, own) for item in _items(value))
    )  # fmt: skip
    left_out = (case.weight is None, case.bias is None)
    for i, parameter in enumerate(named):
        if left_out[i] and parameter is not None and _idle(module, parameter, case):
            start[i] = None
    weight, bias, mean, var = start
    frozen = mean is not None  # beside statistics that are buffers too, as of a frozen batch norm, it is meant
    untrained = () if frozen else _saved_buffers(module)
    roles = {id(one) for one in (*named, *buffers(module))}  # where a state lacks these, `state-dict` says so
    return Constructed(weight, bias, mean, var, free, untrained, unfilled(module, copied, roles), left_behind(module))


def _saved_buffers(module: torch.nn.Module) -> tuple[str, ...]:
    """Names of buffers that are weight and bias and that a saved state has; one that is not saved is a constant."""
    saved = module.state_dict().keys()
    return tuple(n for n, _ in module.named_buffers() if n in saved and n in parameter_names(module))


def _idle(module: torch.nn.Module, parameter: torch.Tensor, case: Case) -> bool:
    """Whether a parameter takes no part in the output, as one that remains although the layer is made without."""
    if not parameter.requires_grad:
        return False
    try:
        y = tensors.output(module(tensors.tensor(case.x, case)), case, "")
        return not y.requires_grad or torch.autograd.grad(y.sum(), parameter, allow_unused=True)[0] is None
    except Exception:  # what raises here is found by other checks
        return False


def _like(value: object, units: int, own: set[int]) -> bool:
    """Whether a value is a tensor of so many entries that is none of the module's own."""
    return isinstance(value, torch.Tensor) and value.numel() == units and id(value) not in own


def _items(value: object) -> list[object]:
    """The parameters in a list, a tuple or a dict: what is kept there is meant to be trained."""
    items = value if isinstance(value, (list, tuple)) else value.values() if isinstance(value, dict) else ()
    return [item for item in items if isinstance(item, torch.nn.Parameter)]


def set_value(tensor: torch.Tensor, value: Array, case: Case, name: str) -> None:
    """Copy a value into a parameter or buffer, in the shape that this has.

    Raises `CallError` if the numbers of entries differ.
    """
    if tensor.numel() != value.size:
        raise CallError(f"{name} has a parameter of shape {tuple(tensor.shape)} where {value.size} numbers are needed")
    tensor.copy_(tensors.tensor(value.reshape(tuple(tensor.shape)), case, "weight"))


def layer_of(module: torch.nn.Module, names: tuple[str, str], case: Case, x: torch.Tensor, name: str) -> PreparedLayer:
    """A module as a prepared layer: its parameters are the leaves; a call with other tensors uses those instead."""
    weight, bias = parameters(module, names)

    def forward(x: torch.Tensor, *values: Leaf) -> Any:
        pairs = zip(names, values, (weight, bias), strict=True)
        others = {key: value for key, value, parameter in pairs if key and value is not None and value is not parameter}
        return torch.func.functional_call(module, others, (x,)) if others else module(x)

    mean, var = buffers(module)
    return PreparedLayer(
        name,
        (x, weight, bias),
        forward,
        mean,
        var,
        # a module may replace its own buffers
        lambda returned: buffers(module) if case.running_mean is not None else (None, None),
        module,
        lambda another: layer_of(another, names, case, x, name),
    )


def _built_for(case: Case) -> tuple[object, ...]:
    """What a module is built for: sizes, format and options."""
    shape = tuple(case.x.shape[case.x.ndim - case.normalized :]) + tuple(case.x.shape[1:2])
    options = (case.weight is None, case.bias is None, case.running_mean is None, case.momentum, case.part)
    dtype = tensors.dtype_of(case, "weight")
    return shape, case.normalized, case.groups, case.eps, dtype, DEVICE.get(), options


def _filled(case: Case, module: torch.nn.Module, names: tuple[str, str], name: str) -> PreparedLayer:
    """A module with the values and in the mode of a case, as a prepared layer."""
    module.train(case.training)
    x = tensors.given(case.x, case, "x")
    assert x is not None
    layer = layer_of(module, names, case, x, name)
    values = (case.weight, case.bias, case.running_mean, case.running_var)
    with torch.no_grad():
        for tensor, value in zip((*layer.leaves[1:], layer.mean, layer.var), values, strict=True):
            if tensor is not None and value is not None:
                set_value(tensor, value, case, name)
    for leaf in layer.leaves[1:]:
        if leaf is not None:
            leaf.requires_grad_()  # an earlier use may have frozen it
    return layer


def make(build: Callable[[Case], torch.nn.Module], name: str) -> Call:
    """A call that runs modules from `build`, one for each combination of sizes, format and options.

    Parameters and buffers are set to those of the case before each call.
    """
    built: dict[tuple[object, ...], tuple[torch.nn.Module, tuple[str, str]]] = {}

    def module_for(case: Case) -> tuple[torch.nn.Module, tuple[str, str]]:
        key = _built_for(case)
        if key not in built:
            if len(built) > 256:
                built.clear()
            built[key] = new_for(case)
        return built[key]

    def new_for(case: Case) -> tuple[torch.nn.Module, tuple[str, str]]:
        new = build(case)
        return new.to(DEVICE.get(), tensors.dtype_of(case, "weight")), parameter_names(new)

    def prepare(case: Case) -> PreparedLayer:
        prepared: PreparedLayer = guarded(lambda: _filled(case, *module_for(case), name), case, name)
        fresh = lambda: guarded(lambda: _filled(case, *new_for(case), name), case, name)
        return replace(prepared, fresh=fresh)

    return make_call(prepare)


def copied(module: torch.nn.Module) -> torch.nn.Module:
    """A copy that shares no memory with the module. Raises `UsageError` for a lazy one, which cannot be copied.

    A copy of a scripted module is made without gradients: else its parameters would be no leaves.
    """
    if any(is_lazy(one) for one in (*module.parameters(), *module.buffers())):
        raise UsageError("is a lazy module that no call has completed: name its class, or call it once before")
    if not isinstance(module, torch.jit.ScriptModule):
        return copy.deepcopy(module)
    with torch.no_grad():
        out: torch.nn.Module = copy.deepcopy(module)
    for own, other in zip(out.parameters(), module.parameters(), strict=True):
        own.requires_grad_(other.requires_grad)
    return out


def sizes(instance: torch.nn.Module) -> Sizes | None:
    """The sizes for which a module was constructed; None if its attributes do not tell them, or if it is lazy."""
    if any(is_lazy(one) for one in (*instance.parameters(), *instance.buffers())):
        return None
    weight, bias = parameters(instance, parameter_names(instance))
    shape = attribute(instance, "normalized_shape", ())
    shape = tuple(shape) if isinstance(shape, (tuple, list)) and all(type(size) is int for size in shape) else ()
    units = math.prod(shape) if shape else None
    for name in ("num_features", "num_channels"):
        units = attribute(instance, name, units)
    for parameter in (weight, bias):
        units = parameter.numel() if units is None and parameter is not None else units
    if not isinstance(units, int) or math.prod(shape or (units,)) != units:
        return None
    return Sizes(units, groups(instance), shape or (units,))


def groups(module: torch.nn.Module) -> int:
    """The number of groups that a module or a module inside it was constructed for; 1 if no attribute tells it."""
    for one in module.modules():
        for name, value in vars(one).items():
            if plain(name) in NAMES["num_groups"] and type(value) is int:
                return value
    return 1
