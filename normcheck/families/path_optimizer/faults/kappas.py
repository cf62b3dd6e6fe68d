"""Other values of kappa, and other divisions by it, as faults have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.path_optimizer import reference
from normcheck.families.path_optimizer.case import Parameters, weights_of


def without_square(parameters: Sequence[Array]) -> Parameters:
    return reference.kappas(tuple(np.sqrt(np.abs(p)) for p in parameters))


def layer_norm(parameters: Sequence[Array]) -> Parameters:
    """The squared length of a layer's weights, for each of its edges."""
    return tuple(np.full_like(p, (p * p).sum()) for p in parameters)


def per_level(parameters: Sequence[Array], pick: Callable[[Array, Array], Array]) -> Parameters:
    """kappa from what arrives (1, inputs) and what leaves (outputs, 1); nets without biases."""
    before, after = reference.into(parameters), reference.onward(parameters)
    levels = (np.broadcast_to(pick(b[None, :], a[:, None]), p.shape)
              for p, b, a in zip(weights_of(parameters), before[:-1], after[1:], strict=True))  # fmt: skip
    found = iter(levels)
    return tuple(
        next(found) if p.ndim == 2 else k for p, k in zip(parameters, reference.kappas(parameters), strict=True)
    )


def other_order(parameters: Sequence[Array]) -> Parameters:
    """kappa of the layers in the reverse order, where their shapes do not show that it is the wrong one."""
    matrices = weights_of(parameters)
    square = len({n for p in matrices for n in p.shape}) == 1 and len(matrices) == len(parameters)
    return reference.kappas(matrices[::-1])[::-1] if square else reference.kappas(parameters)


def mapped(change: Callable[[Array, Array], Array]) -> Callable[[Sequence[Array]], Parameters]:
    """kappa changed edge by edge, given the weights."""
    return lambda parameters: tuple(change(k, p) for k, p in zip(reference.kappas(parameters), parameters, strict=True))


def bias_plain(parameters: Sequence[Array]) -> Parameters:
    found = reference.kappas(parameters)
    return tuple(np.ones_like(k) if k.ndim == 1 else k for k in found)


def bias_halved(parameters: Sequence[Array]) -> Parameters:
    found = reference.kappas(parameters)
    return tuple(0.5 * k if k.ndim == 1 else k for k in found)


def bias_infinite(parameters: Sequence[Array]) -> Parameters:
    found = reference.kappas(parameters)
    return tuple(np.full_like(k, np.inf) if k.ndim == 1 else k for k in found)


def bare(gradient: Array, kappa: Array) -> Array:
    with np.errstate(all="ignore"):
        return gradient / kappa


def no_division(gradient: Array, kappa: Array) -> Array:
    return gradient


averaged = mapped(lambda k, p: np.broadcast_to(k.mean(axis=-1, keepdims=True), k.shape))
"""The mean over the edges that arrive at a node."""
