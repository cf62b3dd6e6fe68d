"""What a fault of a layer in refreshed coordinates is.

Where the source is a construction, no code was found with it: the fault is a slip that the formula invites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from normcheck.families.reparametrized.entry import Reparametrized
from normcheck.families.reparametrized.faults.run import AffineSteps, PerceptronSteps, Surroundings

SLIP = "construction: a slip that the formula invites"
STALE = "construction: a refresh that forgets what hangs on the statistics"
FUNCTION = "the function, at a refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReparametrizedFault:
    """One known way to be wrong: other steps of an affine layer, or of a hidden layer of tanh, or around either."""

    name: str
    story: str
    source: str = SLIP
    damages: str = "the step"
    concerns: Callable[[Reparametrized], bool]
    affine: AffineSteps = field(default_factory=AffineSteps)
    perceptron: PerceptronSteps = field(default_factory=PerceptronSteps)
    around: Surroundings = field(default_factory=Surroundings)
