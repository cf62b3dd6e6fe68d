"""Layers of Keras on JAX, compiled and differentiated as its own functions are.

A layer is made while it is traced: its eps and its momentum are arguments of the compiled program, or constants of it
where the layer needs them as plain numbers.
"""

from __future__ import annotations

from typing import Any

from normcheck.frameworks.jax.call import JaxCall
from normcheck.frameworks.jax.layer import Leaves, Numbers, PureLayer, State, output
from normcheck.frameworks.keras.ready import Source
from normcheck.frameworks.keras.variables import STATE
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Call


def calling(source: Source) -> Call:
    """A call of layers."""

    def prepare(case: Case) -> PureLayer:
        def run(leaves: Leaves, state: State, numbers: Numbers) -> tuple[Any, State]:
            given = dict(zip(("input", "weight", "bias", *STATE), (*leaves, *state), strict=True))
            there = {role: one for role, one in given.items() if one is not None}
            y, kept = source.ready(case.but(**numbers)).run(case, there, output)
            return y, (kept.get(STATE[0]), kept.get(STATE[1]))

        options = (case.weight is None, case.bias is None, case.running_mean is None, case.training, case.part)
        return PureLayer(source.name, (case.x.shape, case.normalized, case.groups, case.format.name, options), run)

    return JaxCall(prepare)
