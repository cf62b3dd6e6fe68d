"""torch.nn.Module classes and instances: constructed for each case's sizes, parameters and buffers set, then called."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from normcheck.adapters import torch_tensors as tensors
from normcheck.adapters.base import Answer, Call
from normcheck.adapters.binding import NAMES, Binding, bind, from_signature, plain
from normcheck.adapters.load import first_line
from normcheck.case import Case
from normcheck.errors import UsageError
from normcheck.spec import Normalizer

CONSTRUCTOR = ("normalized_shape", "num_groups", "num_channels", "eps", "momentum", "p", "affine", "use_bias",
               "track_running_stats")  # fmt: skip

WIDTHS = ("dim", "dims", "size", "hidden")
"""Further names of a width in a constructor, where a function means an axis by them."""


def is_module(target: object) -> bool:
    """Whether the target is a module class or instance."""
    return isinstance(target, torch.nn.Module) or (inspect.isclass(target) and issubclass(target, torch.nn.Module))


def constructor(target: type[torch.nn.Module], normalizer: Normalizer, name: str) -> Binding:
    """The constructor's parameters by role; raises `UsageError` where a required one has none."""
    own = "normalized_shape" if normalizer.sets.layout == "trailing" else "num_channels"
    other = {"normalized_shape", "num_channels"} - {own}
    roles = [role for role in CONSTRUCTOR if role not in other]
    if "num_groups" not in normalizer.arguments:
        roles.remove("num_groups")
    roles.sort(key=lambda role: role == own)  # a width is told last: its names are the least particular
    found = from_signature(target) or []
    fallback = own if any(p.required for p in found) else None
    return bind(found, roles, normalizer, name, fallback=fallback, more={own: WIDTHS})


def _find(module: torch.nn.Module, role: str, tensors_by_name: dict[str, torch.Tensor]) -> torch.Tensor | None:
    for full, value in tensors_by_name.items():
        if plain(full.rpartition(".")[2]) in NAMES[role]:
            return value
    return None


def parameters(module: torch.nn.Module) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Weight and bias: by name, else by what they are initialized to (ones, zeros)."""
    by_name: dict[str, torch.Tensor] = dict(module.named_parameters())
    weight, bias = _find(module, "weight", by_name), _find(module, "bias", by_name)
    for value in by_name.values():
        flat = value.detach()
        if weight is None and value is not bias and bool((flat == 1).all()):
            weight = value
        elif bias is None and value is not weight and bool((flat == 0).all()) and len(by_name) > 1:
            bias = value
        elif weight is None and len(by_name) == 1:
            weight = value
    return weight, bias


def buffers(module: torch.nn.Module) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Running mean and variance, by name."""
    by_name: dict[str, torch.Tensor] = dict(module.named_buffers())
    return _find(module, "running_mean", by_name), _find(module, "running_var", by_name)


def _sizes(case: Case, shape_as: type) -> dict[str, Any]:
    shape = tuple(case.x.shape[case.x.ndim - case.normalized :])
    channels = case.x.shape[1] if case.x.ndim > 1 else case.x.shape[0]
    return {
        "normalized_shape": shape[0] if shape_as is int and len(shape) == 1 else shape,
        "num_channels": channels,
        "num_groups": case.groups,
        "eps": case.eps,
        "momentum": case.momentum,
        "p": case.part,
    }


def factory(
    target: type[torch.nn.Module], binding: Binding, name: str, *, shape_as: type
) -> Callable[[Case], torch.nn.Module]:
    """Builds the module that a case needs. Raises `UsageError` where the class cannot be constructed."""

    def build(case: Case) -> torch.nn.Module:
        values = _sizes(case, shape_as)
        values["affine"] = case.weight is not None
        values["use_bias"] = case.bias is not None
        values["track_running_stats"] = case.running_mean is not None
        args, kwargs = binding.arguments(values)
        try:
            return target(*args, **kwargs)
        except (Exception, SystemExit) as error:
            said = ", ".join([*map(str, args), *(f"{k}={v}" for k, v in kwargs.items())])
            raise UsageError(
                f"{name}: constructing it as {target.__name__}({said}) raised {first_line(error)}"
            ) from None

    return build


def make(build: Callable[[Case], torch.nn.Module], name: str) -> Call:
    """Answers cases with modules from `build`, one for each size, format and option, parameters set anew each time."""
    built: dict[tuple[object, ...], torch.nn.Module] = {}

    def module_for(case: Case) -> torch.nn.Module:
        shape = tuple(case.x.shape[case.x.ndim - case.normalized :]) + tuple(case.x.shape[1:2])
        options = (case.weight is None, case.bias is None, case.running_mean is None, case.momentum, case.part)
        key = (shape, case.normalized, case.groups, case.eps, case.format.name, options)
        if key not in built:
            if len(built) > 256:
                built.clear()
            built[key] = build(case).to(tensors.DTYPES[case.format.name])
        return built[key]

    def call(case: Case, gradient: bool) -> Answer:
        module = module_for(case)
        module.train(case.training)
        weight, bias = parameters(module) if case.weight is not None or case.bias is not None else (None, None)
        mean, var = buffers(module)
        with torch.no_grad():
            pairs = ((weight, case.weight), (bias, case.bias), (mean, case.running_mean), (var, case.running_var))
            for own, value in pairs:
                if own is not None and value is not None:
                    own.copy_(tensors.tensor(value.reshape(tuple(own.shape)), case))
        x = tensors.tensor(case.x, case)
        stats = (mean, var) if case.running_mean is not None else (None, None)
        if not gradient:
            with torch.no_grad():
                y = tensors.output(tensors.guarded(lambda: module(x), case, name), case, name)
            return tensors.answer(y, (None, None, None), stats)
        x.requires_grad_()
        y = tensors.output(tensors.guarded(lambda: module(x), case, name), case, name)
        grads = tensors.gradients(y, (x, weight, bias), case, name)
        flat = [
            None if g is None or p is None else g.reshape(p.shape)
            for g, p in zip(grads[1:], (case.weight, case.bias), strict=True)
        ]
        return tensors.answer(y, (grads[0], *flat), stats)

    return call


def fixed(
    instance: torch.nn.Module, normalizer: Normalizer
) -> tuple[Callable[[Case], torch.nn.Module], int | None, int]:
    """A builder that copies an instance, with its width and groups: the sizes it cannot change."""
    weight, bias = parameters(instance)
    shape = getattr(instance, "normalized_shape", None)
    width = math.prod(shape) if isinstance(shape, (tuple, list)) else None
    for attribute in ("num_features", "num_channels"):
        width = getattr(instance, attribute, width)
    for parameter in (weight, bias):
        width = parameter.numel() if width is None and parameter is not None else width
    groups = getattr(instance, "num_groups", 1)

    def build(case: Case) -> torch.nn.Module:
        return copy.deepcopy(instance)

    return build, width if isinstance(width, int) else None, groups if isinstance(groups, int) else 1
