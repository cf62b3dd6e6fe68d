"""What every variant is made with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from normcheck.normalizers import faults
from normcheck.normalizers.faults import Fault
from normcheck.normalizers.reference.standardize import Steps

BLOCKS = (2, 8, 16, 32, 64, 128)
"""Numbers of lanes or rows that are handled together, other than those that the catalog's faults have."""


def variant(name: str, **changes: Any) -> Fault:
    """The fault of that name, done another way."""
    return replace(faults.get(name), **changes)


def unchanged(steps: Steps) -> Steps:
    return steps
