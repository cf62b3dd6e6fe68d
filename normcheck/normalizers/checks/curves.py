"""Where accuracy is lost: the error of each set in units of its bound, by how hard the set is and how wide."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import Truth


def curve(truth: Truth, key: str, share: Array) -> dict[str, float]:
    """Facts for the plots of error: the largest share of the bound of the best class among the sets of a kind.

    share: of each entry, of the input's shape. Keys: "curve/KEY FORMAT/condition/K" for sets whose kappa lies
    in [2^K, 2^(K+1)), "curve/KEY FORMAT/width/N" for sets of N members. Sets that first-order analysis does not reach
    have no bound, and are left out.
    """
    reached = bounds.resolved(truth, bounds.SOUND)[:, 0]
    if not reached.any() or not truth.partition.n:
        return {}
    worst = truth.partition.gather(share).max(axis=1)[reached]
    hardness = np.floor(np.log2(truth.kappa[:, 0][reached])).astype(int)
    place = f"curve/{key} {truth.case.format.name}"
    out = {f"{place}/condition/{k}": float(worst[hardness == k].max()) for k in np.unique(hardness).tolist()}
    return out | {f"{place}/width/{truth.partition.n}": float(worst.max())}
