"""The checks of divided normalizers: values and gradients, divisions and groups, calls in turn, wrappers."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.synchronized.checks import calls, divisions, values, wrapped

CHECKS: tuple[Check, ...] = (*values.CHECKS, *divisions.CHECKS, *calls.CHECKS, *wrapped.CHECKS)

TABLE: tuple[Check, ...] = (divisions.OTHER_CASES,)
"""The one that measures a column beyond Table 1."""
