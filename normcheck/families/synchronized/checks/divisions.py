"""How the input is divided must not matter: other divisions, empty shards, groups, large counts, other cases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import FORMATS
from normcheck.core.result import WITNESS, Comparison, worst
from normcheck.core.spec import OF_BATCH
from normcheck.families.synchronized import bounds
from normcheck.families.synchronized.case import RanksCase
from normcheck.families.synchronized.checks import values
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.space import SynchronizedSpace, many_case
from normcheck.families.synchronized.subject import Answers, SynchronizedSubject


def _all(subject: SynchronizedSubject, case: RanksCase, got: Answers, what: str, *, gradient: bool) -> Comparison:
    """Output, and gradients of input and parameters if they were requested, and running statistics."""
    found: list[Comparison] = []
    for off in bounds.of_groups(subject, case):
        found += values.outputs(off, got, f"y, {what}")
        if gradient:
            found += values.input_gradients(off, got, f"dx, {what}")
            found += values.parameter_gradients(off, got, subject.entry)
        if subject.entry.state and subject.domain.running:
            found += values.running(off, got, f"is moved once, {what}")
    return worst(*found)


def ask_division(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """The same joined input, divided in another way, has the same output."""
    other = replace(case, sizes=case.sizes[::-1])
    one, two = (subject.call(each, False) for each in (case, other))
    (off,) = bounds.of_groups(subject, case)
    law = "y does not depend on how the input is divided"
    first, second = (np.concatenate([answer.y for answer in each], case.axis) for each in (one, two))
    return differ(law, second, first, bounds.two(off.y, off.y), off.seen())


def ask_empty(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """A process without cases takes part in every collective call, adds nothing, and leaves no NaN elsewhere."""
    gradient = subject.domain.gradient
    try:
        got = subject.call(case, gradient)
    except CallError as error:
        law = "a process may have an empty shard"
        return Comparison(law, 0, 0.0, refused={"an empty shard": error.reason})
    return _all(subject, case, got, "with an empty shard", gradient=gradient)


def ask_groups(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """Processes of one group share statistics and gradients; those of another group have no part in them."""
    gradient = subject.domain.gradient
    return _all(subject, case, subject.call(case, gradient), "within its process group", gradient=gradient)


def ask_many(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """More members than the format can count: counts are kept in a wider one."""
    got = subject.call(case, False)
    found: list[Comparison] = []
    for off in bounds.of_groups(subject, case):
        limit, seen = off.summed_wide()
        found += values.outputs(off, got, "y, of more members than the format counts", limit, seen)
    return worst(*found)


def ask_other_cases(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """Whether the output of the first case moves with the cases of other processes: where cases share statistics.

    Where an axis other than that of cases is divided, every process has all cases, and the others are changed.
    """
    first = case.sizes[0] if case.axis == 0 else 1
    x = case.joined.x.copy()
    x[first:] = case.joined.format.round(3.0 * x[first:][::-1] - 1.0)
    moved, seen = case.but(x=x), slice(0, 1)
    (off,), (other,) = bounds.of_groups(subject, case), bounds.of_groups(subject, moved)
    mask = (off.seen() & other.seen())[seen]
    allowed, predicted = bounds.two(off.y, other.y)[seen], (other.truth.y - off.truth.y)[seen]
    law, is_no = "y of a case is the same among other cases", not subject.entry.extended[OF_BATCH]
    if is_no and not np.any(mask & (np.abs(predicted) > bounds.SHOWN * allowed)):
        return Comparison(law, 0, 0.0, seeks=True)
    before, after = (_first(case, subject.call(each, False)) for each in (case, moved))
    found = differ(law, after, before, allowed, mask)
    found = replace(found, metrics={f"extended/{OF_BATCH}": found.bound_ratio})
    if not is_no:
        return found
    return replace(found, law=f"not invariant: {law} has a witness of {WITNESS:g} bounds", seeks=True)


def _first(case: RanksCase, got: Answers) -> np.ndarray:
    """The output of the first case, of the shape of a part of the joined output."""
    return got[0].y[:1] if case.axis == 0 else np.concatenate([answer.y[:1] for answer in got], case.axis)


def needs_groups(subject: SynchronizedSubject) -> str:
    """Why groups cannot be checked; empty if they can."""
    return "" if subject.domain.groups else subject.domain.absent.get("process groups", "")


def _counts(entry: Synchronized) -> bool:
    """Entries whose sets may have so many members that a narrow format cannot count them."""
    return entry.state


NARROW = tuple(name for name, format in FORMATS.items() if format.narrow)

OTHER_CASES = Check(
    "sync-other-cases", "y of a case is the same among other cases", "Ba, Kiros, Hinton 2016, section 3",
    ask_other_cases, SynchronizedSpace(affine=(False,), eps=(2.0**-10,)), cost=2.0,
)  # fmt: skip

CHECKS = (
    Check(
        "sync-division", "y does not depend on how the input is divided", "a law of the joined input", ask_division,
        SynchronizedSpace(shards=("unequal", "single")),
    ),
    Check(
        "sync-empty-shard", "an empty shard adds nothing", "pytorch/pytorch#74944", ask_empty,
        SynchronizedSpace(shards=("empty", "empty-first")), cost=2.0,
    ),
    Check(
        "sync-groups", "groups of processes are independent", "torch.distributed.new_group", ask_groups,
        SynchronizedSpace(groups=("apart",), shards=("unequal", "equal")), lacks=needs_groups, cost=2.0,
    ),
    Check(
        "sync-many", "counts are not rounded to the format", "pytorch/pytorch#70901, pytorch/pytorch#98332", ask_many,
        SynchronizedSpace(many_case, format=NARROW, shards=("many",), axes=(3,), units=(1,), data=("plain",)),
        concerns=_counts, cost=4.0,
    ),
    OTHER_CASES,
)  # fmt: skip
