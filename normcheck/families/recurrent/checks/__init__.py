"""The checks of recurrent nets: values and gradients, rows of Table 1, further laws."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families.recurrent.checks import calls, laws, table, values

CHECKS: tuple[Check, ...] = values.CHECKS + calls.CHECKS + table.CHECKS + laws.CHECKS

TABLE: tuple[Check, ...] = table.TABLE_1 + laws.INDEPENDENCE
"""Those that measure the columns of Table 1 and of its extension."""

CHECKS_BY_NAME = {check.name: check for check in CHECKS}
