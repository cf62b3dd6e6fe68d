"""Layers that take one example and are called under `jax.vmap`, as Equinox has it: found by calling them.

Nothing is taken from a manual: a layer is called with a batch as it is, and with each number of leading axes mapped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normcheck.frameworks.jax.state_roles import apart, probe
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer

SAME = 1e-3
"""Two outputs that differ by less are the same function; one that mixes examples differs by about 1."""

UNBOUND = re.compile(r"unbound axis name: (\S+?)\.?(?:\s|$)")


@dataclass(frozen=True, slots=True)
class Mapped:
    """Over how many leading axes of the input calls are mapped, and the name of the mapped axis if code needs one."""

    axes: int = 0
    name: Hashable | None = None


CallMapped = Callable[[Any, Mapped], Any]
"""The output for an input, mapped so."""


def mapped_call(one: Callable[[Any], tuple[Any, Any]], x: Any, mapped: Mapped) -> tuple[Any, Any]:
    """Output and state of `one`, which takes an example or a batch. A state must be the same for all examples."""
    if not mapped.axes:
        return one(x)
    front, example = x.shape[: mapped.axes], x.shape[mapped.axes :]
    flat = x.reshape(math.prod(front), *example)
    y, state = jax.vmap(one, out_axes=(0, None), axis_name=mapped.name)(flat)
    return y.reshape(x.shape), state


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a normalizer decides where an example ends: channels follow the cases; cases share their statistics."""

    channels: bool
    shared: bool = False


def layout_of(normalizer: Normalizer) -> Layout:
    """The layout of a normalizer's inputs."""
    return Layout(normalizer.sets.layout != "trailing", "case" in normalizer.sets.members)


def _most(case: Case, layout: Layout) -> int:
    """The number of axes in front of one example."""
    if layout.channels or case.units_first:
        return min(1, case.x.ndim - 1)
    return case.x.ndim - case.normalized


def _batch(case: Case, layout: Layout) -> Any:
    """An input of the rank of the case, with its units, whose other axes have sizes of their own."""
    most, shape = _most(case, layout), case.x.shape
    kept = shape[1:2] if layout.channels or case.units_first else shape[most:]
    sizes = apart(*kept, case.groups)
    front, behind = sizes[:most], sizes[most : len(shape) - len(kept)]
    return jnp.asarray(probe((*front, *kept, *behind)), jnp.float32)


def traced(call: CallMapped, x: Any, mapped: Mapped) -> Mapped | None:
    """The mapping with the name of its axis, if the call can be traced; None if it raises."""
    try:
        jax.eval_shape(lambda value: call(value, mapped), x)
    except NameError as error:
        found = UNBOUND.search(str(error))
        if found is None or not mapped.axes or mapped.name is not None:
            return None
        return traced(call, x, Mapped(mapped.axes, found.group(1)))
    except Exception:
        return None
    return mapped


def _agree(call: CallMapped, x: Any, one: Mapped, other: Mapped) -> bool:
    """Whether two mappings of a call give the same outputs."""
    both = lambda value: (call(value, one), call(value, other))
    try:
        outputs = jax.jit(both)(x)  # faster than operation by operation, where the code can be compiled
    except Exception:
        outputs = both(x)
    first, second = (np.asarray(y, np.float64) for y in outputs)
    return bool(np.allclose(first, second, rtol=SAME, atol=SAME))


def mapping(call: CallMapped, case: Case, layout: Layout) -> Mapped:
    """How a layer is called on inputs of the rank of a case.

    Directly, if it takes a batch and gives what it gives for each example; if the two differ, it is written for one
    example. Where the cases of a batch share their statistics there is no example: it is called directly if that works.
    """
    x, most = _batch(case, layout), _most(case, layout)
    found = [one for axes in range(most + 1) if (one := traced(call, x, Mapped(axes))) is not None]
    if not found:
        return Mapped(most)
    if len(found) == 1 or layout.shared:
        return found[0]
    if found[0].axes:
        return found[-1]
    return found[0] if _agree(call, x, found[0], found[-1]) else found[-1]


def takes_one(call: CallMapped, x: Any) -> bool:
    """Whether a layer takes one example of a batch x: the batch itself it refuses, or takes for an example."""
    each, direct = (traced(call, x, Mapped(axes)) for axes in (1, 0))
    if each is None or direct is None:
        return each is not None
    return not _agree(call, x, direct, each)
