"""A layer of JAX made ready for one case, as a pure function of arrays and numbers. What functions and nnx share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from normcheck.core.errors import CallError
from normcheck.frameworks.jax import arrays
from normcheck.frameworks.returned import Returned
from normcheck.normalizers.case import Case

Leaves = tuple[Any, Any, Any]
"""Input, weight, bias; None where the case has none."""

State = tuple[Any, Any]
"""Running mean and running variance; None where the case has none."""

Numbers = Mapping[str, Any]
"""eps and momentum, by these names: Python floats, or what a compiled program has in their places."""

Run = Callable[[Leaves, State, Numbers], tuple[Any, State]]
"""Output and running statistics after the call."""


@dataclass(frozen=True, slots=True, eq=False)
class PureLayer:
    """What an implementation computes for a case.

    key: everything that `run` reads beside its arguments; two layers of one implementation with equal keys are the
    same function, and are compiled once for each shape and format.
    """

    name: str
    key: Hashable
    run: Run


Prepare = Callable[[Case], PureLayer]


def inputs(case: Case) -> dict[str, Any]:
    """The arguments of a compiled program for a case: leaves, state, numbers, cotangent and tangent."""
    dy = case.x * 0.0 if case.dy is None else case.dy
    return {
        "leaves": (arrays.given(case.x, case), arrays.given(case.weight, case, "weight"),
                   arrays.given(case.bias, case, "bias")),
        "state": tuple(arrays.given(getattr(case, name), case, name) for name in ("running_mean", "running_var")),
        "numbers": {"eps": float(case.eps), "momentum": float(case.momentum)},
        "dy": arrays.given(dy, case),
        "tangent": arrays.given(case.tangent, case),
    }  # fmt: skip


def updates(case: Case) -> bool:
    """Whether a call must return new running statistics."""
    return case.training and case.running_mean is not None


output = Returned(lambda value: isinstance(value, jax.Array), "an array of JAX").output


def statistics(returned: Any, state: State, kept: int, name: str) -> State:
    """Running statistics that were returned beside the output, as (y, (mean, var)) or (y, mean, var).

    kept: how many the normalizer keeps. Raises `CallError` where fewer were returned.
    """
    like = next(one for one in state if one is not None)
    rest = returned[1:] if isinstance(returned, (tuple, list)) else ()
    found = [one for one in jax.tree.leaves(rest) if isinstance(one, jax.Array) and one.size == like.size]
    if len(found) < kept:
        raise CallError(
            f"{name} returns no running statistics beside its output, as in y, (mean, var)",
            "returns no running statistics beside its output",
        )
    flat = [one.reshape(like.shape) for one in found[:kept]]
    return flat[0], flat[1] if kept > 1 else state[1]
