"""The checks of divided normalizers: values and gradients, divisions and groups, calls in turn."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.synchronized.checks import calls, divisions, values

CHECKS: tuple[Check, ...] = (*values.CHECKS, *divisions.CHECKS, *calls.CHECKS)
