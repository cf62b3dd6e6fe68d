"""A class with a forward and a backward method as a pair of functions, as courses and books write layers in numpy.

The forward of the pair constructs the layer, gives it parameters and running statistics, and calls its forward; the
cache between the two functions is the layer. A layer that keeps no statistics is called again with other inputs, until
its parameters differ. Gradients of parameters are what its backward returns, or leaves in
attributes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from normcheck.core.foreign_code import attribute
from normcheck.frameworks.roles import NAMES, plain

STATISTICS = ("running_mean", "running_var")
HELD = ("weight", "bias", *STATISTICS)
"""What a layer holds in attributes."""

OPTIONS = (*HELD, "eps", "momentum", "num_groups", "p", "affine", "use_bias")
"""What a constructor takes beside the width."""

WIDTH = "num_features"
"""The name that the width gets in the forward of the pair: that of units of a set, or of channels."""

GRADIENTS = ("d{}", "d_{}", "{}_grad", "grad_{}", "g_{}", "{}_gradient")
"""The names of the attribute of a gradient, by that of its parameter."""

PARAMETERS = ("params", "parameters", "param")
"""The names of a dict of parameters."""

COLLECTIONS = ("grads", "gradients", "grad")
"""The names of a dict of gradients."""

CLEARED = "zero_grad"
"""The method that clears gradients which accumulate on purpose."""

SIZE = 3
"""The width of the layer that is made to see what it holds."""

Pair = tuple[Callable[..., Any], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class LayerClass:
    """A class of layers. call: the name of its forward. width: the parameter of its constructor; empty if none."""

    target: Any
    call: str
    constructor: Sequence[inspect.Parameter]
    called: Sequence[inspect.Parameter]
    width: str

    def named(self, name: str) -> str:
        """The name of a constructor's parameter in the forward of the pair."""
        return WIDTH if name == self.width else name

    def signature(self, held: Iterable[str]) -> inspect.Signature:
        """The parameters of the forward, of the constructor, and the roles of what is set in attributes."""
        taken = {one.name for one in self.called}
        made = (one.replace(name=self.named(one.name)) for one in self.constructor if one.name not in taken)
        first, *rest = (*self.called, *made)
        own = (inspect.Parameter(role, inspect.Parameter.KEYWORD_ONLY, default=None) for role in held)
        others = [*(one.replace(kind=one.KEYWORD_ONLY) for one in rest), *own]
        others = [one.replace(default=None) if one.name == WIDTH else one for one in others]
        return inspect.Signature([first.replace(kind=first.POSITIONAL_OR_KEYWORD), *others])

    def made(self, values: Mapping[str, Any]) -> Any:
        """A layer with the arguments of its constructor that are among values by name."""
        given = {one.name: self.named(one.name) for one in self.constructor}
        return self.target(**{name: values[known] for name, known in given.items() if known in values})

    def held(self) -> list[str]:
        """The roles of what a new layer holds and its constructor does not take."""
        taken = {plain(one.name) for one in (*self.constructor, *self.called)}
        required = [self.named(one.name) for one in self.constructor if one.default is one.empty]
        try:
            layer = self.made(dict.fromkeys(required, SIZE))
        except Exception:  # foreign code; what it needs is seen when it is called
            return []
        return [role for role in HELD if _place(layer, role) and not taken & set(NAMES[role])]


def of_class(target: Any) -> Pair | None:
    """The functions of a class whose methods forward (or `__call__`) and backward take the layer; None of others."""
    if not inspect.isclass(target):
        return None
    call = "forward" if callable(attribute(target, "forward")) else "__call__"
    methods = [inspect.getattr_static(target, name, None) for name in (call, "backward")]
    called = _parameters(methods[0])
    if not called or not all(map(_takes_the_layer, methods)):
        return None
    constructor = _parameters(inspect.getattr_static(target, "__init__", None))
    known = {name for role in OPTIONS for name in NAMES[role]}
    width = next((one.name for one in constructor if one.default is one.empty and plain(one.name) not in known), "")
    return _pair(LayerClass(target, call, constructor, called, width))


