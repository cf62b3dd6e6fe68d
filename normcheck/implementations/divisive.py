"""Divisive normalization, in torch."""

from __future__ import annotations

import torch


def _window_mean(x: torch.Tensor, window: int, whole: int) -> torch.Tensor:
    """The mean over channels and a window around each position; whole: zeros outside count."""
    pool = torch.nn.functional.avg_pool2d if x.ndim == 4 else torch.nn.functional.avg_pool1d
    return pool(x.mean(1, keepdim=True), window, stride=1, padding=window // 2, count_include_pad=bool(whole))


def divisive_norm(
    x: torch.Tensor, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None, sum_window: int = 3,
    sup_window: int = 3, eps: float = 1.0, count_include_pad: int = 1,
) -> torch.Tensor:  # fmt: skip
    """DN of maps (cases, channels, *space), of one or two axes of space (Ren et al. 2017); eps is sigma squared."""
    c = x - _window_mean(x, sum_window, count_include_pad)
    y = c / torch.sqrt(_window_mean(c.square(), sup_window, count_include_pad) + eps)
    shape = (-1, *[1] * (x.ndim - 2))
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)
