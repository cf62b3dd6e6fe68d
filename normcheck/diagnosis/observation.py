"""One array or word of an answer beside the right one, and whether a prediction of the answer reproduces it.

A prediction agrees with an observation if it reproduces it within the bound of the right answer, enlarged as the
square of what the fault enlarges: a scale that is too small by r makes both an array and its conditioning r times
larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers.reference.oracle import Truth

ARRAYS = ("y", "dx", "dweight", "dbias", "running_mean", "running_var", "jv", "ddx")
"""The arrays of an answer."""

FORMAT, CHANGED = "format", "changed"
"""The words of an answer: the format of the output, and what the call changed that is not its own."""

INFORMATIVE = 0.02
"""A prediction must be as near as this share of the largest error, however much its bound was enlarged."""

SLIGHT = 0.05
"""Rounding noise that is smaller than this, relatively, may be missing in a sum."""

ALIKE = 24.0
"""Errors that are rounding noise are alike if their sizes differ by no more than this factor."""

COMMON = 0.5
"""The share of the sets where an answer or a prediction is wrong in which both must be, to be of one place."""

Kind = tuple[str, str]
"""Which array or word of an answer, and the way of calling."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One array or word of one answer: as observed, as it should be, and the difference that rounding allows.

    allowed and counted have the shape of an array, or shape (): the bound of each entry, and whether it is compared.
    jump: how much further a prediction may be off, where an entry lies at a jump of what a fault computes.
    """

    name: str
    truth: Truth
    observed: Any
    expected: Any
    allowed: Array
    counted: Array
    wrong: bool
    jump: Array | float = 0.0

    @property
    def kind(self) -> Kind:
        """Name and way of calling: observations of one kind show the same faults."""
        case = self.truth.case
        laid = ", ".join(f"{role} {name}" for role, name in case.layouts.items() if name != "contiguous")
        way = case.use if case.use != PLAIN else laid
        return self.name, way or ("watched" if case.watched else PLAIN if case.training else "evaluation")

    @cached_property
    def sizes(self) -> Array:
        """The sizes of what is expected (`_sizes`)."""
        return _sizes(self.truth, self.expected)

    @cached_property
    def most(self) -> Array:
        """The largest bound of a prediction."""
        with np.errstate(all="ignore"):
            off = np.abs(self.observed - self.expected)
            most = INFORMATIVE * np.where(np.isfinite(off), off, 0.0).max(initial=0.0)
        out: Array = np.maximum(self.allowed, most)
        return out


def near(one: Array, other: Array, limit: Array, counted: Array) -> bool:
    """Whether two arrays are within a limit wherever it counts; NaN and infinity are near to each other."""
    with np.errstate(all="ignore"):
        off = np.abs(one - other)
        good = off <= limit
        if not math.isfinite(np.add.reduce(off, axis=None)):
            finite, others = np.isfinite(one), np.isfinite(other)
            good = np.where(finite & others, good, finite == others)
    # counted in C: a diagnosis compares some thousand small arrays
    return int(np.count_nonzero(good)) == good.size or bool((good | ~counted).all())


def agrees(observation: Observation, prediction: Any) -> bool:
    """Whether a prediction reproduces what was observed."""
    if observation.name == FORMAT:
        return bool(prediction == observation.observed)
    if observation.name == CHANGED:
        predicted, observed = _heads(prediction), _heads(observation.observed)
        return bool(predicted) == bool(observed) and predicted <= observed
    if prediction is None or prediction.shape != observation.observed.shape:
        return False
    if prediction.shape != observation.expected.shape:
        return True
    if near(observation.observed, prediction, observation.allowed + observation.jump, observation.counted):
        return True
    return observation.wrong and near(
        observation.observed, prediction, _enlarged(observation, prediction), observation.counted
    )


def deviates(observation: Observation, prediction: Any) -> bool:
    """Whether a prediction differs from the right answer by more than rounding may."""
    if observation.name in (FORMAT, CHANGED):
        return bool(prediction != observation.expected)
    if prediction is None or prediction.shape != observation.expected.shape:
        return True
    return not near(prediction, observation.expected, observation.allowed, observation.counted)


def wrong_sets(observation: Observation, values: Array) -> Array:
    """In which sets values are off by more than rounding may, as booleans, (sets,)."""
    expected = observation.expected
    with np.errstate(all="ignore"):
        good = (np.abs(values - expected) <= observation.allowed) | (values == expected) | ~observation.counted
    part = observation.truth.partition
    return np.asarray(part.gather(np.broadcast_to(~good, values.shape)).any(axis=1))


def same_sets(observation: Observation, prediction: Array) -> bool:
    """Whether a prediction is wrong in about the sets where the observation is, if its array has sets at all."""
    shape = observation.truth.case.x.shape
    if not prediction.shape == observation.observed.shape == shape:
        return True
    one, other = wrong_sets(observation, observation.observed), wrong_sets(observation, prediction)
    return bool(np.count_nonzero(one & other) >= COMMON * np.count_nonzero(one | other))


def excused(observation: Observation, prediction: Any) -> bool:
    """Whether rounding noise that a fault predicts in a sum may be missing: the implementation may sum elsewhere."""
    if observation.name not in ("dweight", "dbias", "running_mean", "running_var") or observation.wrong:
        return False
    if prediction is None or prediction.shape != observation.expected.shape:
        return False
    expected, counted = observation.expected, observation.counted
    return _spread(prediction - expected, counted) <= SLIGHT * _spread(expected, counted)


def unlike(observation: Observation, prediction: Any, moved: Array | None, moved_truth: Array | None) -> float | None:
    """By how many powers of two two errors that are noise differ in size; None where they are not alike.

    moved: the prediction for a slightly moved input, moved_truth: the right answer to it. An error that jumps as the
    input moves by one rounding is noise, which no other code reproduces; what can be compared is where and how large
    it is.
    """
    if observation.name in (FORMAT, CHANGED) or prediction is None or moved is None or moved_truth is None:
        return None
    observed, expected, counted = observation.observed, observation.expected, observation.counted
    if prediction.shape != expected.shape or observed.shape != expected.shape:
        return None
    with np.errstate(all="ignore"):
        ours, theirs = prediction - expected, observed - expected
        jump = (moved - moved_truth) - ours
        lost = [bool((~np.isfinite(a) & np.isfinite(expected) & counted).any()) for a in (ours + jump, theirs)]
        if lost[0] != lost[1] or not (observation.wrong and deviates(observation, prediction)):
            return None
        sizes = [_spread(a, counted) for a in (jump, ours, theirs)]
    if sizes[0] < 0.1 * sizes[1]:  # a systematic error with noise on it
        limit = _enlarged(observation, prediction) + 16.0 * sizes[0]
        return 0.0 if near(observed, prediction, limit, counted) else None
    if min(sizes[1:]) == 0.0:
        return 0.0 if lost[0] else None
    ratio = sizes[2] / sizes[1]
    return abs(float(np.log2(ratio))) if 1.0 / ALIKE <= ratio <= ALIKE else None


def _heads(changed: Sequence[str]) -> set[str]:
    """What changed, without what follows a colon, which is particular to the code."""
    return {one.partition(":")[0] for one in changed}


def _enlarged(observation: Observation, prediction: Array) -> Array:
    """The bound of the right answer as the fault enlarges it, never so far that anything would agree."""
    with np.errstate(all="ignore"):
        grown = _sizes(observation.truth, prediction) / observation.sizes
        grown = np.where(np.isfinite(grown), np.maximum(grown, 1.0), 1.0)
        limit = observation.allowed * np.square(grown)
    whole = np.abs(prediction[np.isfinite(prediction)]).max(initial=0.0)
    u = observation.truth.case.format.u
    limit = limit + 64.0 * u * whole  # another conditioning may take its scale from any entry
    out: Array = np.minimum(limit, observation.most)
    return out


def _sizes(truth: Truth, array: Array) -> Array:
    """The largest size in each set, at every entry; of a parameter's gradient, the largest of all."""
    size = np.where(np.isfinite(array), np.abs(array), 0.0)
    if array.shape != truth.case.x.shape or not array.size:
        return np.full(array.shape, size.max() if size.size else 0.0)
    out: Array = truth.partition.per_set(truth.partition.gather(size).max(axis=1))
    return out


def _spread(error: Array, counted: Array) -> float:
    """The root mean square of the entries that count and are finite."""
    used = error[counted & np.isfinite(error)]
    return float(np.sqrt(np.square(used).mean())) if used.size else 0.0
