"""What a fault of a divided normalizer is, and the entries that it can befall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.faults.run import SharedSteps

SLIP = "construction: a slip that a collective call invites"
BACKWARD = "gradients alone: every output is right"
STATE = "running statistics, and evaluation with them"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynchronizedFault:
    """One known way to be wrong: other steps."""

    name: str
    story: str
    steps: SharedSteps
    source: str = SLIP
    damages: str = "the output, and the gradients through it"
    concerns: Callable[[Synchronized], bool] = bool  # by default every entry


def shares(entry: Synchronized) -> bool:
    """Entries whose processes share statistics."""
    return entry.divides_sets


def centers(entry: Synchronized) -> bool:
    """Entries whose processes share a mean."""
    return entry.divides_sets and entry.normalizer.centered


def keeps(entry: Synchronized) -> bool:
    """Entries that keep running statistics."""
    return entry.state


def replicates(entry: Synchronized) -> bool:
    """Entries whose parameters are on every process."""
    return not entry.divides_parameters


def local_parameters(entry: Synchronized) -> bool:
    """Entries whose parameter gradients are local, of parameters that are on every process."""
    return replicates(entry) and not entry.reduces_parameters


def reduces(entry: Synchronized) -> bool:
    """Entries that sum the gradients of parameters over processes."""
    return entry.reduces_parameters
