"""Calls of code in TensorFlow: output, derivatives by `tf.GradientTape`, and running statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.returned import Returned
from normcheck.frameworks.tensorflow import arrays
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer, Call

LEAVES = ("input", "weight", "bias")
STATE = ("running_mean", "running_var")

Given = Mapping[str, Any]
"""The tensors of a case by role."""


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """Code with the tensors of a case in their places.

    leaves: what the output is differentiated by, by role, tensors or variables. forward: one call, which returns the
    output and the running statistics after it, by role.
    """

    leaves: Given
    forward: Callable[[], tuple[Any, dict[str, Any]]]


Prepare = Callable[[Case, dict[str, Any]], Ready]
"""Puts the tensors of a case, by role, in their places."""


def call_of(prepare: Prepare, name: str) -> Call:
    """A `Call` of a function or layer that is made ready for each case."""

    def call(case: Case, gradient: bool) -> Answer:
        if case.use not in (uses.PLAIN, *USES):
            raise CallError(f"{name} is not called with {case.use} in TensorFlow", "not a use of TensorFlow")
        ready: Ready = guarded(lambda: prepare(case, _tensors(case)), case, name)
        if case.use == uses.COMPILED:
            ready = Ready(ready.leaves, tf.function(ready.forward))
        if case.use == uses.JVP:
            return _answer(case, *_pushed(ready, case, name), {})
        if case.use == uses.SECOND:
            return _answer(case, *_second(ready, case, name))
        if not gradient:
            y, state = guarded(ready.forward, case, name)
            return _answer(case, y, state, {}, {})
        dy = _cotangent(case)
        with tf.GradientTape() as tape:
            tape.watch(list(ready.leaves.values()))
            y, state = guarded(ready.forward, case, name)
        grads = guarded(lambda: _pulled(tape, y, ready.leaves, dy), case, name, IN_BACKWARD)
        return _answer(case, y, state, {}, grads)

    return call


USES = (uses.COMPILED, uses.JVP, uses.SECOND)
"""The ways to call code, except the plain one."""


def _tensors(case: Case) -> dict[str, Any]:
    values = (case.x, case.weight, case.bias, case.running_mean, case.running_var)
    found = {role: arrays.given(one, case.format.name) for role, one in zip((*LEAVES, *STATE), values, strict=True)}
    return {role: one for role, one in found.items() if one is not None}


def _cotangent(case: Case) -> Any:
    return arrays.tensor(case.x * 0.0 if case.dy is None else case.dy, case.format.name)


def _pulled(tape: Any, y: Any, leaves: Given, dy: Any) -> dict[str, Any]:
    """The gradients of the leaves by role, zero of what the output does not depend on."""
    zero = tf.UnconnectedGradients.ZERO
    found = tape.gradient(y, list(leaves.values()), tf.cast(dy, y.dtype), unconnected_gradients=zero)
    return {role: tf.convert_to_tensor(one) for role, one in zip(leaves, found, strict=True)}


def _pushed(ready: Ready, case: Case, name: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Output, statistics, and the derivative along the tangent."""
    tangent = arrays.tensor(case.x * 0.0 if case.tangent is None else case.tangent, case.format.name)
    with tf.autodiff.ForwardAccumulator(ready.leaves["input"], tangent) as pushing:
        y, state = guarded(ready.forward, case, name)
    return y, state, {"jv": pushing.jvp(y, tf.UnconnectedGradients.ZERO)}


def _second(ready: Ready, case: Case, name: str) -> tuple[Any, dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The same with the gradients, and the derivatives of <dx, v> by input and cotangent."""
    x, dy = ready.leaves["input"], _cotangent(case)
    tangent = arrays.tensor(case.x * 0.0 if case.tangent is None else case.tangent, case.format.name)
    zero = tf.UnconnectedGradients.ZERO
    with tf.GradientTape() as outer:
        outer.watch([x, dy])
        with tf.GradientTape() as tape:
            tape.watch(list(ready.leaves.values()))
            y, state = guarded(ready.forward, case, name)
        grads = guarded(lambda: _pulled(tape, y, ready.leaves, dy), case, name, IN_BACKWARD)
        along = tf.reduce_sum(grads["input"] * tangent)
    ddx, jv = guarded(
        lambda: outer.gradient(along, [x, dy], unconnected_gradients=zero), case, name, " in its second backward"
    )
    return y, state, {"ddx": ddx, "jv": jv}, grads


def _answer(case: Case, y: Any, state: Given, more: Given, grads: Given) -> Answer:
    """Everything in float64, gradients in the shapes of the case."""
    owners = {"input": case.x, "weight": case.weight, "bias": case.bias}

    def gradient(role: str) -> Array | None:
        owner = owners[role]
        return None if owner is None or role not in grads else arrays.array(grads[role]).reshape(owner.shape)

    wide = {role: arrays.array(one) for role, one in {**state, **more}.items()}
    return Answer(
        arrays.array(y),
        arrays.format_of(y),
        gradient("input"),
        gradient("weight"),
        gradient("bias"),
        wide.get("running_mean"),
        wide.get("running_var"),
        jv=wide.get("jv"),
        ddx=wide.get("ddx"),
    )


output_of = Returned(tf.is_tensor, "a tensor of TensorFlow").output
