"""What a fault of whitening is, and the ways in which one replaces a part of the reference.

Where the source is a construction, no code was found with it: the fault is a slip that the formula invites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from normcheck.core.floats import Array
from normcheck.families.whitening.case import WhiteningAnswer, WhiteningCase
from normcheck.families.whitening.entry import Whitening
from normcheck.families.whitening.reference import Root, Whitened, answer, whitened

SLIP = "construction: a slip that the formula invites"
BACKWARD = "gradients alone: every output is right"
STATE = "running statistics in training"
CALLS = "the calls after the first"

Answering = Callable[[Root, WhiteningCase], WhiteningAnswer]
"""From the matrix that whitens and a case to the answer."""

Later = Callable[[Root, WhiteningCase, Sequence[WhiteningCase]], tuple[Root, WhiteningCase]]
"""What a later call computes, from the matrix, its case, and the cases of the calls before it."""

Change = Callable[[WhiteningAnswer, WhiteningCase, Whitened], Array]
"""Another value of one array, from the right answer, the case and what is before weight and bias."""


def _as_first(root: Root, case: WhiteningCase, before: Sequence[WhiteningCase]) -> tuple[Root, WhiteningCase]:
    return root, case


def _loaded(case: WhiteningCase) -> WhiteningCase:
    return case


@dataclass(frozen=True, slots=True, kw_only=True)
class WhiteningFault:
    """One known way to be wrong: another matrix, another answer computed with it, or another one at a later call."""

    name: str
    story: str
    source: str = SLIP
    damages: str = "the output, and the gradients through it"
    concerns: Callable[[Whitening], bool] = bool  # by default every entry
    root: Callable[[Root], Root] = replace  # by default the same
    answer: Answering = answer
    later: Later = _as_first
    loaded: Callable[[WhiteningCase], WhiteningCase] = _loaded  # what a layer has that loaded a saved state


def with_root(*roots: Root) -> Callable[[Whitening], bool]:
    """Entries that whiten by one of these matrices."""
    return lambda entry: entry.root in roots


def seen_as(change: Callable[[WhiteningCase], WhiteningCase]) -> Answering:
    """The right answer to another case."""
    return lambda root, case: answer(root, change(case))


def other_gradient(change: Change) -> Answering:
    """The right answer with another gradient of the input, in training."""

    def answering(root: Root, case: WhiteningCase) -> WhiteningAnswer:
        kept = answer(root, case)
        return replace(kept, dx=change(kept, case, whitened(root, case))) if case.training else kept

    return answering


def other_running_cov(change: Change) -> Answering:
    """The right answer with another running covariance, in training."""

    def answering(root: Root, case: WhiteningCase) -> WhiteningAnswer:
        kept = answer(root, case)
        return replace(kept, running_cov=change(kept, case, whitened(root, case))) if case.training else kept

    return answering
