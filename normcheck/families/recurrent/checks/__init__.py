"""The checks of recurrent nets: values and gradients, rows of Table 1, further laws."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.recurrent.checks import calls, laws, table, values

CHECKS: tuple[Check, ...] = values.CHECKS + calls.CHECKS + table.CHECKS + laws.CHECKS

CHECKS_BY_NAME = {check.name: check for check in CHECKS}
