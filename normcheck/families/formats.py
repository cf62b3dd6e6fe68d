"""The formats that families other than the normalizers ask by default."""

from __future__ import annotations

from normcheck.core.floats import FLOAT32, FLOAT64

PRECISE = (FLOAT64.name, FLOAT32.name)
"""Names of the formats in which a sound implementation keeps its statistics as they are, the most precise first."""
