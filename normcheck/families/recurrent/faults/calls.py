"""Faults of a net that is called several times: what it keeps from one call and should not, or should and does not."""

from __future__ import annotations

from normcheck.families.recurrent.case import RecurrentAnswer, RecurrentCase
from normcheck.families.recurrent.faults.base import CALLS, STATISTICS, RecurrentFault, always, batch


def _goes_on(case: RecurrentCase, before: RecurrentCase, answer: RecurrentAnswer) -> RecurrentCase:
    """Without a first state the last one of the call before is taken."""
    return case if case.h is not None else case.but(h=answer.last["h"], c=answer.last.get("c"))


def _same_address(case: RecurrentCase, before: RecurrentCase, answer: RecurrentAnswer) -> RecurrentCase:
    """The input lies where that of the call before lay, so what was computed from that is used again."""
    return case.but(x=before.x)


def _no_weight(case: RecurrentCase, before: RecurrentCase, answer: RecurrentAnswer) -> RecurrentCase:
    """Running statistics stay as the first batch left them."""
    return case.but(momentum=0.0)


ALL = (
    RecurrentFault(
        name="state-kept-over-calls",
        story="Without a first state, a series starts from the last state of the call before.",
        source="keras-team/keras, stateful=True: the last state of a batch is the first of the next",
        damages=CALLS,
        concerns=always,
        later=_goes_on,
    ),
    RecurrentFault(
        name="sent-kept-by-address",
        story="What the input sends is kept, and used again for another input in the same memory.",
        source="construction: a cache with data_ptr() as its key",
        damages=CALLS,
        concerns=always,
        later=_same_address,
    ),
    RecurrentFault(
        name="step-statistics-of-the-first-batch",
        story="Running statistics move at the first call in training, and at no later one.",
        source="construction: a flag that statistics are initialized, which ends their average",
        damages=STATISTICS,
        concerns=batch,
        later=_no_weight,
    ),
    RecurrentFault(
        name="step-momentum-not-passed-on",
        story="The norms have a momentum of 0.1, whatever is given to the net.",
        source="torch.nn.BatchNorm1d, momentum",
        damages=STATISTICS,
        concerns=batch,
        before=lambda case, entry: case.but(momentum=0.1),
    ),
)
