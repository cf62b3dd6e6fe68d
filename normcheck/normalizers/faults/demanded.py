"""Faults only where the contract demands more than a right result: its bits."""

from __future__ import annotations

from dataclasses import replace

from normcheck.core.contract import Contract
from normcheck.normalizers.composition import COMPOSITION, composed
from normcheck.normalizers.faults.base import Fault
from normcheck.normalizers.faults.structure import weighted_activations
from normcheck.normalizers.faults.sums import summing
from normcheck.normalizers.reference.cast_order import AFTER, BEFORE

MANY = 256
"""Sets from which on a kernel takes blocks of another size."""

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
)
