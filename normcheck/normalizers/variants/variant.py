"""How a variant is made of a fault of the catalog."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from normcheck.normalizers import faults
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.reference.standardize import Steps

BLOCKS = (2, 8, 16, 32, 64, 128)
"""Numbers of lanes or rows that a kernel handles together, other than those of the catalog's faults."""


def variant(name: str, **changes: Any) -> Fault:
    """The fault of that name with other changes to the reference."""
    return replace(faults.get(name), **changes)


def unchanged(steps: Steps) -> Steps:
    """The right steps, for variants that change something else."""
    return steps
