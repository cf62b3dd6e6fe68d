"""What it means for an eps to be held in float32: in float64 it is another number, which is a warning by default."""

from __future__ import annotations

from normcheck.core.floats import FLOAT32, FLOAT64
from normcheck.core.result import CheckWarning

EPS_IN_SINGLE = CheckWarning(
    "eps-in-float32",
    "eps is held as a number in float32, so in float64 it is another one, off by up to 6e-8 of itself: keep it in "
    "the format in which the statistics are computed, as a Python float is",
    f"eps-format={FLOAT32.name}",
    FLOAT64.name,
)
