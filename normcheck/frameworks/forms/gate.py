"""The forms gate and gate-first: y = norm(x) silu(g), and y = norm(x silu(g)). Source: Dao and Gu 2024 (Mamba 2)."""

from __future__ import annotations

from typing import Any

from normcheck.frameworks.forms import names
from normcheck.frameworks.forms.form import FormCall, FormQuestion, FormSpec, Given, as_returned, with_first
from normcheck.normalizers.forms import BY_GATE, BY_GATE_FIRST, GATES, PLAIN, in_turn, open_gate


def _open(question: FormQuestion) -> float:
    return open_gate(question.arrays.format_of(question.x))


def _opened(question: FormQuestion) -> Any:
    return question.like(in_turn((_open(question),), question.shape))


def _gated(question: FormQuestion) -> Given:
    return {"input": question.x, "gate": _opened(question)}


def _scaled_back(returned: Any, given: Given, question: FormQuestion) -> Any:
    return with_first(returned, lambda y: y / _open(question))


def _by_gate(question: FormQuestion) -> Given:
    values = in_turn(GATES, question.shape)
    return {"input": question.arrays.constant(question.x), "gate": question.varied(values)}


def _gated_first(question: FormQuestion) -> Given:
    return {"input": question.x / _open(question), "gate": _opened(question)}


def _by_gate_first(question: FormQuestion) -> Given:
    values = in_turn((_open(question),), question.shape)
    return {"input": question.arrays.constant(question.x) / _open(question), "gate": question.varied(values)}


ROLES = {"gate": names.GATE}

AFTER = FormSpec(ROLES, {PLAIN: FormCall(_gated, _scaled_back), BY_GATE: FormCall(_by_gate, as_returned)})
FIRST = FormSpec(
    ROLES, {PLAIN: FormCall(_gated_first, as_returned), BY_GATE_FIRST: FormCall(_by_gate_first, as_returned)}
)
