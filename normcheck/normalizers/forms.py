"""Forms: what code adds around a normalizer, the ways in which code of a form is called, and values that are exact.

A form is reduced to the plain normalizer by inputs that change no bit: with x = input + residual where the sum is
exact, a normalizer that adds its residual must return what the plain one returns for x. So every law, bound and fault
of the plain normalizer holds in every form, and a form adds the laws of what else it returns, in further ways to call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normcheck.core.floats import FLOAT16, FLOAT64, Array, Format
from normcheck.normalizers import activations, quantization, rotary
from normcheck.normalizers.normalizer import Normalizer

PLAIN = "plain"
"""No form, in a contract; and the call that must return what the plain normalizer returns."""

ADD, GATE, GATE_FIRST, MASK, LENGTHS = "add", "gate", "gate-first", "mask", "lengths"
MODULATED, CHANNELS_LAST, GROUPED, QK = "modulated", "channels-last", "groups", "qk"
BRANCH_BIAS, DROPOUT, PACKED = "branch-bias", "dropout", "packed"
ROTARY, INTERLEAVED = "rotary", "rotary-interleaved"
"""The names of forms in a contract."""

OTHER, BY_RESIDUAL, OF_BOTH = "new residual", "by the residual", "both outputs"
"""The new residual in place of the output; x varies the residual; the sum of both outputs, where x does."""

BY_GATE, BY_GATE_FIRST, BY_PADDING = "by the gate", "by the gate before", "by the padding"
"""x varies the gate after the normalizer, or the one before; x varies what padding holds."""

BESIDE_PADDING = "beside a case of padding"
"""x is followed by a case of nothing but padding, which is added to the output of the others times 0."""

BY_KEY = "by the keys"
"""x is the keys, and the output their norm."""

BY_BRANCH_BIAS, WITH_BRANCH_BIAS = "by the branch bias", "new residual, by the branch bias"
"""x varies a bias of the input, which is the same in all cases; and the new residual that has it in place of the
output."""

BESIDE_EMPTY = "beside an empty sequence"
"""One of the sequences in which x is packed has no tokens."""

USES = {
    ADD: (OTHER, BY_RESIDUAL, OF_BOTH),
    GATE: (BY_GATE,),
    GATE_FIRST: (BY_GATE_FIRST,),
    MASK: (BY_PADDING, BESIDE_PADDING),
    LENGTHS: (BY_PADDING, BESIDE_PADDING),
    MODULATED: (),
    CHANNELS_LAST: (),
    GROUPED: (),
    QK: (BY_KEY,),
    BRANCH_BIAS: (BY_BRANCH_BIAS, WITH_BRANCH_BIAS),
    DROPOUT: (),
    PACKED: (BESIDE_EMPTY,),
    **{form: (use, rotary.ROTATED_KEYS[form]) for form, use in rotary.ROTATED.items()},
    **{form: (use,) for form, use in (activations.AFTER | quantization.SCALES).items()},
}
"""The further ways to call code of each form, as a case names them in `use`."""

SUMS = (OTHER, WITH_BRANCH_BIAS)
"""The ways that return a new residual, which is rounded once."""

BESIDE = {WITH_BRANCH_BIAS: OTHER, **dict.fromkeys(rotary.ROTATED_KEYS.values(), BY_KEY)}
"""The way in which another form is called at the same time; where that form is not declared there is no such way."""

ALONE = "returns its output alone, without the new residual"
"""Why the new residual is not checked of code that adds and returns one output."""

ONE_AXIS = (BRANCH_BIAS, PACKED, ROTARY, INTERLEAVED)
"""The forms of code that normalizes the last axis alone, not several axes."""

INEXACT = {GATE_FIRST: {FLOAT16.name: "there x / 32, which the open gate multiplies by 32, is rounded"}}
"""The formats in which the plain call of a form is not exact, with the reason."""

SHARES = (0.5, 0.0, 1.0)
"""The part of each entry of x that is its residual, in turn: it and the rest add up to x exactly."""

OTHER_RESIDUAL = 0.75
"""x times this, rounded, is the residual whose sum with x must be rounded once."""

AFTERWARDS = -3.0
"""What a caller puts into the memory of the input after the call: the new residual must not lie there."""

OTHER_QUERY = 0.75
"""Queries or keys that are not checked are x times this."""

BIASED = (1.0, 0.0)
"""The part of each unit of the first case that is its bias, in turn: the input has the rest, so that sums are exact."""

OPEN = {FLOAT64.name: 64.0}
"""A gate g so large that sigmoid(g) rounds to 1, so that silu(g) = g; a power of two scales without rounding."""

GATES = (0.5, -1.25, 2.0, -0.375, 3.0)
"""Gate values at which silu and its derivative differ from those of other gates."""

COMPANIONS = (1.0, -0.5, 0.25, -1.5, 0.75)
"""What the entries of companions are, cases beside those of x: numbers of which no format overflows."""

PADDING = (3.0, -40.0, 500.0, -7.0)
"""What padding holds."""


@dataclass(frozen=True, slots=True)
class Gate:
    """silu(g) and its derivative at a gate."""

    value: Array
    slope: Array


def gates(shape: tuple[int, ...]) -> Gate:
    """The gate of `BY_GATE` for an input of this shape."""
    silu, gate = activations.ACTIVATIONS["silu"], in_turn(GATES, shape)
    return Gate(silu.value(gate), silu.slope(gate))


def open_gate(format: str) -> float:
    """The gate that scales by itself in a format: in float32 and narrower ones, computed in float32, 32 is enough."""
    return OPEN.get(format, 32.0)


def ways(form: str) -> tuple[str, ...]:
    """The further ways to call code of a form, named as in the contract: names of forms joined by "+"."""
    each = tuple(use for one in form.split("+") for use in USES.get(one, ()))
    return tuple(use for use in each if BESIDE.get(use, use) in each)


def related(one: str, form: str) -> bool:
    """Whether a fault of code of one form can be in code of another, both named as in the contract."""
    groups = (
        {MASK, LENGTHS},
        {GATE, GATE_FIRST},
        {ROTARY, INTERLEAVED},
        set(activations.AFTER),
        set(quantization.QUANTIZED),
    )
    here = set(form.split("+"))
    alike = [group for group in groups if here & group]
    return all(name == PLAIN or name in here.union(*alike) for name in one.split("+"))


def inexact(form: str) -> dict[str, str]:
    """The formats in which code of a form, named as in the contract, is not checked, with the reason."""
    return {format: reason for one in form.split("+") for format, reason in INEXACT.get(one, {}).items()}


def refusal(form: str, normalizer: Normalizer) -> str:
    """Why a form, named as in the contract, does not exist for a normalizer; empty if it does."""
    names, sets = form.split("+"), normalizer.sets
    after = [one for one in names if one in activations.ACTIVATIONS]
    refused = {
        f"what surrounds the normalizer of a weight is not checked: declare it without form={form}": (
            normalizer.acts_on == "weight"
        ),
        "its units are the last axis already; where they are axis 1, that is found, or declared by axis=1": (
            CHANNELS_LAST in names and sets.layout != "channels"
        ),
        "a weight for each case is checked where a case has statistics of its own and treats all units alike": (
            MODULATED in names and not normalizer.treats_units_alike
        ),
        f"{''.join(after[:1])} is checked of code that adds nothing else to the normalizer": (
            bool(after) and any(USES[one] for one in names if one not in after[:1])
        ),
        "groups are those of a normalizer over the last axis": (GROUPED in names and not per_case(normalizer)),
        "pairs are those of a normalizer of each token, over the last axis": (
            any(one in rotary.ROTATED for one in names) and not per_case(normalizer)
        ),
        "pairs are neighbors or not": all(one in names for one in rotary.ROTATED),
        "a bias of the branch is one for each entry of the last axis": (
            BRANCH_BIAS in names and not per_case(normalizer)
        ),
        "an output has one format": sum(one in quantization.QUANTIZED for one in names) > 1,
    }
    return next((reason for reason, holds in refused.items() if holds), "")


def per_case(normalizer: Normalizer) -> bool:
    """Whether each case is normalized by itself, over the last axis."""
    return normalizer.sets.layout == "trailing" and normalizer.independent


def first_case(values: Array) -> Array:
    """The values of the first case, in the place of every case; the last axis is that of units."""
    return np.broadcast_to(values[(slice(0, 1),) * (values.ndim - 1)], values.shape)


def biased(shape: tuple[int, ...]) -> Array:
    """The part of the first case that is the branch bias, for an input of this shape."""
    return np.broadcast_to(in_turn(BIASED, shape[-1:]), shape)


def in_turn(values: tuple[float, ...], shape: tuple[int, ...]) -> Array:
    """The values in turn, over all entries of an array."""
    return np.resize(np.asarray(values), shape)


def moved_units(shape: tuple[int, ...], units: int, step: int) -> list[Array]:
    """The places from which an array of this shape is indexed so that the units of each case move on.

    By `step` times the number of the case: the form modulated gives each case its own order. units: their axis.
    """
    places = list(np.indices(shape))
    places[units] = (places[units] + step * places[0]) % max(shape[units], 1)
    return places


def other_residual(x: Array, format: Format) -> Array:
    """The residual of the way `OTHER`."""
    return format.round(OTHER_RESIDUAL * x)
