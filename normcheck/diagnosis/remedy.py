"""The convention under which a finding would be a pass: the implementation may follow it on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from normcheck.core.ask import run_check
from normcheck.core.check import Check
from normcheck.core.contract import CHOICES, Contract, words
from normcheck.core.result import PASSED
from normcheck.core.space import CaseSpace
from normcheck.normalizers.sampling.space import NormalizerSpace


def remedy(subject: Any, check: Check, draw: Any) -> str:
    """The convention as KEY=VALUE; "" if the check holds under none, on this case and on the explicit examples."""
    for promised in _others(subject.contract):
        other = replace(subject, contract=promised)
        if check.lacks(other) or run_check(other, check, [draw]).status != PASSED:
            continue
        if run_check(other, check, _space(subject, check).explicit_examples(subject)).status == PASSED:
            changed = set(words(promised).items()) - set(words(subject.contract).items())
            return ", ".join(f"{key}={value}" for key, value in changed)
    return ""


def _space(subject: Any, check: Check) -> CaseSpace:
    """The space of a check; without its threshold widths if each would cost a compilation for the remedy only."""
    space = check.space
    if isinstance(space, NormalizerSpace) and subject.domain.compiles_per_shape:
        return replace(space, edges=())
    return space


def _others(contract: Contract) -> Iterator[Contract]:
    """Contracts that differ in one convention; accuracy last, because many findings pass under a lower class."""
    for key, choices in CHOICES.items():
        if key == "form":  # the subject is bound in its own
            continue
        field = key.replace("-", "_")
        for choice in choices:
            if choice not in (getattr(contract, field), choices[0]):
                yield replace(contract, **{field: choice})  # type: ignore[arg-type]  # the keys of CHOICES are words
