"""Linear and convolutional layers that normalize their own weight, as functions of that weight.

The weight that such a layer uses is read from its output: an input with a single one shows one column of it, without
rounding. A kernel is as large as its input, so that the output has one position. Of a wide layer that would be slow, so
the weight that reaches torch's linear or convolution is taken there, if that is what one column of the output shows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from threading import get_ident
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from normcheck.core.errors import CallError
from normcheck.frameworks.roles import NAMES, WEIGHT_NAMES, from_signature, plain

SIZES = {
    "inputs": ("in_features", "in_channels", "in_channel", "in_planes", "n_in", "in_dim", "inputs"),
    "units": ("out_features", "out_channels", "out_channel", "out_planes", "n_out", "out_dim", "units"),
    "kernel": ("kernel_size", "kernel"),
}
"""Sizes that a constructor takes, with the names that code gives to them."""

FIXED = {"padding": 0, "bias": False}
"""Options of a constructor under which the weight can be read."""

TRIED = (5, 3)
"""Units and inputs of the layer that is built to see what it is."""

BIAS = "bias"


WIDE = 512
"""Inputs of a unit up to which every column is read."""

APPLIED = (F.linear, F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d)
"""Functions whose second argument is the weight."""


class _Reaching(TorchFunctionMode):
    """Keeps the weight that reaches a linear layer or a convolution."""

    weight: torch.Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in APPLIED:
            self.weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
        return func(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class WeightLayers:
    """The layers of one class. given: the names of its constructor's parameters by role, for sizes and constants."""

    target: Any
    given: Mapping[str, str]
    options: Mapping[str, Any]

    def built(self, shape: tuple[int, ...], constants: Mapping[str, Any]) -> Any:
        """A layer with a weight of this shape, (units, inputs, *kernel)."""
        axes = next((n for n in (1, 2, 3) if issubclass(self.target, getattr(torch.nn, f"Conv{n}d"))), 2)
        sizes = {"units": shape[0], "inputs": shape[1], "kernel": shape[2:] or (1,) * axes, **constants}
        named = {name: sizes[role] for role, name in self.given.items() if name and role in sizes}
        return self.target(**named, **self.options)

    def weight(self, layer: torch.nn.Module, v: torch.Tensor, others: Mapping[str, torch.Tensor]) -> Any:
        """What a layer makes of a weight v. others: its further parameters by role, those of the layer where absent.

        Raises `CallError` if the layer has no weight of that size. What is no weight of that size is returned as it is.
        """
        theirs = dict(layer.named_parameters())
        name = _of_size(theirs, v.numel())
        if not name:
            raise CallError(f"a layer of {v[0].numel()} inputs has no weight of shape {tuple(v.shape)}")
        values = {name: v, **{at: value for role, value in others.items() if (at := _name(theirs, role, value, name))}}
        shaped = {at: value.reshape(theirs[at].shape) for at, value in values.items()}
        bias = {at: torch.zeros_like(p) for at, p in theirs.items() if at == BIAS and at not in values}
        used, kernel = {**shaped, **bias}, theirs[name].shape[1:]
        count = v[0].numel()
        if count > WIDE:
            first = torch.zeros((1, count), dtype=v.dtype, device=v.device)
            first[0, count // 2] = 1.0
            with _Reaching() as reaching:
                column = functional_call(layer, used, (first.reshape(1, *kernel),)).reshape(-1)
            weight = None if reaching.weight is None else reaching.weight.reshape(len(column), -1)
            if weight is not None and weight.numel() == v.numel() and torch.equal(weight[:, count // 2], column):
                return weight.reshape(v.shape)
        y = functional_call(layer, used, (torch.eye(count, dtype=v.dtype, device=v.device).reshape(count, *kernel),))
        return y.reshape(count, -1).T.reshape(v.shape) if y.numel() == v.numel() else y


def of_class(target: Any, constants: Mapping[str, tuple[str, ...]], values: Mapping[str, Any]) -> WeightLayers | None:
    """The layers of a class whose constructor takes inputs and units; None of any other target.

    constants: further arguments, by role, as code calls them; values: of these, for the layer that is tried.
    """
    if not inspect.isclass(target) or not issubclass(target, torch.nn.Module):
        return None
    taken = [p.name for p in from_signature(target) or ()]
    given = {role: next((n for n in taken if n in words), "") for role, words in {**SIZES, **constants}.items()}
    found = WeightLayers(target, given, {name: value for name, value in FIXED.items() if name in taken})
    if not (given["inputs"] and given["units"]):
        return None
    try:
        tried = found.built(TRIED, values)
    except Exception:  # foreign code; the other ways of binding say what is wrong
        return None
    return found if _of_size(dict(tried.named_parameters()), TRIED[0] * TRIED[1]) else None


def as_function(target: Any) -> Callable[[torch.Tensor, torch.Tensor], Any] | None:
    """The function of v and g of a class of layers with a length of its own for each unit; None of any other target."""
    layers = of_class(target, {}, {})
    if layers is None:
        return None
    theirs = dict(layers.built(TRIED, {}).named_parameters())
    if not _name(theirs, "weight", torch.ones(TRIED[0]), _of_size(theirs, TRIED[0] * TRIED[1])):
        return None

    @lru_cache(maxsize=8)
    def layer(shape: tuple[int, ...], dtype: torch.dtype, _thread: int) -> Any:
        with torch.random.fork_rng(devices=()):  # the first values of its weight are no part of a call
            return layers.built(shape, {}).to(dtype)

    def function(v: torch.Tensor, g: torch.Tensor) -> Any:
        if v.dim() < 2:
            raise ValueError("the weight of a layer has an axis of units and one of inputs")
        return layers.weight(layer(tuple(v.shape), v.dtype, get_ident()), v, {"weight": g})

    return function


def _of_size(parameters: Mapping[str, torch.Tensor], size: int) -> str:
    """The name of the parameter with so many numbers."""
    return next((name for name, p in parameters.items() if p.numel() == size and name != BIAS), "")


def _name(theirs: Mapping[str, torch.Tensor], role: str, value: torch.Tensor, weight: str) -> str:
    """The name of a parameter beside the weight: by its words, else by its size."""
    free = [name for name, p in theirs.items() if name not in (weight, BIAS) and p.numel() == value.numel()]
    words = (role, *NAMES.get(role, ()), *WEIGHT_NAMES.get(role, ()))
    return next((name for name in free if plain(name) in words), free[0] if len(free) == 1 else "")
