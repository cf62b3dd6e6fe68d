"""Faults only where the contract demands more than a right result: its bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import FLOAT32
from normcheck.core.uses import PLAIN, WITHIN
from normcheck.normalizers.case import Case
from normcheck.normalizers.composition import COMPOSITION, composed
from normcheck.normalizers.faults.base import NONE, Fault, FaultQuestion, subject
from normcheck.normalizers.faults.structure import weighted_activations
from normcheck.normalizers.faults.sums import summing
from normcheck.normalizers.reference.cast_order import AFTER, BEFORE
from normcheck.normalizers.subject import Answer, Call

LAST_BIT = 2.0**-23
"""One unit in the last place of float32, relatively."""

MANY = 256
"""Sets from which on a kernel takes blocks of another size."""

_BACKWARDS = replace(NONE, steps=summing(lambda terms, k: terms[:, ::-1].cumsum(axis=1)[:, -1:]))
"""A right implementation that adds up the members from the last to the first."""


def _on_threads(answer: Answer, question: FaultQuestion) -> Answer:
    """The answer of another order where more than one thread has work."""
    case = question.case
    if case.use != WITHIN[1] or len(case.x) < MANY:
        return answer
    other = subject(question.normalizer, _BACKWARDS, question.contract)
    return other.call(case.but(use=PLAIN), case.dy is not None)


def _in_any_order(call: Call) -> Call:
    """The weight's gradient for many cases, off by a few units in the last place in float32, by others at each call."""
    rng = np.random.default_rng(17)

    def unordered(case: Case, gradient: bool) -> Answer:
        answer = call(case, gradient)
        if answer.dweight is None or len(case.x) < MANY or case.format is not FLOAT32:
            return answer
        step = LAST_BIT * rng.integers(0, 8, answer.dweight.shape)
        return replace(answer, dweight=case.format.round(answer.dweight * (1.0 + step)))

    return unordered


FAULTS = (
    Fault(
        name="cast-after-weight",
        story="Multiplies by the weight in float32 and then rounds, where the weight multiplies what is rounded. Hides "
        "in float32, and behind every tolerance of half precision.",
        source="huggingface/transformers#29402",
        concerns=weighted_activations,
        under=Contract(cast=BEFORE),
        contract=lambda c: replace(c, cast=AFTER),
    ),
    Fault(
        name="cast-before-weight",
        story="Rounds to half precision and then multiplies by the weight, where the product is rounded once. Hides in "
        "float32, and behind every tolerance of half precision.",
        source="huggingface/transformers#29402",
        concerns=weighted_activations,
        under=Contract(cast=AFTER),
        contract=lambda c: replace(c, cast=BEFORE),
    ),
    Fault(
        name="other-bits",
        story="Rounds in other places than the composition of basic operators does, as a fused kernel: each output is "
        "right, and some differ in the last bit. Hides behind every tolerance.",
        source="constructed",
        concerns=composed,
        under=Contract(exact_to=COMPOSITION),
        steps=lambda steps: replace(steps, normalize=lambda c, s, k: c * (s.dtype.type(1) / s)),
    ),
    Fault(
        name="order-changes-with-rows",
        story="From 256 sets on another kernel adds the members in another order: each output is right, and some "
        "differ in the last bit from those of a smaller batch. Hides behind every tolerance.",
        source="vllm-project/vllm#48391",
        concerns=lambda normalizer: normalizer.independent and normalizer.scaled,
        under=Contract(batch_invariant="yes"),
        steps=summing(lambda terms, k: (terms[:, ::-1] if len(terms) >= MANY else terms).cumsum(axis=1)[:, -1:]),
    ),
    Fault(
        name="order-changes-with-threads",
        story="Each thread adds up a part of the members, so another number of threads is another order: each output "
        "is right, and some differ in the last bit. Hides behind every tolerance, and where one thread is used.",
        source="pytorch/pytorch#88718",
        concerns=lambda normalizer: normalizer.independent and normalizer.scaled,
        under=Contract(batch_invariant="yes"),
        after=_on_threads,
    ),
    Fault(
        name="order-changes-with-runs",
        story="Many cases are added to the weight's gradient in the order in which they are ready, as by atomic "
        "additions: from run to run the last bits differ. Hides behind every tolerance, and in small batches.",
        source="linkedin/Liger-Kernel#945",
        concerns=lambda normalizer: normalizer.independent and normalizer.weight,
        where="backward",
        under=Contract(batch_invariant="yes"),
        around=_in_any_order,
    ),
)
