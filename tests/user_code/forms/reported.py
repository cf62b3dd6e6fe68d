"""Wrong code as public reports tell of it, each beside its right form."""

import torch
import torch.nn.functional as F
from torch import nn


def first_case_modulates_all(x, scale, shift, eps=1e-6):
    """vllm-omni#1537: the scale and shift of the first case for every case."""
    out = F.layer_norm(x, (x.shape[-1],), eps=eps)
    return out * (1 + scale[:1]) + shift[:1] if x.dim() == 2 else out * (1 + scale[:1, None]) + shift[:1, None]


def gate_after_the_norm(x, z, weight, eps=1e-5):
    """mamba#908: the gate after the norm, where it is promised before."""
    return F.rms_norm(x, (x.shape[-1],), weight, eps) * F.silu(z)


class LayerNormOfMaps(nn.Module):
    """ConvNeXt: a layer norm over the channels of (cases, channels, height, width)."""

    def __init__(self, num_channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))
        self.eps = eps

    def forward(self, x):
        units = (-1,) + (1,) * (x.dim() - 2)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        out = F.layer_norm(wide.movedim(1, -1), self.weight.shape, eps=self.eps).movedim(-1, 1)
        return (out * self.weight.view(units) + self.bias.view(units)).to(x.dtype)


class LayerNormOfRows(LayerNormOfMaps):
    """ConvNeXt#112: it normalizes the last axis, and applies the weights of the channels."""

    def forward(self, x):
        units = (-1,) + (1,) * (x.dim() - 2)
        out = F.layer_norm(x, x.shape[-1:], eps=self.eps)
        return out * self.weight.view(units) + self.bias.view(units)
