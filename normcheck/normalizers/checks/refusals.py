"""What torch's functions refuse: channels that the groups do not divide, parameters of another length, single values.

Code that accepts such a call is right if the result is that of a right call that may be meant. That is a warning then,
or a note where one entry of a parameter stands for all, as in every expression of arrays, and where a single value is
normalized to the bias, as the formula has it; what that does to running statistics is asked elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.contract import CHOICES
from normcheck.core.errors import CallError
from normcheck.core.floats import FLOAT32, FLOAT64, Array
from normcheck.core.result import CheckWarning, Comparison
from normcheck.normalizers.bounds.contracted import forward_bound
from normcheck.normalizers.case import Case
from normcheck.normalizers.checks.within_bounds import truth_of
from normcheck.normalizers.normalizer import Normalizer
from normcheck.normalizers.sampling import wrong_sizes
from normcheck.normalizers.sampling.recipes import small
from normcheck.normalizers.sampling.space import NormalizerSpace
from normcheck.normalizers.sampling.wrong_sizes import WrongSizes
from normcheck.normalizers.subject import Subject

WRONG_SIZES = "wrong-sizes"
"""The key of the contract, and the name of the warning."""

LAW = "sizes that do not fit are refused, or taken in a plain meaning"

WRONG = "{}: refused, or taken in a plain meaning"
"""The law of one call."""

SINGLE = "one value for each channel in training"
"""What torch's functions refuse because a single value is its own mean; it is compared elsewhere, as a set of one."""

REMEDY = "raise a ValueError"

SIDES = 2.0
"""Both outputs that are compared with each other may be as far from the truth as their bound allows."""


def refusals(subject: Subject, case: Case) -> Comparison:
    """Each call with sizes that do not fit raises, or returns what the implementation returns for a right call."""
    accepted: list[str] = []
    broadcast: list[str] = []
    asked = 0
    for wrong in _wrong(subject, case):
        asked += 1
        y = _output(subject, wrong.case)
        if y is None:
            continue
        if not _meant(subject, wrong, y):
            detail = f"it takes {wrong.words}, and returns what no right call returns: {REMEDY}"
            return Comparison(WRONG.format(wrong.words), asked, math.inf, math.inf, 0.0, detail=detail)
        (broadcast if wrong.broadcast else accepted).append(wrong.words)
    notes = {WRONG_SIZES: f"{'; '.join(broadcast)}: taken for all, where torch's functions raise"} if broadcast else {}
    if _has_own_sets(subject):
        asked += 1
        if 1 not in subject.domain.refused:
            notes[SINGLE] = "accepted, where torch's functions raise"
            broadcast.append(SINGLE)
    if subject.contract.wrong_sizes == "refused":
        accepted += broadcast
    if not accepted:
        return Comparison(LAW, asked, 0.0, notes=notes)
    text = f"accepted, where torch's functions raise: {'; '.join(accepted)}: {REMEDY}"
    if subject.contract.wrong_sizes == "refused":
        return Comparison(LAW, asked, math.inf, math.inf, 0.0, detail=text)
    return Comparison(LAW, asked, 0.0, notes=notes, warnings=(CheckWarning(WRONG_SIZES, text, f"{WRONG_SIZES}=any"),))


def _wrong(subject: Subject, case: Case) -> Iterator[WrongSizes]:
    """The calls that an implementation can be asked, whose parameters are arguments and whose sizes are free."""
    normalizer, case = subject.normalizer, case.but(dy=None)
    if subject.domain.own_parameters:
        for role in ("weight", "bias"):
            if getattr(case, role) is not None:
                yield from wrong_sizes.of_parameters(case, role, inside=bool(subject.domain.layouts))
    if _divides_channels(normalizer):
        yield from wrong_sizes.of_groups(normalizer, case, subject.domain.ranks)


def _divides_channels(normalizer: Normalizer) -> bool:
    return normalizer.sets.layout == "channels" and "unit" in normalizer.sets.members


def _has_own_sets(subject: Subject) -> bool:
    """Whether each channel has a set of its own in training, so that torch's functions raise on one of one value."""
    normalizer = subject.normalizer
    own = normalizer.sets.layout == "channels" and "unit" not in normalizer.sets.members
    return own and normalizer.scaled and subject.domain.training


def _output(subject: Subject, case: Case) -> Array | None:
    """The output of a call; None if the implementation raises."""
    try:
        return subject.call(case, False).y
    except CallError:
        return None


def _meant(subject: Subject, wrong: WrongSizes, y: Array) -> bool:
    """Whether an output is that of one right call, or each of its channels lies in a slice that is."""
    if any(_same(subject, case, y) for case in wrong.meant):
        return True
    reached = {0}
    for (start, end), case in wrong.slices:  # in order of their starts
        if start in reached and _same(subject, case, y[:, start:end]):
            reached.add(end)
    return bool(wrong.slices) and wrong.case.x.shape[1] in reached


def _same(subject: Subject, case: Case, y: Array) -> bool:
    """Whether an output is that of a right call. What is wrong with the implementation itself is found elsewhere."""
    own = _output(subject, case)
    if own is None or own.size != y.size:
        return False
    allowed = np.broadcast_to(SIDES * forward_bound(subject, truth_of(subject, case)), own.shape)
    return differ(LAW, y.reshape(own.shape), own, allowed).holds


def _takes_sizes(subject: Subject) -> str:
    if subject.contract.wrong_sizes == "any":
        return f"{WRONG_SIZES}=any is declared"
    if subject.contract.form != CHOICES["form"][0]:
        return "its form decides which sizes fit"
    if subject.domain.compiles_per_shape:
        return "each shape would be compiled"
    if subject.domain.sizes is not None:
        return "its sizes are fixed"
    calls = subject.domain.own_parameters or _divides_channels(subject.normalizer) or _has_own_sets(subject)
    return "" if calls else "its parameters are its own"


def _sized(normalizer: Normalizer) -> bool:
    return normalizer.acts_on == "activation" and (normalizer.weight or normalizer.bias)


CHECKS = (
    Check("wrong-sizes", LAW, "ml-explore/mlx#2870", refusals,
          NormalizerSpace(small, formats=(FLOAT32, FLOAT64), widths=(6,), sets=(4,), affine=("both", "weight", "none"),
                          offsets=False, once=True, given_shapes=False),
          concerns=_sized, lacks=_takes_sizes, least="default", cost=10.0),
)  # fmt: skip
