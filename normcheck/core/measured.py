"""The row of Table 1 as measured: each cell follows from the largest bound ratio of the law of its column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from normcheck.core.result import WITNESS
from normcheck.core.spec import COLUMN_NAMES

INVARIANT, NOT_INVARIANT, UNDETERMINED = "invariant", "not invariant", "undetermined"


def cell(ratio: float | None) -> str:
    """The cell of one law from its largest bound ratio.

    Undetermined if the law was not measured (None), or if the ratio is between 1 and `WITNESS`.
    """
    if ratio is None or 1.0 < ratio < WITNESS:
        return UNDETERMINED
    return INVARIANT if ratio <= 1.0 else NOT_INVARIANT


def measured_row(metrics: Mapping[str, float], prefix: str = "row") -> dict[str, str]:
    """The six cells of Table 1, by column, from measured bound ratios."""
    return {name: cell(metrics.get(f"{prefix}/{name}")) for name in COLUMN_NAMES}


def measured_extension(metrics: Mapping[str, float], names: Iterable[str], prefix: str = "extended") -> dict[str, str]:
    """The cells of the further columns `names` that a family has, from measured bound ratios."""
    return {name: cell(metrics.get(f"{prefix}/{name}")) for name in names}
