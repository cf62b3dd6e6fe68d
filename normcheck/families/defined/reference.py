"""What a forward computes on a case: output, gradients and state; and what is derived of it by measurement.

The gradient is that of the traced forward; `prove` compares it, and a closed form, with the complex step (Squire, Trapp
1998), or with central differences of order eight where the forward is not analytic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.kept import keeping
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer, Forward
from normcheck.families.defined.tracing.arithmetic import Arithmetic, arithmetic_of
from normcheck.families.defined.tracing.gradients import gradients
from normcheck.families.defined.tracing.traced import Traced

Values = Mapping[str, Any]
"""Arrays by name, "x" for the input."""


def named(entry: DefinedNormalizer, case: DefinedCase) -> dict[str, Array]:
    """The input and the parameters of a case by name, as the forward gets them."""
    rank = case.x.ndim
    shaped = {name: entry.spread(name, value, rank) for name, value in case.arrays.items()}
    return {"x": case.x, **shaped}


def called(entry: DefinedNormalizer, forward: Forward, values: Values, constants: Mapping[str, Any]) -> Any:
    """A forward of the arguments that an entry has."""
    return forward(values["x"], **{name: values[name] for name in entry.parameters}, **constants)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One traced call: output, gradients by name and state, with their values and errors in a format."""

    y: Traced
    gradients: Mapping[str, Traced]
    state: Mapping[str, Traced]


def _as_it_is(forward: Forward) -> Forward:
    return forward


def traced(
    entry: DefinedNormalizer,
    forward: Forward,
    case: DefinedCase,
    by: Arithmetic,
    *,
    graded: bool = True,
    around: Callable[[Forward], Forward] = _as_it_is,
) -> Run:
    """The call of a case with running errors; graded: with gradients of the input and every trained parameter.

    around: what is put around the forward and the update, and not around the reverse pass.
    """
    leaves = {name: Traced(v, np.zeros(v.shape), by, live=graded) for name, v in named(entry, case).items()}
    wanted = ("x", *entry.trained) if graded else ()
    with np.errstate(all="ignore"):
        y = called(entry, around(forward), leaves, case.constants)
        found = gradients(y, case.dy, [leaves[name] for name in wanted])
        state = {} if entry.update is None else called(entry, around(entry.update), leaves, case.constants)
    return Run(y, dict(zip(wanted, found, strict=True)), state)


def held(case: DefinedCase, name: str, value: Array) -> Array:
    """A value by name in the shape that implementations hold."""
    return value.reshape(case.x.shape if name == "x" else case.arrays[name].shape)


def answered(run: Run, case: DefinedCase, part: str = "value") -> DefinedAnswer:
    """The values of a traced call, in the shapes that implementations hold; part: "off" for their errors."""
    grads = {name: held(case, name, getattr(g, part)) for name, g in run.gradients.items()}
    state = {name: held(case, name, getattr(s, part)) for name, s in run.state.items()}
    return DefinedAnswer(getattr(run.y, part), grads, state)


@keeping
def with_errors(
    entry: DefinedNormalizer, case: DefinedCase, *, graded: bool = True
) -> tuple[DefinedAnswer, DefinedAnswer]:
    """The answer to a case in float64, and the running error of each array in the format of the case."""
    run = traced(entry, entry.forward, case, arithmetic_of(case.format), graded=graded)
    return answered(run, case), answered(run, case, "off")


def answer(entry: DefinedNormalizer, case: DefinedCase, *, graded: bool = True) -> DefinedAnswer:
    """The answer to a case in float64."""
    return with_errors(entry, case, graded=graded)[0]


def output(entry: DefinedNormalizer, case: DefinedCase) -> Array:
    """The output of a case, by numpy alone."""
    with np.errstate(all="ignore"):
        return np.asarray(called(entry, entry.forward, named(entry, case), case.constants))


def other_entry(case: DefinedCase, index: int) -> DefinedCase:
    """The case with another number in one entry of the input."""
    x = case.x.copy()
    at = index % x.size
    x.flat[at] = case.format.round(np.asarray(-2.0 * x.flat[at] - 1.0))
    return case.but(x=x)


def apart(entry: DefinedNormalizer, case: DefinedCase, index: int) -> Array:
    """The outputs that do not depend on one entry of the input: the dependency mask, as booleans."""
    return np.asarray(output(entry, other_entry(case, index)) == output(entry, case))


STEP = 1e-30
"""Step of the complex-step derivative, which is exact to rounding: nothing is subtracted."""

NEAR = 2.0**-12
"""Step of differences, beside the size of the argument."""

EIGHTH = (4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0)
"""Weights of the central difference of order eight (Fornberg 1988), for 1 to 4 steps."""


def complex_step(entry: DefinedNormalizer, case: DefinedCase, name: str) -> Array:
    """The gradient of <dy, y> by one argument, entry by entry, in the shape that implementations hold."""
    return _each(entry, case, name, lambda at: (at(1j * STEP) - 0.0).imag / STEP)


def differences(entry: DefinedNormalizer, case: DefinedCase, name: str, near: float = NEAR) -> Array:
    """The same by central differences of order eight, for forwards that are not analytic; near: their step."""
    value = case.x if name == "x" else case.arrays[name]
    step = near * float(np.abs(value).max())

    def slope(at: Any) -> float:
        pairs = (w * (at((i + 1) * step) - at(-(i + 1) * step)) for i, w in enumerate(EIGHTH))
        return float(sum(pairs)) / step

    return _each(entry, case, name, slope)


def _each(entry: DefinedNormalizer, case: DefinedCase, name: str, slope: Callable[[Any], float]) -> Array:
    values = named(entry, case)
    start = np.asarray(values[name])
    out = np.zeros(start.shape)
    for i in np.ndindex(start.shape):

        def at(move: complex, i: tuple[int, ...] = i) -> Any:
            moved = start.astype(np.result_type(start, type(move)))
            moved[i] += move
            with np.errstate(all="ignore"):
                return (case.dy * called(entry, entry.forward, {**values, name: moved}, case.constants)).sum()

        out[i] = slope(at)
    return held(case, name, out)


def closed_form(entry: DefinedNormalizer, case: DefinedCase) -> dict[str, Array]:
    """The gradients that the closed form of an entry gives, by name."""
    assert entry.backward is not None, "the entry has no closed form"
    values = named(entry, case)
    given = {name: values[name] for name in entry.parameters}
    with np.errstate(all="ignore"):
        found = entry.backward(case.x, case.dy, **given, **case.constants)
    return {name: held(case, name, np.asarray(value)) for name, value in found.items()}
