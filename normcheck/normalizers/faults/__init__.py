"""The catalog of faults: known ways to be wrong, as data.

They serve as mutants for the suite, as hypotheses of a diagnosis, and as documentation.
"""

from __future__ import annotations

from normcheck.core.errors import UsageError, suggest
from normcheck.normalizers.faults import (
    activated,
    averaging,
    backward,
    branch,
    call_modes,
    demanded,
    forms,
    forward,
    grid,
    grouped,
    history,
    memory,
    modes,
    modulated,
    packed,
    parts,
    qk,
    quantized,
    refusals,
    reparametrization,
    rotary,
    running,
    saved,
    special,
    sums,
    terms,
    translated,
    unit_killing,
)
from normcheck.normalizers.faults.base import Fault, FaultQuestion, compose, subject
from normcheck.normalizers.normalizer import Normalizer

__all__ = ["ALL", "Fault", "FaultQuestion", "compose", "concerning", "get", "subject"]

_FILES = (
    forward.FAULTS, sums.FAULTS, parts.FAULTS, backward.FAULTS, terms.FAULTS, saved.FAULTS, running.FAULTS,
    averaging.FAULTS,
    history.FAULTS, memory.FAULTS, call_modes.FAULTS, modes.FAULTS, special.FAULTS, reparametrization.FAULTS,
    grid.FAULTS, unit_killing.FAULTS, demanded.FAULTS, forms.FAULTS, activated.FAULTS, quantized.FAULTS,
    grouped.FAULTS, modulated.FAULTS, qk.FAULTS, branch.FAULTS, packed.FAULTS, rotary.FAULTS, refusals.FAULTS,
    translated.FAULTS,
)  # fmt: skip

ALL: dict[str, Fault] = {fault.name: fault for some in _FILES for fault in some}


def get(name: str) -> Fault:
    """The fault of that name. Raises `UsageError` with the nearest name for an unknown one."""
    if name not in ALL:
        raise UsageError(f"unknown fault {name!r}; {suggest(name, ALL)}")
    return ALL[name]


def concerning(normalizer: Normalizer) -> tuple[Fault, ...]:
    """The faults that a normalizer can have."""
    return tuple(fault for fault in ALL.values() if fault.concerns(normalizer))
