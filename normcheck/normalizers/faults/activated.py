"""Faults of the activation after a normalizer. Faults only where the contract declares one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from normcheck.core.contract import Contract
from normcheck.core.floats import Array
from normcheck.core.uses import PLAIN
from normcheck.normalizers.activations import ACTIVATED, ACTIVATIONS, AFTER, sigmoid
from normcheck.normalizers.faults.base import Fault, FaultQuestion
from normcheck.normalizers.faults.structure import divides_activations
from normcheck.normalizers.reference.oracle import evaluate
from normcheck.normalizers.subject import Answer

Function = Callable[[Array], Array]

_GELU, _TANH, _SILU = (ACTIVATIONS[name] for name in ("gelu", "gelu-tanh", "silu"))


def _instead(form: str, value: Function | None, slope: Function) -> Callable[[Answer, FaultQuestion], Answer]:
    """Another function after the normalizer, with what passes for its derivative. value: None leaves the output right.

    The plain call is the difference of two calls of opposite inputs (`frameworks.forms.activation`).
    """

    def after(answer: Answer, question: FaultQuestion) -> Answer:
        case = question.case
        if case.use in ACTIVATED and case.use != AFTER[form]:
            return answer
        plain = evaluate(question.normalizer, case.but(use=PLAIN, dy=None), question.contract).y
        twice = case.use != AFTER[form]
        factor = slope(plain) + (slope(-plain) if twice else 0.0)
        y = answer.y if value is None else value(plain) - (value(-plain) if twice else 0.0)
        dy = None if case.dy is None else case.dy * factor
        pulled = evaluate(question.normalizer, case.but(use=PLAIN, dy=dy), question.contract)
        found: dict[str, Any] = {"y": y, "dx": pulled.dx, "dweight": pulled.dweight, "dbias": pulled.dbias}
        found["jv"] = None if answer.jv is None else answer.jv * factor
        return replace(answer, **{name: one for name, one in found.items() if getattr(answer, name) is not None})

    return after


def _hard(y: Array) -> Array:
    return y * np.clip(y + 3.0, 0.0, 6.0) / 6.0


def _hard_slope(y: Array) -> Array:
    return np.where(np.abs(y) < 3.0, (2.0 * y + 3.0) / 6.0, (y > 0.0).astype(float))


def _ones(y: Array) -> Array:
    return np.ones(y.shape)


LEAK = 0.01
"""The slope of a leaky ReLU on the negative side, in every framework."""


def _gate_slope(y: Array) -> Array:
    """The derivative of silu without that of its sigmoid."""
    return sigmoid(y)


FAULTS = (
    Fault(
        name="activation-missing",
        story="Normalizes, and forgets the activation: another normalizer was put in the place of the one with it. "
        "Hides where the next layer is checked for shapes alone.",
        source="huggingface/pytorch-image-models#1254",
        concerns=divides_activations,
        under=Contract(form="relu"),
        after=_instead("relu", lambda y: y, _ones),
    ),
    Fault(
        name="relu-leaks",
        story="Passes a hundredth of what is negative, as a leaky ReLU does, where ReLU is promised.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="relu"),
        after=_instead("relu", lambda y: np.where(y > 0.0, y, LEAK * y), lambda y: np.where(y > 0.0, 1.0, LEAK)),
    ),
    Fault(
        name="relu-passes-every-gradient",
        story="The backward forgets that ReLU returns zero for what is negative: the cotangent passes everywhere. "
        "Hides in the output.",
        source="constructed",
        concerns=divides_activations,
        where="backward",
        under=Contract(form="relu"),
        after=_instead("relu", None, _ones),
    ),
    Fault(
        name="gelu-by-tanh",
        story="Approximates GELU by tanh where its formula with the error function is promised. Hides behind a "
        "tolerance of a thousandth, and in half precision.",
        source="EricLBuehler/mistral.rs#1867",
        concerns=divides_activations,
        under=Contract(form="gelu"),
        after=_instead("gelu", _TANH.value, _TANH.slope),
    ),
    Fault(
        name="gelu-by-erf",
        story="Computes GELU by the error function where its approximation by tanh is promised, as for weights that "
        "were trained with that. Hides behind a tolerance of a thousandth, and in half precision.",
        source="EricLBuehler/mistral.rs#1867",
        concerns=divides_activations,
        under=Contract(form="gelu-tanh"),
        after=_instead("gelu-tanh", _GELU.value, _GELU.slope),
    ),
    Fault(
        name="silu-is-hard",
        story="Approximates SiLU by y clip(y + 3, 0, 6) / 6, as for mobile devices, where SiLU is promised.",
        source="constructed",
        concerns=divides_activations,
        under=Contract(form="silu"),
        after=_instead("silu", _hard, _hard_slope),
    ),
    Fault(
        name="activated-twice",
        story="The activation is in the layer and after it: silu(silu(y)). Hides for ReLU, which it does not change.",
        source="Kyubyong/tacotron#50",
        concerns=divides_activations,
        under=Contract(form="silu"),
        after=_instead(
            "silu",
            lambda y: _SILU.value(_SILU.value(y)),
            lambda y: _SILU.slope(_SILU.value(y)) * _SILU.slope(y),
        ),
    ),
    Fault(
        name="silu-slope-without-product-rule",
        story="The backward takes sigmoid(y) for the derivative of silu(y): the term y sigmoid'(y) is missing. Hides "
        "in the output.",
        source="constructed",
        concerns=divides_activations,
        where="backward",
        under=Contract(form="silu"),
        after=_instead("silu", None, _gate_slope),
    ),
)
