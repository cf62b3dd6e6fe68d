"""A layer below the wrappers of torch, and the state that is saved there: FSDP2, DistributedDataParallel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.result import CheckWarning, Comparison, worst
from normcheck.families.synchronized import bounds
from normcheck.families.synchronized.bounds import GroupBounds
from normcheck.families.synchronized.case import RanksCase
from normcheck.families.synchronized.checks import values
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.reference import continued
from normcheck.families.synchronized.space import WrappedSpace
from normcheck.families.synchronized.subject import Answers, SynchronizedSubject

BELOW = "below a wrapper, a layer computes what it computes alone"
SAVED = "the full state that is saved below a wrapper makes the same layer without one"


def _raises(law: str, case: RanksCase, error: CallError) -> Comparison:
    """A layer that raises where those of torch do not: a warning, because what it returns elsewhere is right."""
    text = f"{error.reason}: layers of torch run below it (parameters and buffers must be registered, made in __init__)"
    return Comparison(law, 0, 0.0, refused={case.wrapper: error.reason}, warnings=(CheckWarning("not-wrapped", text),))


def ask_wrapped(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """Output, gradients and running statistics are those of the layer alone, whatever these are.

    Wrappers average the gradients of parameters, so that these are equal on all ranks: their sum over the ranks is that
    of the gradients without a wrapper.
    """
    gradient, alone = subject.domain.gradient, replace(case, wrapper="")
    one = subject.call(alone, gradient)
    try:
        other = subject.call(case, gradient)
    except CallError as error:
        return _raises(BELOW, case, error)
    (off,), (wider,) = bounds.of_groups(subject, alone), bounds.of_groups(subject, case)
    found = list(_same(off, one, other, gradient=gradient))
    if gradient:
        for name, bias in (("dweight", False), ("dbias", True)):
            first, second = (_summed(each, name) for each in (one, other))
            if first is None or (off.truth.dbias if bias else off.truth.dweight) is None:
                continue
            limit = bounds.two(off.parameter(bias=bias), wider.parameter(bias=bias))
            seen, law = (
                np.ones(limit.shape, bool) if bias else off.parameter_seen(),
                f"the sum of {name} over the ranks",
            )
            found.append(differ(f"{law} is the same below a wrapper", values.given(second, first), first, limit, seen))
    return worst(*found)


def _same(off: GroupBounds, one: Answers, other: Answers, *, gradient: bool) -> Iterator[Comparison]:
    """What a layer returns on each rank below a wrapper, beside what it returns alone."""
    part = off.case.part
    compared = [("y", off.y, off.seen())] + [("dx", off.dx, off.seen(backward=True))] * gradient
    for rank, span in zip(off.group, off.case.spans(off.group), strict=True):
        for name, limit, seen in compared:
            expected = getattr(one[rank], name)
            value, law = values.given(getattr(other[rank], name), expected), f"{name} is the same below a wrapper"
            allowed = part(bounds.two(limit, limit), span)
            assert allowed is not None
            yield values.at(rank, differ(law, value, expected, allowed, part(seen, span)))
        for name in values.STATISTICS if off.subject.entry.state and off.subject.domain.running else ():
            expected, limit = getattr(one[rank], name), off.running(variance=name == values.STATISTICS[1])
            value, law = values.given(getattr(other[rank], name), expected), f"{name} is the same below a wrapper"
            yield values.at(rank, differ(law, value, expected, bounds.two(limit, limit)))


def _summed(got: Answers, name: str) -> Array | None:
    """The sum over ranks of a gradient of a parameter; None where there is none."""
    some = [value for answer in got if (value := getattr(answer, name)) is not None]
    return sum(some, np.zeros(())) if some else None


def ask_saved(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """A layer is called below a wrapper and saved; a layer alone that has loaded its state goes on from there.

    What it returns is compared with a second call of one layer that was never wrapped.
    """
    kept = subject.entry.state and subject.domain.running
    alone = replace(case, wrapper="")
    last = alone.but(training=not (kept and subject.domain.evaluation))
    first, one = subject.successive([alone, last])
    try:
        _, other = subject.successive([case, last])
    except CallError as error:
        return _raises(SAVED, case, error)
    (off,) = bounds.of_groups(subject, continued(last, first) if kept else last)
    return worst(*_same(off, one, other, gradient=False))


def needs_wrappers(subject: SynchronizedSubject) -> str:
    """Why wrappers cannot be checked; empty if they can."""
    return "" if subject.domain.wrappers else subject.domain.no_wrapper


def replicates(entry: Synchronized) -> bool:
    """Entries whose parameters every process has: their wrappers are over the same processes."""
    return not entry.divides_parameters


CHECKS = (
    Check(
        "sync-wrapped", BELOW, "torch.distributed.fsdp.fully_shard; torch.nn.parallel.DistributedDataParallel",
        ask_wrapped, WrappedSpace(), concerns=replicates, lacks=needs_wrappers, cost=6.0, least="default",
    ),
    Check(
        "sync-saved", SAVED, "torch.distributed.checkpoint.state_dict.get_model_state_dict", ask_saved,
        WrappedSpace(shards=("unequal",), axes=(2,), units=(3,)), concerns=replicates, lacks=needs_wrappers, cost=6.0,
        least="default",
    ),
)  # fmt: skip
