"""The checks of whitening layers: values and gradients, laws, rows of Table 1."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.whitening.checks import calls, laws, table, values

CHECKS: tuple[Check, ...] = (
    values.OUTPUT,
    values.GRADIENT,
    *laws.CHECKS,
    values.RUNNING,
    values.EVALUATION,
    *calls.CHECKS,
    *table.CHECKS,
)
