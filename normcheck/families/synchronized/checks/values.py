"""Each process against the reference: output, gradients, running statistics, evaluation. The worst rank is reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from normcheck.core.check import Check
from normcheck.core.compare import differ
from normcheck.core.errors import CallError
from normcheck.core.floats import Array
from normcheck.core.result import CheckWarning, Comparison, worst
from normcheck.families.synchronized import bounds
from normcheck.families.synchronized.bounds import GroupBounds
from normcheck.families.synchronized.case import PLACEMENTS, RanksCase
from normcheck.families.synchronized.entry import Synchronized
from normcheck.families.synchronized.space import SynchronizedSpace
from normcheck.families.synchronized.subject import Answers, SynchronizedSubject
from normcheck.normalizers.bounds.exactness import rounded_once

JOINED = "Ioffe, Szegedy 2015, Algorithm 1, on the joined batch; torch.nn.SyncBatchNorm"
UNEQUAL = "shards of unequal sizes: pytorch/pytorch#22192, pytorch/pytorch#36382"

STATISTICS = ("running_mean", "running_var")

RAISED = "raised "
"""How the reason of a `CallError` begins where the code has raised; others are of what it has returned."""


def given(array: Array | None, like: Array) -> Array:
    """An array of an answer; NaN of the shape of another one where there is none."""
    return np.full(like.shape, np.nan) if array is None else array


def at(rank: int, found: Comparison, of: str = "") -> Comparison:
    """A comparison with the rank that it is of."""
    return replace(found, detail=f"rank {rank}{of}")


def outputs(
    off: GroupBounds, got: Answers, law: str, limit: Array | None = None, seen: Array | None = None
) -> Iterator[Comparison]:
    """The output of each rank of a group against its part of the joined output; limit, seen: others than usual."""
    limit, seen = off.y if limit is None else limit, off.seen() if seen is None else seen
    return _parts(off, law, off.truth.y, {rank: got[rank].y for rank in off.group}, limit, seen)


def _parts(
    off: GroupBounds, law: str, joined: Array | None, got: Mapping[int, Array | None], limit: Array, seen: Array
) -> Iterator[Comparison]:
    """What each rank has against its part of the joined array; what one rounding of that may cost carries nothing."""
    assert joined is not None, "a case of several processes has a cotangent"
    once = rounded_once(off.truth.case, joined)
    for rank, span in zip(off.group, off.case.spans(off.group), strict=True):
        expected, allowed, mask, rounding = (off.case.part(one, span) for one in (joined, limit, seen, once))
        assert expected is not None
        assert allowed is not None
        assert rounding is not None
        yield at(rank, differ(law, given(got[rank], expected), expected, allowed, mask, rounding=rounding))


def input_gradients(off: GroupBounds, got: Answers, law: str) -> Iterator[Comparison]:
    """The gradient of each rank's input against its part of that of the joined input."""
    return _parts(off, law, off.truth.dx, {rank: got[rank].dx for rank in off.group}, off.dx, off.seen(backward=True))


def parameter_gradients(off: GroupBounds, got: Answers, entry: Synchronized) -> Iterator[Comparison]:
    """Gradients of weight and bias: divided, the joined one on every rank, or local ones that are summed here."""
    truth = off.truth
    for name, expected, bias in (("dweight", truth.dweight, False), ("dbias", truth.dbias, True)):
        if expected is None:
            continue
        limit, mask = off.parameter(bias=bias), np.ones(expected.shape, bool) if bias else off.parameter_seen()
        values, law = {rank: getattr(got[rank], name) for rank in off.group}, f"{name} is that of the joined input"
        if entry.divides_parameters:
            yield from _parts(off, law, expected, values, limit, mask)
        elif entry.reduces_parameters:
            for rank, value in values.items():
                yield at(rank, differ(law, given(value, expected), expected, limit, mask))
        else:
            total = sum((given(value, expected) for value in values.values()), np.zeros(()))
            yield differ(f"the sum of {name} over the ranks is that of the joined input", total, expected, limit, mask)


def running(off: GroupBounds, got: Answers, law: str) -> Iterator[Comparison]:
    """Running statistics of each rank against those that the joined batch gives."""
    for rank in off.group:
        for name in STATISTICS:
            expected, limit = getattr(off.truth, name), off.running(variance=name == STATISTICS[1])
            yield at(rank, differ(f"{name} {law}", given(getattr(got[rank], name), expected), expected, limit))


def called(subject: SynchronizedSubject, case: RanksCase, *, gradient: bool) -> Answers | Comparison:
    """The answers to a case; a warning where code raises in a placement that is not the plain one of its kind.

    What is returned there must be right: a DTensor says how it is placed.
    """
    try:
        return subject.call(case, gradient)
    except CallError as error:
        if not case.use or not error.reason.startswith(RAISED):
            raise
        text = f"{error.reason} where its input is {case.placement}: functions of torch take a DTensor in any placement"
        warning = CheckWarning("placement-refused", text)
        return Comparison("a DTensor may have any placement", 0, 0.0, refused={case.placement: error.reason},
                          warnings=(warning,))  # fmt: skip


