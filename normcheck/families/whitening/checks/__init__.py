"""What whitening layers are asked: values and gradients, rows of Table 1."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.whitening.checks import table, values

CHECKS: tuple[Check, ...] = values.CHECKS + table.CHECKS
