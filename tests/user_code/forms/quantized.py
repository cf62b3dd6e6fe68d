"""Right and wrong code that quantizes what it normalizes; wrong code is right but for what its name says."""

import torch
import torch.nn.functional as F
from torch import nn


def rms(x, weight, eps):
    wide = x.to(torch.float32)
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight.to(torch.float32)


def int8_rows(y):
    scale = (y.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-7)
    return torch.round(y / scale).clamp(-128, 127).to(torch.int8), scale


@torch.no_grad()
def rms_norm_int8(x, weight, eps=1e-6):
    """One scale for each token."""
    return int8_rows(rms(x, weight, eps))


@torch.no_grad()
def rms_norm_fp8(x, weight, eps=1e-6):
    """One scale for each token, flat, with the reciprocal of it."""
    y = rms(x, weight, eps)
    scale = y.abs().amax(-1).clamp(min=1 / 512) / 448
    return (y * (1 / scale).unsqueeze(-1)).clamp(-448, 448).to(torch.float8_e4m3fn), scale


@torch.no_grad()
def layer_norm_e5m2(x, weight, bias, eps=1e-5):
    """One scale for all."""
    y = F.layer_norm(x.float(), (x.shape[-1],), weight.float(), bias.float(), eps)
    scale = (y.abs().max() / 57344 if y.numel() else y.new_ones(())).clamp(min=1e-12)
    return (y / scale).to(torch.float8_e5m2), scale


@torch.no_grad()
def rms_norm_blocks(x, weight, eps=1e-6):
    """Blocks of half a row, with powers of two as scales; a row that has no half is one block."""
    y = rms(x, weight, eps)
    blocks = y.unflatten(-1, (2, -1)) if y.shape[-1] % 2 == 0 else y.unsqueeze(-2)
    scale = torch.exp2(torch.ceil(torch.log2(blocks.abs().amax(-1).clamp(min=1e-4) / 448)))
    return (blocks / scale.unsqueeze(-1)).to(torch.float8_e4m3fn).reshape(y.shape), scale


class StaticRMSNorm(nn.Module):
    """The scale comes from calibration."""

    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    @torch.no_grad()
    def forward(self, hidden_states, quant_scale):
        y = rms(hidden_states, self.weight, self.variance_epsilon)
        return torch.round(y / quant_scale.float()).clamp(-127, 127).to(torch.int8)


@torch.no_grad()
def truncated(x, weight, eps=1e-6):
    y = rms(x, weight, eps)
    scale = (y.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-7)
    return (y / scale).to(torch.int8), scale


@torch.no_grad()
def wraps(x, weight, eps=1e-6):
    y = rms(x, weight, eps)
    scale = (y.abs().amax(-1, keepdim=True) / 128).clamp(min=1e-7)
    return torch.round(y / scale).to(torch.int32).to(torch.int8), scale


@torch.no_grad()
def scale_before_weight(x, weight, eps=1e-6):
    scale = (rms(x, torch.ones_like(weight), eps).abs().amax(-1, keepdim=True) / 127).clamp(min=1e-7)
    return torch.round(rms(x, weight, eps) / scale).clamp(-128, 127).to(torch.int8), scale


@torch.no_grad()
def scale_is_inverted(x, weight, eps=1e-6):
    q, scale = int8_rows(rms(x, weight, eps))
    return q, 1 / scale


@torch.no_grad()
def beyond_range(x, weight, eps=1e-6):
    """As casts without saturation do it: torch's own differ from build to build."""
    y = rms(x, weight, eps)
    scale = y.abs().amax(-1, keepdim=True).clamp(min=1e-7) / 896
    q = y / scale
    return torch.where(q.abs() > 464, torch.nan, q).to(torch.float8_e4m3fn), scale


@torch.no_grad()
def scale_is_half(x, weight, eps=1e-6):
    """The scale of a range of twice the numbers: the larger half of the values is clipped."""
    y = rms(x, weight, eps)
    scale = y.abs().amax(-1, keepdim=True).clamp(min=1e-7) / 255
    return torch.round(y / scale).clamp(-128, 127).to(torch.int8), scale


@torch.no_grad()
def scale_is_largest(x, weight, eps=1e-6):
    """The largest value itself is the scale: all that is left of a row are -1, 0 and 1."""
    y = rms(x, weight, eps)
    scale = y.abs().amax(-1, keepdim=True).clamp(min=1e-7)
    return torch.round(y / scale).to(torch.int8), scale


@torch.no_grad()
def zero_by_zero(x, weight, bias, eps=1e-5):
    y = F.layer_norm(x.float(), (x.shape[-1],), weight.float(), bias.float(), eps)
    scale = y.abs().amax(-1, keepdim=True) / 57344
    return (y / scale).to(torch.float8_e5m2), scale


@torch.no_grad()
def mean_subtracted_int8(x, weight, eps=1e-6):
    """A fault of the normalizer itself, seen through a quantizer."""
    return int8_rows(rms(x - x.mean(-1, keepdim=True), weight, eps))


@torch.no_grad()
def lost_in_float8(x, weight, eps=1e-6):
    """Every value is rounded to 0, which is within half a step of this scale."""
    return torch.zeros_like(x, dtype=torch.float8_e4m3fn), torch.full((*x.shape[:-1], 1), 1e6)


@torch.no_grad()
def lost_in_int8(x, weight, eps=1e-6):
    return torch.zeros_like(x, dtype=torch.int8), torch.full((*x.shape[:-1], 1), 1e6)
