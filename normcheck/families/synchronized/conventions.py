"""The conventions of divided normalizers, and the names that code gives to what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from normcheck.core.contract import Contract, words
from normcheck.core.errors import UsageError
from normcheck.families.synchronized.entry import Synchronized
from normcheck.frameworks.roles import NAMES, Parameter, from_signature

KEYS = ("eps", "formats", "slack", "accuracy", "momentum", "running-variance", "ranks", "tensors")
"""Conventions that divided normalizers have."""

CALLED = {
    role: NAMES[role]
    for role in (
        "input", "normalized_shape", "weight", "bias", "running_mean", "running_var", "training", "momentum", "eps",
    )
}  # fmt: skip
"""Each role of a function's parameter, with the names that code gives to it."""


def known(made: Contract, entry: Synchronized) -> None:
    """Raises `UsageError` for a convention that divided normalizers do not have."""
    for key in words(made):
        if key not in KEYS:
            raise UsageError(f"contract {key}: {entry.name} has no such convention; known: {', '.join(KEYS)}")


def eps_known(made: Contract, roles: frozenset[str], name: str) -> None:
    """Raises `UsageError` for code that takes no eps, of which none is declared."""
    if "eps" not in roles and made.eps is None:
        raise UsageError(f"{name} takes no eps; say which it has with --norm-contract eps=E")


def parameters(target: Any, names: Mapping[str, tuple[str, ...]], name: str, first: str) -> dict[str, Parameter]:
    """The parameter of each role. Raises `UsageError` for a required parameter that has no role."""
    out: dict[str, Parameter] = {}
    for p in from_signature(target) or ():
        role = next((r for r, some in names.items() if p.name.lower().strip("_") in some and r not in out), "")
        if role:
            out[role] = p
        elif p.required:
            raise UsageError(f"{name} requires {p.name}, which is no part of this kind; known: {', '.join(names)}")
    if first not in out:
        raise UsageError(f"{name} has no parameter for {first}; name it {names[first][0]}")
    return out


def requires_weight(found: Mapping[str, Parameter]) -> bool:
    """Whether weight or bias must be given, so that None may be no value of theirs."""
    return any(found[role].required for role in ("weight", "bias") if role in found)


def lacking(entry: Synchronized, roles: frozenset[str]) -> str:
    """Why an implementation has not all parameters of a kind; empty if it has."""
    needed = {"weight": entry.normalizer.weight, "bias": entry.normalizer.bias}
    absent = [role for role, there in needed.items() if there and role not in roles]
    return f"has no {' and '.join(absent)}" if absent else ""
