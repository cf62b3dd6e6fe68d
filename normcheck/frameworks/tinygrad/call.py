"""Calls of functions and layers of tinygrad: output, gradients by `Tensor.gradient`, and running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad import Tensor
from tinygrad.helpers import Context

from normcheck.core import uses
from normcheck.core.errors import IN_BACKWARD, CallError
from normcheck.frameworks.guard import guarded
from normcheck.frameworks.protocol import FunctionStyle
from normcheck.frameworks.returned import Returned
from normcheck.frameworks.role_values import role_values
from normcheck.frameworks.roles import Binding
from normcheck.frameworks.tinygrad import arrays
from normcheck.normalizers.case import Case
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.subject import Answer

LEAVES = ("input", "weight", "bias")
STATE = ("running_mean", "running_var")

Tensors = dict[str, Any]
"""Tensors by role."""

Run = Callable[[Case, Tensors], tuple[Any, Tensors]]
"""Output, and running statistics after a call, by role, from a case and its tensors by role; nothing is computed."""


@dataclass(frozen=True, slots=True, eq=False)
class TinygradCall:
    """A `Call` of a layer or function that is made ready for each case."""

    run: Run
    name: str

    def __call__(self, case: Case, gradient: bool) -> Answer:
        given, y, state = self._described(case)
        grads = guarded(lambda: _gradients(case, given, y), case, self.name, IN_BACKWARD) if gradient else {}
        if grads:
            self._computed(case, [y, *state.values()], list(grads.values()))
        else:
            guarded(lambda: _compute([y, *state.values()]), case, self.name)
        found = {role: arrays.array(one).reshape(given[role].shape) for role, one in (grads | state).items()}
        dx, dweight, dbias, mean, var = (found.get(role) for role in (*LEAVES, *STATE))
        return Answer(arrays.array(y), arrays.format_of(y), dx, dweight, dbias, mean, var)

    def described(self, case: Case, gradient: bool) -> Answer:
        """Call the code without computing anything: tinygrad compiles and computes where values are asked for."""
        self._described(case)
        return Answer(case.x, case.format.name)

    def _described(self, case: Case) -> tuple[Tensors, Any, Tensors]:
        """The tensors of a case by role, the output, and the running statistics after the call."""
        if case.use != uses.PLAIN:
            raise CallError(f"{self.name} is not called with {case.use} in tinygrad", "not a use of tinygrad")
        given = _tensors(case)

        def called() -> tuple[Any, Tensors]:
            with Context(TRAINING=int(case.training)):
                return self.run(case, given)

        y, state = guarded(called, case, self.name)
        return given, y, state

    def _computed(self, case: Case, forward: list[Any], grads: list[Any]) -> None:
        """Compute everything at once, and where that fails, the forward pass first, to tell which of both failed."""
        try:
            guarded(lambda: _compute([*forward, *grads]), case, self.name, IN_BACKWARD)
        except CallError:
            guarded(lambda: _compute(forward), case, self.name)
            raise


def _compute(wanted: list[Any]) -> None:
    """Compute tensors; a constant has no device and needs none."""
    placed = [one for one in wanted if one.device is not None]
    if placed:
        Tensor.realize(*placed)


def _tensors(case: Case) -> Tensors:
    values = (case.x, case.weight, case.bias, case.running_mean, case.running_var)
    found = {role: arrays.given(one, case.format.name) for role, one in zip((*LEAVES, *STATE), values, strict=True)}
    return {role: one for role, one in found.items() if one is not None}


def _gradients(case: Case, given: Tensors, y: Any) -> Tensors:
    """The gradients of input, weight and bias by role."""
    roles = [role for role in LEAVES if role in given]
    dy = arrays.tensor(case.x * 0.0 if case.dy is None else case.dy, case.format.name)
    grads = y.cast(dy.dtype).gradient(*(given[role] for role in roles), gradient=dy)
    return dict(zip(roles, grads, strict=True))


output_of = Returned(lambda value: isinstance(value, Tensor), "a tensor of tinygrad").output


def of_function(
    function: Callable[..., Any], binding: Binding, normalizer: Normalizer, name: str, style: FunctionStyle
) -> TinygradCall:
    """A call of a function of tensors; it returns running statistics beside its output, or assigns to those given."""

    def run(case: Case, given: Tensors) -> tuple[Any, Tensors]:
        x = given["input"]
        if style.flat_weight and "weight" in given:
            given = given | {"weight": given["weight"].reshape(-1)}
        if style.always_state and case.running_mean is None:
            units = x.shape[min(1, x.ndim - 1)]
            start = {
                "running_mean": Tensor.zeros(units, dtype=x.dtype),
                "running_var": Tensor.ones(units, dtype=x.dtype),
            }
            given = given | start
        missing = {role: None for role in ("weight", "bias") if binding.required(role) and role not in given}
        args, kwargs = binding.arguments(role_values(case, style.shape_as) | given | missing)
        before = {role: given[role].uop for role in STATE if role in given}
        returned = function(*args, **kwargs)
        y = output_of(returned, x, name)
        if case.running_mean is None:
            return y, {}
        held = {role: given[role] for role in STATE if role in given}
        assigned = any(one.uop is not before[role] for role, one in held.items())
        if not case.training or assigned:
            return y, held
        return y, _statistics(returned, held, len(normalizer.kept), name)

    return TinygradCall(run, name)


def _statistics(returned: Any, held: Tensors, kept: int, name: str) -> Tensors:
    """Running statistics that were returned beside the output. Raises `CallError` where fewer were returned."""
    rest = returned[1:] if isinstance(returned, (tuple, list)) else ()
    several = [one for part in rest for one in (part if isinstance(part, (tuple, list)) else (part,))]
    units = next(iter(held.values())).numel()
    found = [one for one in several if isinstance(one, Tensor) and one.numel() == units]
    if len(found) < kept:
        reason = "assigns no running statistics, and returns none beside its output"
        raise CallError(f"{name} {reason}, as in y, (mean, var)", reason)
    return dict(zip(held, found, strict=False))
