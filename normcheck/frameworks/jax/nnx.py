"""Layers of flax.nnx: classes and instances, with the parameters and statistics of a case put in their places.

A layer is constructed, or copied, while it is traced: what belongs to another trace cannot be written to.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from normcheck.core.errors import CallError
from normcheck.frameworks.call_source import Spell, array_names, construction, import_lines
from normcheck.frameworks.jax import arrays, layer
from normcheck.frameworks.jax.call import JaxCall
from normcheck.frameworks.jax.layer import Leaves, Numbers, Prepare, PureLayer, State
from normcheck.frameworks.protocol import Build, LayerParts
from normcheck.frameworks.roles import NAMES, Binding, Parameter, from_signature, plain
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling.recipes import Sizes
from normcheck.normalizers.subject import Call, Constructed, Life

KEYS = "rngs"
"""The parameter of a constructor by which random keys come."""


def _own(target: Any) -> list[Parameter]:
    """The parameters of the constructor: the class itself shows only *args and **kwargs."""
    return (from_signature(target.__init__) or [])[1:]


def _variables(module: nnx.Module) -> dict[str, nnx.Variable[Any]]:
    """Parameters and state of a layer and of the layers inside it, by dotted path."""
    return {
        ".".join(map(str, path)): value for path, value in nnx.iter_graph(module) if isinstance(value, nnx.Variable)
    }


def _named(variables: Mapping[str, nnx.Variable[Any]], role: str) -> str:
    return next((path for path in variables if plain(path.rpartition(".")[2]) in NAMES[role]), "")


def _attribute(module: nnx.Module, role: str) -> str:
    """The attribute with a plain number that plays a role; empty if there is none."""
    numbers = (name for name, value in vars(module).items() if isinstance(value, (float, int)))
    return next((name for name in numbers if plain(name) in NAMES[role]), "")


def parts(module: nnx.Module) -> LayerParts:
    """Paths of its parameters, of its running statistics and of its momentum; its eps."""
    own = _variables(module)
    learned = {path: value for path, value in own.items() if isinstance(value, nnx.Param)}
    state = {path: value for path, value in own.items() if path not in learned}
    eps = getattr(module, _attribute(module, "eps") or "eps", None)
    return LayerParts(
        weight=_named(learned, "weight"),
        bias=_named(learned, "bias"),
        running_mean=_named(state, "running_mean"),
        running_var=_named(state, "running_var"),
        momentum=_attribute(module, "momentum"),
        eps=eps if isinstance(eps, float) else None,
    )


def constructed(module: nnx.Module) -> Constructed:
    """The values with which a module starts."""
    own, known = _variables(module), parts(module)
    paths = (known.weight, known.bias, known.running_mean, known.running_var)
    weight, bias, mean, var = (arrays.array(own[path].get_value()) if path else None for path in paths)
    return Constructed(weight, bias, mean, var)


def sizes(module: nnx.Module) -> Sizes | None:
    """The sizes that an instance cannot change; None where it does not tell them."""
    own, known = _variables(module), parts(module)
    shapes = [tuple(own[path].shape) for path in (known.weight, known.bias) if path]
    units = getattr(module, "num_features", math.prod(shapes[0]) if shapes else None)
    groups = getattr(module, "num_groups", 1)
    if not isinstance(units, int):
        return None
    return Sizes(units, groups if isinstance(groups, int) else 1, shapes[0] if shapes else (units,))


def _give(own: nnx.Variable[Any], value: Any, name: str) -> None:
    if own.size != value.size:
        raise CallError(f"{name} has a parameter of shape {own.shape} where {value.size} numbers are needed")
    own.set_value(value.reshape(own.shape))


def _channels_last(build: Build, normalizer: Normalizer) -> bool:
    """Whether the layers want their channels in the last axis: an input that has them in the second one fails."""
    if normalizer.sets.layout != "channels":
        return False
    units, ones = 6, np.ones(6)
    case = Case(np.zeros((2, units, 5, 7)), eps=1e-5, weight=ones, bias=ones, groups=2, running_mean=ones,
                running_var=ones)  # fmt: skip
    known = sizes(build(case))
    units = units if known is None or known.units is None else known.units

    def fails(shape: tuple[int, ...]) -> bool:
        try:
            jax.eval_shape(lambda x: build(case)(x), jnp.zeros(shape, jnp.float32))  # noqa: PLW0108  # built while traced
        except Exception:
            return True
        return False

    return fails((2, units, units + 1, units + 3)) and not fails((2, units + 1, units + 3, units))


def preparing(build: Build, name: str, normalizer: Normalizer) -> Prepare:
    """Makes layers from `build` ready for cases."""
    last: list[bool] = []  # found at the first case

    def prepare(case: Case) -> PureLayer:
        last[:] = last or [_channels_last(build, normalizer)]
        dtype = arrays.dtype_of(case, "weight")
        updated, stateful = layer.updates(case), case.running_mean is not None

        def run(leaves: Leaves, state: State, numbers: Numbers) -> tuple[Any, State]:
            module = build(case.but(**numbers))
            own, known = _variables(module), parts(module)
            for one in own.values():  # a layer is wholly in one format, as a module of torch after .to(dtype)
                if jnp.issubdtype(one.dtype, jnp.floating):
                    one.set_value(one.get_value().astype(dtype))
            values = dict(zip((known.weight, known.bias), leaves[1:], strict=True))
            values |= dict(zip((known.running_mean, known.running_var), state, strict=True))
            for path, value in values.items():
                if path and value is not None:
                    _give(own[path], value, name)
            module.train() if case.training else module.eval()
            x = jnp.moveaxis(leaves[0], 1, -1) if last[0] else leaves[0]
            y = layer.output(module(x), x, name)
            kept = tuple(
                own[path].get_value().reshape(before.shape) if path and stateful else before
                for path, before in zip((known.running_mean, known.running_var), state, strict=True)
            )
            return jnp.moveaxis(y, -1, 1) if last[0] else y, (kept[0], kept[1])

        options = (case.weight is None, case.bias is None, stateful, updated, case.training, case.part, dtype.name)
        return PureLayer(name, (case.x.shape, case.normalized, case.groups, options), run)

    return prepare


def spelled(
    name: str, binding: Binding, shape_as: type, parameters: Mapping[str, str], case: Case, *, keys: bool
) -> tuple[str, ...]:
    """A layer as a function of its arrays, and its call; nothing where the input has channels elsewhere."""
    if case.units_first or (case.x.ndim > 2 and binding.name("num_channels")):
        return ()
    lines, called = import_lines(name)
    roles = [role for role in array_names(case) if role in parameters]
    made = construction(called, binding, case, shape_as)
    own = ", ".join(["x", *roles])
    return (
        *lines,
        *(("from flax import nnx",) if keys else ()),
        f"def layer({own}):",
        f"    m = {made[:-1]}, {KEYS}=nnx.Rngs(0))" if keys else f"    m = {made}",
        f"    m.{'train' if case.training else 'eval'}()",
        *(f"    m.{parameters[role]}.set_value({role})" for role in roles),
        "    return m(x)",
        f"y = layer({own})",
    )


class NnxLayers:
    """flax.nnx.Module classes and instances (`Layers`)."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def is_layer(self, target: Any) -> bool:
        return isinstance(target, nnx.Module) or (inspect.isclass(target) and issubclass(target, nnx.Module))

    def is_class(self, target: Any) -> bool:
        return inspect.isclass(target)

    def constructor(self, target: Any) -> list[Parameter]:
        return [one for one in _own(target) if one.name != KEYS]

    def construct(self, target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        keys = {KEYS: nnx.Rngs(0)} if any(one.name == KEYS for one in _own(target)) else {}
        return target(*args, **kwargs, **keys)

    def copy(self, layer: Any) -> Any:
        return nnx.clone(layer)

    def materialized(self, layer: Any, case: Case, name: str, normalizer: Normalizer) -> Any:
        return layer

    def unexplained(self, layer: Any, case: Case, name: str) -> Mapping[str, str]:
        return {}

    def parts(self, layer: Any) -> LayerParts:
        return parts(layer)

    def sizes(self, layer: Any) -> Sizes | None:
        return sizes(layer)

    def call(self, build: Build, name: str, normalizer: Normalizer) -> Call:
        return JaxCall(preparing(build, name, normalizer))

    def of_weight(self, target: Any) -> Callable[..., Any] | None:
        return None

    def constructed(self, layer: Any, case: Case) -> Constructed:
        return constructed(layer)

    def operations(self, layer: Any, *, rebuilt: bool, cumulative: bool) -> Mapping[str, str]:
        return {}

    def spell(
        self,
        target: Any,
        name: str,
        binding: Binding,
        shape_as: type,
        parameters: Mapping[str, str],
        normalizer: Normalizer,
    ) -> Spell:
        keys = any(one.name == KEYS for one in _own(target))
        return lambda case: spelled(name, binding, shape_as, parameters, case, keys=keys)

    def live(self, build: Build, name: str) -> Callable[[Case], Life] | None:
        """State is passed from call to call, as JAX does it."""
        return None


LAYERS = NnxLayers()