def ask_output(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """The output of each process is its part of the output of one process on the joined input."""
    got = called(subject, case, gradient=False)
    if isinstance(got, Comparison):
        return got
    found = worst(*(one for off in bounds.of_groups(subject, case)
                    for one in outputs(off, got, "y is a part of the joined y")))  # fmt: skip
    return replace(found, warnings=_elsewhere(got))


def _elsewhere(got: Answers) -> tuple[CheckWarning, ...]:
    """What is said of an output in another placement than its input's; it is compared in the placement of the input."""
    places = dict.fromkeys(answer.placement for answer in got if answer.placement)
    text = (
        f"returns a DTensor in {' and '.join(places)}, which its input is not: redistribute it to the input's placement"
    )
    return (CheckWarning("placement", text),) if places else ()


def ask_input_gradient(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """The gradient of each process's input is its part of the gradient of the joined input."""
    got = called(subject, case, gradient=True)
    if isinstance(got, Comparison):
        return got
    return worst(*(one for off in bounds.of_groups(subject, case)
                   for one in input_gradients(off, got, "dx is a part of the joined dx")))  # fmt: skip


def ask_parameter_gradients(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """Gradients of weight and bias belong to the joined input, by the convention of the kind."""
    got = called(subject, case, gradient=True)
    if isinstance(got, Comparison):
        return got
    return worst(*(one for off in bounds.of_groups(subject, case)
                   for one in parameter_gradients(off, got, subject.entry)))  # fmt: skip


def ask_running(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """Every process has the running statistics that the joined batch gives, moved once."""
    got = subject.call(case, False)
    return worst(*(one for off in bounds.of_groups(subject, case)
                   for one in running(off, got, "is moved once, by the joined batch")))  # fmt: skip


def ask_agreement(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """After a batch the processes of a group have the same running statistics, whatever these are."""
    got, found = subject.call(case, False), []
    for off in bounds.of_groups(subject, case):
        for name in STATISTICS:
            limit = off.running(variance=name == STATISTICS[1])
            first = given(getattr(got[off.group[0]], name), limit)
            for rank in off.group:
                value, law = given(getattr(got[rank], name), limit), f"all ranks have the same {name}"
                found.append(at(rank, differ(law, value, first, bounds.two(limit, limit)), f", {name}"))
    return worst(*found)


def ask_evaluation(subject: SynchronizedSubject, case: RanksCase) -> Comparison:
    """In evaluation each process normalizes its own input by the running statistics, and leaves these as they are."""
    got = subject.call(case, subject.domain.gradient)
    found: list[Comparison] = []
    for off in bounds.of_groups(subject, case):
        found += outputs(off, got, "y in evaluation, by the running statistics")
        if subject.domain.gradient:
            found += input_gradients(off, got, "dx in evaluation, with constant statistics")
    for rank, one in enumerate(got):
        for name in STATISTICS:
            before = getattr(case.joined, name)
            law = f"evaluation leaves {name} as it is"
            found.append(at(rank, differ(law, given(getattr(one, name), before), before, np.zeros(()))))
    return worst(*found)


def needs_gradient(subject: SynchronizedSubject) -> str:
    """Why gradients cannot be checked; empty if they can."""
    return "" if subject.domain.gradient else f"no gradient: {subject.domain.absent.get('gradient', '')}"


def needs_parameters(subject: SynchronizedSubject) -> str:
    """Why gradients of parameters cannot be checked; empty if they can."""
    return needs_gradient(subject) or ("" if subject.domain.affine else "takes no parameters")


def needs_running(subject: SynchronizedSubject) -> str:
    """Why running statistics cannot be checked; empty if they can."""
    return "" if subject.domain.running else subject.domain.absent.get("running statistics", "")


def needs_evaluation(subject: SynchronizedSubject) -> str:
    """Why evaluation cannot be checked; empty if it can."""
    return "" if subject.domain.evaluation else subject.domain.absent.get("evaluation", "")


def keeps(entry: Synchronized) -> bool:
    """Entries that keep running statistics."""
    return entry.state


_SPACE = SynchronizedSpace(placement=PLACEMENTS)

CHECKS = (
    Check("sync-output", "y is a part of the joined y", JOINED, ask_output, _SPACE),
    Check(
        "sync-input-gradient", "dx is a part of the joined dx", f"{JOINED}; {UNEQUAL}", ask_input_gradient, _SPACE,
        lacks=needs_gradient,
    ),
    Check(
        "sync-parameter-gradients",
        "gradients of weight and bias are those of the joined input",
        "sony/nnabla#1120; NVIDIA/Megatron-LM#1446",
        ask_parameter_gradients,
        SynchronizedSpace(affine=(True,), placement=PLACEMENTS),
        lacks=needs_parameters,
    ),
    Check(
        "sync-running", "running statistics are moved once, by the joined batch", UNEQUAL, ask_running,
        SynchronizedSpace(affine=(False,)), concerns=keeps, lacks=needs_running,
    ),
    Check(
        "sync-agreement", "all ranks have the same running statistics", "torch.nn.SyncBatchNorm", ask_agreement,
        SynchronizedSpace(affine=(False,)), concerns=keeps, lacks=needs_running,
    ),
    Check(
        "sync-evaluation", "evaluation is by running statistics", JOINED, ask_evaluation,
        SynchronizedSpace(training=(False,)), concerns=keeps, lacks=needs_evaluation,
    ),
)  # fmt: skip
