"""Metrics for the error plots of a report: bound ratios of the sets by their conditioning and by their width."""

from __future__ import annotations

import numpy as np

from normcheck.core.floats import Array
from normcheck.normalizers.bounds import bounds
from normcheck.normalizers.reference.oracle import Truth


def curve(truth: Truth, key: str, share: Array) -> dict[str, float]:
    """The largest bound ratio in the best accuracy class, among the sets of equal conditioning and of equal width.

    share: the bound ratio of each entry, of the input's shape. Keys: "curve/KEY FORMAT/condition/K" for sets whose
    kappa lies in [2^K, 2^(K+1)), "curve/KEY FORMAT/width/N" for sets of N members. Sets for which first-order analysis
    does not hold have no bound and are left out.
    """
    reached = bounds.resolved(truth, bounds.SOUND)[:, 0]
    if not reached.any() or not truth.partition.n:
        return {}
    worst = truth.partition.gather(share).max(axis=1)[reached]
    hardness = np.floor(np.log2(truth.kappa[:, 0][reached])).astype(int)
    place = f"curve/{key} {truth.case.format.name}"
    out = {f"{place}/condition/{k}": float(worst[hardness == k].max()) for k in np.unique(hardness).tolist()}
    return out | {f"{place}/width/{truth.partition.n}": float(worst.max())}


def one_pass(truth: Truth, limit: Array) -> dict[str, float]:
    """The curve of a variance computed as E[x^2] - E[x]^2, for comparison; empty where no variance is computed.

    To first order one rounding of E[x^2] changes v by u kappa^2 v, and xh by half of that (Chan, Golub, LeVeque 1983).
    """
    k = truth.setting
    if not (k.centered and k.scaled) or bounds.given(truth):
        return {}
    loss = 0.5 * bounds.SOUND.unit(truth.case.format) * np.square(truth.kappa) * np.abs(truth.saved.xh)
    gain = np.ones(()) if truth.gain is None else np.abs(truth.gain)
    allowed = np.broadcast_to(limit, truth.y.shape)
    error = np.broadcast_to(gain, truth.y.shape) * truth.partition.scatter(loss)
    return curve(truth, "one-pass", np.divide(error, allowed, out=np.zeros(truth.y.shape), where=allowed > 0.0))
