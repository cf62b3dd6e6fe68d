"""What is computed of a layer in one compiled program, for each way to call it: output, gradients, other derivatives.

The results have the names of `Answer`'s fields. "primal" is the output of a call that is not differentiated, which a
function with a derivative of its own may compute by other code than "y".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from normcheck.core import uses
from normcheck.frameworks.jax.layer import Leaves, Run, State

Given = Mapping[str, Any]
Results = dict[str, Any]
Body = Callable[[Run, Given], Results]


def _named(y: Any, state: State) -> Results:
    return {"y": y, "running_mean": state[0], "running_var": state[1]}


def _gradients(grads: Leaves) -> Results:
    return dict(zip(("dx", "dweight", "dbias"), grads, strict=True))


def forward(run: Run, given: Given) -> Results:
    """One call."""
    return _named(*run(given["leaves"], given["state"], given["numbers"]))


def _pulled(run: Run, given: Given, leaves: Leaves) -> tuple[Any, State, Leaves]:
    """Output, statistics, and the gradients of the leaves."""
    y, pull, state = jax.vjp(lambda own: run(own, given["state"], given["numbers"]), leaves, has_aux=True)
    (grads,) = pull(given["dy"].astype(y.dtype))
    return y, state, grads


def gradient(run: Run, given: Given) -> Results:
    """One call with gradients; and one without, where code with a derivative of its own may compute another output."""
    program = jax.make_jaxpr(lambda leaves: forward(run, {**given, "leaves": leaves}))(given["leaves"])
    primal = forward(run, given) if _derives_itself(program) else {}
    y, state, grads = _pulled(run, given, given["leaves"])
    return _named(y, state) | _gradients(grads) | {f"primal_{name}": value for name, value in primal.items()}


def _derives_itself(program: Any) -> bool:
    """Whether a traced program has a part with a derivative of its own, jax.custom_vjp or jax.custom_jvp."""
    equations = getattr(program, "jaxpr", program).eqns
    return any(
        equation.primitive.name.startswith("custom_") or any(map(_derives_itself, _programs(equation.params)))
        for equation in equations
    )


def _programs(parameters: Mapping[str, Any]) -> Iterator[Any]:
    """The programs in the parameters of an equation, as those of the branches of a condition."""
    for value in parameters.values():
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(one, "eqns") or hasattr(one, "jaxpr"):
                yield one


def _checkpointed(run: Run, given: Given) -> Results:
    y, state, grads = _pulled(jax.checkpoint(run), given, given["leaves"])
    return _named(y, state) | _gradients(grads)


def _jacrev(run: Run, given: Given) -> Results:
    """The whole Jacobian of the input; the gradient is its product with the cotangent."""
    x, *rest = given["leaves"]
    call = lambda value: run((value, *rest), given["state"], given["numbers"])
    jacobian, (y, state) = jax.jacrev(lambda value: (call(value)[0], call(value)), has_aux=True)(x)
    dx = jnp.tensordot(given["dy"].astype(y.dtype), jacobian, axes=x.ndim)
    return _named(y, state) | {"dx": dx}


def _vmap(run: Run, given: Given) -> Results:
    """The second of a stack of three inputs."""
    x, *rest = given["leaves"]
    stack = jnp.stack([1.0 - x, x, 3.0 * x])
    dy = jnp.stack([jnp.zeros_like(x), given["dy"], jnp.zeros_like(x)])
    call = jax.vmap(lambda value: run((value, *rest), given["state"], given["numbers"])[0])
    y, pull = jax.vjp(call, stack)
    return {"y": y[1], "dx": pull(dy.astype(y.dtype))[0][1]}


def _jvp(run: Run, given: Given) -> Results:
    x, *rest = given["leaves"]
    call = lambda value: run((value, *rest), given["state"], given["numbers"])
    y, pushed, state = jax.jvp(call, (x,), (given["tangent"],), has_aux=True)
    return _named(y, state) | {"jv": pushed}


def _second(run: Run, given: Given) -> Results:
    """The gradients, and the derivatives of <dx, v> by input and cotangent."""
    x, *rest = given["leaves"]
    y, state, grads = _pulled(run, given, given["leaves"])

    def along(value: Any, dy: Any) -> Any:
        return (_pulled(run, {**given, "dy": dy}, (value, *rest))[2][0] * given["tangent"]).sum()

    ddx, jv = jax.grad(along, argnums=(0, 1))(x, given["dy"])
    return _named(y, state) | _gradients(grads) | {"ddx": ddx, "jv": jv}


BODIES: dict[str, Body] = {
    uses.PLAIN: gradient,
    uses.WIDE: gradient,
    uses.COMPILED: gradient,
    uses.CHECKPOINT: _checkpointed,
    "jacrev": _jacrev,
    "vmap": _vmap,
    uses.JVP: _jvp,
    uses.SECOND: _second,
}
"""Every use by its name."""