class _LastLayer:
    """The layers of a class, one for each call, or that of the call before if it is for the same, as in training."""

    def __init__(self, of: LayerClass) -> None:
        self._of = of
        self._made_for: dict[str, Any] = {}
        self._layer: Any = None

    def layer(self, values: Mapping[str, Any]) -> Any:
        """A layer with these values by name."""
        x = self._of.called[0].name
        made_for = {name: _compared(value) for name, value in values.items() if name != x}
        made_for |= {x: (values[x].dtype, values[x].shape[1:])}
        same = self._layer is not None and made_for == self._made_for
        layer = self._layer if same else self._of.made(values)
        clear = attribute(layer, CLEARED)
        if same and callable(clear):
            clear()
        counts = any(_place(layer, role) for role in STATISTICS)  # perhaps the calls, by which statistics are averaged
        self._made_for, self._layer = made_for, None if counts else layer
        return layer


def _compared(value: Any) -> Any:
    """A value that can be compared: of an array its bytes, and how they lie in memory."""
    return (value.dtype, value.shape, value.strides, value.tobytes()) if isinstance(value, np.ndarray) else value


def _pair(of: LayerClass) -> Pair:
    held = of.held()
    signature = of.signature(held)
    layers = _LastLayer(of)

    def forward(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        values = signature.bind(*args, **kwargs).arguments
        if of.width and values.get(WIDTH) is None:  # of channels, where it is no argument of the normalizer
            values[WIDTH] = values[of.called[0].name].shape[1]
        layer = layers.layer(values)
        for role in held:
            place = _place(layer, role)
            if place is not None and values.get(role) is not None:
                place[0][place[1]] = values[role]
        y = getattr(layer, of.call)(**{one.name: values[one.name] for one in of.called if one.name in values})
        for role in STATISTICS:  # a layer may put new arrays in the place of those that it got
            given = next((value for name, value in values.items() if plain(name) in NAMES[role]), None)
            place = _place(layer, role)
            if given is not None and place is not None:
                given[...] = place[0][place[1]]
        return y, layer

    def backward(dy: Any, cache: Any) -> Any:
        returned = cache.backward(dy)
        if isinstance(returned, (tuple, list, Mapping)):
            return returned
        return (returned, *(_gradient(cache, role) for role in ("weight", "bias")))

    forward.__signature__ = signature  # type: ignore[attr-defined]
    return forward, backward


def _takes_the_layer(method: Any) -> bool:
    """Whether a function in a class is called with a layer: a class may as well be a name space of two functions."""
    return inspect.isfunction(method) and next(iter(inspect.signature(method).parameters), "") == "self"


def _parameters(function: Any) -> list[inspect.Parameter]:
    """The named parameters of a method without the layer."""
    if not inspect.isfunction(function):
        return []
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one for one in list(inspect.signature(function).parameters.values())[1:] if one.kind not in variable]


def _place(layer: Any, role: str) -> tuple[dict[str, Any], str] | None:
    """Where a layer holds what has a role: its attributes, or a dict among them, and the name there."""
    held = vars(layer)
    dicts = [held, *(held[name] for name in PARAMETERS if isinstance(held.get(name), dict))]
    return next(((one, name) for one in dicts for name in one if plain(name) in NAMES[role]), None)


def _gradient(layer: Any, role: str) -> Any:
    """The gradient of a parameter that a backward left in the layer; None if there is none."""
    place = _place(layer, role)
    names = list(dict.fromkeys((*(() if place is None else (place[1],)), *NAMES[role])))
    words = [form.format(plain(one)) for one in names for form in GRADIENTS]
    held = {plain(name): value for name, value in vars(layer).items()}
    collections = [held[name] for name in COLLECTIONS if isinstance(held.get(name), Mapping)]
    return next(_found(held, words, collections, names), None)


def _found(
    held: Mapping[str, Any], words: Sequence[str], collections: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> Iterator[Any]:
    yield from (held[one] for one in words if one in held)
    yield from (one[name] for one in collections for name in (*names, *words) if name in one)
