"""The outputs of two faults at once on one question: the same in every diagnosis, and compared all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.kept import keeping
from normcheck.diagnosis.experiments import Question, answered
from normcheck.diagnosis.observation import ALIKE, Observation
from normcheck.normalizers import faults
from normcheck.normalizers.case import Case
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.faults.base import NONE
from normcheck.normalizers.normalizer import Normalizer

QUESTIONS = 8
"""Questions of which the outputs are kept."""


@dataclass(frozen=True, eq=False)
class PairOutputs:
    """Outputs of faults, and of two at once, on a question; None where a fault has no meaning."""

    normalizer: Normalizer
    contract: Contract
    case: Case
    one: dict[int, tuple[Fault, Array | None, bool]] = field(default_factory=dict)  # and whether it is the right one
    two: dict[tuple[int, int], Array | None] = field(default_factory=dict)  # by id: to hash a fault takes long

    def near(self, observation: Observation, pairs: Sequence[tuple[Fault, Fault]], noisy: Sequence[bool]) -> list[bool]:
        """Which pairs come so near to what was observed that they may reproduce it (`observation.agrees`).

        noisy: whether the errors of a pair are rounding noise, of which only the size can be alike (`unlike`).
        """
        observed, expected = observation.observed, observation.expected
        outputs = [self._of(*pair) for pair in pairs]
        found = np.array([output is not None and output.shape == observed.shape for output in outputs], dtype=bool)
        if not found.any() or observed.shape != expected.shape:  # of another shape no number is compared
            return list(map(bool, found))
        some = np.array([output for output, alike in zip(outputs, found, strict=True) if alike])
        with np.errstate(all="ignore"):
            within = np.abs(some - observed) <= observation.most + observation.jump
            within |= ~np.isfinite(some) & ~np.isfinite(observed)
            close = (within | ~observation.counted).reshape(len(some), -1).all(axis=1)
            ratio = _spread(some - expected) / _spread((observed - expected)[None])
        noise = np.array(noisy, dtype=bool)[found] & ~((ratio < 1.0 / ALIKE) | (ratio > ALIKE))  # NaN may be noise
        found[found] = close | noise
        return list(map(bool, found))

    def _of(self, first: Fault, second: Fault) -> Array | None:
        """The output of two faults. What leaves the right output as it is adds nothing to the other."""
        pair = id(first), id(second)
        if pair not in self.two:
            (_, one, nothing), (_, other, neither) = self._single(first), self._single(second)
            self.two[pair] = other if nothing else one if neither else self._output(faults.compose(first, second))
        return self.two[pair]

    def _single(self, fault: Fault) -> tuple[Fault, Array | None, bool]:
        if id(fault) not in self.one:
            right = self._output(NONE) if fault is NONE else self._single(NONE)[1]
            output = right if fault is NONE else self._output(fault)
            same = output is not None and right is not None and np.array_equal(output, right, equal_nan=True)
            self.one[id(fault)] = fault, output, same
        return self.one[id(fault)]

    def _output(self, fault: Fault) -> Array | None:
        found = answered(faults.subject(self.normalizer, fault, self.contract).call, Question(self.case, False))
        return None if found is None else found.y


@partial(keeping, results=QUESTIONS)
def pair_outputs(normalizer: Normalizer, contract: Contract, case: Case) -> PairOutputs:
    """The outputs on one question, which are computed as they are needed."""
    return PairOutputs(normalizer, contract, case)


def _spread(errors: Array) -> Array:
    """The root mean square of each array of errors; NaN where one is not finite."""
    out: Array = np.sqrt(np.square(errors).reshape(len(errors), -1).mean(axis=1))
    return out
