"""Calls of layers of JAX: programs are compiled once for each shape and format, and then answer in a millisecond.

Programs are compiled by `jax.jit` with little optimization, and with every rounding that the code asks for: what is
checked is the function as it is written. eps and momentum are arguments of a program, so that a new value compiles
nothing; code that needs them as plain numbers gets them so, and code that needs the values of its arrays runs without
a program.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError, NoDerivativeError
from normcheck.core.floats import Array
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.jax import arrays, layer
from normcheck.frameworks.jax.bodies import BODIES, Body, Results, forward
from normcheck.frameworks.jax.layer import Prepare, PureLayer
from normcheck.normalizers.case import Case
from normcheck.normalizers.subject import Answer

OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_allow_excess_precision": False,  # otherwise a rounding to a narrow format and back is left out
}
"""Compilation takes half of the time, and rounds as operations one by one do."""

TRACED, STATIC, EAGER = range(3)
"""eps and momentum as arguments of a program; as constants of it; no program."""

NEEDS_VALUES = ("Tracer", "Concretization", "NonConcrete")
"""Parts of the names of JAX's exceptions for code that needs the values of what it computes with."""


def _needs_values(error: BaseException) -> bool:
    return any(word in f"{type(error).__name__} {error}" for word in NEEDS_VALUES)


NO_DERIVATIVE = "has no derivative: JAX cannot differentiate what it calls, and it has no custom_vjp"
"""What is said of a kernel that is written for the forward pass alone."""

NOT_DIFFERENTIATED = (
    "does not support reverse-mode autodiff",  # a kernel of Pallas
    "Differentiation rule for",  # a primitive of its own
    "do not support JVP",  # a callback to code outside JAX
)
"""Parts of the messages of JAX for code that nobody has given a derivative; all other failures are the code's own."""


def _has_no_derivative(error: CallError) -> bool:
    return any(words in str(error.__cause__) for words in NOT_DIFFERENTIATED)


class JaxCall:
    """Answers cases with layers made ready for each (`Call`)."""

    def __init__(self, prepare: Prepare) -> None:
        self._prepare = prepare
        self._programs: dict[Hashable, Callable[..., Any]] = {}
        self._mode = TRACED  # the first that is worth trying
        self._forward_only = False  # its gradients raised

    def __call__(self, case: Case, gradient: bool) -> Answer:
        made = self._prepare(case)
        if case.use not in BODIES:
            raise CallError(f"{made.name} is not called with {case.use} in JAX", "not a use of JAX")
        with arrays.precision(case.format.name):
            return _answer(self._results(made, case, gradient), case, gradient)

    def traced(self, case: Case, gradient: bool) -> Answer:
        """Trace a call without compiling it; nothing is computed. Raises `CallError` where the call would."""
        made = self._prepare(case)
        given = layer.inputs(case)
        try:
            with arrays.precision(case.format.name):
                guarded(lambda: jax.eval_shape(lambda held: forward(made.run, held), given), case, made.name)
        except CallError as error:
            if not _needs_values(error):
                raise
            return self(case, gradient)
        return Answer(case.x, case.format.name)

    def _results(self, made: PureLayer, case: Case, gradient: bool) -> Results:
        body = BODIES[case.use]
        if body is BODIES[uses.PLAIN] and self._forward_only and not gradient:
            return self._guarded(made, forward, case)
        try:
            return self._guarded(made, body, case)
        except CallError as error:
            if case.use not in (uses.PLAIN, uses.WIDE):
                raise
            found = self._guarded(made, forward, case)  # raises by itself where it was not the backward
            if gradient and _has_no_derivative(error):
                raise NoDerivativeError(f"{made.name} {NO_DERIVATIVE}", NO_DERIVATIVE) from error
            if gradient:
                raise CallError(f"{error}{IN_BACKWARD}", f"{error.reason}{IN_BACKWARD}") from error
            self._forward_only = True
            return found

    def _guarded(self, made: PureLayer, body: Body, case: Case) -> Results:
        found: Results = guarded(lambda: self._run(made, body, case), case, made.name)
        return found

    def _run(self, made: PureLayer, body: Body, case: Case) -> Results:
        """The results in the first mode in which the code can be traced."""
        given = layer.inputs(case)
        for mode in range(self._mode, EAGER):
            try:
                found = self._compiled(made, body, given, mode, case.use)
            except Exception as error:
                if not _needs_values(error):
                    raise
                continue
            self._mode = mode
            return found
        self._mode = EAGER
        return _fetched(body(made.run, jax.tree.map(jnp.asarray, given) | {"numbers": given["numbers"]}))

    def _compiled(self, made: PureLayer, body: Body, given: dict[str, Any], mode: int, use: str) -> Results:
        numbers = given["numbers"]
        constants = tuple(numbers.items()) if mode == STATIC else ()
        key = (made.key, body, constants, use == uses.COMPILED)
        if key not in self._programs:
            options = None if use == uses.COMPILED else OPTIONS
            self._programs[key] = jax.jit(
                lambda held: body(made.run, held | {"numbers": held["numbers"] | dict(constants)}),
                compiler_options=options,
            )
        held = given if mode == TRACED else given | {"numbers": {}}
        return _fetched(self._programs[key](held))


def _fetched(results: Results) -> Results:
    found: Results = jax.device_get(results)
    return found


def _answer(results: Results, case: Case, gradient: bool) -> Answer:
    """Everything in float64. A call without gradients has the output that was not differentiated."""
    prefix = "primal_" if not gradient and "primal_y" in results else ""
    y = results[f"{prefix}y"]

    def wide(name: str) -> Array | None:
        value = results.get(name)
        return None if value is None else arrays.array(value)

    def like(name: str, owner: Array | None) -> Array | None:
        value = wide(name) if gradient else None
        return None if value is None or owner is None else np.asarray(value).reshape(owner.shape)

    return Answer(
        arrays.array(y),
        arrays.format_of(y),
        like("dx", case.x),
        like("dweight", case.weight),
        like("dbias", case.bias),
        wide(f"{prefix}running_mean"),
        wide(f"{prefix}running_var"),
        jv=wide("jv"),
        ddx=wide("ddx"),
    )
