"""Mean-only batch normalization (Salimans, Kingma 2016, section 4), which torch does not ship."""

from __future__ import annotations

import torch
from torch.nn import Module, Parameter

Tensor = torch.Tensor


def mean_only_batch_norm(
    input: Tensor,  # torch's name for it
    running_mean: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,  # torch's signature
    momentum: float = 0.1,
) -> Tensor:
    """Subtract the mean of each channel, add the bias.

    input: (cases, channels, *space). In training the mean is that of the batch, over cases and positions, kept in
    float32 for the half formats, and running_mean (channels,) becomes (1 - momentum) running_mean + momentum mean, in
    place; in evaluation running_mean is subtracted. Raises `ValueError` for evaluation without one.
    """
    wide = input if input.dtype in (torch.float32, torch.float64) else input.float()
    shape = (1, -1, *(1,) * (input.ndim - 2))
    if training:
        axes = [axis for axis in range(input.ndim) if axis != 1]
        mean = wide.mean(dim=axes)
        if running_mean is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
    elif running_mean is None:
        raise ValueError("evaluation needs a running_mean; give one, or pass training=True")
    else:
        mean = running_mean.to(wide.dtype)
    y = wide - mean.reshape(shape)
    if bias is not None:
        y = y + bias.reshape(shape)
    return y.to(input.dtype)


class MeanOnlyBatchNorm(Module):
    """The same as a layer with its own bias and running mean; input: (cases, num_features, *space)."""

    def __init__(self, num_features: int, momentum: float = 0.1, *, affine: bool = True) -> None:
        super().__init__()
        self.momentum = momentum
        self.bias = Parameter(torch.zeros(num_features)) if affine else None
        self.running_mean: Tensor
        self.register_buffer("running_mean", torch.zeros(num_features))

    def forward(self, input: Tensor) -> Tensor:
        return mean_only_batch_norm(input, self.running_mean, self.bias, self.training, self.momentum)
