"""Table 1 as measured: the largest shares of what rounding explains, as cells of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from normcheck.core.result import WITNESS
from normcheck.core.spec import COLUMN_NAMES

INVARIANT, NOT_INVARIANT, UNDETERMINED = "invariant", "not invariant", "undetermined"


def cell(share: float | None) -> str:
    """What the largest measured share says of one law; undetermined where nothing was measured, or too little."""
    if share is None or 1.0 < share < WITNESS:
        return UNDETERMINED
    return INVARIANT if share <= 1.0 else NOT_INVARIANT


def measured_row(metrics: Mapping[str, float], prefix: str = "row") -> dict[str, str]:
    """The six cells as measured."""
    return {name: cell(metrics.get(f"{prefix}/{name}")) for name in COLUMN_NAMES}


def measured_extension(metrics: Mapping[str, float], names: Iterable[str], prefix: str = "extended") -> dict[str, str]:
    """The cells beyond the six as measured, of the columns that a family has."""
    return {name: cell(metrics.get(f"{prefix}/{name}")) for name in names}
