"""Linear and convolutional layers that normalize their own weight, as implementations of a normalizer of weights.

The weight that such a layer uses is read from its output: an input with a single one shows one column of it, without
rounding. A kernel is as large as its input, so that the output has one position.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch.func import functional_call

from normcheck.core.errors import CallError
from normcheck.families.defined.case import DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.torch.layer import DefinedLayer, Make, Tensors
from normcheck.frameworks.roles import NAMES, from_signature
from normcheck.frameworks.torch.tensors import DTYPES

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


def of_class(
    target: Any, entry: DefinedNormalizer, names: Mapping[str, tuple[str, ...]]
) -> tuple[Make, frozenset[str]] | None:
    """What makes a layer, and the constants that its constructor takes; None if the target is no such class.

    names: of the constants of the entry, as code calls them.
    """
    if entry.layout != "rows" or not inspect.isclass(target):
        return None
    taken = [p.name for p in from_signature(target) or ()]
    given = {role: next((n for n in taken if n in words), "") for role, words in {**SIZES, **names}.items()}
    if not (given["inputs"] and given["units"]):
        return None
    options = {name: value for name, value in FIXED.items() if name in taken}

    def built(shape: tuple[int, ...], constants: Mapping[str, Any]) -> Any:
        kernel = shape[2:] or (1,) * _axes(target)
        sizes = {"units": shape[0], "inputs": shape[1], "kernel": kernel, **constants}
        return target(**{given[role]: value for role, value in sizes.items() if given.get(role)}, **options)

    def make(held: Tensors, case: DefinedCase) -> DefinedLayer:
        module = built(case.x.shape, case.constants).to(DTYPES[case.format.name]).train()
        return _layer(module, held, case)

    try:
        trial = built(TRIED, entry.constants)
    except Exception:  # foreign code; the other ways of binding say what is wrong
        return None
    if not (isinstance(trial, torch.nn.Module) and _of_size(trial, TRIED[0] * TRIED[1])):
        return None
    return make, frozenset(name for name in names if given[name])


def _axes(target: Any) -> int:
    """Axes of positions of a convolution."""
    return next((n for n in (1, 2, 3) if issubclass(target, getattr(torch.nn, f"Conv{n}d"))), 2)


def _of_size(module: torch.nn.Module, size: int) -> str:
    """The name of the parameter with so many numbers."""
    return next((name for name, p in module.named_parameters() if p.numel() == size), "")


def _layer(module: torch.nn.Module, held: Tensors, case: DefinedCase) -> DefinedLayer:
    count = case.x[0].size
    weight = _of_size(module, case.x.size)
    if not weight:
        raise CallError(f"a layer of {count} inputs has no weight of shape {case.x.shape}")
    theirs = dict(module.named_parameters())
    names = {role: _name(theirs, role, value, weight) for role, value in held.items()}
    bias = {name: torch.zeros_like(p) for name, p in theirs.items() if name == "bias" and name not in names.values()}

    def call(x: torch.Tensor, _case: DefinedCase) -> Any:
        values = {weight: x, **{names[role]: value for role, value in held.items() if names[role]}}
        shaped = {name: value.reshape(theirs[name].shape) for name, value in values.items()}
        kernel = theirs[weight].shape[1:]
        ones = torch.eye(count, dtype=x.dtype).reshape(count, *kernel)
        y = functional_call(module, {**shaped, **bias}, (ones,))
        return y.reshape(count, -1).T.reshape(case.x.shape) if y.numel() == case.x.size else y

    return DefinedLayer(call, lambda: held)


def _name(theirs: Mapping[str, torch.Tensor], role: str, value: torch.Tensor, weight: str) -> str:
    """The name of a parameter of the entry beside the weight: by its words, else by its size."""
    free = [name for name, p in theirs.items() if name != weight and p.numel() == value.numel() and name != "bias"]
    words = (role, *NAMES.get(role, ()))
    return next((name for name in free if name.lower().strip("_") in words), free[0] if len(free) == 1 else "")
