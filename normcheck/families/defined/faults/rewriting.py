"""A forward with one kind of step written otherwise: what it has computed so far, and what a step gives instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any

import numpy as np

from normcheck.core.floats import FLOAT64, Format
from normcheck.families.defined.case import DefinedAnswer, DefinedCase
from normcheck.families.defined.entry import DefinedNormalizer, Forward
from normcheck.families.defined.faults.base import Answering
from normcheck.families.defined.reference import answered, traced
from normcheck.families.defined.tracing.arithmetic import arithmetic_of
from normcheck.families.defined.tracing.traced import Traced, applied, average, total

MEAN = "mean"
"""The function of a step that takes a mean, among functions of numpy."""


class MarkedEps(float):
    """The eps of a forward, which a rewritten step tells from other numbers."""


@dataclass(slots=True)
class Computation:
    """A forward as it is computed: of each result so far, the function and its arguments."""

    entry: DefinedNormalizer
    format: Format
    x: Traced | None = None
    running: bool = False  # the forward is, and not its reverse pass
    made: dict[int, tuple[Traced, Any, tuple[Any, ...]]] = field(default_factory=dict)

    def note(self, result: Traced, function: Any, inputs: tuple[Any, ...]) -> Traced:
        """Keep how a result was made; it is held, so that its identity stays its own."""
        self.made[id(result)] = (result, function, inputs)
        return result

    def arguments(self, a: Any, function: Any) -> tuple[Any, ...] | None:
        """The arguments of the function that made a value; None if another one did."""
        found = self.made.get(id(a))
        return found[2] if found is not None and found[1] is function else None

    def squared(self, a: Any) -> Any | None:
        """What was squared for a value; None for a value that is no square."""
        for function, is_square in SQUARES.items():
            inputs = self.arguments(a, function)
            if inputs is not None and is_square(*inputs):
                return inputs[0]
        return None

    def depends_on_x(self, a: Traced) -> bool:
        """Whether a gradient passes from a value to the input of the forward."""
        stack, seen = [a], set()
        while stack:
            node = stack.pop()
            if node is self.x:
                return True
            if id(node) not in seen:
                seen.add(id(node))
                stack += [parent for parent, _ in node.parents]
        return False


SQUARES: dict[Any, Callable[..., bool]] = {
    np.square: lambda a: True,
    np.multiply: lambda a, b: a is b,
    np.power: lambda a, b: not isinstance(b, Traced) and bool(np.all(np.asarray(b) == 2)),
}
"""Functions that make a square, and whether they do with their arguments."""

Step = Callable[[Computation, Any, tuple[Any, ...]], Any]
"""What a step gives instead, from its function and arguments; None: what it gives."""


def rewritten(step: Step) -> Answering:
    """The answer of an entry's forward in which a step gives something else.

    A step is an elementwise function with its arguments, or `MEAN` or `np.add.reduce` with an array and axes.
    """

    def answer(entry: DefinedNormalizer, case: DefinedCase) -> DefinedAnswer:
        seen = Computation(entry, case.format.wide)

        def taken(function: Any, inputs: tuple[Any, ...], plain: Callable[..., Traced]) -> Traced:
            found = step(seen, function, inputs) if seen.running else None
            return seen.note(plain(*inputs) if found is None else found, function, inputs)

        def around(forward: Forward) -> Forward:
            @wraps(forward)
            def running(x: Traced, *args: Any, **kwargs: Any) -> Any:
                seen.x, seen.running = x, True
                try:
                    return forward(x, *args, **kwargs)
                finally:
                    seen.running = False

            return running

        by = replace(
            arithmetic_of(FLOAT64),
            reduce=lambda a, axis: taken(np.add.reduce, (a, axis), total),
            mean=lambda a, axis: taken(MEAN, (a, axis), average),
            elementwise=lambda ufunc, inputs: taken(ufunc, inputs, lambda *given: applied(ufunc, given)),
        )
        eps = {"eps": MarkedEps(case.constants["eps"])} if "eps" in case.constants else {}
        marked = case.but(constants={**case.constants, **eps})
        return answered(traced(entry, entry.forward, marked, by, graded=case.graded, around=around), case)

    return answer
