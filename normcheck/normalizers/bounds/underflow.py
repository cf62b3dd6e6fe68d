"""What may be lost where numbers below the normal range become zero."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.reference.oracle import Truth


def flushed(truth: Truth) -> Array:
    """Bound of what y loses where every number below the smallest normal number m may become zero.

    The input, the deviation from the mean and the mean itself lose at most m each, which division by s makes 3 m / s;
    the normalized input loses m; both are multiplied by the weight. The output loses m once more.
    """
    least = 2.0**truth.case.format.smallest
    gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
    per_set = truth.partition.per_set(least + 3.0 * least / truth.saved.s)
    return np.asarray(gain * per_set + least)
