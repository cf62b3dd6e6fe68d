"""The checks of normalizers, one file for each topic; `CHECKS` has them in the order in which reports list them."""

from __future__ import annotations

from normcheck.core.check import Check
from normcheck.normalizers.checks import (
    accuracy,
    activations,
    batch_invariance,
    call_modes,
    construction,
    epsilon,
    extended,
    folding,
    gradient,
    grid,
    history,
    invariance,
    laws,
    layout,
    modes,
    networks,
    purity,
    refusals,
    reparametrization,
    sizes,
    special,
    statistics,
    translated,
    weight_norm_nets,
)
from normcheck.normalizers.checks.quantized import in_form

_ALL: tuple[Check, ...] = (
    accuracy.CHECKS
    + invariance.CHECKS
    + extended.CHECKS
    + laws.CHECKS
    + epsilon.CHECKS
    + gradient.CHECKS
    + statistics.CHECKS
    + history.CHECKS
    + folding.CHECKS
    + activations.CHECKS
    + networks.CHECKS
    + weight_norm_nets.CHECKS
    + layout.CHECKS
    + purity.CHECKS
    + call_modes.CHECKS
    + modes.CHECKS
    + construction.CHECKS
    + reparametrization.CHECKS
    + special.CHECKS
    + sizes.CHECKS
    + refusals.CHECKS
    + grid.CHECKS
    + batch_invariance.CHECKS
    + translated.CHECKS
)

CHECKS = tuple(map(in_form, _ALL))

TOPICS: dict[str, tuple[Check, ...]] = {
    "accuracy": accuracy.CHECKS + special.CHECKS,
    "eps": epsilon.CHECKS,
    "gradient": gradient.CHECKS,
    "statistics": statistics.CHECKS + history.CHECKS,
    "layout": layout.CHECKS,
    "use": purity.CHECKS + call_modes.CHECKS + modes.CHECKS + construction.CHECKS + reparametrization.CHECKS,
    "sizes": sizes.CHECKS + grid.CHECKS + batch_invariance.CHECKS,
    "refusals": refusals.CHECKS,
    "networks": activations.CHECKS + networks.CHECKS + weight_norm_nets.CHECKS,
    "compilers": translated.CHECKS,
}
"""What reports count together, beside the columns of Table 1 and the laws."""

CHECKS_BY_NAME = {check.name: check for check in CHECKS}
"""The checks of normalizers by name."""
