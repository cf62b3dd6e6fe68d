"""The checks of defined normalizers: values and gradients, calls, the row of Table 1."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.defined.checks import calls, table, values

CHECKS: tuple[Check, ...] = (*values.CHECKS, *calls.CHECKS, *table.CHECKS)
