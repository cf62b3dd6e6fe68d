"""The forms gate and gate-first: y = norm(x) silu(g), and y = norm(x silu(g)). Source: Dao and Gu 2024 (Mamba 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normcheck.frameworks.forms.form import FormArrays, FormCall, FormSpec, with_first
from normcheck.normalizers.forms import BY_GATE, BY_GATE_FIRST, GATES, PLAIN, in_turn, open_gate
from normcheck.normalizers.normalizer import Normalizer

ROLES = {"gate": ("gate", "z", "gates", "gating", "g_proj", "gate_states", "hidden_gate", "g")}


def _open(x: Any, arrays: FormArrays) -> Any:
    return x * 0.0 + open_gate(arrays.format_of(x))


def _gated(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    return {"input": x, "gate": arrays.constant(_open(x, arrays))}


def _scaled_back(returned: Any, given: Mapping[str, Any], arrays: FormArrays, normalizer: Normalizer) -> Any:
    return with_first(returned, lambda y: y / open_gate(arrays.format_of(given["input"])))


def _as_it_is(returned: Any, given: Mapping[str, Any], arrays: FormArrays, normalizer: Normalizer) -> Any:
    return returned


def _by_gate(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    held = arrays.constant(x)
    return {"input": held, "gate": (x - held) + arrays.like(in_turn(GATES, tuple(x.shape)), x)}


def _gated_first(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    return {"input": x / open_gate(arrays.format_of(x)), "gate": arrays.constant(_open(x, arrays))}


def _by_gate_first(x: Any, arrays: FormArrays, normalizer: Normalizer) -> dict[str, Any]:
    held = arrays.constant(x)
    return {"input": held / open_gate(arrays.format_of(x)), "gate": (x - held) + arrays.constant(_open(x, arrays))}


AFTER = FormSpec(ROLES, {PLAIN: FormCall(_gated, _scaled_back), BY_GATE: FormCall(_by_gate, _as_it_is)})
FIRST = FormSpec(ROLES, {PLAIN: FormCall(_gated_first, _as_it_is), BY_GATE_FIRST: FormCall(_by_gate_first, _as_it_is)})
