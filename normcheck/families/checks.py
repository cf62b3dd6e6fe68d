"""The checks of families for which the property suite has no file: a new family needs none."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.families import FAMILIES, MODULES

OWN_FILES = ("normalizers", "recurrent", "path_optimizer", "whitening", "reparametrized", "synchronized")
"""The modules whose checks are run by files of their own in `properties`."""

CHECKS: tuple[Check, ...] = tuple(
    check
    for module, family in zip(MODULES, FAMILIES, strict=True)
    if module not in OWN_FILES
    for check in family.checks
)
