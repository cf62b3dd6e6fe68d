"""One file for each question; `ALL` is every check, in the order in which a reader wants the answers."""

from __future__ import annotations

from normcheck.checks import (
    accuracy,
    activations,
    descent,
    epsilon,
    extended,
    folding,
    gradient,
    history,
    invariance,
    laws,
    layout,
    networks,
    purity,
    recurrent,
    recurrent_laws,
    recurrent_table,
    refresh,
    reparametrization,
    sizes,
    special,
    statistics,
    ways,
    weight_norm_nets,
    whitening,
    whitening_table,
)
from normcheck.checks.base import Check

ALL: tuple[Check, ...] = (
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
    + ways.CHECKS
    + reparametrization.CHECKS
    + special.CHECKS
    + sizes.CHECKS
    + recurrent.CHECKS
    + recurrent_table.CHECKS
    + recurrent_laws.CHECKS
    + descent.CHECKS
    + whitening.CHECKS
    + whitening_table.CHECKS
    + refresh.CHECKS
)

BY_NAME = {check.name: check for check in ALL}
