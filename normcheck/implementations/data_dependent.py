"""Data-dependent initialization of a layer with weight normalization (Salimans, Kingma 2016, section 3)."""

from __future__ import annotations

import torch


def initialize(v: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Length g and bias b of each unit, so that over the batch its pre-activation has mean 0 and variance 1.

    v: (units, inputs), the directions. batch: (cases, inputs). With t = v x / |v|, equations 5 and 6: g = 1 / sigma[t],
    b = -mu[t] / sigma[t], where sigma^2 divides by the number of cases. Returns g of shape (units, 1), as
    torch._weight_norm takes it, and b of shape (units,).

    Raises `ValueError` where a unit has no variance over the batch: no length could give it one.
    """
    with torch.no_grad():
        t = batch @ (v / v.norm(dim=1, keepdim=True)).T
        sigma, mu = torch.std_mean(t, dim=0, correction=0)
        level = t.abs().amax(dim=0)
        flat = ~(sigma > level * t.shape[0] * torch.finfo(t.dtype).eps)
        if bool(flat.any()):
            units = ", ".join(str(int(i)) for i in flat.nonzero())
            raise ValueError(f"no variance over the batch in unit {units}; take cases that differ, and no v of zeros")
        return (1.0 / sigma)[:, None], -mu / sigma
