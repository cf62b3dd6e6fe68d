"""Faults of any normalizer whose forward has a step that people write otherwise: eps, roots, squares, sums, means."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.families.defined.entry import DefinedNormalizer
from normcheck.families.defined.faults.base import BACKWARD, OUTPUT, DefinedFault
from normcheck.families.defined.faults.rewriting import MEAN, Computation, MarkedEps, Step, rewritten
from normcheck.families.defined.space import DefinedDraw, defined_case
from normcheck.families.defined.tracing.gradients import constant
from normcheck.families.defined.tracing.traced import Traced, applied, average, total

REDUCTIONS: dict[Any, Callable[[Traced, Any], Traced]] = {MEAN: average, np.add.reduce: total}


def _beside_eps(function: Any, inputs: tuple[Any, ...], wanted: Any) -> tuple[Any, Any] | None:
    """The other argument of a function of two of which one is eps, and eps."""
    if function is not wanted or not any(isinstance(a, MarkedEps) for a in inputs):
        return None
    first, second = inputs
    return (first, second) if isinstance(second, MarkedEps) else (second, first)


def _eps_outside(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """sqrt(v) + eps for sqrt(v + eps)."""
    under = seen.arguments(inputs[0], np.add) if function is np.sqrt else None
    found = None if under is None else _beside_eps(np.add, under, np.add)
    return None if found is None else np.sqrt(found[0]) + found[1]


def _eps_inside(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """sqrt(v + eps) for sqrt(v) + eps and for max(sqrt(v), eps)."""
    found = _beside_eps(function, inputs, np.add) or _beside_eps(function, inputs, np.maximum)
    under = None if found is None else seen.arguments(found[0], np.sqrt)
    return None if found is None or under is None else np.sqrt(under[0] + float(found[1]))


def _eps_as_floor(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """max(v, eps) for v + eps."""
    found = _beside_eps(function, inputs, np.add)
    return None if found is None else np.maximum(found[0], float(found[1]))


def _eps_added(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """v + eps for max(v, eps)."""
    found = _beside_eps(function, inputs, np.maximum)
    return None if found is None else found[0] + float(found[1])


def _not_rooted(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    return inputs[0] * 1.0 if function is np.sqrt else None


def _smaller(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """The smaller of two arrays for the larger one."""
    of_two = function is np.maximum and all(isinstance(a, Traced) for a in inputs)
    return applied(np.minimum, inputs) if of_two else None


def _unbiased(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """Sums of squares or sizes that are divided by n - 1 for a mean; other means are right."""
    if function is not MEAN or not _of_sizes(seen, inputs[0]):
        return None
    found = average(*inputs)
    n = inputs[0].size / max(found.size, 1)
    return found * (n / max(n - 1.0, 1.0))


def _rounded(seen: Computation, a: Any) -> Traced:
    """A traced value in the format in which the forward computes."""
    return Traced(seen.format.round(a.value), a.off, a.by, [(a, lambda g: g)] if a.live else [])


def _one_pass(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """mean(x^2) - mean(x)^2 for the mean of (x - mean(x))^2."""
    c = seen.squared(inputs[0]) if function is MEAN else None
    parts = None if c is None else seen.arguments(c, np.subtract)
    taken = None if parts is None else seen.arguments(parts[1], MEAN)
    if parts is None or taken is None or taken[0] is not parts[0]:
        return None
    squares = _rounded(seen, average(_rounded(seen, np.square(parts[0])), inputs[1]))
    return _rounded(seen, squares - _rounded(seen, np.square(_rounded(seen, average(parts[0], inputs[1])))))


def _mean_kept(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    """x for x - mean(x)."""
    taken = seen.arguments(inputs[1], MEAN) if function is np.subtract else None
    return inputs[0] * 1.0 if taken is not None and taken[0] is inputs[0] else None


def _divisor_detached(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
    return applied(np.divide, (inputs[0], constant(inputs[1]))) if function is np.divide else None


def _detached(of: Callable[[Computation, Traced], bool]) -> Step:
    """Some sums and means are constants for the gradient. of: whether those of an array are."""

    def step(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
        wanted = function in REDUCTIONS and of(seen, inputs[0])
        return constant(REDUCTIONS[function](*inputs)) if wanted else None

    return step


def _of_sizes(seen: Computation, a: Traced) -> bool:
    """Whether an array holds squares, or sizes, of which a scale is made."""
    return seen.squared(a) is not None or seen.arguments(a, np.absolute) is not None


def _over(other: Callable[[DefinedNormalizer, frozenset[int], int], frozenset[int]]) -> Step:
    """Sums and means of arrays of the input's shape go over other axes, from the entry, its axes and the rank."""

    def step(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
        if function not in REDUCTIONS or seen.x is None or inputs[0].shape != seen.x.shape:
            return None
        a, given = inputs
        axes = range(a.ndim) if given is None else given if isinstance(given, tuple) else (given,)
        due = frozenset(int(axis) % a.ndim for axis in axes)
        taken = other(seen.entry, due, a.ndim)
        if taken == due:
            return None
        found = REDUCTIONS[function](a, tuple(sorted(taken)))
        return found + _zeros(a.shape, due)

    return step


def _zeros(shape: tuple[int, ...], axes: frozenset[int]) -> Array:
    """Zeros in the shape that sums over axes have."""
    return np.zeros([1 if i in axes else n for i, n in enumerate(shape)])


CASES = frozenset({0})


def _has_cases(entry: DefinedNormalizer) -> bool:
    """Whether the first axis is that of cases, and not of the units of a weight."""
    return entry.layout != "rows"


def _positions(entry: DefinedNormalizer, axes: frozenset[int], rank: int) -> frozenset[int]:
    """The axes of positions; those that are right where there are none."""
    some = {"channels": range(2, rank), "trailing": range(1, rank - 1), "rows": range(2, rank)}.get(entry.layout, ())
    return frozenset(some) or axes


@lru_cache(maxsize=128)
def _taken(entry: DefinedNormalizer) -> frozenset[str]:
    """The names of the faults whose step is in a forward: a fault whose step is not has the right answer."""
    found: set[str] = set()

    def watch(seen: Computation, function: Any, inputs: tuple[Any, ...]) -> Any:
        seen.running = False  # what a step computes for itself is none of the forward
        found.update(name for name, step in _STEPS.items() if step(seen, function, inputs) is not None)
        seen.running = True

    rewritten(watch)(entry, defined_case(entry, DefinedDraw(rank=max(entry.served))))
    return frozenset(found)


_STEPS: dict[str, Step] = {}


def _fault(words: str, story: str, step: Step, *, damages: str = OUTPUT, noisy: bool = False) -> DefinedFault:
    name = f"defined-{words}"
    _STEPS[name] = step
    return DefinedFault(name=name, story=story, damages=damages, concerns=lambda entry: name in _taken(entry),
                        answer=rewritten(step), noisy=noisy)  # fmt: skip


ALL = (
    _fault("eps-outside-root", "Adds eps to a root, where it belongs under it.", _eps_outside),
    _fault("eps-inside-root", "Adds eps under a root, where it belongs behind it.", _eps_inside),
    _fault("eps-as-floor", "Takes the larger of a number and eps for their sum.", _eps_as_floor),
    _fault("eps-added", "Adds eps to a number of which it is the smallest value.", _eps_added),
    _fault("variance-unbiased", "Divides sums of n squares or sizes by n - 1, as x.var() does in torch.",
           _unbiased),
    _fault("one-pass-variance", "Computes a variance as E[x^2] - E[x]^2. Hides where the mean is near 0.", _one_pass,
           noisy=True),
    _fault("root-missing", "Takes a number for its root.", _not_rooted),
    _fault("mean-kept", "Subtracts no mean where its input's own mean is subtracted.", _mean_kept),
    _fault("smaller-for-larger", "Takes the smaller of two arrays for the larger one.", _smaller),
    _fault("mean-detached", "Takes means that are subtracted as constants in the backward, and differentiates those of "
           "squares and sizes.", _detached(lambda seen, a: not _of_sizes(seen, a)), damages=BACKWARD),
    _fault("scale-detached", "Takes means and sums of squares and sizes as constants in the backward.",
           _detached(_of_sizes), damages=BACKWARD),
    _fault("divisor-detached", "Takes what it divides by as a constant in the backward.", _divisor_detached,
           damages=BACKWARD),
    _fault("input-statistics-detached", "Takes sums and means of its input as constants in the backward; those of "
           "other arguments are differentiated.", _detached(Computation.depends_on_x), damages=BACKWARD),
    _fault("other-statistics-detached", "Takes sums and means of arguments other than its input as constants in the "
           "backward.", _detached(lambda seen, a: not seen.depends_on_x(a)), damages=BACKWARD),
    _fault("statistics-over-cases", "Takes statistics over cases too.",
           _over(lambda entry, axes, rank: axes | CASES if _has_cases(entry) else axes)),
    _fault("statistics-of-each-case", "Takes statistics of each case, where cases share them.",
           _over(lambda entry, axes, rank: axes - CASES if _has_cases(entry) and axes != CASES else axes)),
    _fault("statistics-over-positions", "Takes statistics over the positions alone.", _over(_positions)),
    _fault("statistics-along-axis-1", "Takes statistics along axis 1, whichever axis is meant.",
           _over(lambda entry, axes, rank: frozenset({1}))),
)  # fmt: skip
"""Faults of steps. Which of them a forward can have is found by their answers."""
