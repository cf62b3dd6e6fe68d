"""Partial root mean square layer normalization (Zhang, Sennrich 2019, section 4), which torch does not ship."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def partial_rms_norm(
    input: torch.Tensor,  # torch's name for it
    normalized_shape: Sequence[int],
    p: float = 0.0625,
    weight: torch.Tensor | None = None,
    eps: float = 1e-8,
) -> torch.Tensor:
    """Divide by the root mean square of the first share p of the normalized entries.

    input: (*cases, *normalized_shape). The statistic reads floor(n p) entries, at least one, of the n that are
    normalized together, and is kept in float32 for the half formats. eps is inside the root.
    """
    k = len(normalized_shape)
    wide = input if input.dtype in (torch.float32, torch.float64) else input.float()
    flat = wide.flatten(-k)
    first = flat[..., : max(1, int(flat.shape[-1] * p))]
    scaled = flat * torch.rsqrt(first.square().mean(dim=-1, keepdim=True) + eps)
    y = scaled.reshape(input.shape)
    if weight is not None:
        y = y * weight
    return y.to(input.dtype)
